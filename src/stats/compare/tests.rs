//! Rigged runs side by side.

use super::*;
use crate::stats::rig::RecordedTrial;
use crate::stats::summarise;
use crate::trial::{Alpn, Fact, JournalLine, LabFact};

const CLAIMS: &str = r#"[{"says": "A browser holds six.", "source": {"url": "https://example.org/", "quote": "six"},
    "where": {"client": "chromium", "protocol": "sse/h1"}, "metric": "open-streams", "equals": 6}]"#;

/// Chromium over HTTP/1.1 and 2, with so many open.
fn rigs(h1: u32, h2: u32) -> Vec<RecordedTrial> {
    vec![
        RecordedTrial::held(0, 0, "chromium", Alpn::H1, h1, 150),
        RecordedTrial::held(1, 0, "chromium", Alpn::H2, h2, 150),
    ]
}

fn run(rigs: &[RecordedTrial]) -> (Plan, Summary) {
    let (plan, observations): (Plan, Vec<JournalLine>) =
        RecordedTrial::plan(rigs, serde_json::from_str(CLAIMS).unwrap());
    let summary = summarise(&plan, &observations);
    (plan, summary)
}

fn compared(first: &(Plan, Summary), second: &(Plan, Summary)) -> Comparison {
    let side = |name, (plan, summary)| Side { name, plan, summary };
    compare([side("a", (&first.0, &first.1)), side("b", (&second.0, &second.1))], Vec::new())
}

#[test]
fn the_same_run_twice_has_not_changed() {
    let run = run(&rigs(6, 100));
    let comparison = compared(&run, &run);
    assert!(comparison.is_none() && comparison.plans.is_empty());
    assert_eq!(comparison.matched, 2);
    assert!(comparison.compared > 10, "{}", comparison.compared);
}

#[test]
fn a_number_that_changed_is_told_with_its_difference_and_so_is_the_verdict_on_it() {
    let comparison = compared(&run(&rigs(6, 100)), &run(&rigs(8, 100)));
    let change = comparison.numbers.iter().find(|change| change.metric == "open-streams").unwrap();
    assert_eq!(change.difference, Some(2.0));
    assert_eq!(change.intervals, Intervals::OneRepeatEach);
    assert!(comparison.numbers.iter().all(|change| change.levels["protocol"] == "sse/h1"), "the others stand");
    let verdicts: Vec<_> =
        comparison.verdicts.iter().map(|change| (change.client.as_deref(), change.verdicts)).collect();
    let changed = [Some(Verdict::Confirmed), Some(Verdict::Refuted)];
    assert_eq!(verdicts, [(None, changed), (Some("chromium"), changed)]);
}

/// Three repeats that open in about so many milliseconds.
fn opened_in(ms: u64) -> (Plan, Summary) {
    opened_in_repeats(ms, 3)
}

fn opened_in_repeats(ms: u64, repeats: u32) -> (Plan, Summary) {
    let rig = |repeat: u32| {
        let mut rig = RecordedTrial::of(repeat, repeat, "chromium", Alpn::H2);
        rig.request(0).attach(0, 1).wait(ms + u64::from(repeat)).open(0).census().write(&[0]).receive_last(0);
        rig.end(Outcome::Completed, None);
        rig
    };
    run(&(0..repeats).map(rig).collect::<Vec<_>>())
}

#[test]
fn intervals_that_overlap_are_told_from_those_that_are_apart() {
    let intervals = |first: u64, second: u64| {
        let comparison = compared(&opened_in(first), &opened_in(second));
        comparison.numbers.iter().find(|change| change.metric == "time-to-open").unwrap().intervals
    };
    assert_eq!(intervals(5, 6), Intervals::RangesOverlap, "three repeats hold the median three times in four");
    assert_eq!(intervals(5, 50), Intervals::RangesApart);
    let of_six = |first: u64, second: u64| {
        let comparison = compared(&opened_in_repeats(first, 6), &opened_in_repeats(second, 6));
        comparison.numbers.iter().find(|change| change.metric == "time-to-open").unwrap().intervals
    };
    assert_eq!([of_six(5, 6), of_six(5, 50)], [Intervals::Overlap, Intervals::Apart]);
    let one = RecordedTrial::held(0, 0, "chromium", Alpn::H2, 1, 1);
    let comparison = compared(&opened_in(5), &run(&[one]));
    let change = comparison.numbers.iter().find(|change| change.metric == "time-to-open").unwrap();
    assert_eq!(change.intervals, Intervals::TooFew);
}

