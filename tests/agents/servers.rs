//! Servers at agents: their facts are as good as those of servers here, and what can't be with them there says so.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::clocks::five_seconds_ahead;
use crate::lab::{Lab, Started, has_browser, until};
use crate::{PROGRAM, of_kind, piped};

/// `--server-agent` and an agent of this name over a pipe, with these further words.
fn serving(name: &str, more: &str) -> String {
    format!("--server-{}", piped(name, more).trim_start_matches("--").trim_end())
}

/// Who was run by which agent.
fn placed(run: &Path) -> Vec<String> {
    let text = |fact: &Value| format!("{} at {}", fact["role"].as_str().unwrap(), fact["agent"].as_str().unwrap());
    of_kind(run, "agent").iter().map(text).collect()
}

/// What the clocks of a run's agents may be off by, each end's in milliseconds.
fn off(run: &Path) -> Vec<f64> {
    of_kind(run, "agent-clock").iter().map(|fact| fact["uncertainty"].as_f64().unwrap() / 1e6).collect()
}

#[test]
fn a_server_at_an_agent_is_read_from_here_on_every_alpn() {
    let lab = Lab::new();
    let protocols = "protocol=sse/h1,sse/h2,sse/h3,websocket/h1,webtransport/h3,quic/quic";
    let ran = lab.run(&["--set", protocols, &serving("us-2", "")]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 6]);
    let (run, summary) = (lab.only_run(), ran.summary());
    assert_eq!(placed(&run), ["server at us-2"; 6]);
    assert!(of_kind(&run, "agent-clock").iter().all(|fact| fact["serves"] == true && fact["apart"].is_null()));
    for (trial, off) in off(&run).into_iter().enumerate() {
        let metrics = &summary["trials"][trial]["metrics"];
        assert_eq!((ran.metric(trial, "open-streams"), ran.metric(trial, "server-open-streams")), (3.0, 3.0));
        assert!(ran.metric(trial, "events-received") >= 9.0, "{metrics}");
        let told = metrics["latency"]["uncertainty"].as_f64().unwrap();
        assert!(metrics["latency"]["n"].as_u64().unwrap() >= 9 && (told - off).abs() < 0.01 * off, "{metrics} {off}");
        assert!(run.join(format!("trials/{trial}/server.log")).exists());
    }
    lab.has_nothing_left();
}

#[test]
fn a_client_at_one_agent_reads_from_a_server_at_another() {
    let lab = Lab::new();
    let ran = lab.run(&["--set", "protocol=sse/h2,sse/h3", &piped("eu-1", ""), &serving("us-2", "")]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 2]);
    let run = lab.only_run();
    assert_eq!(placed(&run), [["client at eu-1", "server at us-2"]; 2].concat());
    assert!((ran.metric(0, "open-streams") - 3.0).abs() < 0.1);
    // What lies between two clocks is as uncertain as both are.
    let told = ran.summary()["trials"][0]["metrics"]["latency"]["uncertainty"].as_f64().unwrap();
    let both: f64 = off(&run)[..2].iter().sum();
    assert!((told - both).abs() < 0.01 * both, "{told} {both}");
    lab.has_nothing_left();
}

#[test]
fn browsers_here_read_from_a_server_at_an_agent() {
    let browsers = ["chromium", "firefox", "webkit"].into_iter().filter(|browser| has_browser(browser));
    let browsers = browsers.collect::<Vec<_>>().join(",");
    if browsers.is_empty() {
        return;
    }
    let lab = Lab::new();
    let waits =
        ["--set", "workload.settle=1s", "--set", "workload.hold=2s", "--set", "timeout=90s", "--client", &browsers];
    // The second trusts the certificate by its hash alone.
    let protocols = ["--set", "protocol=sse/h2,webtransport/h3"];
    let ran = lab.run(&[&waits[..], &protocols, &[&serving("us-2", "")]].concat()).exits(0);
    let (summary, mut completed) = (ran.summary(), 0);
    for (trial, outcome) in ran.outcomes().iter().enumerate() {
        let one = &summary["trials"][trial];
        // What it can't do with a server here it can't do with one there.
        let says = |what: &str| outcome.starts_with("unsupported: ") && outcome.contains(what);
        if one["levels"]["client"] == "webkit" && one["levels"]["protocol"] != "sse/h2" {
            assert!(says("WebKitGTK"), "{outcome}");
            continue;
        }
        assert_eq!(outcome, "completed", "{one}");
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{one}");
        completed += 1;
    }
    assert!(completed > 0);
    lab.has_nothing_left();
}

