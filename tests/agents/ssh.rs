//! Agents over a real ssh, at an sshd of the test's own: as good as any, and where something fails it is told what to do.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::lab::{Lab, Started, has_browser, names, until};
use crate::sshd::Sshd;
use crate::{PROGRAM, of_kind};

/// The process of this lab whose command line begins so.
fn process(lab: &Lab, begins: &str) -> Pid {
    let temporary = lab.temporary().display().to_string();
    until("a process", || {
        let is_it = |process: &PathBuf| {
            let read = |file: &str| fs::read(process.join(file)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            command.starts_with(begins) && String::from_utf8_lossy(&read("environ")).contains(&temporary)
        };
        let found = names("/proc".as_ref()).into_iter().find(is_it)?;
        found.file_name()?.to_str()?.parse().ok().map(Pid::from_raw)
    })
}

/// Two trials of some seconds, in the first of which this is done.
fn disturbed(lab: &Lab, sshd: &Sshd, disturb: impl FnOnce()) -> Vec<String> {
    let run = sshd.run(lab, &["--set", "workload.hold=2s", "--repeats", "2", "--agent", "ssh:there"]);
    lab.wait_for_process(0, "client");
    disturb();
    run.end().exits(3).outcomes()
}

#[test]
fn clients_run_where_ssh_leads_whatever_a_login_says_first() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else { return };
    // By what its configuration says, and by what the address does.
    let by_port = format!(
        "ssh:{}@127.0.0.1:{}{PROGRAM}",
        nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name,
        sshd.port()
    );
    let ran = sshd
        .run(&lab, &["--agent", "ssh:there", "--agent", &by_port, "--set", "workload.subscribers=4"])
        .end()
        .exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert_eq!((ran.metric(0, "open-streams"), ran.metric(0, "connections")), (4.0, 2.0));
    let clocks = of_kind(&lab.only_run(), "agent-clock");
    assert!(clocks.len() == 2 && clocks.iter().all(|clock| clock["apart"].is_null()), "{clocks:?}");
    lab.has_nothing_left();
}

#[test]
fn browsers_run_where_ssh_leads() {
    if !has_browser("chromium") || !has_browser("firefox") {
        return;
    }
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else { return };
    let more = ["--agent", "ssh:there", "--client", "chromium,firefox", "--set", "timeout=90s"];
    let waits = ["--set", "workload.settle=1s", "--set", "workload.hold=2s"];
    let ran = sshd.run(&lab, &[&more[..], &waits].concat()).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 2]);
    for trial in 0..2 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    lab.has_nothing_left();
}

#[test]
fn a_server_runs_where_ssh_leads() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else { return };
    let ran = sshd.run(&lab, &["--server-agent", "ssh:there"]).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert!((ran.metric(0, "open-streams") - 3.0).abs() < 0.1);
    lab.has_nothing_left();
}

#[test]
fn what_ssh_cannot_do_is_told_with_what_to_do() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else { return };
    lab.program("older", &format!("#!/bin/sh\nexec {PROGRAM} \"$@\" --rig other-version\n"));
    lab.program("oldest", &format!("#!/bin/sh\nexec {PROGRAM} not-an-agent --stdio\n"));
    let at = |program: &str| format!("ssh:there{}", lab.path(program).display());
    let refused = |agent: &str, key: &str, says: &[&str]| {
        let mut command = lab.running("small", &["--agent", agent]);
        let ran = Started::new(command.env("TRANSPORT_LAB_SSH", sshd.ssh(key))).end().exits(4);
        ran.says(&[&["the agent "], says].concat());
    };
    let key = "ssh:there was not reached: it ended before it said what it is (exit 255: ";
    refused("ssh:there", "other-key", &["Permission denied (publickey)", "`ssh there` logs in by a key alone"]);
    sshd.write_known("other-host");
    refused("ssh:there", "key", &[key, "Host key verification failed", "another machine answers there than last time"]);
    sshd.forget_known();
    refused("ssh:there", "key", &[key, "log in once by hand (`ssh there`)"]);
    sshd.write_known("host");
    refused(&at("missing"), "key", &["exit 127: ", "No such file", "the shell there finds no such program"]);
    refused(&at("older"), "key", &["is of version", "-other (trial contract ", "install the same version at both"]);
    refused(&at("oldest"), "key", &["exit 2: ", "install version"]);
    // Nobody listens at the lowest port, and no host can have an empty part in its name.
    refused("ssh:127.0.0.1:1", "key", &["Connection refused", "`ssh -p 1 127.0.0.1`"]);
    refused("ssh:a..b", "key", &["Could not resolve hostname", "no host is known by that name"]);
    let listed = Started::new(
        lab.command(&["agents", "--agent", "ssh:there", "--json"]).env("TRANSPORT_LAB_SSH", sshd.ssh("key")),
    );
    assert_eq!(listed.end().exits(0).summary()[0]["loopback"], json!(transport_lab::agent::loopback()));
    lab.has_nothing_left();
}

#[test]
fn an_interrupt_here_ends_all_that_ran_there() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else { return };
    let run = sshd.run(&lab, &["--set", "workload.hold=60s", "--agent", "ssh:there"]);
    lab.wait_for_process(0, "client");
    run.signal(Signal::SIGINT);
    run.end().exits(130);
    until("the end of all processes", || lab.processes().is_empty().then_some(()));
    lab.has_nothing_left();
}

#[test]
fn a_connection_that_breaks_fails_its_trial_and_leaves_nothing_there() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else { return };
    let outcomes = disturbed(&lab, &sshd, || kill(process(&lab, "ssh -F "), Signal::SIGKILL).unwrap());
    assert!(outcomes[0].starts_with("failed: the client is lost with its agent "), "{outcomes:?}");
    assert_eq!(outcomes[1], "completed");
    until("the end of all processes", || lab.processes().is_empty().then_some(()));
    lab.has_nothing_left();
}

#[test]
fn an_agent_that_hangs_there_is_noticed_here_and_ends_once_it_goes_on() {
    let lab = Lab::new();
    let Some(sshd) = Sshd::start(&lab) else { return };
    let mut agent = None;
    let outcomes = disturbed(&lab, &sshd, || {
        let found = process(&lab, "transport-lab agent --stdio");
        kill(found, Signal::SIGSTOP).unwrap();
        agent = Some(found);
    });
    assert!(outcomes[0].contains("it has said nothing for 10 s"), "{outcomes:?}");
    assert_eq!(outcomes[1], "completed");
    kill(agent.unwrap(), Signal::SIGCONT).unwrap();
    until("the end of all processes", || lab.processes().is_empty().then_some(()));
    lab.has_nothing_left();
}
