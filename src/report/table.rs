//! The table of a run: one row per combination of levels, the metrics that its claims name first.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Title;
use crate::stats::claim::Reference;
use crate::stats::versions::{named, with_versions};
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
    /// Why values with a dagger decide nothing, or only that it is no more, if there are any.
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
    /// The same of each, where it is several.
    pub(super) clients: Vec<(String, Option<String>)>,
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
    pub(super) cells: Vec<NumberCell>,
}

/// A metric of a combination.
#[derive(Debug)]
pub(super) struct NumberCell {
    /// `6`, `< 0.9`, or a dash; with a dagger where the machine limits it.
    pub(super) value: String,
    /// `4 to 6`: the least and the most of what was counted, where repeats differ.
    pub(super) spread: Option<String>,
    /// `n 3 · 4.1 to 6.8`: how many repeats gave a value, where there are several, and the least and the most of all values.
    pub(super) range: String,
}

impl NumberCell {
    fn none() -> Self {
        Self { value: "–".to_owned(), spread: None, range: String::new() }
    }

    /// In one line: `6 (4 to 6)`.
    pub(super) fn text(&self) -> String {
        let spread = self.spread.as_ref().map(|spread| format!(" ({spread})")).unwrap_or_default();
        match self.value.strip_suffix('†') {
            Some(value) => format!("{value}{spread}†"),
            None => format!("{}{spread}", self.value),
        }
    }
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
            rows.extend(of.iter().zip(spans).map(|(group, span)| row(group, title, span, &factors, &references)));
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

/// What each of these groups is called so, once, in their order: by [`client`], by [`protocol`].
pub(super) fn distinct<'a>(groups: impl IntoIterator<Item = &'a Group>, name: fn(&Group) -> String) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in groups.into_iter().map(name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether all trials have one transport, so that its name says nothing.
pub(super) fn has_one_transport(plan: &Plan) -> bool {
    let mut transports = plan.trials.iter().map(|trial| trial.settings.protocol.transport.as_str());
    let first = transports.next();
    transports.all(|other| Some(other) == first)
}

/// What a protocol is called in a sentence: its HTTP version where all trials have one transport.
pub(super) fn protocol_title(plan: &Plan, name: &str) -> String {
    match name.parse::<Protocol>() {
        Ok(protocol) if has_one_transport(plan) => protocol.alpn.title().to_owned(),
        Ok(protocol) => format!("{} on {}", protocol.transport, protocol.alpn.title()),
        Err(_) => name.to_owned(),
    }
}

/// A level without the quotation marks of JSON; a dash where nothing in the trial is what the factor is about.
pub(super) fn plain(level: &Value) -> String {
    match level {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

/// A factor's level in words, under the last word of its name: `2 pages`, `1 host`, `interval 250ms`; under all of its name
/// where that is another's last word too. `None` where nothing in the trial is what it is about.
pub(super) fn level_phrase(factor: &str, level: &Value, factors: &[String]) -> Option<String> {
    let name = short_name(factor, factors);
    match (level, name.strip_suffix('s')) {
        (Value::Null, _) => None,
        (Value::Number(n), Some(one)) if !name.contains(['-', '.']) => {
            Some(if n.as_u64() == Some(1) { format!("1 {one}") } else { format!("{n} {name}") })
        }
        (level, _) => Some(format!("{} {}", name.replace('-', " "), plain(level))),
    }
}

/// The last word of a factor's dotted name, or all of it where that is another's last word too.
pub(super) fn short_name<'a>(factor: &'a str, factors: &[String]) -> &'a str {
    fn last(factor: &str) -> &str {
        factor.rsplit('.').next().unwrap_or(factor)
    }
    if factors.iter().filter(|other| last(other) == last(factor)).count() > 1 { factor } else { last(factor) }
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
    let unit = if number::is_written(reference.metric.unit) { reference.metric.unit } else { "" };
    Column {
        head: reference.name().replace(['-', '.'], " "),
        unit,
        name: reference.metric.name.to_owned(),
        definition: reference.metric.definition,
        again,
    }
}

fn row(group: &Group, title: Title<'_>, span: usize, factors: &[String], references: &[Reference]) -> Row {
    let repeats = group.outcomes.values().sum::<u32>();
    let cell = |reference: &Reference| {
        let Some(value) = group.metrics.get(reference.metric.name) else { return NumberCell::none() };
        let entry = &value.entry;
        let dagger = if entry.machine_limited.is_some() { "†" } else { "" };
        let most = if entry.upper_bound { "≤ " } else { "" };
        let ends = |[least, most]: [f64; 2]| format!("{} to {}", number::plain(least), number::plain(most));
        let n = (repeats > 1).then(|| format!("n {}", entry.n));
        let ends_of_all = entry.min.zip(entry.max).filter(|(least, most)| least < most);
        let parts = n.into_iter().chain(ends_of_all.map(|(least, most)| ends([least, most])));
        NumberCell {
            value: most.to_owned() + &entry.bare(if entry.n > 0 { reference.of(entry) } else { None }) + dagger,
            spread: value.spread().filter(|_| reference.statistic.is_none()).map(ends),
            range: parts.collect::<Vec<_>>().join(" · "),
        }
    };
    Row {
        client: named(&client(group), group.client_version.as_deref(), title),
        clients: with_versions(&client(group), group.client_version.as_deref(), title),
        span,
        levels: factors.iter().map(|factor| group.levels.get(factor).map(plain).unwrap_or_default()).collect(),
        protocol: protocol(group),
        outcome: outcomes(&group.outcomes),
        worst: group.outcomes.keys().next_back().copied().unwrap_or(Outcome::Failed),
        cells: references.iter().map(cell).collect(),
    }
}
