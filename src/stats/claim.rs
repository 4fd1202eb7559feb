//! Claims against numbers.
//!
//! A value decides only what it can: one that is uncertain, or only known to be above or below something, is a range, and
//! a comparison that holds for a part of the range is undecided.

mod quantity;
mod ratio;
mod repeats;
mod select;

use std::collections::BTreeMap;

pub use quantity::{ClaimError, Reference, check};
pub use ratio::{Ratio, ratios};

use self::quantity::ClaimComparison;
use self::repeats::Decision;
use super::metric::LATE_OF;
use super::number;
use super::result::{ClaimResult, ClientResult, Entry, TrialResult, Verdict, trials};
use super::sample::median;
use super::stack;
use super::versions::named;
use crate::trial::fact::Outcome;
use crate::trial::{Claim, Plan};

impl ClaimResult {
    /// Whether no trial of the run is one that the claim is about.
    pub fn is_about_nothing_here(&self) -> bool {
        self.per_client.is_empty()
    }

    /// The evidence with the clients' titles: `title(name)`.
    pub fn evidence_by(&self, title: impl Fn(&str) -> String) -> String {
        if self.is_about_nothing_here() {
            return self.evidence.clone();
        }
        sentence(&self.per_client, title)
    }
}

/// What a claim looks like in a picture: lines across the values of a metric.
#[derive(Debug, Clone)]
pub struct Line {
    /// The values that it is about.
    pub reference: Reference,
    /// Where the lines are.
    pub bounds: Vec<f64>,
    /// What to write before a bound: `≤`, `≥`, `end of`, or nothing where the value itself is claimed.
    pub sign: &'static str,
}

/// The claim's lines; `None` for a ratio, which no axis of values has a place for.
pub fn line(claim: &Claim) -> Option<Line> {
    let (reference, comparison) = (Reference::parse(&claim.metric).ok()?, ClaimComparison::of(claim).ok()?);
    claim.than.is_none().then(|| Line { reference, bounds: comparison.bounds(), sign: comparison.sign() })
}

/// Whether the claim is about this trial.
pub fn is_about(claim: &Claim, plan: &Plan, trial: &TrialResult) -> bool {
    select::matches(&claim.selection, plan, trial)
}

/// Whether the claim is about this metric of this trial, or compares another with it.
pub(super) fn takes(claim: &Claim, plan: &Plan, trial: &TrialResult, metric: &str) -> bool {
    let is = |name: &str| Reference::parse(name).is_ok_and(|reference| reference.metric.name == metric);
    let compared = claim.than.as_ref().is_some_and(|than| {
        is(than.metric.as_deref().unwrap_or(&claim.metric)) && select::matches(&than.selection, plan, trial)
    });
    compared || is(&claim.metric) && is_about(claim, plan, trial)
}

/// What one trial or pair of trials says: a value within a range (both ends included), or why there is none.
#[derive(Debug, Clone, Default)]
struct Datum {
    range: Option<[f64; 2]>,
    /// Whether the machine was late, so that it is only known to be no more than something.
    limited: bool,
    /// The number as a person reads it, or what was given instead: `no value (the census was never taken)`.
    text: String,
}

impl Datum {
    /// The middle of its range; `None` where there is none, or it says only how much the value is at most.
    fn middle(&self) -> Option<f64> {
        self.range.filter(|_| !self.limited).map(|[low, high]| f64::midpoint(low, high))
    }
}

/// Decides a claim over the trials that it is about.
pub(super) fn decide(claim: &Claim, plan: &Plan, trials: &[TrialResult]) -> ClaimResult {
    let result = |verdict, per_client, evidence| ClaimResult {
        says: claim.says.clone(),
        source: claim.source.clone(),
        verdict,
        per_client,
        evidence,
        stacks: stack::compared(plan, &held_against(claim, plan, trials)),
    };
    let (reference, comparison) = match (Reference::parse(&claim.metric), ClaimComparison::of(claim)) {
        (Ok(reference), Ok(comparison)) => (reference, comparison),
        (Err(error), _) | (_, Err(error)) => return result(Verdict::Inconclusive, BTreeMap::new(), error.to_string()),
    };
    let mut clients: BTreeMap<String, Vec<&TrialResult>> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| select::matches(&claim.selection, plan, trial)) {
        clients.entry(select::client(trial)).or_default().push(trial);
    }
    if clients.is_empty() {
        let none = "no trial of this run is about it".to_owned();
        return result(Verdict::Inconclusive, BTreeMap::new(), none);
    }
    let per_client: BTreeMap<String, ClientResult> = clients
        .into_iter()
        .map(|(client, selected)| (client, one_client(claim, plan, trials, &selected, &reference, &comparison)))
        .collect();
    let verdicts: Vec<Verdict> = per_client.values().filter_map(|client| client.verdict).collect();
    let evidence = sentence(&per_client, str::to_owned);
    result(overall(&verdicts), per_client, evidence)
}

