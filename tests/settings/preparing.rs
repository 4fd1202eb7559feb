//! What client and server have of each other before the first subscription.

use serde_json::json;

use crate::run::{any, completed};

const SHORT: &str = "hold = '1s'\nsettle = '300ms'\ndrain = '600ms'\nevents = { count = 3, rate = '10/s' }\n";

#[test]
fn who_has_a_ticket_resumes_and_who_may_say_more_says_it_with_the_first_packet() {
    let run = completed(&format!(
        "client = 'native'\n[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3', 'quic/quic']\n\
         \"workload.prepare\" = ['none', 'ticket', 'early']\n[workload]\nsubscribers = 3\nprobe = false\n{SHORT}"
    ));
    for trial in run.trials() {
        let levels = &trial["levels"];
        let known: Vec<_> = run.facts(trial, "handshake").iter().map(|fact| fact["handshake"].clone()).collect();
        let one_each = ["sse/h1", "quic/quic"].contains(&levels["protocol"].as_str().unwrap());
        let on_quic = ["sse/h3", "quic/quic"].contains(&levels["protocol"].as_str().unwrap());
        let connections = if one_each { 3 } else { 1 };
        let expected = match levels["workload.prepare"].as_str().unwrap() {
            "early" => vec![json!("early"); connections],
            // quinn doesn't tell a server how its client was known.
            "ticket" if !on_quic => vec![json!("resumed"); connections],
            _ => vec![],
        };
        // On loopback a handshake on QUIC may be over before anybody looks at what came early: then it is no longer that.
        let told = if on_quic { known.len().min(expected.len()) } else { expected.len() };
        assert_eq!(known, expected[..told], "{levels}");
        assert_eq!(trial["metrics"]["connections"]["median"], connections, "{levels}");
    }
}

#[test]
fn a_connection_that_is_there_carries_what_is_asked_for_later() {
    let run = completed(&format!(
        "client = 'native'\n[factors]\nprotocol = ['sse/h3', 'websocket/h2', 'webtransport/h3']\n[workload]\n\
         prepare = 'connection'\n{SHORT}"
    ));
    for trial in run.trials() {
        let first = |kind| run.facts(trial, kind)[0]["t"].as_u64().unwrap();
        assert!(first("connected") < first("requested"), "{}", trial["levels"]);
        assert_eq!(run.facts(trial, "connected").len(), 1, "{}", trial["levels"]);
    }
}

#[test]
fn what_is_not_safe_to_be_said_twice_goes_out_with_no_first_packet() {
    let run = any(&format!(
        "client = 'native'\n[factors]\nprotocol = ['websocket/h1', 'webtransport/h3', 'sse/h2']\n[workload]\n\
         prepare = 'early'\ndirection = 'up'\n{SHORT}"
    ));
    for trial in run.trials() {
        let reason = trial["reason"].as_str().unwrap();
        assert_eq!(trial["outcome"], "unsupported", "{reason}");
        assert!(reason.contains("not safe to be said twice"), "{reason}");
    }
}

#[test]
fn each_trial_says_what_carried_it_at_both_ends() {
    let run = completed(&format!(
        "client = 'native'\n[factors]\nprotocol = ['sse/h2', 'sse/h3']\n\"stack.congestion\" = ['unset', 'reno']\n\
         [stack]\nprofile = 'parity'\n[workload]\n{SHORT}"
    ));
    let ours = |congestion: &str| if congestion == "unset" { "cubic" } else { "reno" };
    for trial in run.trials() {
        let levels = &trial["levels"];
        let congestion = ours(levels["stack.congestion"].as_str().unwrap());
        for end in ["server", "client"] {
            let stack = &trial["stack"][end];
            let over = if levels["protocol"] == "sse/h3" { "quic" } else { "tcp" };
            assert_eq!(stack["over"], over, "{levels} {stack}");
            // Cubic may be root's alone to choose; every Linux lets everybody have Reno.
            if over == "quic" || congestion == "reno" {
                assert_eq!(stack["congestion"], congestion, "{levels} {stack}");
            }
        }
        let window = &trial["stack"]["server"]["initial-window"];
        let expected = if levels["protocol"] == "sse/h3" { json!("14480 B") } else { json!(10) };
        assert_eq!(*window, expected, "ten segments");
        assert!(trial["stack"]["versions"]["rustls"].is_string(), "{}", trial["stack"]);
    }
}

#[test]
fn a_connection_on_quic_is_over_after_the_silence_that_is_set() {
    let run = any("client = 'native'\nexpect = { delivery = 'observe', counts = 'observe' }\n[factors]\n\
         protocol = ['sse/h3', 'sse/h2']\n\"stack.idle-timeout\" = ['2s', '10min']\n[server]\n\
         ping = 'off'\nheartbeat = 'off'\n[workload]\nhold = '4s'\nsettle = '300ms'\ndrain = '300ms'\nprobe = false\n\
         events = { count = 1, rate = '10/s' }\n");
    for trial in run.trials() {
        let levels = &trial["levels"];
        let ends = levels["protocol"] != "sse/h2" && levels["stack.idle-timeout"] == "2s";
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        assert_eq!(trial["metrics"]["open-streams"]["median"], i32::from(!ends), "{levels}");
        if levels["protocol"] == "sse/h3" {
            let timeout = &trial["stack"]["server"]["idle-timeout"];
            assert_eq!(*timeout, if ends { "2s" } else { "600s" }, "{levels}");
        }
    }
}
