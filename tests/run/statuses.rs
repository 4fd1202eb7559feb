//! Exit statuses, and what is on standard output.

use std::fs::File;
use std::process::Stdio;

use serde_json::Value;

use crate::lab::{Lab, Started};

/// A claim about the small experiment's three streams.
fn claim(says: &str, equals: u32) -> String {
    format!(
        "[[claim]]\nsays = '{says}'\nsource = {{ url = 'https://example.org/', quote = 'so' }}\n\
         metric = 'open-streams'\nequals = {equals}\n"
    )
}

#[test]
fn a_refuted_claim_changes_the_status_only_when_it_is_asked_to() {
    let lab = Lab::new();
    lab.experiment("claims", &(claim("Three.", 3) + &claim("Two.", 2)));
    lab.experiment("right", &claim("Three.", 3));
    let run = |name, more: &[&str]| Started::new(&mut lab.running(name, more)).end();
    let ran = run("claims", &[]).exits(0);
    let verdicts = ran.summary()["claims"].as_array().unwrap().iter().map(|c| c["verdict"].clone()).collect::<Vec<_>>();
    assert_eq!(verdicts, ["confirmed", "refuted"]);
    run("claims", &["--strict"]).exits(1);
    run("right", &["--strict"]).exits(0);
    run("claims", &["--strict", "--rig", "drop"]).exits(3);
}

#[test]
fn an_unknown_word_is_shown_where_it_stands_with_the_nearest_one() {
    let lab = Lab::new();
    lab.experiment("wrong", "[workload.evnts]\ncount = 3\n");
    let wrong = Started::new(&mut lab.running("wrong", &[])).end().exits(2);
    wrong.says(&["error: ./wrong.toml:11: ", "`evnts` in [workload]", "did you mean `events`?"]);
    for (flags, words) in [
        (["--set", "workload.subscriber=3"], ["--set workload.subscriber=3", "did you mean `subscribers`?"]),
        (["--set", "workload.hold=3"], ["--set workload.hold=3", "s"]),
        (["--set", "protocol=sse/h4"], ["--set protocol=sse/h4", "sse/h"]),
        (["--client", "firefix"], ["--client firefix", "`firefox`"]),
        (["--rig", "dorp"], ["--rig", "drop"]),
        (["--repeats", "many"], ["--repeats", "many"]),
    ] {
        lab.run(&flags).exits(2).says(&words);
    }
    let ran = lab.ask(&["run", "six-vs-hundret", "--out", "out"]).exits(2);
    ran.says(&["error: no experiment `six-vs-hundret`", "six-vs-hundred"]);
    lab.ask(&["run", "./none.toml", "--out", "out"])
        .exits(2)
        .says(&["error: could not read ./none.toml: No such file"]);
    assert!(lab.runs().is_empty(), "nothing was started");
}

#[test]
fn every_wrong_experiment_is_named_before_any_is_run() {
    let lab = Lab::new();
    lab.experiment("wrong", "[nonsense]\n");
    let ran = lab.ask(&["run", "./small.toml", "./wrong.toml", "./none.toml", "--out", "out"]).exits(2);
    assert!(ran.says(&["./wrong.toml:11: ", "./none.toml"]).out.is_empty());
    assert!(lab.runs().is_empty());
}

#[test]
fn json_is_one_document_of_the_promised_shape_and_the_same_as_in_the_folder() {
    let lab = Lab::new();
    lab.experiment("claims", &claim("Three.", 3));
    let command = ["--set", "protocol=sse/h1,sse/h2", "--repeats", "2", "--seed", "7"];
    let ran = Started::new(&mut lab.running("claims", &command)).end().exits(0);
    assert_eq!(std::fs::read_to_string(lab.only_run().join("summary.json")).unwrap(), ran.out);
    let summary = ran.summary();
    assert_eq!((&summary["experiment"], &summary["seed"]), (&"claims".into(), &7.into()));
    let trials = summary["trials"].as_array().unwrap();
    assert_eq!(trials.iter().map(|trial| trial["trial"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    for trial in trials {
        assert!(trial["repeat"].is_u64() && trial["reason"].is_null() && trial["outcome"] == "completed", "{trial}");
        assert_eq!(trial["levels"]["client"], "native");
        assert!(["sse/h1", "sse/h2"].contains(&trial["levels"]["protocol"].as_str().unwrap()));
        let entry = &trial["metrics"]["open-streams"];
        let has = |name: &str| entry[name] == 3.0 || entry[name] == 3;
        assert!(entry["unit"] == "streams" && entry["n"] == 1 && has("median") && has("min") && has("max"), "{entry}");
    }
    let groups = summary["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    for group in groups {
        assert_eq!(group["outcomes"], serde_json::json!({ "completed": 2 }));
        assert_eq!(group["client-version"], env!("CARGO_PKG_VERSION"));
        assert!(group["levels"]["protocol"].is_string());
        let entry = group["metrics"]["open-streams"].as_object().unwrap();
        assert!(entry["n"] == 2 && ["p50", "p90", "p99", "interval"].iter().all(|name| entry.contains_key(*name)));
    }
    let claim = &summary["claims"][0];
    assert_eq!((&claim["says"], &claim["verdict"]), (&"Three.".into(), &"confirmed".into()));
    assert_eq!(claim["source"]["url"], "https://example.org/");
    assert!(claim["per-client"]["native"].is_object() && claim["evidence"].is_string(), "{claim}");
    // A metric that was not obtained says why.
    let absent = &trials[0]["metrics"]["server-cpu-per-event"];
    assert!(absent["n"] == 0 && absent["absent"].is_string() && absent.get("median").is_none_or(Value::is_null));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_hides_none() {
    let lab = Lab::new();
    // The other end of the pipe is closed before anything is written.
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let told = |arguments: &[&str]| Started::with_output(&mut lab.command(arguments), closed()).end();
    for arguments in [&["list", "metrics"][..], &["--help"], &["run", "--help"], &["check", "./small.toml"]] {
        let ran = told(arguments).exits(0);
        assert_eq!(ran.err, "", "{arguments:?}");
    }
    Started::with_output(&mut lab.running("small", &[]), closed()).end().exits(0);
    Started::with_output(&mut lab.running("small", &["--rig", "drop"]), closed()).end().exits(3);
    // One experiment's table is not wanted; the next is run all the same.
    let before = lab.runs().len();
    let two = ["run", "./small.toml", "./small.toml", "--out", "out", "--certs", "certs"];
    Started::with_output(&mut lab.command(&two), closed()).end().exits(0);
    assert_eq!(lab.runs().len(), before + 2);
}

#[test]
fn standard_output_that_is_full_is_named() {
    let lab = Lab::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = Started::with_output(&mut lab.running("small", &[]), full.into()).end().exits(4);
    ran.says(&["error: could not write to standard output: No space left on device"]);
    assert!(lab.only_run().join("report.html").is_file(), "the results are there all the same");
}
