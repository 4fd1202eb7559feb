//! What a run came to, as it is kept in `summary.json`: data, and how its numbers are written for people.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::elsewhere::AgentResult;
use super::number;
use crate::trial::claim::ClaimSource;
use crate::trial::fact::{Outcome, WayParts};
use crate::trial::phase::TrialPhase;
use crate::trial::settings::{Compression, IntermediaryConfig};
use crate::trial::stack::Versions;
use crate::trial::{Levels, Stack};

/// A run's summary: `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// The version of this file's format, 1. One that says none is of version 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// The experiment's name.
    pub experiment: String,
    /// The run's seed.
    pub seed: u64,
    /// What stood between client and server, each as it was told to be, in the order in which they first did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<StoodBetween>,
    /// The agents that ran ends of trials, in the order in which they first did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentResult>,
    /// One per planned trial, in the order of the plan.
    pub trials: Vec<TrialResult>,
    /// One per combination of levels, in the order of the plan.
    pub groups: Vec<Group>,
    /// One per claim, in the order of the file.
    pub claims: Vec<ClaimResult>,
}

impl Summary {
    /// The version that this lab writes.
    pub const VERSION: u32 = 1;
}

fn first_version() -> u32 {
    1
}

/// An intermediary and what it was told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StoodBetween {
    /// Its name.
    pub intermediary: String,
    /// Its version.
    pub version: String,
    /// What it was told to do: `default`, `streaming`, or the path of a configuration.
    pub config: IntermediaryConfig,
    /// By which content coding it compressed.
    #[serde(default)]
    pub compression: Compression,
    /// What that changes in the configuration that its documentation begins with, as a diff: `- …`, `+ …`.
    pub changes: Vec<String>,
}

/// What one trial gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TrialResult {
    /// Its number in the run.
    pub trial: u32,
    /// Which repeat of its combination.
    pub repeat: u32,
    /// Its levels.
    pub levels: Levels,
    /// The client's version, where it was started; of `chromium+firefox` one of each, with ` + ` between, and of several of
    /// one kind each that there is, with ` / ` between.
    pub client_version: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it was completed.
    pub reason: Option<String>,
    /// How late the publisher was, in milliseconds, one value per event.
    pub publisher_lateness: Entry,
    /// How much of the processor was idle meanwhile, in percent, where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub idle_percent: Option<f64>,
    /// How many UDP datagrams the kernel dropped meanwhile, whoever they were for; where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_dropped: Option<u64>,
    /// The most that the clock of a page may be off by itself, in milliseconds, where a page was a client.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub page_clock: Option<f64>,
    /// What was put on the link in each part of the timeline, where its packets were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_link: Vec<PhaseParts>,
    /// What carried it, at both ends; absent where nothing was found of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<TrialStack>,
    /// Every metric, by name.
    pub metrics: BTreeMap<String, Entry>,
}

/// What was put on a link in one part of the timeline: from the client and to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PhaseParts {
    pub phase: TrialPhase,
    pub up: WayParts,
    pub down: WayParts,
}

/// What carried a trial, at both ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TrialStack {
    /// The server's; null while it had no connection.
    pub server: Option<Stack>,
    /// The client's. Of a client that doesn't say, such as a browser: what the kernel does by itself where it is, and of
    /// QUIC nothing.
    pub client: Option<Stack>,
    /// The versions of what speaks at the server, by name.
    pub versions: Versions,
}

impl TrialStack {
    /// Both ends' that are known of.
    pub fn ends(&self) -> impl Iterator<Item = (&'static str, &Stack)> {
        let ends = [("server", &self.server), ("client", &self.client)];
        ends.into_iter().filter_map(|(end, stack)| Some((end, stack.as_ref()?)))
    }
}

/// What the repeats of one combination say together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// The levels.
    pub levels: Levels,
    /// The client's version, where it was started.
    pub client_version: Option<String>,
    /// How many trials ended how.
    pub outcomes: BTreeMap<Outcome, u32>,
    /// Every metric, by name, over the completed trials.
    pub metrics: BTreeMap<String, GroupEntry>,
}

/// One metric of one trial. `n` is 0 when it was not obtained; then `above` or `absent` says why.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// The unit of all values here.
    pub unit: String,
    /// How many values.
    pub n: usize,
    /// The median.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub median: Option<f64>,
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub min: Option<f64>,
    /// The most.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub max: Option<f64>,
    /// The median again, where there are several values.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub p50: Option<f64>,
    /// Nine in ten are this or less.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub p90: Option<f64>,
    /// 99 in 100 are this or less.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub p99: Option<f64>,
    /// Not there yet when the trial ended: the value is more than this.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub above: Option<f64>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// How far the value may be off, in this unit: by the client's clock, or by what the server takes once for all
    /// streams. One below three times that is only `< 3 × that`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub uncertainty: Option<f64>,
    /// Why this value says more about the machine than about the subject, and so decides no claim, or only what `late`
    /// leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_limited: Option<String>,
    /// How late the machine was then, usually and at most, in milliseconds, where nothing else was wrong: a claim about a
    /// value that is ten times as long is decided as any other, and else by that it is no longer than it was measured and ten
    /// times that.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_pair")]
    pub late: Option<[f64; 2]>,
    /// Whether lateness can only have made it longer: without that it is this or less, and decides claims by that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upper_bound: bool,
}