#[test]
fn a_server_is_asked_for_by_the_host_that_was_given() {
    let lab = Lab::new();
    let host = format!("{}=127.0.0.2", serving("us-2", ""));
    let ran = lab.run(&["--set", "protocol=sse/h1,sse/h3", &host]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 2]);
    assert!((ran.metric(0, "open-streams") - 3.0).abs() < 0.1);
    assert!(of_kind(&lab.only_run(), "agent").iter().all(|fact| fact["host"] == "127.0.0.2"));
    assert_eq!(ran.summary()["agents"][0]["ends"], json!([{ "role": "server", "host": "127.0.0.2" }]));
    lab.has_nothing_left();
}

#[test]
fn a_report_says_where_readers_and_their_server_are_at_one_agent() {
    let lab = Lab::new();
    let ran = lab.run(&[&piped("eu-1", ""), &serving("eu-1", "")]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert_eq!(ran.summary()["agents"][0]["both-ends"], 1);
    let report = fs::read_to_string(lab.only_run().join("report.html")).unwrap();
    assert!(report.contains("eu-1 had readers and a server: what they read there crossed no network"));
    lab.has_nothing_left();
}

#[test]
fn a_servers_agent_that_is_killed_fails_its_trial_and_is_started_anew_for_the_next() {
    let lab = Lab::new();
    lab.program("noted", &format!("#!/bin/sh\necho $$ >> pids\nexec {PROGRAM} agent --stdio --name us-2\n"));
    let more = ["--set", "workload.hold=2s", "--repeats", "2", "--server-agent=exec:./noted"];
    let run = Started::new(&mut lab.running("small", &more));
    lab.wait_for_process(0, "server");
    let pids = || -> Vec<i32> {
        let text = fs::read_to_string(lab.path("pids")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    kill(Pid::from_raw(pids()[0]), Signal::SIGKILL).unwrap();
    let outcomes = run.end().exits(3).outcomes();
    assert!(outcomes[0].starts_with("failed: the server is lost with its agent us-2: "), "{outcomes:?}");
    assert_eq!((outcomes[1].as_str(), pids().len()), ("completed", 2));
    // What its server left is removed by the next agent.
    until("the end of all processes", || lab.processes().is_empty().then_some(()));
    lab.has_nothing_left();
}

#[test]
fn an_agent_ends_its_server_when_the_coordinator_is_killed() {
    let lab = Lab::new();
    let run = Started::new(&mut lab.running("small", &["--set", "workload.hold=60s", &serving("us-2", "")]));
    lab.wait_for_process(0, "server");
    run.signal(Signal::SIGKILL);
    until("the end of all processes", || lab.processes().is_empty().then_some(()));
    lab.has_nothing_left();
}

#[test]
fn a_server_at_an_agent_is_killed_on_purpose_and_started_anew_at_the_same_ports() {
    let lab = Lab::new();
    let observe = "[expect]\ndelivery = 'observe'\ncounts = 'observe'\n";
    let back = "[reconnect]\ntries = 100\ndelay = '10ms'\nfactor = 1\n";
    for (kind, lasts, lives) in [("kill-server", "", 1), ("restart-server", "for = '50ms'\n", 2)] {
        lab.experiment(kind, &format!("{observe}{back}[[fault]]\nkind = '{kind}'\nat = '300ms'\n{lasts}"));
        let more = ["--set", "workload.hold=1s", &serving("us-2", "")];
        let ran = Started::new(&mut lab.running(kind, &more)).end().exits(0);
        assert_eq!(ran.outcomes(), ["completed"], "{kind}");
        let run = lab.runs().into_iter().find(|run| run.display().to_string().ends_with(kind)).unwrap();
        let ended = of_kind(&run, "exited");
        assert!(ended.iter().any(|fact| fact["role"] == "server" && fact["status"] == "signal 9"), "{ended:?}");
        let started = of_kind(&run, "started");
        assert_eq!(started.iter().filter(|fact| fact["role"] == "server").count(), lives, "{started:?}");
    }
    lab.has_nothing_left();
}

#[test]
fn two_servers_are_dealt_over_two_agents_and_the_last_is_killed() {
    let lab = Lab::new();
    let back = "[reconnect]\ntries = 100\ndelay = '50ms'\nfactor = 1\n";
    let fault = "[[fault]]\nkind = 'kill-last-server'\nat = '600ms'\n";
    lab.experiment("two", &format!("[server]\ncount = 2\nfeeds = 'nats'\n[expect]\ncounts = 'observe'\n{back}{fault}"));
    let (one, two) = (serving("eu-1", ""), serving("us-2", ""));
    let more = ["--set", "workload.hold=2s", "--set", "workload.subscribers=4", &one, &two];
    let ran = Started::new(&mut lab.running("two", &more)).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    let run = lab.only_run();
    assert_eq!(placed(&run), ["server at eu-1", "server-1 at us-2"]);
    let ended = of_kind(&run, "exited");
    assert!(ended.iter().any(|fact| fact["role"] == "server-1" && fact["status"] == "signal 9"), "{ended:?}");
    assert_eq!((ran.metric(0, "lost"), ran.metric(0, "duplicated")), (0.0, 0.0));
    lab.has_nothing_left();
}

#[test]
fn a_servers_clock_is_translated_and_of_one_that_drifts_no_time_decides_anything() {
    let lab = Lab::new();
    let ran = lab.run(&["--set", "workload.hold=2s", &serving("us-2", "--rig drifting-clock")]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    let metrics = &ran.summary()["trials"][0]["metrics"];
    let limited = metrics["latency"].to_string();
    assert!(limited.contains("the clock of us-2 can't be compared: its clock gained"), "{limited}");
    assert!(!metrics["open-streams"].to_string().contains("can't be compared"), "counts count");
    lab.has_nothing_left();
    let Some(ahead) = five_seconds_ahead("us-2") else { return };
    let lab = Lab::new();
    let ran = lab.run(&[&format!("--server-agent={ahead}")]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    let offset = of_kind(&lab.only_run(), "agent-clock")[0]["offset"].as_i64().unwrap();
    assert!((4_000_000_000..6_000_000_000).contains(&offset), "{offset}");
    assert!((0.0..4000.0).contains(&ran.metric(0, "latency")), "times were translated");
    lab.has_nothing_left();
}

#[test]
fn an_agent_that_keeps_a_servers_fact_to_itself_fails_its_trial_by_name() {
    let lab = Lab::new();
    let outcomes = lab.run(&[&serving("us-2", "--rig missing-fact")]).exits(3).outcomes();
    assert!(outcomes[0].starts_with("failed: the server at us-2 said "), "{outcomes:?}");
    lab.has_nothing_left();
}

#[test]
fn what_cannot_be_with_a_server_elsewhere_says_why() {
    let lab = Lab::new();
    let (near, far) = (serving("us-2", ""), format!("{}=127.0.0.2", serving("us-2", "")));
    for (agent, more, why) in [
        (&near, vec!["--set", "link.delay=0ms"], "a link is between ends on one machine"),
        (&near, vec!["--set", "between.intermediary=nginx"], "what stands between"),
        (&far, vec!["--set", "workload.hosts=2"], "workload.hosts = 2 takes as many names"),
        (&far, vec!["--set", "server.certificate=per-host"], "have certificates of their own, and 127.0.0.2 has none"),
    ] {
        let outcomes = lab.run(&[&more[..], &[agent]].concat()).exits(0).outcomes();
        assert!(outcomes[0].starts_with("unsupported: ") && outcomes[0].contains(why), "{why}: {outcomes:?}");
    }
    lab.run(&["--server-agent", "ssh:eu-1=0.0.0.0"]).exits(2).says(&["`0.0.0.0` is no host"]);
    let twice = ["--bind", "127.0.0.2", "--bind", "127.0.0.3"];
    lab.run(&[&twice[..], &[&near]].concat()).exits(2).says(&["it is where NATS listens: at one address"]);
    lab.run(&["--server-agent", "eu-1"]).exits(4).says(&["is known by name alone", "--join nats://HOST:4222"]);
    let listed = lab.ask(&["agents", &piped("us-2", ""), "--json"]).exits(0).summary();
    assert_eq!(listed[0]["loopback"], json!(transport_lab::agent::loopback()));
    lab.has_nothing_left();
}
