//! The lab interrupted or killed in the middle of a trial.

use std::fs;

use nix::sys::signal::{Signal, kill};

use crate::lab::{Lab, Started, has_browser, outcomes, until};

/// Two trials, the second of which has begun when this returns.
fn in_the_second_trial(lab: &Lab, client: &str) -> Started {
    let slow = ["--client", client, "--set", "protocol=sse/h1,sse/h2", "--set", "workload.hold=1500ms"];
    let run = Started::new(&mut lab.running("small", &slow));
    lab.wait_for_process(1, "client");
    run
}

/// The summary and report that the only run's folder has.
fn derived(lab: &Lab) -> (Vec<String>, String) {
    let read = |name: &str| fs::read_to_string(lab.only_run().join(name)).unwrap();
    (outcomes(&serde_json::from_str(&read("summary.json")).unwrap()), read("report.html"))
}

fn killed(client: &str) {
    let lab = Lab::new();
    let run = in_the_second_trial(&lab, client);
    run.signal(Signal::SIGKILL);
    assert_eq!(run.end().exit, None, "killed");
    // No one is left to wait for these, so it takes a moment.
    until("the end of all that the lab started", || {
        let left = fs::read_dir(lab.temporary()).unwrap().count();
        (lab.processes().is_empty() && left == 0).then_some(())
    });

    let folder = lab.only_run();
    assert!(!folder.join("summary.json").exists());
    let ran = lab.ask(&["report", &folder.display().to_string()]).exits(0);
    assert!(ran.out.contains("Report: "), "{}", ran.out);
    let (outcomes, report) = derived(&lab);
    assert_eq!(outcomes, ["completed", "failed: the run ended before this trial did"]);
    assert!(report.contains("the run ended before this trial did"));
}

#[test]
fn a_killed_lab_leaves_nothing_but_a_journal_that_a_report_is_made_from() {
    killed("native");
}

#[test]
fn a_killed_lab_leaves_no_browser_and_no_profile() {
    if has_browser("chromium") {
        killed("chromium");
    }
}

#[test]
fn a_journal_cut_in_the_middle_of_a_line_still_makes_a_report() {
    let lab = Lab::new();
    lab.run(&[]).exits(0);
    let folder = lab.only_run();
    let journal = folder.join("observations.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, &text[..text.len() - 20]).unwrap();
    let ran = lab.ask(&["report", "latest", "--out", "out"]).exits(0);
    assert!(ran.out.contains("The journal ends in the middle of a line"), "{}", ran.out);
    assert_eq!(derived(&lab).0, ["failed: the run ended before this trial did"]);

    fs::write(&journal, text.replacen("\"kind\"", "kind", 1)).unwrap();
    lab.ask(&["report", "latest", "--out", "out"]).exits(2).says(&["observations.jsonl:1: not an observation"]);
}

fn interrupted(client: &str, signal: Signal) {
    let lab = Lab::new();
    let run = in_the_second_trial(&lab, client);
    run.signal(signal);
    let ran = run.end().exits(130);
    lab.has_nothing_left();
    let (outcomes, report) = derived(&lab);
    assert_eq!(outcomes, ["completed", "failed: interrupted"]);
    assert_eq!(ran.outcomes(), outcomes, "standard output has it too");
    assert!(report.contains("interrupted"));
}

#[test]
fn ctrl_c_ends_the_run_and_still_reports_what_was_finished() {
    interrupted("native", Signal::SIGINT);
}

#[test]
fn sigterm_ends_the_run_and_still_reports_what_was_finished() {
    interrupted("native", Signal::SIGTERM);
}

#[test]
fn ctrl_c_leaves_no_browser_and_no_profile() {
    if has_browser("chromium") {
        interrupted("chromium", Signal::SIGINT);
    }
}

#[test]
fn ctrl_c_while_a_browser_is_awaited_ends_the_run() {
    let lab = Lab::new();
    let hangs = lab.browser("chromium", "sleep 1000");
    let mut command = lab.running("small", &["--client", "chromium"]);
    let run = Started::new(command.env("TRANSPORT_LAB_CHROMIUM", hangs));
    lab.wait_for("the browser's start", |fact| fact["kind"] == "started" && fact["role"] == "client");
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().exits(130).outcomes(), ["failed: interrupted"]);
    lab.has_nothing_left();
}

#[test]
fn a_second_ctrl_c_ends_the_lab_at_once() {
    let lab = Lab::new();
    let mut run = in_the_second_trial(&lab, "native");
    // A client that stands still keeps the lab from ending in order for 2 s.
    let client = lab.wait_for_process(1, "client");
    kill(client, Signal::SIGSTOP).unwrap();
    until("the lab's end", || {
        if !run.has_ended() {
            run.signal(Signal::SIGINT);
        }
        run.has_ended().then_some(())
    });
    run.end().exits(130);
    assert!(!lab.only_run().join("report.html").exists(), "it did not end in order");
    kill(client, Signal::SIGCONT).unwrap();
    until("the end of both ends", || lab.processes().is_empty().then_some(()));
}
