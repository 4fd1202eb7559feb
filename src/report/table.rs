//! The table of a run: one row per combination of levels, the metrics that its claims name first.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Title;
use crate::stats::claim::{Reference, short};
use crate::stats::{Group, Summary, number};
use crate::trial::fact::Outcome;
use crate::trial::{Plan, Protocol};

/// The table, as text.
#[derive(Debug)]
pub(super) struct Table {
    /// Factors beside client and protocol that have several levels here.
    pub(super) factors: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// The rows, a client's together.
    pub(super) rows: Vec<Row>,
    /// Why values with a dagger decide nothing, if there are any.
    pub(super) limited: Option<String>,
}

/// A metric's column.
#[derive(Debug)]
pub(super) struct Column {
    /// `time to open`.
    pub(super) head: String,
    /// `ms`; empty for what is counted.
    pub(super) unit: &'static str,
    /// The metric's name and definition.
    pub(super) name: String,
    pub(super) definition: &'static str,
    /// Whether another column before has the same metric.
    pub(super) again: bool,
}

/// A combination of levels.
#[derive(Debug)]
pub(super) struct Row {
    /// The client's title and version.
    pub(super) client: String,
    pub(super) version: Option<String>,
    /// How many rows of this client begin with this one; 0 below the first.
    pub(super) span: usize,
    /// As [`Table::factors`].
    pub(super) levels: Vec<String>,
    pub(super) protocol: String,
    /// `completed`, or `2 completed, 1 failed`.
    pub(super) outcome: String,
    /// The gravest outcome of the repeats.
    pub(super) worst: Outcome,
    /// As [`Table::columns`].
    pub(super) cells: Vec<String>,
}

/// What a table shows beside what claims name, where there is room.
pub(super) const USUAL: [&str; 8] = [
    "open-streams",
    "server-open-streams",
    "connections",
    "webtransport-dialect",
    "time-to-open",
    "events-received",
    "lost",
    "latency",
];

impl Table {
    /// Chooses columns, at most so many, and writes the rows.
    pub(super) fn new(plan: &Plan, summary: &Summary, title: Title<'_>, most_columns: usize) -> Self {
        let references = references(plan, summary, most_columns);
        let factors: Vec<String> = factors(plan, summary);
        let mut groups: Vec<&Group> = summary.groups.iter().collect();
        let place = |group: &Group| {
            summary.groups.iter().position(|other| other.levels.get("client") == group.levels.get("client"))
        };
        groups.sort_by_key(|group| place(group));
        let mut rows: Vec<Row> = Vec::new();
        for of in groups.chunk_by(|a, b| a.levels.get("client") == b.levels.get("client")) {
            let spans = std::iter::once(of.len()).chain(std::iter::repeat(0));
            rows.extend(
                of.iter()
                    .zip(spans)
                    .map(|(group, span)| row(group, title(&client(group)), span, &factors, &references)),
            );
        }
        let limited = summary.groups.iter().find_map(|group| {
            references.iter().find_map(|r| group.metrics.get(r.metric.name)?.entry.machine_limited.clone())
        });
        Self { factors, columns: columns(&references), rows, limited }
    }
}

/// The group's client, by name.
pub(super) fn client(group: &Group) -> String {
    group.levels.get("client").map(plain).unwrap_or_default()
}

/// The group's protocol, by name.
pub(super) fn protocol(group: &Group) -> String {
    group.levels.get("protocol").map(plain).unwrap_or_default()
}

/// What a protocol is called in a sentence: its HTTP version where all trials have one transport.
pub(super) fn protocol_title(plan: &Plan, name: &str) -> String {
    let transports: std::collections::BTreeSet<&str> =
        plan.trials.iter().map(|trial| trial.settings.protocol.transport.as_str()).collect();
    match name.parse::<Protocol>() {
        Ok(protocol) if transports.len() <= 1 => protocol.alpn.title().to_owned(),
        Ok(protocol) => format!("{} on {}", protocol.transport, protocol.alpn.title()),
        Err(_) => name.to_owned(),
    }
}

