//! Browsers that are missing, hang, crash or never report: that trial ends, and the others go on.

use crate::lab::{Lab, Ran, Started, facts};

/// Runs "chromium", which is this program, and native after it.
fn with(lab: &Lab, chromium: &str) -> Ran {
    let arguments = ["--client", "chromium,native", "--set", "timeout=2s"];
    Started::new(lab.running("small", &arguments).env("TRANSPORT_LAB_CHROMIUM", chromium)).end()
}

/// The outcome of the browser's trial, once it is sure that native's completed and that nothing is left.
#[track_caller]
fn outcome(script: &str) -> String {
    let lab = Lab::new();
    let ran = with(&lab, &lab.browser("chromium", script)).exits(3);
    let outcomes = ran.outcomes();
    assert_eq!(outcomes[1], "completed", "{outcomes:?}");
    lab.has_nothing_left();
    let of_first = |kind: &str| facts(&lab.only_run()).into_iter().find(|f| f["trial"] == 0 && f["kind"] == kind);
    if let (Some(started), Some(outcome)) = (of_first("started"), of_first("outcome")) {
        let took = (outcome["t"].as_u64().unwrap() - started["t"].as_u64().unwrap()) / 1_000_000;
        assert!(took < 10_000, "its timeout is 2 s, and it took {took} ms");
    }
    outcomes[0].clone()
}

#[test]
fn a_browser_that_hangs_ends_its_trial_and_not_the_run() {
    assert_eq!(outcome("sleep 1000"), "timed-out: the client never reported");
}

#[test]
fn a_browser_that_refuses_to_go_ends_its_trial_and_not_the_run() {
    let stubborn = "trap '' TERM INT HUP; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & \
                    while :; do sleep 1; done";
    assert_eq!(outcome(stubborn), "timed-out: the client never reported");
}

#[test]
fn a_browser_that_crashes_at_once_fails_its_trial_with_how_it_ended() {
    let by_itself = |how| format!("failed: the client ended by itself ({how}); see its log in the trial's folder");
    assert_eq!(outcome("echo sorry >&2; exit 7"), by_itself("exit 7"));
    assert_eq!(outcome("kill -SEGV $$"), by_itself("signal 11"));
}

#[test]
fn a_browser_that_crashes_after_it_has_the_page_fails_its_trial_with_how_it_ended() {
    let outcome = outcome("for page; do :; done; curl -sk -o page \"$page\"; kill -ABRT $$");
    assert!(outcome.starts_with("failed: the client ended by itself (signal 6)"), "{outcome}");
}

#[test]
fn a_browser_that_has_the_page_and_never_reports_ends_its_trial() {
    let outcome = outcome("for page; do :; done; curl -sk -o page \"$page\"; sleep 1000");
    assert_eq!(outcome, "timed-out: the client never reported");
}

#[test]
fn a_browser_that_is_stuck_at_its_start_is_started_once_more() {
    let lab = Lab::new();
    let once = lab.path("once").display().to_string();
    let chromium = lab.browser("chromium", &format!("if [ -e {once} ]; then exit 7; fi; touch {once}; sleep 1000"));
    let arguments = ["--client", "chromium", "--set", "timeout=30s"];
    let ran = Started::new(lab.running("small", &arguments).env("TRANSPORT_LAB_CHROMIUM", chromium)).end().exits(3);
    let of_the_client = |fact: &&serde_json::Value| fact["role"] == "client";
    let all = facts(&lab.only_run());
    let ends: Vec<_> = all.iter().filter(of_the_client).map(|fact| fact["kind"].as_str().unwrap()).collect();
    assert_eq!(ends, ["started", "exited", "started", "exited"]);
    assert_eq!(ran.outcomes(), ["failed: the client ended by itself (exit 7); see its log in the trial's folder"]);
    lab.has_nothing_left();
}

#[test]
fn what_a_browser_prints_is_in_its_trials_log() {
    let lab = Lab::new();
    with(&lab, &lab.browser("chromium", "echo in vain; echo sorry >&2; exit 7")).exits(3);
    let log = std::fs::read_to_string(lab.only_run().join("trials/0/client.log")).unwrap();
    assert!(log.contains("in vain") && log.contains("sorry"), "{log}");
}

#[test]
fn a_browser_that_does_not_start_fails_its_trial_with_why() {
    let lab = Lab::new();
    let gone = lab.browser("chromium", "");
    // It says its version and is not there any more.
    let text = std::fs::read_to_string(&gone).unwrap().replace("exit;", "rm \"$0\"; exit;");
    std::fs::write(&gone, text).unwrap();
    let outcomes = with(&lab, &gone).exits(3).outcomes();
    assert_eq!(
        outcomes[0],
        format!("failed: the browser does not start: `{gone}` does not start: there is no such program")
    );
    assert_eq!(outcomes[1], "completed");
    lab.has_nothing_left();
}

#[test]
fn a_browser_that_is_missing_is_unsupported_with_what_to_do() {
    let lab = Lab::new();
    let ran = with(&lab, "/no/such/browser").exits(0);
    let reason = "unsupported: TRANSPORT_LAB_CHROMIUM=/no/such/browser is not a program that can be run";
    assert_eq!(ran.outcomes(), [reason, "completed"]);

    let everyone = ["--client", "chromium,firefox,webkit,native"];
    let mut command = lab.running("small", &everyone);
    command.env("PATH", lab.temporary());
    for name in ["CHROMIUM", "FIREFOX", "WEBKIT"] {
        command.env_remove(format!("TRANSPORT_LAB_{name}"));
    }
    // MiniBrowser is looked for at fixed places, not on PATH.
    command.env("TRANSPORT_LAB_WEBKIT", "/no/such/browser");
    let ran = Started::new(&mut command).end().exits(0);
    let outcomes = ran.outcomes();
    assert!(outcomes[0].starts_with("unsupported: not found; on Debian: apt install chromium"), "{outcomes:?}");
    assert!(outcomes[1].starts_with("unsupported: not found; on Debian: apt install firefox-esr"), "{outcomes:?}");
    assert!(outcomes[2].starts_with("unsupported: TRANSPORT_LAB_WEBKIT=/no/such/browser is not"), "{outcomes:?}");
    assert_eq!(outcomes[3], "completed");
}

#[test]
fn a_browser_that_hangs_when_asked_for_its_version_is_unsupported_and_gone() {
    let lab = Lab::new();
    let slow = lab.browser("chromium", "");
    std::fs::write(&slow, "#!/bin/sh\nsleep 1000\n").unwrap();
    let outcomes = with(&lab, &slow).exits(0).outcomes();
    assert_eq!(outcomes[0], format!("unsupported: `{slow} --version` gave no answer within 10 s"));
    assert_eq!(outcomes[1], "completed");
    lab.has_nothing_left();
}