/// The completed trials that a claim is about, and those that it compares them with.
fn held_against<'a>(claim: &Claim, plan: &Plan, trials: &'a [TrialResult]) -> Vec<&'a TrialResult> {
    let completed = trials.iter().filter(|trial| trial.outcome == Outcome::Completed);
    let about: Vec<&TrialResult> = completed.filter(|trial| is_about(claim, plan, trial)).collect();
    let than = |trial: &&TrialResult| {
        let than = claim.than.iter();
        than.flat_map(|than| select::paired(&than.selection, plan, trials, trial)).collect::<Vec<_>>()
    };
    let compared: Vec<&TrialResult> = about.iter().flat_map(than).collect();
    about.into_iter().chain(compared).collect()
}

/// Refuted by any, confirmed by all of at least one, else undecided.
fn overall(verdicts: &[Verdict]) -> Verdict {
    if verdicts.contains(&Verdict::Refuted) {
        Verdict::Refuted
    } else if !verdicts.is_empty() && verdicts.iter().all(|&verdict| verdict == Verdict::Confirmed) {
        Verdict::Confirmed
    } else {
        Verdict::Inconclusive
    }
}

fn one_client(
    claim: &Claim,
    plan: &Plan,
    trials: &[TrialResult],
    selected: &[&TrialResult],
    reference: &Reference,
    comparison: &ClaimComparison,
) -> ClientResult {
    let version = selected.iter().find_map(|trial| trial.client_version.clone());
    let reason = |trial: &TrialResult| trial.reason.clone().unwrap_or_else(|| "no reason was given".to_owned());
    if selected.iter().all(|trial| trial.outcome == Outcome::Unsupported) {
        let evidence = format!("did not take part ({})", reason(selected[0]));
        return ClientResult { verdict: None, version, evidence, n: [0; 2] };
    }
    // Repeats of one combination are judged together, combinations each for itself.
    let mut combinations: Vec<(&TrialResult, Vec<Datum>)> = Vec::new();
    let mut n: Vec<usize> = Vec::new();
    let completed = selected.iter().filter(|trial| trial.outcome == Outcome::Completed);
    for &trial in completed {
        let data = select::data(claim, plan, trials, trial, reference, comparison);
        if let Some(at) = combinations.iter().position(|(first, _)| first.levels == trial.levels) {
            combinations[at].1.extend(data);
            n[at] += 1;
        } else {
            combinations.push((trial, data));
            n.push(1);
        }
    }
    let broken = selected.iter().find(|t| !matches!(t.outcome, Outcome::Completed | Outcome::Unsupported));
    if combinations.is_empty() {
        let evidence = broken.map_or_else(String::new, |trial| format!("{} ({})", trial.outcome.word(), reason(trial)));
        return ClientResult { verdict: Some(Verdict::Inconclusive), version, evidence, n: [0; 2] };
    }
    let decisions: Vec<Decision> =
        combinations.iter().map(|(_, data)| repeats::decide(data, comparison, reference.metric.unit)).collect();
    let verdicts: Vec<Verdict> = decisions.iter().map(|decision| decision.verdict).collect();
    let any = combinations.iter().flat_map(|(_, data)| data).any(|datum| datum.range.is_some());
    let alike: Vec<&TrialResult> = combinations.iter().map(|(trial, _)| *trial).collect();
    // Combinations with the same numbers share them: `100 (sse/h2, sse/h3)`.
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for (trial, data) in &combinations {
        let (numbers, levels) = (numbers(data), select::differing(trial, &alike));
        match parts.iter_mut().find(|(other, _)| *other == numbers) {
            Some((_, all)) => all.push(levels),
            None => parts.push((numbers, vec![levels])),
        }
    }
    let several = parts.len() > 1;
    let parts = parts
        .into_iter()
        .map(|(numbers, levels)| if several { format!("{numbers} ({})", levels.join(", ")) } else { numbers });
    let parts: Vec<String> = parts.collect();
    let parts = parts.join(", ");
    let mut evidence = if any { phrase(claim, reference, &parts) } else { format!("gave {parts}") };
    for (decision, (trial, _)) in decisions.into_iter().zip(&combinations) {
        let Some(note) = decision.note else { continue };
        let levels = select::differing(trial, &alike);
        let of = if levels.is_empty() { String::new() } else { format!("{levels}: ") };
        evidence = format!("{evidence}; {of}{note}");
    }
    if let Some(trial) = broken {
        evidence = format!("{evidence}; trial {} {} ({})", trial.trial, trial.outcome.word(), reason(trial));
    }
    let n = [n.iter().copied().min().unwrap_or(0), n.iter().copied().max().unwrap_or(0)];
    ClientResult { verdict: Some(overall(&verdicts)), version, evidence, n }
}

