//! Two runs side by side, as text: what terminal and page have in common.

mod page;
mod terminal;

pub use page::html as compare_html;
pub use terminal::terminal as compare_terminal;

use std::collections::BTreeMap;

use super::Title;
use super::answer::listed;
use super::table::{outcomes, plain};
use crate::stats::compare::{Comparison, Difference, NumberChange, OutcomeChange, VerdictChange};
use crate::stats::{GroupEntry, number};
use crate::trial::Levels;

/// A change: what changed, and what it was and is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    what: String,
    values: [String; 2],
}

/// All changes of a comparison as text, in the order in which they are told.
#[derive(Debug)]
struct View {
    /// The runs' names.
    runs: [String; 2],
    /// What changed, in a sentence or two.
    sentence: String,
    /// Settings and claims.
    plans: Vec<Change>,
    surroundings: Vec<Change>,
    /// Every client's versions.
    versions: Vec<Change>,
    outcomes: Vec<Change>,
    verdicts: Vec<VerdictView>,
    /// What claims are about, and the rest.
    numbers: [Vec<NumberView>; 2],
    /// Why numbers without an interval have none, where any has none.
    without: Option<String>,
    /// Combinations that only one run has.
    only: [Vec<String>; 2],
}

/// A verdict that changed.
#[derive(Debug)]
struct VerdictView {
    says: String,
    /// With whom: a client's title, or `all clients`.
    who: String,
    verdicts: [&'static str; 2],
    evidence: [String; 2],
}

/// A number that changed.
#[derive(Debug)]
struct NumberView {
    /// The combination; empty below the first number of it.
    of: String,
    metric: String,
    values: [ValueView; 2],
    /// `+5.10 ms (+10 %)`, or a dash.
    difference: String,
    /// What the intervals say; empty where there is none.
    intervals: &'static str,
    /// Whether they are apart.
    apart: bool,
    /// Whether it is counted, not measured.
    counted: bool,
    /// Whether a value says more about the machine than about the subject.
    limited: bool,
}

/// A value and its interval.
#[derive(Debug)]
struct ValueView {
    /// `54.9 ms`, `> 1500 ms`; with a dagger where the machine decided it.
    value: String,
    /// `50.1 to 60.2, 75 %`: two of the repeats' values, and how often such two hold the median.
    interval: Option<String>,
}

impl ValueView {
    /// Both in a line: `54.9 ms [50.1 to 60.2, 75 %]`.
    fn text(&self) -> String {
        let interval = self.interval.as_ref().map(|interval| format!(" [{interval}]")).unwrap_or_default();
        format!("{}{interval}", self.value)
    }
}

impl View {
    /// What stands above the numbers that claims are about, and above the rest.
    fn headings(&self) -> [&'static str; 2] {
        let claimed = "Numbers that differ, of those that claims are about";
        if self.numbers[0].is_empty() {
            [claimed, "Numbers that differ, what changed most first"]
        } else {
            [claimed, "Other numbers that differ, what changed most first"]
        }
    }