#[test]
fn a_combination_that_only_one_run_has_is_listed_for_it() {
    let (both, one) = (run(&rigs(6, 100)), run(&rigs(6, 100)[..1]));
    let comparison = compared(&both, &one);
    assert_eq!((comparison.matched, comparison.only[0].len(), comparison.only[1].len()), (1, 1, 0));
    assert_eq!(comparison.only[0][0]["protocol"], "sse/h2");
    assert!(!comparison.is_none());
}

#[test]
fn a_factor_of_one_plan_meets_the_setting_of_the_other() {
    let mut limits = rigs(6, 100);
    for (rig, limit) in limits.iter_mut().zip([50, 100]) {
        rig.planned.settings.protocol.alpn = Alpn::H2;
        rig.planned.levels.insert("protocol".to_owned(), "sse/h2".into());
        rig.planned.levels.insert("server.max-concurrent-streams".to_owned(), limit.into());
        rig.planned.settings.server.max_concurrent_streams = crate::units::Settable::Set(limit);
    }
    let comparison = compared(&run(&limits), &run(&rigs(6, 100)[1..]));
    assert_eq!(comparison.matched, 1);
    assert_eq!(comparison.only[0][0]["server.max-concurrent-streams"], 50);
    let named = |name: &str| comparison.plans.iter().find(|difference| difference.name == name).unwrap().values.clone();
    assert_eq!(named("server.max-concurrent-streams"), [Some("50, 100".to_owned()), Some("100".to_owned())]);
}

#[test]
fn versions_outcomes_settings_and_claims_that_differ_are_told() {
    let first = run(&rigs(6, 100));
    let mut changed = rigs(6, 100);
    for rig in &mut changed {
        for line in &mut rig.journal {
            if let Fact::Lab(LabFact::Started { version, .. }) = &mut line.observation.fact {
                *version = Some("157.0.1".to_owned());
            }
        }
        rig.planned.settings.workload.pages = 2;
    }
    changed[1].end(Outcome::Failed, Some("it broke"));
    let mut second = run(&changed);
    second.0.claims[0].equals = Some(crate::trial::claim::Quantity::Number(7.0));
    let comparison = compared(&first, &second);
    let versions = [Some("156.0.8078.79".to_owned()), Some("157.0.1".to_owned())];
    assert_eq!(comparison.versions, [Difference { name: "chromium".to_owned(), values: versions }]);
    assert_eq!(comparison.outcomes.len(), 1);
    assert_eq!(comparison.outcomes[0].outcomes[1], BTreeMap::from([(Outcome::Failed, 1)]));
    let names: Vec<&str> = comparison.plans.iter().map(|difference| difference.name.as_str()).collect();
    assert_eq!(names, ["workload.pages", "claim “A browser holds six.”"]);
}

#[test]
fn what_is_only_known_to_be_above_something_has_no_difference() {
    let waiting = |ms: u64| {
        let mut rig = RecordedTrial::new();
        rig.probe_sent().wait(ms).census().end(Outcome::Completed, None);
        run(&[rig])
    };
    assert!(compared(&waiting(1000), &waiting(1500)).is_none(), "neither was answered");
    let mut answered = RecordedTrial::new();
    answered.probe_sent().wait(5).probe_answered(204).census().end(Outcome::Completed, None);
    let comparison = compared(&waiting(1000), &run(&[answered]));
    let change = comparison.numbers.iter().find(|change| change.metric == "blocked-request").unwrap();
    assert_eq!((change.difference, change.intervals), (None, Intervals::OneRepeatEach));
}

#[test]
fn what_a_claim_is_about_comes_first_and_then_what_changed_most() {
    let comparison = compared(&run(&rigs(6, 100)), &run(&rigs(8, 40)));
    let first = &comparison.numbers[0];
    assert_eq!((first.metric.as_str(), first.claimed), ("open-streams", true));
    assert_eq!(first.levels["protocol"], "sse/h1", "the claim is about HTTP/1.1, though more changed over HTTP/2");
    let rest: Vec<&NumberChange> = comparison.numbers.iter().skip(1).collect();
    assert!(rest.len() > 2 && rest.iter().all(|change| !change.claimed));
    assert!(rest.windows(2).all(|pair| pair[0].size() >= pair[1].size()), "{rest:?}");
}