/// The numbers of the repeats, least first: one when all are the same; up to six different ones with how often each
/// came; else their ends and their median.
fn numbers(data: &[Datum]) -> String {
    let mut sorted: Vec<&Datum> = data.iter().collect();
    let least = |datum: &Datum| {
        datum.range.map_or(f64::INFINITY, |[low, high]| if low.is_finite() && !datum.limited { low } else { high })
    };
    sorted.sort_by(|a, b| least(a).total_cmp(&least(b)));
    let mut texts: Vec<(&str, usize)> = Vec::new();
    for datum in &sorted {
        match texts.iter_mut().find(|(text, _)| *text == datum.text) {
            Some((_, times)) => *times += 1,
            None => texts.push((&datum.text, 1)),
        }
    }
    let all = data.len();
    match texts.as_slice() {
        [] => "nothing to compare with".to_owned(),
        [(one, _)] => (*one).to_owned(),
        few if few.len() <= 6 => {
            let with = |&(text, times): &(&str, usize)| match times {
                1 => text.to_owned(),
                times => format!("{text} ({times} of {all})"),
            };
            few.iter().map(with).collect::<Vec<_>>().join(", ")
        }
        [(low, _), .., (high, _)] => {
            let middle = median(data.iter().filter_map(Datum::middle)).filter(|middle| middle.is_finite());
            let middle = middle.map(|middle| format!(", {} in the middle", number::plain(middle))).unwrap_or_default();
            format!("{low} to {high}{middle}")
        }
    }
}

fn phrase(claim: &Claim, reference: &Reference, numbers: &str) -> String {
    match (&claim.than, reference.statistic) {
        (Some(_), _) => format!("had a ratio of {numbers}"),
        (None, None) => reference.metric.phrase.replace("{}", numbers),
        (None, Some(_)) => format!("had {} {numbers}", reference.name()),
    }
}

fn sentence(per_client: &BTreeMap<String, ClientResult>, title: impl Fn(&str) -> String) -> String {
    let part = |(client, result): (&String, &ClientResult)| {
        format!("{} {}", named(client, result.version.as_deref(), &title), result.evidence)
    };
    let n = per_client.values().map(|client| client.n).filter(|[_, most]| *most > 0);
    let n = n.reduce(|[a, b], [fewest, most]| [a.min(fewest), b.max(most)]).unwrap_or_default();
    per_client.iter().map(part).collect::<Vec<_>>().join(", ") + &trials(n)
}

/// The range of a trial's value, or why it has none. Where the machine was late it may be less than what was measured, and
/// more only where lateness doesn't just make it longer.
fn datum(entry: &Entry, reference: &Reference) -> Datum {
    let measured = measured(entry, reference);
    let Some(reason) = &entry.machine_limited else { return measured };
    let (Some([usually, most]), true) = (entry.late, measured.range.is_none_or(|[_, high]| high.is_finite())) else {
        let text = format!("nothing that this machine can tell ({reason})");
        return Datum { text, ..Datum::default() };
    };
    let Some([low, high]) = measured.range else { return measured };
    let late = if matches!(reference.statistic, Some("p99" | "max")) { most } else { usually };
    // The limit is about the median, and this may be another statistic.
    if low >= LATE_OF * late {
        return measured;
    }
    let (most, text) = if !entry.upper_bound {
        let most = high + LATE_OF * late;
        (most, format!("< {}", number::with_unit(most, &entry.unit)))
    } else if measured.text.starts_with('<') {
        (high, measured.text)
    } else {
        (high, format!("at most {}", measured.text))
    };
    Datum { range: Some([f64::NEG_INFINITY, most]), limited: true, text: format!("{text} ({reason})") }
}

/// The same as it was measured, however late the machine was.
fn measured(entry: &Entry, reference: &Reference) -> Datum {
    let none = |text: String| Datum { text, ..Datum::default() };
    let known = |range: [f64; 2], text: String| Datum { range: Some(range), text, ..Datum::default() };
    if let Some(above) = entry.above {
        let text = format!("more than {}", number::with_unit(above, &entry.unit));
        // The least number above it: `above` itself is excluded.
        return known([above.next_up(), f64::INFINITY], text);
    }
    let needed = reference.least_samples();
    if entry.n > 0 && entry.n < needed {
        return none(format!("{} of the {needed} samples that {} takes", entry.n, reference.name()));
    }
    let Some(value) = reference.of(entry) else {
        return none(format!("no value ({})", entry.absent.as_deref().unwrap_or("not obtained")));
    };
    let range = match entry.uncertainty {
        Some(off) if value < 3.0 * off => [f64::NEG_INFINITY, (3.0 * off).next_down().max(value + off)],
        Some(off) => [value - off, value + off],
        None => [value, value],
    };
    known(range, entry.text_of(Some(value)))
}

#[cfg(test)]
mod tests;