/// A level without the quotation marks of JSON; a dash where the protocol doesn't read the factor.
pub(super) fn plain(level: &Value) -> String {
    match level {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

/// Factors beside client and protocol that have several levels.
pub(super) fn factors(plan: &Plan, summary: &Summary) -> Vec<String> {
    let several = |factor: &&String| {
        let levels: std::collections::BTreeSet<String> =
            summary.groups.iter().map(|group| group.levels.get(*factor).map(plain).unwrap_or_default()).collect();
        levels.len() > 1
    };
    plan.factors.iter().filter(|factor| *factor != "client" && *factor != "protocol").filter(several).cloned().collect()
}

/// How many of a group's trials ended how.
pub(super) fn outcomes(outcomes: &BTreeMap<Outcome, u32>) -> String {
    match outcomes.iter().collect::<Vec<_>>().as_slice() {
        [(outcome, 1)] => outcome.word().to_owned(),
        several => several.iter().map(|(o, n)| format!("{n} {}", o.word())).collect::<Vec<_>>().join(", "),
    }
}

fn references(plan: &Plan, summary: &Summary, most: usize) -> Vec<Reference> {
    let claimed = plan.claims.iter().flat_map(|claim| {
        let than = claim.than.as_ref().and_then(|than| than.metric.as_deref());
        [Some(claim.metric.as_str()), than].into_iter().flatten()
    });
    let mut chosen: Vec<Reference> = Vec::new();
    for (name, asked) in claimed.map(|name| (name, true)).chain(USUAL.map(|name| (name, false))) {
        let Ok(reference) = Reference::parse(name) else { continue };
        let obtained = summary.groups.iter().filter_map(|group| group.metrics.get(reference.metric.name));
        let any = obtained.into_iter().any(|e| e.entry.n > 0 || e.entry.above.is_some());
        if chosen.iter().all(|other| other.name() != reference.name()) && (asked || any) {
            chosen.push(reference);
        }
    }
    chosen.truncate(most);
    chosen
}

fn columns(references: &[Reference]) -> Vec<Column> {
    let again = |at: usize| references[..at].iter().any(|other| other.metric.name == references[at].metric.name);
    references.iter().enumerate().map(|(at, reference)| column(reference, again(at))).collect()
}

fn column(reference: &Reference, again: bool) -> Column {
    let unit = if matches!(reference.metric.unit, "ms" | "µs" | "B") { reference.metric.unit } else { "" };
    Column {
        head: reference.name().replace(['-', '.'], " "),
        unit,
        name: reference.metric.name.to_owned(),
        definition: reference.metric.definition,
        again,
    }
}

fn row(group: &Group, client: String, span: usize, factors: &[String], references: &[Reference]) -> Row {
    let cell = |reference: &Reference| {
        let value = group.metrics.get(reference.metric.name)?;
        let entry = &value.entry;
        let dagger = if entry.machine_limited.is_some() { "†" } else { "" };
        let spread = value.spread().filter(|_| reference.statistic.is_none());
        let spread = spread.map(|ends| format!(" ({})", ends.map(number::plain).join(" to "))).unwrap_or_default();
        Some(entry.bare(if entry.n > 0 { reference.of(entry) } else { None }) + &spread + dagger)
    };
    Row {
        client,
        version: group.client_version.as_deref().map(short),
        span,
        levels: factors.iter().map(|factor| group.levels.get(factor).map(plain).unwrap_or_default()).collect(),
        protocol: protocol(group),
        outcome: outcomes(&group.outcomes),
        worst: group.outcomes.keys().next_back().copied().unwrap_or(Outcome::Failed),
        cells: references.iter().map(|reference| cell(reference).unwrap_or_else(|| "–".to_owned())).collect(),
    }
}