    fn new(comparison: &Comparison, title: Title<'_>) -> Self {
        let named = |change: Change| Change { what: title(&change.what), ..change };
        let numbers = [true, false].map(|claimed| {
            let mut last = None;
            let these = comparison.numbers.iter().filter(|change| change.claimed == claimed);
            these
                .map(|change| {
                    let first = last.replace(&change.levels) != Some(&change.levels);
                    number_view(change, if first { combination(&change.levels, title) } else { String::new() })
                })
                .collect()
        });
        Self {
            runs: comparison.runs.clone(),
            sentence: sentence(comparison),
            plans: comparison.plans.iter().map(change).collect(),
            surroundings: comparison.surroundings.iter().map(change).collect(),
            versions: comparison.versions.iter().map(change).map(named).collect(),
            numbers,
            without: without(comparison),
            outcomes: comparison.outcomes.iter().map(|change| outcome_change(change, title)).collect(),
            verdicts: comparison.verdicts.iter().map(|change| verdict_view(change, title)).collect(),
            only: [0, 1].map(|at| comparison.only[at].iter().map(|levels| combination(levels, title)).collect()),
        }
    }
}

/// What changed: `Nothing changed in 12 combinations and 130 numbers.`
fn sentence(comparison: &Comparison) -> String {
    let both = number::plural(comparison.matched, "combination");
    let compared = number::plural(comparison.compared, "number");
    if comparison.matched == 0 {
        return "The runs have no combination in common.".to_owned();
    }
    if comparison.is_none() {
        return format!("Nothing changed: {both} ended alike, and {compared} are the same.");
    }
    let words = |change: &NumberChange| change.intervals.missing().map_or(change.intervals.words(), |_| "no interval");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for change in &comparison.numbers {
        *kinds.entry(words(change)).or_default() += 1;
    }
    let kinds: Vec<String> = match kinds.iter().collect::<Vec<_>>().as_slice() {
        [(words, _)] => vec![(**words).to_owned()],
        _ => kinds.iter().map(|(words, n)| format!("{n} {words}")).collect(),
    };
    let changed = match comparison.numbers.len() {
        0 => format!("all of {compared} are the same"),
        n => format!("{n} of {compared} differ ({})", kinds.join("; ")),
    };
    let parts = [
        (comparison.outcomes.len(), "ended otherwise", "combination"),
        (comparison.verdicts.len(), "came out otherwise", "verdict"),
    ];
    let parts =
        parts.iter().filter(|(n, ..)| *n > 0).map(|(n, what, word)| format!("{} {what}", number::plural(*n, word)));
    let parts: Vec<String> = parts.chain([changed]).collect();
    let alone = comparison.only.iter().map(Vec::len).sum::<usize>();
    let alone = if alone > 0 {
        format!(" {} in only one of the runs.", number::plural(alone, "combination"))
    } else {
        String::new()
    };
    format!("Of {both} in both: {}.{alone}", listed(&parts))
}

/// `Where no interval is given, there is none: one repeat each.`
fn without(comparison: &Comparison) -> Option<String> {
    let mut reasons: Vec<&str> = comparison.numbers.iter().filter_map(|change| change.intervals.missing()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    (!reasons.is_empty()).then(|| format!("Where no interval is given, there is none: {}.", reasons.join(", or ")))
}

fn change(difference: &Difference) -> Change {
    let values = difference.values.clone().map(|value| value.unwrap_or_else(|| "–".to_owned()));
    Change { what: difference.name.clone(), values }
}

fn outcome_change(change: &OutcomeChange, title: Title<'_>) -> Change {
    Change { what: combination(&change.levels, title), values: [0, 1].map(|at| outcomes(&change.outcomes[at])) }
}

fn verdict_view(change: &VerdictChange, title: Title<'_>) -> VerdictView {
    VerdictView {
        says: change.says.clone(),
        who: change.client.as_deref().map_or_else(|| "all clients".to_owned(), title),
        verdicts: change.verdicts.map(|verdict| verdict.map_or("did not take part", |verdict| verdict.word())),
        evidence: change.evidence.clone(),
    }
}

fn number_view(change: &NumberChange, of: String) -> NumberView {
    let [first, second] = &change.values;
    let unit = &first.entry.unit;
    let signed = |value: f64, text: String| if value > 0.0 { format!("+{text}") } else { text };
    let difference = change.difference.map(|difference| {
        let share = first.entry.median.filter(|median| *median > 0.0).map(|median| 100.0 * difference / median);
        let share = share.map(|share| format!(" ({} %)", signed(share, number::plain(share.round() + 0.0))));
        signed(difference, number::with_unit(difference, unit)) + &share.unwrap_or_default()
    });
    NumberView {
        of,
        metric: change.metric.clone(),
        values: [value(first), value(second)],
        difference: difference.unwrap_or_else(|| "–".to_owned()),
        intervals: change.intervals.missing().map_or(change.intervals.words(), |_| ""),
        counted: number::is_counted(unit),
        apart: change.intervals.are_apart(),
        limited: change.values.iter().any(|value| value.entry.machine_limited.is_some()),
    }
}

fn value(of: &GroupEntry) -> ValueView {
    let interval = of.interval.filter(|_| of.entry.n > 0);
    let dagger = if of.entry.machine_limited.is_some() { "†" } else { "" };
    ValueView {
        value: of.entry.text() + dagger,
        interval: interval.zip(of.coverage).map(|([low, high], coverage)| {
            format!("{} to {}, {}", number::plain(low), number::plain(high), number::percent(coverage))
        }),
    }
}

/// `Chromium sse/h2, server.max-concurrent-streams 50`.
fn combination(levels: &Levels, title: Title<'_>) -> String {
    let level = |factor: &str| levels.get(factor).map(plain).unwrap_or_default();
    let others =
        levels.iter().filter(|(factor, level)| *factor != "client" && *factor != "protocol" && !level.is_null());
    let who = format!("{} {}", title(&level("client")), level("protocol"));
    let others = others.map(|(factor, level)| format!("{factor} {}", plain(level)));
    std::iter::once(who).chain(others).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