/// One metric over repeats: `n` repeats gave a value. `median` is the median of their medians, `p50`, `p90` and
/// `p99` are the medians of theirs, `min` and `max` the least and the most of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupEntry {
    /// The values.
    #[serde(flatten)]
    pub entry: Entry,
    /// Two of the repeats' medians between which the median of all that there could be lies, by order statistics; the
    /// least and the most where there are fewer than nine. Null below three of them.
    #[serde(serialize_with = "number::json_pair")]
    pub interval: Option<[f64; 2]>,
    /// In how many of a hundred runs such two hold that median: 75 with three repeats, 93.75 with five, 95 or more from
    /// six on.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub coverage: Option<f64>,
}

impl GroupEntry {
    /// The least and the most of what was counted, where repeats differ. What is measured differs always, and has an
    /// interval instead.
    pub fn spread(&self) -> Option<[f64; 2]> {
        let counted = matches!(self.entry.unit.as_str(), "streams" | "connections" | "events");
        let ends = self.entry.min.zip(self.entry.max).filter(|(least, most)| least < most);
        ends.filter(|_| counted && self.entry.n > 1).map(|(least, most)| [least, most])
    }
}

/// How a claim fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ClaimResult {
    /// The sentence.
    pub says: String,
    /// Where it stands.
    pub source: ClaimSource,
    /// Over all clients that took part.
    pub verdict: Verdict,
    /// By client.
    pub per_client: BTreeMap<String, ClientResult>,
    /// The numbers, in a sentence.
    pub evidence: String,
    /// Where TCP carried some of the trials that it is about, and QUIC others: the profile, and what did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stacks: Option<String>,
}

impl Entry {
    /// Nothing yet.
    pub(super) fn none(unit: &str) -> Self {
        Self { unit: unit.to_owned(), ..Self::default() }
    }

    /// As a person reads it: `6`, `12.3 ms`, `< 0.9 ms`, `> 1500 ms`; a dash where there is none.
    pub fn text(&self) -> String {
        self.text_of(self.median)
    }

    /// The same for another of its values than the median.
    pub fn text_of(&self, value: Option<f64>) -> String {
        self.written(value, &self.unit)
    }

    /// The same without the unit, for a column whose head names it.
    pub fn bare(&self, value: Option<f64>) -> String {
        self.written(value, "")
    }

    /// What one of its values is below, where it may be off by so much that no more is known of it.
    pub fn below(&self, value: f64) -> Option<f64> {
        self.uncertainty.map(|off| 3.0 * off).filter(|bound| value < *bound)
    }

    fn written(&self, value: Option<f64>, unit: &str) -> String {
        let above = self.above.map(|bound| format!("> {}", number::with_unit(bound, unit)));
        let Some(value) = value else { return above.unwrap_or_else(|| "–".to_owned()) };
        let text = match self.below(value) {
            Some(bound) => format!("< {}", number::with_unit(bound, unit)),
            None => number::with_unit(value, unit),
        };
        above.map_or_else(|| text.clone(), |above| format!("{text}, {above}"))
    }
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every number agrees.
    Confirmed,
    /// A number contradicts it.
    Refuted,
    /// The numbers don't decide it.
    Inconclusive,
}

impl Verdict {
    /// The word of files and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// The sign before it.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Confirmed => "✓",
            Self::Refuted => "✗",
            Self::Inconclusive => "?",
        }
    }
}

/// How a claim fared with one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ClientResult {
    /// Null: it did not take part.
    pub verdict: Option<Verdict>,
    /// Its version, where it was started.
    pub version: Option<String>,
    /// What it did, as the rest of a sentence that begins with its name: `held 6`.
    pub evidence: String,
    /// How many trials of one combination decided it, the fewest and the most; 0 where none was completed.
    #[serde(default)]
    pub n: [usize; 2],
}

impl ClientResult {
    /// What it did, and in how many trials: `held 6; n = 5`.
    pub fn told(&self) -> String {
        format!("{}{}", self.evidence, trials(self.n))
    }
}

/// How many trials there were of each combination, as the end of a sentence; nothing where there was none.
pub(super) fn trials([fewest, most]: [usize; 2]) -> String {
    match (fewest, most) {
        (_, 0) => String::new(),
        (_, 1) => "; n = 1, which doesn't show how much it varies".to_owned(),
        (fewest, most) if fewest == most => format!("; n = {most}"),
        (fewest, most) => format!("; n = {fewest} to {most}"),
    }
}
