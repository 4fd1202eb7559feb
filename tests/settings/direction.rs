//! Events that clients publish: who sends which, when it counts from, and what is missed.

use serde_json::Value;

use crate::run::{Run, completed};

/// Ten events, half of them by each of two subscriptions.
const TEN: &str = "[workload]\nsubscribers = 2\nsettle = '500ms'\nhold = '1s'\ndrain = '500ms'\n\
                   events = { count = 10, rate = '25/s' }\n";

/// How many values the latency of this trial has.
fn latencies(trial: &Value) -> u64 {
    trial["metrics"]["latency"]["n"].as_u64().unwrap()
}

/// Each event was sent once by whose turn it was, and published under the next number.
#[track_caller]
fn takes_turns(run: &Run, trial: &Value) {
    let sent = run.facts(trial, "sent");
    let mut turns: Vec<_> = sent.iter().map(|fact| (fact["event"].as_u64(), fact["sub"].as_u64())).collect();
    turns.sort_unstable();
    let expected: Vec<_> = (0..10).map(|event| (Some(event), Some(event % 2))).collect();
    assert_eq!(turns, expected, "{}", trial["levels"]);
    let published = run.facts(trial, "published").into_iter().filter(|fact| fact["census"] == false);
    let mut numbers: Vec<_> = published.map(|fact| fact["event"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "{}", trial["levels"]);
    assert_eq!(trial["metrics"]["events-received"]["median"], 22.0, "{}", trial["levels"]);
}

#[test]
fn clients_take_turns_and_an_echo_is_timed_by_its_sender_alone() {
    let run = completed(&format!(
        "[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3']\n\"workload.direction\" = ['up', 'echo']\n{TEN}"
    ));
    assert_eq!(run.trials().len(), 6);
    for trial in run.trials() {
        takes_turns(&run, trial);
        let expected = if trial["levels"]["workload.direction"] == "up" { 22 } else { 10 };
        assert_eq!(latencies(trial), expected, "{}", trial["levels"]);
    }
}

#[test]
fn pages_publish_and_an_echo_is_as_certain_as_one_clock_is() {
    let run = completed(&format!(
        "protocol = 'sse/h2'\n[factors]\nclient = ['chromium', 'firefox', 'webkit']\n{TEN}direction = 'echo'\n"
    ));
    for trial in run.trials() {
        takes_turns(&run, trial);
        assert_eq!(latencies(trial), 10, "{}", trial["levels"]);
        assert!(trial["metrics"]["latency"]["uncertainty"].is_null(), "{}", trial["levels"]);
    }
}

#[test]
fn what_is_sent_while_there_is_no_server_is_lost() {
    let run = completed(&format!(
        "protocol = 'sse/h2'\n{TEN}direction = 'up'\n[expect]\ndelivery = 'observe'\n[reconnect]\ntries = 100\n\
         delay = '20ms'\nfactor = 1\n[[fault]]\nat = '600ms'\nkind = 'restart-server'\nfor = '200ms'\n"
    ));
    let trial = &run.trials()[0];
    assert_eq!(run.facts(trial, "sent").len(), 10);
    let published = run.facts(trial, "published").len() as u64 - 1;
    assert!((1..10).contains(&published), "{published} of 10 were published");
    assert!(run.metric(&[], "lost") >= 10 - published);
}
