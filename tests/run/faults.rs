//! What goes wrong on purpose and what goes wrong by itself: that trial says so, and the others go on.

use nix::sys::signal::{Signal, kill};

use crate::lab::{Lab, Started, facts, has_browser};

const OBSERVE: &str = "[expect]\ndelivery = 'observe'\ncounts = 'observe'\n";

/// Of each fact of that kind in the only run: who or what it is about, and how it ended.
fn noted(lab: &Lab, kind: &str) -> Vec<String> {
    let text = |fact: &serde_json::Value| {
        let word = |name: &str| fact[name].as_str().map(str::to_owned);
        [word("fault"), word("role"), word("status")].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    facts(&lab.only_run()).iter().filter(|fact| fact["kind"] == kind).map(text).collect()
}

#[test]
fn an_end_killed_on_purpose_is_noted_and_the_trial_completes() {
    let clients: Vec<_> = ["native", "chromium"].into_iter().filter(|name| has_browser(name)).collect();
    for (role, client) in ["server", "client"].into_iter().flat_map(|role| clients.iter().map(move |c| (role, *c))) {
        let lab = Lab::new();
        lab.experiment("kill", &format!("{OBSERVE}[[fault]]\nkind = 'kill-{role}'\nat = '300ms'\n"));
        let ran = Started::new(&mut lab.running("kill", &["--client", client])).end().exits(0);
        assert_eq!(ran.outcomes(), ["completed"]);
        assert_eq!(noted(&lab, "fault"), [format!("kill-{role}")]);
        assert_eq!(noted(&lab, "fault-ended"), [format!("kill-{role}")]);
        let exited = noted(&lab, "exited");
        assert!(exited.contains(&format!("{role} signal 9")), "{exited:?}");
        assert_eq!(exited.len(), 2, "each end is said to have ended once: {exited:?}");
        lab.has_nothing_left();
    }
}

#[test]
fn streams_closed_on_purpose_are_noted_and_leave_the_server_alive() {
    let lab = Lab::new();
    lab.experiment("close", &format!("{OBSERVE}[[fault]]\nkind = 'close-streams'\nat = '350ms'\n"));
    let ran = Started::new(&mut lab.running("close", &[])).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert_eq!(noted(&lab, "fault"), ["close-streams"]);
    assert!(noted(&lab, "exited").contains(&"server exit 0".to_owned()));
    assert_eq!(noted(&lab, "closed").len(), 3, "the client saw each of its streams end");
}

#[test]
fn a_server_started_anew_is_another_process_with_other_numbers_at_the_same_ports() {
    let lab = Lab::new();
    let fault = "[[fault]]\nkind = 'restart-server'\nat = '300ms'\nfor = '50ms'\n";
    let back = "[reconnect]\ntries = 100\ndelay = '10ms'\nfactor = 1\n";
    lab.experiment("anew", &format!("{OBSERVE}{fault}{back}"));
    let slow = ["--set", "workload.hold=1s", "--set", "protocol=sse/h1,sse/h2"];
    let ran = Started::new(&mut lab.running("anew", &slow)).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 2]);
    assert_eq!(noted(&lab, "fault"), ["restart-server"; 2]);
    assert_eq!(noted(&lab, "fault-ended"), ["restart-server"; 2]);
    let exited = noted(&lab, "exited");
    for status in ["server signal 9", "server exit 0", "client exit 0"] {
        assert_eq!(exited.iter().filter(|text| *text == status).count(), 2, "{exited:?}");
    }
    for trial in 0..2 {
        let attached: Vec<_> = facts(&lab.only_run())
            .into_iter()
            .filter(|fact| fact["trial"] == trial && fact["kind"] == "attached")
            .map(|fact| fact["stream"].as_u64().unwrap())
            .collect();
        let distinct: std::collections::BTreeSet<_> = attached.iter().collect();
        assert_eq!((attached.len(), distinct.len()), (6, 6), "each came back, on a stream of its own: {attached:?}");
    }
    lab.has_nothing_left();
}

