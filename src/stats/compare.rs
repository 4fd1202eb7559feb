//! Two runs side by side: what differs between their plans, and what changed in what was found.
//!
//! Combinations are matched by their levels. A factor that only one plan has is looked up among the other's
//! settings, so that a run of three limits and a run of one of them have that one in common.

mod plans;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::result::Verdict;
use super::sample::WANTED;
use super::{Group, GroupEntry, Summary, claim, metric, number};
use crate::trial::fact::Outcome;
use crate::trial::{Levels, Plan};

/// One of the two runs.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its folder's name.
    pub name: &'a str,
    /// What was planned.
    pub plan: &'a Plan,
    /// What was found.
    pub summary: &'a Summary,
}

/// What changed. Of every pair the first is of the run that was named first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The runs' names.
    pub runs: [String; 2],
    pub questions: [String; 2],
    /// Settings and claims that differ between the plans.
    pub plans: Vec<Difference>,
    /// What else differs, such as the machine.
    pub surroundings: Vec<Difference>,
    /// Every client's versions, changed or not.
    pub versions: Vec<Difference>,
    /// How many combinations both runs have.
    pub matched: usize,
    /// Combinations whose trials ended otherwise.
    pub outcomes: Vec<OutcomeChange>,
    /// Claims that came out otherwise.
    pub verdicts: Vec<VerdictChange>,
    /// How many numbers were compared: those of metrics that one run at least gave a value for.
    pub compared: usize,
    /// Those that differ: what claims are about first, then what changed most.
    pub numbers: Vec<NumberChange>,
    /// Combinations that only one of the runs has, by run.
    pub only: [Vec<Levels>; 2],
}

/// A named thing that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// What: a setting's dotted name, `claim 2`, a client's name.
    pub name: String,
    /// What it is in each; `None`: it isn't there.
    pub values: [Option<String>; 2],
}

impl Difference {
    /// Whether both are the same.
    pub fn is_none(&self) -> bool {
        self.values[0] == self.values[1]
    }
}

/// A combination whose trials ended otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutcomeChange {
    pub levels: Levels,
    /// How many trials ended how.
    pub outcomes: [BTreeMap<Outcome, u32>; 2],
}

/// A claim that came out otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VerdictChange {
    pub says: String,
    /// With which client; `None`: over all.
    pub client: Option<String>,
    /// The verdicts; `None`: it did not take part.
    pub verdicts: [Option<Verdict>; 2],
    /// The numbers, in a sentence each.
    pub evidence: [String; 2],
}

/// A number that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NumberChange {
    /// The combination's levels.
    pub levels: Levels,
    /// The metric's name.
    pub metric: String,
    pub values: [GroupEntry; 2],
    /// Second median − first; `None` where one has none, or is only known to be above or below something.
    #[serde(serialize_with = "number::json_option")]
    pub difference: Option<f64>,
    /// What their intervals say.
    pub intervals: Intervals,
    /// Whether a claim of either run is about it.
    pub claimed: bool,
}

impl NumberChange {
    /// How much it changed: by which factor, whichever way, as a logarithm. A value that came, went, or was 0 changed more
    /// than any factor.
    fn size(&self) -> f64 {
        match self.values.each_ref().map(|value| value.exactly().filter(|median| *median > 0.0)) {
            [Some(first), Some(second)] => (second / first).ln().abs(),
            _ => f64::INFINITY,
        }
    }
}

/// What two intervals say about two medians. That they overlap is no proof that nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intervals {
    /// They have values in common; each holds its median 95 times in a hundred.
    Overlap,
    /// They have none.
    Apart,
    /// The repeats' ranges have values in common; one of them at least is of too few repeats to hold its median 95
    /// times in a hundred.
    RangesOverlap,
    /// They have none.
    RangesApart,
    /// Both runs have one repeat, of which there is no interval.
    OneRepeatEach,
    /// Fewer than three repeats of one gave a value.
    TooFew,
}

impl Intervals {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Overlap => "intervals overlap",
            Self::Apart => "apart",
            Self::RangesOverlap => "ranges overlap",
            Self::RangesApart => "ranges apart",
            Self::OneRepeatEach => "no interval: one repeat each",
            Self::TooFew => "no interval: fewer than three values",
        }
    }

    fn of(groups: [&Group; 2], [first, second]: [&GroupEntry; 2]) -> Self {
        let repeats = groups.map(|group| group.outcomes.values().sum::<u32>());
        let wanted = [first, second].iter().all(|of| of.coverage.is_some_and(|coverage| coverage >= WANTED));
        match (first.interval, second.interval) {
            (Some(a), Some(b)) => match (a[0] <= b[1] && b[0] <= a[1], wanted) {
                (true, true) => Self::Overlap,
                (false, true) => Self::Apart,
                (true, false) => Self::RangesOverlap,
                (false, false) => Self::RangesApart,
            },
            _ if repeats == [1, 1] => Self::OneRepeatEach,
            _ => Self::TooFew,
        }
    }

    /// Why there is no interval, where there is none.
    pub fn missing(self) -> Option<&'static str> {
        self.words().strip_prefix("no interval: ")
    }

    /// Whether they have no value in common.
    pub const fn are_apart(self) -> bool {
        matches!(self, Self::Apart | Self::RangesApart)
    }
}

