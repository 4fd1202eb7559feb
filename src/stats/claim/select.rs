//! Which trials a claim is about, and which ones a ratio divides by.

use serde_json::Value;

use super::{Datum, datum};
use crate::stats::claim::quantity::{ClaimComparison, Reference};
use crate::stats::number;
use crate::stats::result::TrialResult;
use crate::trial::claim::Selection;
use crate::trial::fact::Outcome;
use crate::trial::{Claim, Plan};
use crate::units::{Rate, Size, Span};

/// Whether the trial is among those selected.
pub(super) fn matches(selection: &Selection, plan: &Plan, trial: &TrialResult) -> bool {
    selection.iter().all(|(factor, wanted)| {
        let level = level(plan, trial, factor);
        // `null`: nothing in this trial is what the factor is about, so that all its levels are this trial's.
        level.is_null() || wanted.levels().iter().any(|wanted| same(wanted, &level))
    })
}

/// The trial's client.
pub(super) fn client(trial: &TrialResult) -> String {
    trial.levels.get("client").and_then(Value::as_str).unwrap_or("?").to_owned()
}

/// The factor's level in this trial; a setting that is no factor has the value that all trials share.
fn level(plan: &Plan, trial: &TrialResult, factor: &str) -> Value {
    if let Some(level) = trial.levels.get(factor) {
        return level.clone();
    }
    let planned = plan.trials.iter().find(|planned| planned.trial == trial.trial);
    let settings = planned.and_then(|planned| serde_json::to_value(&planned.settings).ok());
    let pointer = format!("/{}", factor.replace('.', "/"));
    // A setting that doesn't exist matches nothing that is written.
    settings.and_then(|settings| settings.pointer(&pointer).cloned()).unwrap_or(Value::String(String::new()))
}

/// Whether two levels are the same setting: `"3000ms"` is `"3s"`, and 100 is 100.0.
fn same(a: &Value, b: &Value) -> bool {
    if a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a.total_cmp(&b).is_eq()) {
        return true;
    }
    let (Some(a), Some(b)) = (a.as_str(), b.as_str()) else { return false };
    let parsed = |text: &str| (text.parse::<Span>().ok(), text.parse::<Size>().ok(), text.parse::<Rate>().ok());
    match (parsed(a), parsed(b)) {
        ((Some(a), ..), (Some(b), ..)) => a == b,
        ((_, Some(a), _), (_, Some(b), _)) => a == b,
        ((.., Some(a)), (.., Some(b))) => a == b,
        _ => false,
    }
}

/// What the claim compares, of one trial: its value, or its ratio to each trial that it is compared with.
pub(super) fn data(
    claim: &Claim,
    plan: &Plan,
    trials: &[TrialResult],
    trial: &TrialResult,
    reference: &Reference,
    comparison: &ClaimComparison,
) -> Vec<Datum> {
    let none = |text: &str| vec![Datum { text: text.to_owned(), ..Datum::default() }];
    let Some(entry) = trial.metrics.get(reference.metric.name) else { return none("no value") };
    let above = datum(entry, reference);
    let Some(than) = &claim.than else {
        let asked = asked(plan, trial).filter(|_| reference.metric.of_those_asked);
        return match asked.filter(|asked| !comparison.is_reached_by(f64::from(*asked))) {
            Some(asked) => none(&format!("{} of {asked} asked for, too few to tell", above.text)),
            None => vec![above],
        };
    };
    let Ok(below) = Reference::parse(than.metric.as_deref().unwrap_or(&claim.metric)) else { return none("no value") };
    let paired = paired(&than.selection, plan, trials, trial);
    if paired.is_empty() {
        return none("nothing to compare with");
    }
    paired
        .iter()
        .filter_map(|other| other.metrics.get(below.metric.name))
        .map(|e| ratio(&above, &datum(e, &below)))
        .collect()
}

/// The completed trials that one is compared with: of the same repeat, and with the same level of every factor that the
/// selection doesn't choose itself.
pub(super) fn paired<'a>(
    selection: &Selection,
    plan: &Plan,
    trials: &'a [TrialResult],
    trial: &TrialResult,
) -> Vec<&'a TrialResult> {
    let paired = trials.iter().filter(|other| {
        let alike = trial.levels.iter().all(|(factor, level)| {
            let other = other.levels.get(factor).unwrap_or(&Value::Null);
            selection.contains_key(factor) || level.is_null() || other.is_null() || same(level, other)
        });
        other.repeat == trial.repeat && alike && matches(selection, plan, other)
    });
    paired.filter(|other| other.outcome == Outcome::Completed).collect()
}

/// How many subscriptions the trial asks for.
fn asked(plan: &Plan, trial: &TrialResult) -> Option<u32> {
    let planned = plan.trials.iter().find(|planned| planned.trial == trial.trial);
    planned.map(|planned| planned.settings.workload.subscribers)
}

fn ratio(above: &Datum, below: &Datum) -> Datum {
    let (Some([low, high]), Some([from, to])) = (above.range, below.range) else {
        let text = if above.range.is_none() { &above.text } else { &below.text };
        return Datum { text: text.clone(), ..Datum::default() };
    };
    if to <= 0.0 || (from <= 0.0 && low <= 0.0) {
        return Datum { text: format!("no ratio to {}", below.text), ..Datum::default() };
    }
    // However little that is of which only a most is known, the other is this many times as much at least.
    let most = if from > 0.0 { twelve_digits(high / from) } else { f64::INFINITY };
    let range = [twelve_digits(low.max(0.0) / to), most];
    let size = if range[0].total_cmp(&range[1]).is_eq() {
        number::plain(range[0])
    } else if range[1].is_finite() {
        format!("{} to {}", number::plain(range[0]), number::plain(range[1]))
    } else {
        format!("more than {}", number::plain(range[0]))
    };
    let text = format!("{size} ({} ÷ {})", above.text, below.text);
    Datum { range: Some(range), limited: above.limited || below.limited, text }
}

/// Without the last digits: 0.3 ÷ 0.1 is 2.9999999999999996, and `equals = 3` means 3.
fn twelve_digits(ratio: f64) -> f64 {
    format!("{ratio:.11e}").parse().unwrap_or(ratio)
}

/// The levels in which a trial differs from others of these: `sse/h1`.
pub(super) fn differing(trial: &TrialResult, others: &[&TrialResult]) -> String {
    let differs = |factor: &String, level: &Value| others.iter().any(|o| o.levels.get(factor) != Some(level));
    let levels = trial.levels.iter().filter(|(factor, level)| differs(factor, level));
    let text = |(factor, level): (&String, &Value)| match level {
        Value::String(text) if factor == "protocol" => text.clone(),
        Value::String(text) => format!("{factor} {text}"),
        other => format!("{factor} {other}"),
    };
    levels.map(text).collect::<Vec<_>>().join(", ")
}
