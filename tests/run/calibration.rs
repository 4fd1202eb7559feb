//! What the machine could tell: found out before a run, and where it could not tell, nothing is concluded.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::lab::{Lab, Ran, Started, facts_of, until};
use crate::pace::factor;

/// How long the calibration may take, its trials' processes included: its timelines take 1.3 s of it.
const CALIBRATION: u64 = 5_000_000_000;
/// How long the server is held up in the middle of its schedule: two events of five a second are late by it.
const HELD_UP: Duration = Duration::from_millis(500);

/// The small experiment with its calibration.
fn calibrated(lab: &Lab, more: &[&str]) -> Started {
    let run = ["run", "./small.toml", "--out", "out", "--certs", "certs", "--json"];
    Started::new(&mut lab.command(&[&run[..], more].concat()))
}

fn calibration(lab: &Lab) -> Value {
    serde_json::from_str(&fs::read_to_string(lab.only_run().join("calibration.json")).unwrap()).unwrap()
}

#[test]
fn a_run_begins_with_two_equal_trials_that_say_what_is_noise() {
    let lab = Lab::new();
    let ran = calibrated(&lab, &[]).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"], "the two are not among the run's own");
    ran.says(&["Calibration: idle ", " %, A/A latency ", " (noise ", "publisher late ", "recorder late "]);

    let found = calibration(&lab);
    let of = |name: &str| found["aa"][name].as_f64().unwrap();
    assert!((of("difference") - (of("first") - of("second")).abs()).abs() < 1e-9, "{found}");
    assert!((0.0..=100.0).contains(&found["idle-percent"].as_f64().unwrap()), "{found}");
    for who in ["publisher-lateness", "recorder-lateness"] {
        let (median, p99) = (found[who]["median"].as_f64().unwrap(), found[who]["p99"].as_f64().unwrap());
        assert!(0.0 < median && median <= p99, "{found}");
    }

    let facts = facts_of(&lab.only_run().join("calibration.jsonl"));
    let ends: Vec<_> = facts.iter().filter(|fact| fact["kind"] == "outcome").map(|fact| &fact["trial"]).collect();
    assert_eq!(ends, [1, 2], "their numbers follow on the run's");
    let time = |fact: Option<&Value>| fact.unwrap()["t"].as_u64().unwrap();
    let took = time(facts.last()) - time(facts.first());
    assert!(took < CALIBRATION * u64::from(factor()), "{} ms", took / 1_000_000);
    lab.has_nothing_left();
}

#[test]
fn a_calibration_is_made_anew_from_its_journal() {
    let lab = Lab::new();
    calibrated(&lab, &[]).end().exits(0);
    let path = lab.only_run().join("calibration.json");
    let before = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    lab.ask(&["report", "latest", "--out", "out"]).exits(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn a_run_in_a_hurry_says_that_nothing_was_calibrated() {
    let lab = Lab::new();
    let ran = calibrated(&lab, &["--no-calibration"]).end().exits(0);
    assert!(!ran.err.contains("Calibration"), "{}", ran.err);
    assert!(!lab.only_run().join("calibration.jsonl").exists());
    let found = calibration(&lab);
    assert_eq!((&found["aa"], &found["notes"][0]), (&Value::Null, &"The machine was not calibrated.".into()));
}

#[test]
fn a_rigged_end_lies_in_the_run_and_not_in_its_calibration() {
    let lab = Lab::new();
    calibrated(&lab, &["--rig", "drop"]).end().exits(3);
    assert!(calibration(&lab)["aa"]["first"].is_f64());
}

#[test]
fn a_run_that_is_interrupted_while_it_calibrates_ends_there_and_leaves_nothing() {
    let lab = Lab::new();
    let run = calibrated(&lab, &[]);
    until("the first of the two", || {
        let facts = facts_of(&lab.runs().first()?.join("calibration.jsonl"));
        facts.iter().any(|fact| fact["kind"] == "requested").then_some(())
    });
    run.signal(Signal::SIGINT);
    let ran = run.end().exits(130);
    assert_eq!(ran.outcomes(), ["failed: the run ended before this trial did"]);
    lab.has_nothing_left();
}

/// A claim about latency that any machine confirms which can tell, and none that is late, as that makes it longer: with 300
/// streams on one connection the median latency is that of the fan-out, some milliseconds.
fn late(lab: &Lab) -> Started {
    let claim = "[[claim]]\nsays = 'In time.'\nsource = { url = 'https://example.org/', quote = 'so' }\n\
                 metric = 'latency'\nat-least = '1us'\n";
    lab.experiment("late", claim);
    let set = ["subscribers=300", "settle=500ms", "hold=2500ms", "events.count=8", "events.rate=5/s"];
    let mut arguments: Vec<String> =
        set.iter().flat_map(|set| ["--set".to_owned(), format!("workload.{set}")]).collect();
    arguments.extend(["--set", "server.max-concurrent-streams=400"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Started::new(&mut lab.running("late", &arguments))
}

/// Whether the only trial's latency was limited by the machine; everything that is concluded agrees with that.
#[track_caller]
fn is_limited(ran: &Ran) -> bool {
    let summary = ran.summary();
    let (trial, claim) = (&summary["trials"][0], &summary["claims"][0]);
    let latency = &trial["metrics"]["latency"];
    let (late, median) = (&trial["publisher-lateness"]["p99"], latency["median"].as_f64().unwrap());
    let limited = late.as_f64().unwrap() > median / 10.0;
    eprintln!("published up to {late} ms late, and the median latency is {median} ms");
    let (verdict, evidence) = (claim["verdict"].as_str().unwrap(), claim["evidence"].as_str().unwrap());
    if limited {
        let why = latency["machine-limited"].as_str().unwrap();
        assert!(why.starts_with("events were published up to ") && why.contains(" % of the processor idle"), "{why}");
        assert_eq!(verdict, "inconclusive");
        assert!(evidence.contains("after at most ") && evidence.contains(&format!(" ({why})")), "{evidence}");
    } else {
        assert_eq!((verdict, &latency["machine-limited"]), ("confirmed", &Value::Null), "{evidence}");
    }
    limited
}

#[test]
fn a_server_held_up_in_the_middle_decides_no_latency() {
    let lab = Lab::new();
    let run = late(&lab);
    let server = lab.wait_for_process(0, "server");
    lab.wait_for("the first event", |fact| fact["kind"] == "published");
    kill(server, Signal::SIGSTOP).unwrap();
    // The disturbance itself, not a wait for anything.
    let begun = Instant::now();
    until("the end of the disturbance", || (begun.elapsed() > HELD_UP * factor()).then_some(()));
    kill(server, Signal::SIGCONT).unwrap();
    let ran = run.end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"], "late is not wrong");
    assert!(is_limited(&ran), "two of eight events were late by hundreds of milliseconds");
    lab.has_nothing_left();
}

#[test]
fn a_server_left_alone_decides_latency_unless_the_machine_itself_is_late() {
    let lab = Lab::new();
    let ran = late(&lab).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    // A machine that is busy with something else may be late, too; then it must have said so.
    is_limited(&ran);
    let trial = &ran.summary()["trials"][0];
    assert!((0.0..=100.0).contains(&trial["idle-percent"].as_f64().unwrap()), "{trial}");
    assert!(trial["udp-dropped"].is_u64(), "{trial}");
}
