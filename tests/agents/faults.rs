//! Agents that die or hang in the middle of a trial: that trial fails and names them, and the next one goes on.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, Started, has_browser, until};
use crate::{PROGRAM, clients, of_kind};

/// An agent over a pipe that writes its process's number down, each time that it is started.
fn noted(lab: &Lab) -> String {
    lab.program("noted", &format!("#!/bin/sh\necho $$ >> pids\nexec {PROGRAM} agent --stdio --name eu-1\n"));
    "--agent=exec:./noted".to_owned()
}

/// Two trials of some seconds, in the first of which this happens to the agent.
fn disturbed(signal: Signal) -> (Lab, Vec<String>, usize) {
    let lab = Lab::new();
    let agent = noted(&lab);
    let run = Started::new(&mut lab.running("small", &["--set", "workload.hold=2s", "--repeats", "2", &agent]));
    lab.wait_for_process(0, "client");
    let pids = || -> Vec<i32> {
        let text = std::fs::read_to_string(lab.path("pids")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    kill(Pid::from_raw(pids()[0]), signal).unwrap();
    let ran = run.end().exits(3);
    let started = pids().len();
    let outcomes = ran.outcomes();
    (lab, outcomes, started)
}

#[test]
fn an_agent_that_is_killed_fails_its_trial_and_is_started_anew_for_the_next() {
    let (lab, outcomes, started) = disturbed(Signal::SIGKILL);
    assert!(outcomes[0].starts_with("failed: the client is lost with its agent eu-1: "), "{outcomes:?}");
    assert_eq!((outcomes[1].as_str(), started), ("completed", 2));
    lab.has_nothing_left();
}

#[test]
fn an_agent_that_hangs_is_noticed_and_ended() {
    let (lab, outcomes, started) = disturbed(Signal::SIGSTOP);
    assert!(outcomes[0].contains("lost with its agent eu-1: it has said nothing for 10 s"), "{outcomes:?}");
    assert_eq!((outcomes[1].as_str(), started), ("completed", 2));
    lab.has_nothing_left();
}

#[test]
fn an_agent_ends_all_it_started_when_its_coordinator_is_killed() {
    let lab = Lab::new();
    let agent = noted(&lab);
    let run = Started::new(&mut lab.running("small", &["--set", "workload.hold=60s", &agent]));
    lab.wait_for_process(0, "client");
    assert_eq!(clients(&lab), 1);
    run.signal(Signal::SIGKILL);
    until("the end of all processes", || lab.processes().is_empty().then_some(()));
    lab.has_nothing_left();
}

#[test]
fn a_client_that_is_ended_at_its_agent_by_others_is_named_with_it() {
    let lab = Lab::new();
    let run = Started::new(&mut lab.running("small", &["--set", "workload.hold=60s", &noted(&lab)]));
    // The process that the journal names is the agent's, of this machine as well.
    kill(lab.wait_for_process(0, "client"), Signal::SIGKILL).unwrap();
    let ran = run.end().exits(3);
    assert!(
        ran.outcomes()[0].starts_with("failed: the client at eu-1 ended by itself (signal 9)"),
        "{:?}",
        ran.outcomes()
    );
    lab.has_nothing_left();
}

#[test]
fn a_browser_that_crashes_at_its_agent_is_told_of_with_its_status() {
    if !has_browser("chromium") || !has_browser("firefox") {
        return;
    }
    for browser in ["chromium", "firefox"] {
        let lab = Lab::new();
        let agent = format!("{}={browser}", noted(&lab));
        let more = ["--set", "workload.hold=60s", "--set", "timeout=90s", &agent];
        let run = Started::new(&mut lab.running("small", &more));
        lab.wait_for_process(0, "client");
        // One that was stuck as it began was started once more.
        let started = of_kind(&lab.only_run(), "started");
        let last = started.iter().rfind(|fact| fact["role"] == "client").unwrap()["pid"].as_i64().unwrap();
        kill(Pid::from_raw(i32::try_from(last).unwrap()), Signal::SIGKILL).unwrap();
        let outcomes = run.end().exits(3).outcomes();
        assert!(outcomes[0].starts_with("failed: the client at eu-1 ended by itself (signal 9)"), "{outcomes:?}");
        let exited = of_kind(&lab.only_run(), "exited");
        assert!(exited.iter().any(|fact| fact["role"] == "client" && fact["status"] == "signal 9"), "{exited:?}");
        lab.has_nothing_left();
    }
}