#[test]
fn a_fault_that_makes_the_expectations_impossible_is_refused_before_anything_runs() {
    let lab = Lab::new();
    lab.experiment("kill", "[[fault]]\nkind = 'kill-server'\nat = '300ms'\n");
    Started::new(&mut lab.running("kill", &[])).end().exits(2).says(&["kill.toml:", "exactly-once", "impossible"]);
    assert!(lab.runs().is_empty());
}

/// Kills an end of the first of three trials from outside.
fn killed_from_outside(role: &str, client: &str, status: &str) {
    let lab = Lab::new();
    let clients = format!("{client},native");
    let slow = ["--client", &clients, "--set", "workload.hold=2s", "--set", "workload.subscribers=2"];
    let run = Started::new(&mut lab.running("small", &slow));
    kill(lab.wait_for_process(0, role), Signal::SIGKILL).unwrap();
    let ran = run.end().exits(3);
    let expected = format!("failed: the {role} ended by itself ({status}); see its log in the trial's folder");
    let outcomes = ran.outcomes();
    assert_eq!(outcomes[0], expected);
    assert!(outcomes[1..].iter().all(|outcome| outcome == "completed"), "{outcomes:?}");
    let exited = noted(&lab, "exited").into_iter().filter(|text| *text == format!("{role} {status}")).count();
    assert_eq!(exited, 1);
    lab.has_nothing_left();
}

#[test]
fn a_server_killed_from_outside_fails_its_trial_and_not_the_next() {
    let lab = Lab::new();
    let slow = ["--set", "workload.hold=2s", "--set", "protocol=sse/h1,sse/h2,sse/h3"];
    let run = Started::new(&mut lab.running("small", &slow));
    kill(lab.wait_for_process(0, "server"), Signal::SIGKILL).unwrap();
    kill(lab.wait_for_process(1, "client"), Signal::SIGKILL).unwrap();
    let ran = run.end().exits(3);
    let by_itself = |role| format!("failed: the {role} ended by itself (signal 9); see its log in the trial's folder");
    assert_eq!(ran.outcomes(), [by_itself("server"), by_itself("client"), "completed".to_owned()]);
    assert_eq!(noted(&lab, "exited").iter().filter(|text| text.ends_with("signal 9")).count(), 2);
    lab.has_nothing_left();
}

#[test]
fn a_browser_killed_from_outside_fails_its_trial_and_leaves_nothing() {
    if has_browser("chromium") {
        killed_from_outside("client", "chromium", "signal 9");
    }
}

#[test]
fn a_server_killed_under_a_browser_fails_its_trial_and_leaves_nothing() {
    if has_browser("chromium") {
        killed_from_outside("server", "chromium", "signal 9");
    }
}

/// Stops an end of the first of two trials from outside.
fn stopped_from_outside(role: &str) {
    let lab = Lab::new();
    let slow = ["--set", "protocol=sse/h1,sse/h2", "--set", "timeout=3s", "--set", "workload.hold=1s"];
    let run = Started::new(&mut lab.running("small", &slow));
    kill(lab.wait_for_process(0, role), Signal::SIGSTOP).unwrap();
    let ran = run.end().exits(3);
    let late = format!("timed-out: the {role} did not say what it saw in time");
    assert_eq!(ran.outcomes(), [late, "completed".to_owned()]);
    // The timeline and the timeout are 4.3 s; ending what stands still takes 2 s more, and a busy machine its time.
    let times: Vec<u64> = facts(&lab.only_run())
        .iter()
        .filter(|fact| fact["trial"] == 0 && ["started", "outcome"].iter().any(|kind| fact["kind"] == *kind))
        .map(|fact| fact["t"].as_u64().unwrap())
        .collect();
    let took = (times[times.len() - 1] - times[0]) / 1_000_000;
    assert!(took < 45_000, "it took {took} ms");
    lab.has_nothing_left();
}

#[test]
fn a_client_that_stands_still_ends_its_trial_and_not_the_run() {
    stopped_from_outside("client");
}

#[test]
fn a_server_that_stands_still_ends_its_trial_and_not_the_run() {
    stopped_from_outside("server");
}
