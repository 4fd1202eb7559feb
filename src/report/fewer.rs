//! Where fewer subscriptions opened than were asked for: what was measured is then not what was to be.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Title;
use super::answer::subject;
use super::table::{factors, plain};
use crate::stats::{Summary, TrialResult};
use crate::trial::Plan;
use crate::trial::fact::Outcome;
use crate::units::Settable;

/// The metric that says how many opened. A run whose answer is about it has said so already.
const OPEN: &str = "open-streams";
const REQUESTED: &str = "requested-streams";
/// How many combinations are named; the table has all of them.
const NAMED: usize = 6;

/// `Fewer opened than were asked for: native, sse/h2, workload.subscribers 2000: 1100 of 2000.` Trials of one
/// combination share an entry. `None`: all opened wherever a census was taken, or how many is what was asked.
pub(super) fn fewer(plan: &Plan, summary: &Summary, title: Title<'_>) -> Option<String> {
    if subject(plan).is_some_and(|subject| subject.metric.name == OPEN) {
        return None;
    }
    let factors = factors(plan, summary);
    // By what the combination is called, in the order of the trials: the least and the most that opened of how many.
    let mut entries: Vec<(String, [f64; 2], f64)> = Vec::new();
    let mut at_limit = false;
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for trial in summary.trials.iter().filter(|trial| trial.outcome == Outcome::Completed) {
        let (Some(open), Some(asked)) = (count(trial, OPEN), count(trial, REQUESTED)) else { continue };
        if open >= asked {
            continue;
        }
        let planned = plan.trials.iter().find(|planned| planned.trial == trial.trial);
        let limit = planned.map(|planned| planned.settings.server.max_concurrent_streams);
        at_limit |= matches!(limit, Some(Settable::Set(limit)) if open.total_cmp(&f64::from(limit)).is_eq());
        let name = called(trial, &factors, title);
        let place = *places.entry(name.clone()).or_insert_with(|| {
            entries.push((name, [open, open], asked));
            entries.len() - 1
        });
        let range = &mut entries[place].1;
        *range = [range[0].min(open), range[1].max(open)];
    }
    if entries.is_empty() {
        return None;
    }
    let texts = entries.iter().take(NAMED).map(|(name, [least, most], asked)| {
        let open = if least < most { format!("{least} to {most}") } else { least.to_string() };
        format!("{name}: {open} of {asked}")
    });
    let mut text = format!("Fewer opened than were asked for: {}", texts.collect::<Vec<_>>().join("; "));
    if entries.len() > NAMED {
        let _ = write!(text, "; and in {} more combinations, which the table has", entries.len() - NAMED);
    }
    text.push('.');
    if at_limit {
        text.push_str(" As many as `server.max-concurrent-streams` lets one connection have.");
    }
    Some(text)
}

fn count(trial: &TrialResult, metric: &str) -> Option<f64> {
    trial.metrics.get(metric)?.median
}

/// `native, sse/h2, workload.subscribers 2000`.
fn called(trial: &TrialResult, factors: &[String], title: Title<'_>) -> String {
    let level = |factor: &str| trial.levels.get(factor).map(plain).unwrap_or_default();
    let others = factors.iter().filter(|factor| trial.levels.get(*factor).is_some_and(|level| !level.is_null()));
    let others = others.map(|factor| format!("{factor} {}", level(factor)));
    [title(&level("client")), level("protocol")].into_iter().chain(others).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::Alpn;

    /// A run whose answer is about this metric.
    fn said(rigs: &[RecordedTrial], metric: &str) -> Option<String> {
        let claim = serde_json::from_value(serde_json::json!({
            "says": "s", "source": { "url": "https://example.org", "quote": "q" }, "metric": metric, "at-most": 1000,
        }));
        let (plan, observations) = RecordedTrial::plan(rigs, vec![claim.unwrap()]);
        fewer(&plan, &summarise(&plan, &observations), &str::to_owned)
    }

    fn rigs() -> [RecordedTrial; 3] {
        [
            RecordedTrial::held(0, 0, "native", Alpn::H2, 1100, 2000),
            RecordedTrial::held(1, 1, "native", Alpn::H2, 1090, 2000),
            RecordedTrial::held(2, 0, "native", Alpn::H1, 2000, 2000),
        ]
    }

    #[test]
    fn a_run_in_which_fewer_opened_than_were_asked_for_says_so_with_numbers() {
        let text = said(&rigs(), "latency").unwrap();
        assert_eq!(text, "Fewer opened than were asked for: native, sse/h2: 1090 to 1100 of 2000.");
    }

    #[test]
    fn a_run_that_asks_how_many_open_says_it_once_and_a_whole_one_says_nothing() {
        assert_eq!(said(&rigs(), "open-streams"), None);
        assert_eq!(said(&rigs()[2..], "latency"), None);
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let rigs: Vec<RecordedTrial> =
            (0..8).map(|n| RecordedTrial::held(n, 0, &format!("c{n}"), Alpn::H1, 6, 90)).collect();
        let text = said(&rigs, "latency").unwrap();
        assert!(text.ends_with("c5, sse/h1: 6 of 90; and in 2 more combinations, which the table has."), "{text}");
    }
}
