//! Claims against rigged runs.

use super::*;
use crate::stats::rig::RecordedTrial;
use crate::stats::sample::Sample;
use crate::stats::{ClaimResult, check_claim, summarise};
use crate::trial::{Alpn, Exchanges};

/// A claim of this JSON, beside its sentence and source.
fn claim(rest: &str) -> Claim {
    let text =
        format!(r#"{{"says": "It does.", "source": {{"url": "https://example.org/", "quote": "it does"}}, {rest}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn decided(rigs: &[RecordedTrial], rest: &str) -> ClaimResult {
    let (plan, observations) = RecordedTrial::plan(rigs, vec![claim(rest)]);
    summarise(&plan, &observations).claims.remove(0)
}

/// What the evidence of one run each ends in.
const ONCE: &str = "; n = 1, which doesn't show how much it varies";

const SIX: &str = r#""where": {"protocol": "sse/h1"}, "metric": "open-streams", "equals": 6"#;

fn three_browsers(last: u32) -> Vec<RecordedTrial> {
    vec![
        RecordedTrial::held(0, 0, "chromium", Alpn::H1, 6, 10),
        RecordedTrial::held(1, 0, "firefox", Alpn::H1, 6, 10),
        RecordedTrial::held(2, 0, "webkit", Alpn::H1, last, 10),
        RecordedTrial::held(3, 0, "chromium", Alpn::H2, 9, 10),
    ]
}

#[test]
fn what_all_clients_show_is_confirmed_with_their_numbers() {
    let result = decided(&three_browsers(6), SIX);
    assert_eq!(result.verdict, Verdict::Confirmed);
    assert_eq!(result.evidence, format!("chromium 156.0 held 6, firefox 156.0 held 6, webkit 156.0 held 6{ONCE}"));
    assert_eq!(
        result.evidence_by(str::to_uppercase),
        format!("CHROMIUM 156.0 held 6, FIREFOX 156.0 held 6, WEBKIT 156.0 held 6{ONCE}")
    );
}

#[test]
fn one_client_is_enough_to_refute() {
    let result = decided(&three_browsers(5), SIX);
    assert_eq!(result.verdict, Verdict::Refuted);
    assert_eq!(result.per_client["chromium"].verdict, Some(Verdict::Confirmed));
    assert_eq!(result.per_client["webkit"].verdict, Some(Verdict::Refuted));
}

#[test]
fn who_can_not_take_part_neither_confirms_nor_refutes() {
    let mut rig = RecordedTrial::of(4, 0, "webkit", Alpn::H3);
    rig.end(Outcome::Unsupported, Some("WebKitGTK has no HTTP/3"));
    let result = decided(&[rig.clone()], r#""metric": "open-streams", "equals": 6"#);
    assert_eq!(result.verdict, Verdict::Inconclusive, "nobody took part");
    let with = [rig, RecordedTrial::held(5, 0, "chromium", Alpn::H3, 6, 10)];
    let result = decided(&with, r#""metric": "open-streams", "equals": 6"#);
    assert_eq!(result.verdict, Verdict::Confirmed);
    let said = "chromium 156.0 held 6, webkit did not take part (WebKitGTK has no HTTP/3)";
    assert_eq!(result.evidence, format!("{said}{ONCE}"));
}

#[test]
fn a_failed_trial_decides_nothing_whatever_its_numbers() {
    let mut rig = RecordedTrial::held(0, 0, "chromium", Alpn::H1, 6, 10);
    rig.end(Outcome::Failed, Some("2 events lost"));
    let result = decided(&[rig], SIX);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert_eq!(result.evidence, "chromium 156.0 failed (2 events lost)");
}

/// Repeats of one combination, each with so many open.
fn repeats(open: &[u32]) -> Vec<RecordedTrial> {
    let rig = |(at, &open): (u32, &u32)| RecordedTrial::held(at, at, "chromium", Alpn::H1, open, 10);
    (0..).zip(open).map(rig).collect()
}

#[test]
fn one_repeat_that_contradicts_refutes_and_all_say_their_numbers() {
    let result = decided(&repeats(&[7, 6, 6]), SIX);
    assert_eq!(result.verdict, Verdict::Refuted);
    assert_eq!(result.evidence, "chromium 156.0 held 6 (2 of 3), 7; n = 3");
    let range = decided(&repeats(&[6, 6, 9]), r#""metric": "open-streams", "within": [6, 7]"#);
    assert_eq!(range.verdict, Verdict::Inconclusive, "a range is a tolerance");
    let same = decided(&repeats(&[6; 5]), SIX);
    assert_eq!((same.verdict, same.evidence.as_str()), (Verdict::Confirmed, "chromium 156.0 held 6; n = 5"));
    let many = decided(&repeats(&[1, 2, 3, 4, 5, 6, 8]), r#""metric": "open-streams", "at-most": 9"#);
    assert_eq!(many.evidence, "chromium 156.0 held 1 to 8, 4 in the middle; n = 7");
}

#[test]
fn a_verdict_says_of_how_many_trials_it_is() {
    let mut rigs = repeats(&[6, 6, 6]);
    rigs[1].end(Outcome::Failed, Some("2 events lost"));
    rigs.push(RecordedTrial::held(3, 0, "firefox", Alpn::H1, 6, 10));
    let result = decided(&rigs, SIX);
    assert_eq!((result.per_client["chromium"].n, result.per_client["firefox"].n), ([2, 2], [1, 1]));
    assert!(result.evidence.ends_with("; n = 1 to 2"), "{}", result.evidence);
    assert_eq!(result.per_client["firefox"].told(), format!("held 6{ONCE}"));
}

#[test]
fn a_combination_that_contradicts_refutes_though_another_agrees() {
    let rigs =
        [RecordedTrial::held(0, 0, "native", Alpn::H1, 6, 10), RecordedTrial::held(1, 0, "native", Alpn::H2, 10, 10)];
    let result = decided(&rigs, r#""metric": "open-streams", "at-most": 6"#);
    assert_eq!(result.verdict, Verdict::Refuted);
    assert_eq!(result.evidence, format!("native 156.0 held 6 (sse/h1), 10 (sse/h2){ONCE}"));
}

#[test]
fn what_too_few_were_asked_for_to_tell_decides_nothing() {
    let held = |open: u32, asked: u32, comparison: &str| {
        decided(
            &[RecordedTrial::held(0, 0, "native", Alpn::H2, open, asked)],
            &format!("\"metric\": \"open-streams\", {comparison}"),
        )
    };
    let few = held(5, 5, r#""equals": 100"#);
    assert_eq!(few.verdict, Verdict::Inconclusive);
    assert!(few.evidence.contains("gave 5 of 5 asked for, too few to tell"), "{}", few.evidence);
    assert_eq!(held(5, 5, r#""at-least": 6"#).verdict, Verdict::Inconclusive);
    assert_eq!(held(5, 5, r#""at-most": 5"#).verdict, Verdict::Inconclusive, "a sixth was not asked for");
    assert_eq!(held(5, 6, r#""at-most": 5"#).verdict, Verdict::Confirmed);
    assert_eq!(held(5, 5, r#""equals": 5"#).verdict, Verdict::Confirmed, "all that were asked for");
    assert_eq!(held(5, 6, r#""equals": 6"#).verdict, Verdict::Refuted);
    assert_eq!(held(5, 5, r#""equals": 4"#).verdict, Verdict::Refuted);
}

#[test]
fn no_trial_about_it_is_said_so() {
    let result = decided(&three_browsers(6), r#""where": {"client": "lynx"}, "metric": "lost", "equals": 0"#);
    assert_eq!((result.verdict, result.evidence.as_str()), (Verdict::Inconclusive, "no trial of this run is about it"));
}

#[test]
fn a_ratio_pairs_trials_that_differ_only_in_what_it_names() {
    let rigs = [
        RecordedTrial::held(0, 0, "native", Alpn::H1, 5, 20),
        RecordedTrial::held(1, 0, "native", Alpn::H2, 15, 20),
        RecordedTrial::held(2, 0, "chromium", Alpn::H1, 6, 20),
        RecordedTrial::held(3, 0, "chromium", Alpn::H2, 18, 20),
    ];
    let rest = r#""where": {"protocol": "sse/h2"}, "metric": "open-streams", "equals": 3, "than": {"where": {"protocol": "sse/h1"}}"#;
    let result = decided(&rigs, rest);
    assert_eq!(result.verdict, Verdict::Confirmed);
    assert_eq!(result.per_client["chromium"].evidence, "had a ratio of 3 (18 ÷ 6)");
}

#[test]
fn what_is_too_little_to_be_measured_is_exceeded_by_as_much_at_least() {
    let took = |trial, alpn, nanos| {
        let mut rig = RecordedTrial::of(trial, 0, "chromium", alpn);
        rig.clock(1_000_000).attach(0, 1).open(0).publish(0).receive_at(0, 0, nanos);
        rig.end(Outcome::Completed, None);
        rig
    };
    let rigs = [took(0, Alpn::H1, 100_000_000), took(1, Alpn::H2, 200_000)];
    let verdict = |is: &str, than: &str, rest: &str| {
        let claim =
            format!(r#""where": {{"protocol": "{is}"}}, "than": {{"where": {{"protocol": "{than}"}}}}, {rest}"#);
        decided(&rigs, &format!(r#""metric": "latency", {claim}"#)).verdict
    };
    assert_eq!(verdict("sse/h1", "sse/h2", r#""at-least": 30"#), Verdict::Confirmed, "99 ms to less than 3 ms");
    assert_eq!(verdict("sse/h1", "sse/h2", r#""at-most": 30"#), Verdict::Refuted);
    assert_eq!(verdict("sse/h1", "sse/h2", r#""at-least": 40"#), Verdict::Inconclusive);
    assert_eq!(verdict("sse/h2", "sse/h1", r#""at-most": 0.1"#), Verdict::Confirmed);
    assert_eq!(
        verdict("sse/h2", "sse/h2", r#""at-least": 0.1"#),
        Verdict::Inconclusive,
        "either may be next to nothing"
    );
}

#[test]
fn a_request_still_waiting_decides_what_it_can() {
    let mut rig = RecordedTrial::new();
    rig.probe_sent().wait(1500).census().end(Outcome::Completed, None);
    let verdict = |rest: &str| decided(&[rig.clone()], &format!(r#""metric": "blocked-request", {rest}"#)).verdict;
    assert_eq!(verdict(r#""at-least": "1s""#), Verdict::Confirmed);
    assert_eq!(verdict(r#""at-most": "1s""#), Verdict::Refuted);
    assert_eq!(verdict(r#""equals": "1500ms""#), Verdict::Refuted);
    assert_eq!(verdict(r#""at-least": "2s""#), Verdict::Inconclusive);
    assert_eq!(verdict(r#""within": ["1s", "2s"]"#), Verdict::Inconclusive);
}

#[test]
fn an_uncertain_clock_decides_only_beyond_its_uncertainty() {
    let mut rig = RecordedTrial::new();
    rig.clock(1_000_000).attach(0, 1).open(0).publish(0).receive_at(0, 0, 10_000_000);
    rig.end(Outcome::Completed, None);
    let verdict = |rest: &str| decided(&[rig.clone()], &format!(r#""metric": "latency", {rest}"#)).verdict;
    assert_eq!(verdict(r#""at-most": "12ms""#), Verdict::Confirmed);
    assert_eq!(verdict(r#""at-most": "10ms""#), Verdict::Inconclusive);
    assert_eq!(verdict(r#""at-most": "8ms""#), Verdict::Refuted);
}

#[test]
fn a_machine_that_publishes_late_decides_how_long_a_latency_is_at_most() {
    let mut rig = RecordedTrial::new();
    rig.attach(0, 1).open(0).publish_late(0, 2_000_000).wait(3).receive(0, 0).end(Outcome::Completed, None);
    let result = |rest: &str| decided(&[rig.clone()], &format!(r#""metric": "latency", {rest}"#));
    assert_eq!(result(r#""at-most": "50ms""#).verdict, Verdict::Confirmed, "it took 5 ms, of which 2 were no transit");
    assert_eq!(result(r#""at-least": "6ms""#).verdict, Verdict::Refuted);
    let (low, high) = (result(r#""at-least": "1ms""#), result(r#""at-most": "4ms""#));
    assert_eq!((low.verdict, high.verdict), (Verdict::Inconclusive, Verdict::Inconclusive));
    let said =
        "received events after at most 5 ms (events were published up to 2 ms late (p99), more than a tenth of 5 ms)";
    assert!(low.evidence.replace('\u{a0}', " ").contains(said), "{}", low.evidence);
    // What was published late may have found a request that it would have waited for.
    let mut asked = rig.clone();
    asked.planned.promises.exchanges = Exchanges::Hanging;
    assert_eq!(decided(&[asked], r#""metric": "latency", "at-most": "50ms""#).verdict, Verdict::Inconclusive);
}

#[test]
fn what_the_link_may_have_made_shorter_is_known_to_within_ten_times_its_lateness() {
    let values: Vec<f64> = (0..200).map(|at| if at < 175 { 0.3 } else { 50.0 }).collect();
    let mut entry = Sample::Values(values).entry("ms");
    let limited = |of: &Entry, metric: &str| datum(of, &Reference::parse(metric).unwrap());
    (entry.machine_limited, entry.late) = (Some("the link was late".to_owned()), Some([0.04, 9.0]));
    let below = |datum: &Datum| datum.range.unwrap()[1];
    let median = limited(&entry, "hol-delay");
    assert!((below(&median) - 0.7).abs() < 1e-9 && median.limited, "{median:?}");
    assert_eq!(median.text.replace('\u{a0}', " "), "< 0.700 ms (the link was late)");
    let most = limited(&entry, "hol-delay.p90");
    assert_eq!((most.range, most.limited), (Some([50.0, 50.0]), false), "1,250 times as long as the link was late");
    assert!((below(&limited(&entry, "hol-delay.max")) - 140.0).abs() < 1e-9, "some packet was 9 ms late");
    entry.late = None;
    assert_eq!(limited(&entry, "hol-delay.p90").range, None);
}

#[test]
fn a_gap_that_a_late_machine_may_have_made_shorter_decides_nothing() {
    let mut rig = RecordedTrial::new();
    rig.attach(0, 1).open(0).publish_late(0, 2_000_000).wait(3).receive(0, 0).publish(1).wait(9).receive(0, 1);
    rig.end(Outcome::Completed, None);
    let result = decided(&[rig], r#""metric": "stall", "at-most": "50ms""#);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(result.evidence.contains("nothing that this machine can tell"), "{}", result.evidence);
}

#[test]
fn a_kernel_that_drops_datagrams_decides_no_latency_over_them() {
    let result = |alpn, dropped| {
        let mut rig = RecordedTrial::of(0, 0, "native", alpn);
        rig.attach(0, 1).open(0).publish(0).wait(3).receive(0, 0).machine(2.0, dropped);
        rig.end(Outcome::Completed, None);
        decided(&[rig], r#""metric": "latency", "at-most": "50ms""#)
    };
    let (none, some, tcp) = (result(Alpn::H3, 0), result(Alpn::H3, 3), result(Alpn::H2, 3));
    assert_eq!(none.verdict, Verdict::Confirmed, "{}", none.evidence);
    assert_eq!(some.verdict, Verdict::Inconclusive);
    assert!(
        some.evidence.contains("(the kernel dropped 3 UDP datagrams, with 2 % of the processor idle)"),
        "{}",
        some.evidence
    );
    assert_eq!(tcp.verdict, Verdict::Confirmed, "{}", tcp.evidence);
    // What carries the protocol decides: raw QUIC has no other way than HTTP/3.
    let raw = result(Alpn::Quic, 3);
    assert_eq!(raw.verdict, Verdict::Inconclusive, "{}", raw.evidence);
}

#[test]
fn every_time_on_the_network_is_the_machines_where_its_datagrams_were_dropped_and_nothing_else_is() {
    let limited = |alpn| {
        let mut rig = RecordedTrial::of(0, 0, "native", alpn);
        rig.request(0).attach(0, 1).wait(2).open(0).publish(0).wait(3).receive(0, 0).machine(50.0, 1);
        let metrics = rig.result().metrics;
        let limited = metrics.iter().filter(|(_, entry)| entry.machine_limited.is_some());
        limited.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(limited(Alpn::H3), ["latency", "time-to-first-event", "time-to-open"]);
    assert_eq!(limited(Alpn::Quic), ["latency", "time-to-first-event", "time-to-open"]);
    assert!(limited(Alpn::H2).is_empty());
}

#[test]
fn a_p99_of_few_samples_says_how_many_it_takes() {
    let rig = RecordedTrial::held(0, 0, "chromium", Alpn::H2, 6, 6);
    let result = decided(&[rig], r#""metric": "time-to-open.p99", "at-most": "1s""#);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    let said = "chromium 156.0 gave 6 of the 100 samples that time-to-open.p99 takes";
    assert_eq!(result.evidence, format!("{said}{ONCE}"));
}

#[test]
fn a_claim_with_a_wrong_unit_metric_or_comparison_is_refused() {
    let refused = |rest: &str| check_claim(&claim(rest)).unwrap_err().to_string();
    assert!(refused(r#""metric": "latency", "at-most": 50"#).contains("50ms"));
    assert!(refused(r#""metric": "latency", "at-most": "50 kB""#).contains("length of time"));
    assert!(refused(r#""metric": "open-streams", "equals": "6ms""#).contains("counts streams"));
    assert!(refused(r#""metric": "server-memory-per-stream", "at-most": "4""#).contains("number of bytes"));
    assert!(refused(r#""metric": "open-stream", "equals": 6"#).contains("did you mean `open-streams`?"));
    assert!(refused(r#""metric": "latency.p95", "at-most": "5ms""#).contains("p99"));
    assert!(refused(r#""metric": "lost""#).contains("exactly one"));
    assert!(refused(r#""metric": "lost", "equals": 0, "at-most": 1"#).contains("exactly one"));
    assert!(refused(r#""metric": "lost", "within": [2, 1]"#).contains("contains nothing"));
    assert!(refused(r#""metric": "latency", "equals": "2ms", "than": {}"#).contains("plain number"));
    assert!(refused(r#""metric": "latency", "equals": 2, "than": {"metric": "lost"}"#).contains("compares nothing"));
    for right in [
        r#""metric": "server-memory-per-stream", "at-most": "4 kB""#,
        r#""metric": "latency.p99", "within": ["1ms", "2s"]"#,
        r#""metric": "latency", "equals": 2, "than": {"where": {"protocol": "sse/h1"}}"#,
    ] {
        check_claim(&claim(right)).unwrap();
    }
}

#[test]
fn levels_are_the_same_setting_however_they_are_written() {
    let rigs = three_browsers(6);
    let about = |rest: &str| {
        let rest = format!(r#""where": {{"protocol": "sse/h1", {rest}}}, "metric": "open-streams", "equals": 6"#);
        decided(&rigs, &rest).per_client.len()
    };
    assert_eq!(about(r#""workload.hold": "3000ms""#), 3, "a setting that is no factor is that of all trials");
    assert_eq!(about(r#""server.max-concurrent-streams": [50, 100.0]"#), 3);
    assert_eq!(about(r#""workload.hold": "4s""#), 0);
    assert_eq!(about(r#""client": ["chromium", "webkit"]"#), 2);
}
