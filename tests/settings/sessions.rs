//! Sessions of QUIC, by the native client and in the browsers that have them.

use crate::run::{any, completed};

const WORKLOAD: &str = "[workload]\nsubscribers = 2\nsettle = '200ms'\ndrain = '500ms'\n";

#[test]
fn every_mode_delivers_a_thousand_events_to_the_native_client() {
    for protocol in ["quic/quic", "webtransport/h3"] {
        let transport = protocol.split('/').next().unwrap();
        let text = |modes: &str, expect: &str| {
            completed(&format!(
                "client = 'native'\nprotocol = '{protocol}'\n[factors]\n\"{transport}.mode\" = [{modes}]\n{WORKLOAD}\
                 hold = '900ms'\nevents = {{ count = 1000, rate = '2000/s' }}\n{expect}"
            ))
        };
        // Exactly once, by default.
        text("'stream', 'streams'", "");
        let run = text("'datagrams'", "[expect]\ndelivery = 'at-most-once'\ncounts = 'observe'\n");
        let received = run.metric(&[], "events-received");
        // Nothing is lost on the way here, but a reader may be too slow for a moment.
        assert!(received > 1900, "{protocol}: {received} of 2002");
        let connections = run.metric(&[], "connections");
        assert_eq!(connections, if transport == "quic" { 2 } else { 1 }, "{protocol}");
    }
}

/// Two subscriptions in each browser, which the server ends in the middle.
fn in_browsers(settings: &str) {
    let run = completed(&format!(
        "protocol = 'webtransport/h3'\n{settings}\n{WORKLOAD}hold = '1300ms'\n\
         events = {{ count = 50, rate = '100/s', size = '500 B' }}\n\
         [[fault]]\nat = '900ms'\nkind = 'close-streams'\n[expect]\ndelivery = 'observe'\ncounts = 'observe'\n\
         [factors]\nclient = ['chromium', 'firefox']\n"
    ));
    for trial in run.trials() {
        let levels = &trial["levels"];
        let attached = run.facts(trial, "attached").len();
        assert_eq!(attached, 2, "{levels}: a session each, however many connections that takes");
        let received: usize = run.facts(trial, "received").iter().map(|f| f["t"].as_array().unwrap().len()).sum();
        if settings.contains("datagrams") {
            assert!(received >= 90, "{levels}: {received} of 100, and some may be lost");
        } else {
            assert_eq!(received, 100, "{levels}");
        }
        let closed = run.facts(trial, "closed");
        assert_eq!(closed.len(), 2, "{levels}");
        for fact in closed {
            assert_eq!(fact["reason"], "the session ended: code 0, the feed ended its readers", "{levels}");
        }
    }
}

#[test]
fn browsers_read_a_stream_for_each_event_and_see_why_the_session_ends() {
    in_browsers("webtransport = { mode = 'streams' }");
}

#[test]
fn browsers_read_datagrams_and_see_why_the_session_ends() {
    in_browsers("webtransport = { mode = 'datagrams' }");
}

#[test]
fn browsers_trust_a_server_by_the_hash_of_its_certificate_alone() {
    in_browsers("webtransport = { trust = 'hash' }");
}

#[test]
fn who_is_offered_its_dialect_opens_sessions_in_it_and_nobody_else_does() {
    let run = completed(&format!(
        "protocol = 'webtransport/h3'\n{WORKLOAD}hold = '1s'\nevents = {{ count = 2, rate = '4/s' }}\n\
         [expect]\ndelivery = 'observe'\ncounts = 'observe'\n[factors]\nclient = ['chromium', 'firefox', 'native']\n\
         \"webtransport.dialects\" = ['all', 'draft-02', 'draft-07']\n"
    ));
    let words = |value: &serde_json::Value| {
        match value {
            serde_json::Value::String(_) => vec!["draft-02", "draft-07", "draft-13", "draft-15"],
            list => list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect(),
        }
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>()
    };
    // What each client's settings name, where all is offered.
    let mut speaks = std::collections::BTreeMap::new();
    for trial in run.trials() {
        let (levels, told) = (&trial["levels"], run.facts(trial, "webtransport-dialect"));
        let (client, offered) = (levels["client"].to_string(), words(&levels["webtransport.dialects"]));
        if let Some(fact) = told.first().filter(|_| offered.len() > 1) {
            speaks.insert(client.clone(), words(&fact["sent"]));
        }
        let spoken = &speaks[&client];
        let common = offered.iter().any(|dialect| spoken.contains(dialect));
        assert_eq!(!told.is_empty(), common, "{levels}: it speaks {spoken:?}");
        assert_eq!(!run.facts(trial, "attached").is_empty(), common, "{levels}");
        for fact in &told {
            let taken = fact["taken"].as_str().unwrap();
            assert!(offered.iter().any(|word| word == taken) && spoken.iter().any(|word| word == taken), "{fact}");
            let draft = trial["metrics"]["webtransport-dialect"]["median"].as_f64().unwrap();
            assert_eq!(format!("draft-{draft:02}"), taken, "{levels}");
        }
    }
    assert_eq!(speaks.len(), 3);
}

#[test]
fn as_many_streams_are_left_open_as_a_client_lets_a_server_have() {
    let run = completed(&format!(
        "client = 'native'\nprotocol = 'quic/quic'\n{WORKLOAD}hold = '900ms'\n\
         events = {{ count = 200, rate = '1000/s' }}\n[quic]\nmode = 'streams'\nfinish = false\n\
         [expect]\ndelivery = 'observe'\ncounts = 'observe'\n"
    ));
    assert_eq!(run.metric(&[], "events-received"), 200, "100 at each of two subscriptions");
    assert_eq!(run.metric(&[], "open-streams"), 0, "the census waits behind them");
}

#[test]
fn what_cannot_be_says_why() {
    let reason = |client: &str, protocol: &str, more: &str| {
        let run = any(&format!(
            "client = '{client}'\nprotocol = '{protocol}'\n{WORKLOAD}hold = '1s'\n\
                                events = {{ count = 1 }}\n{more}"
        ));
        assert_eq!(run.trials()[0]["outcome"], "unsupported");
        run.trials()[0]["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason("webkit", "webtransport/h3", ""), "WebKitGTK has no HTTP/3");
    assert_eq!(reason("chromium", "quic/quic", ""), "no browser lets a page speak QUIC without HTTP/3");
    let fetch = "[[beside]]\nat = '0s'\nkind = 'fetch'\n";
    assert!(reason("native", "quic/quic", fetch).starts_with("raw QUIC has sessions and no requests"));
}