impl Serialize for Intervals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// Compares two runs. `surroundings` is what else is known about both.
pub fn compare(sides: [Side<'_>; 2], surroundings: Vec<Difference>) -> Comparison {
    let (pairs, only) = plans::matched(sides);
    let mut comparison = Comparison {
        runs: sides.map(|side| side.name.to_owned()),
        questions: sides.map(|side| side.plan.question.clone()),
        plans: plans::differences(sides.map(|side| side.plan)),
        surroundings: surroundings.into_iter().filter(|difference| !difference.is_none()).collect(),
        versions: versions(sides),
        matched: pairs.len(),
        outcomes: Vec::new(),
        verdicts: verdicts(sides),
        compared: 0,
        numbers: Vec::new(),
        only,
    };
    for [first, second] in pairs {
        if shares(first) != shares(second) {
            let outcomes = [first.outcomes.clone(), second.outcomes.clone()];
            comparison.outcomes.push(OutcomeChange { levels: second.levels.clone(), outcomes });
        }
        numbers(sides, [first, second], &mut comparison);
    }
    // Where numbers changed alike, they stay in the order of the plan and of the metrics.
    let order = |change: &NumberChange| (!change.claimed, !change.intervals.are_apart());
    comparison.numbers.sort_by(|a, b| order(a).cmp(&order(b)).then(b.size().total_cmp(&a.size())));
    comparison
}

impl Comparison {
    /// Whether what was found is the same.
    pub fn is_none(&self) -> bool {
        self.outcomes.is_empty()
            && self.verdicts.is_empty()
            && self.numbers.is_empty()
            && self.only.iter().all(Vec::is_empty)
    }
}

/// Outcomes and their shares in a million: ten completed of ten are three of three.
fn shares(group: &Group) -> Vec<(Outcome, u64)> {
    let all = group.outcomes.values().map(|&n| u64::from(n)).sum::<u64>().max(1);
    group.outcomes.iter().map(|(outcome, &n)| (*outcome, u64::from(n) * 1_000_000 / all)).collect()
}

fn versions(sides: [Side<'_>; 2]) -> Vec<Difference> {
    let by_client = sides.map(|side| {
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for group in &side.summary.groups {
            let client = group.levels.get("client").and_then(|level| level.as_str()).unwrap_or("?").to_owned();
            versions.entry(client).or_default().extend(group.client_version.clone());
        }
        versions
    });
    let clients: BTreeSet<&String> = by_client.iter().flat_map(BTreeMap::keys).collect();
    let of = |versions: &BTreeMap<String, BTreeSet<String>>, client: &str| {
        let versions = versions.get(client).filter(|versions| !versions.is_empty())?;
        Some(versions.iter().cloned().collect::<Vec<_>>().join(", "))
    };
    let row =
        |client: &String| Difference { name: client.clone(), values: [0, 1].map(|at| of(&by_client[at], client)) };
    clients.into_iter().map(row).collect()
}

fn verdicts([first, second]: [Side<'_>; 2]) -> Vec<VerdictChange> {
    let mut changes = Vec::new();
    for a in &first.summary.claims {
        // What is claimed is the sentence; a comparison that differs is told among the plans' differences.
        let Some(b) = second.summary.claims.iter().find(|b| b.says == a.says) else { continue };
        let change = |client: Option<&String>, verdicts, evidence| VerdictChange {
            says: a.says.clone(),
            client: client.cloned(),
            verdicts,
            evidence,
        };
        if a.verdict != b.verdict {
            let evidence = [a.evidence.clone(), b.evidence.clone()];
            changes.push(change(None, [Some(a.verdict), Some(b.verdict)], evidence));
        }
        for (client, was) in &a.per_client {
            let Some(is) = b.per_client.get(client).filter(|is| is.verdict != was.verdict) else { continue };
            let evidence = [was.told(), is.told()];
            changes.push(change(Some(client), [was.verdict, is.verdict], evidence));
        }
    }
    changes
}

fn numbers(sides: [Side<'_>; 2], [first, second]: [&Group; 2], into: &mut Comparison) {
    for metric in metric::ALL {
        let (Some(a), Some(b)) = (first.metrics.get(metric.name), second.metrics.get(metric.name)) else { continue };
        let known = |value: &GroupEntry| value.entry.n > 0 || value.entry.above.is_some();
        if !known(a) && !known(b) {
            continue;
        }
        into.compared += 1;
        let same = |x: Option<f64>, y: Option<f64>| x.map(f64::to_bits) == y.map(f64::to_bits);
        // Still waiting in both: how long it had by then is the timeline's.
        let waiting = |value: &GroupEntry| value.entry.n == 0 && value.entry.above.is_some();
        let same = same(a.entry.median, b.entry.median) && a.entry.above.is_some() == b.entry.above.is_some();
        if same || waiting(a) && waiting(b) {
            continue;
        }
        into.numbers.push(NumberChange {
            levels: second.levels.clone(),
            metric: metric.name.to_owned(),
            values: [a.clone(), b.clone()],
            difference: a.exactly().zip(b.exactly()).map(|(a, b)| b - a),
            intervals: Intervals::of([first, second], [a, b]),
            claimed: [(sides[0], first), (sides[1], second)]
                .iter()
                .any(|(side, group)| side.claims(group, metric.name)),
        });
    }
}

impl Side<'_> {
    /// Whether one of its claims is about this metric of this combination, or compares another with it.
    fn claims(&self, group: &Group, metric: &str) -> bool {
        let trial = self.summary.trials.iter().find(|trial| trial.levels == group.levels);
        trial.is_some_and(|trial| self.plan.claims.iter().any(|c| claim::takes(c, self.plan, trial, metric)))
    }
}

impl GroupEntry {
    /// The median, where it is not only known to be above or below something.
    fn exactly(&self) -> Option<f64> {
        let entry = &self.entry;
        entry.median.filter(|median| entry.above.is_none() && entry.uncertainty.is_none_or(|off| *median >= 3.0 * off))
    }
}

#[cfg(test)]
mod tests;
