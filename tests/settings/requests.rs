//! What is asked for, how: addresses, credentials, readers, and other requests beside.

use std::fmt::Write;

use crate::run::completed;

/// On connections that are there already: the first of a browser that has just started can take longer than all this.
const SHORT: &str = "[workload]\nopen = 'after-settings'\nhold = '1200ms'\nsettle = '800ms'\ndrain = '500ms'\n\
                     events = { count = 1, rate = '10/s' }\n";

#[test]
fn equal_addresses_are_counted_alike_at_both_ends_whatever_reads_them() {
    let run = completed(&format!(
        "protocol = 'sse/h2'\n[factors]\nclient = ['firefox', 'native']\n\"sse.reader\" = ['eventsource', 'fetch']\n\
         \"sse.cache\" = ['no-store', 'default']\n{SHORT}subscribers = 8\nurls = 'identical'\n"
    ));
    assert_eq!(run.trials().len(), 4, "native reads in one way, an EventSource has one cache mode");
    for trial in run.trials() {
        assert!(run.facts(trial, "attached").iter().all(|fact| fact["sub"].is_null()), "{}", trial["levels"]);
        // Firefox lets one request at a time ask what it may put into its cache.
        let open = if trial["levels"]["sse.cache"] == "default" { 1.0 } else { 8.0 };
        assert_eq!(trial["metrics"]["open-streams"]["median"], open, "{}", trial["levels"]);
        assert_eq!(trial["metrics"]["server-open-streams"]["median"], open, "{}", trial["levels"]);
    }
}

#[test]
fn a_fetch_reads_what_an_eventsource_reads() {
    let run = completed(&format!(
        "protocol = 'sse/h1'\n[factors]\nclient = ['chromium', 'webkit']\n{SHORT}subscribers = 8\n[sse]\n\
         reader = 'fetch'\n"
    ));
    for trial in run.trials() {
        assert_eq!(trial["metrics"]["open-streams"]["median"], 6.0, "{}", trial["levels"]);
        assert_eq!(trial["metrics"]["events-received"]["median"], 12.0, "{}", trial["levels"]);
    }
}

#[test]
fn subscriptions_with_and_without_credentials_have_a_connection_each_in_chromium() {
    let run = completed(&format!(
        "client = 'chromium'\nprotocol = 'sse/h2'\n[factors]\n\"workload.credentials\" = ['both', 'include']\n\
         {SHORT}subscribers = 20\n[server]\nmax-concurrent-streams = 5\n"
    ));
    let of = |mode| ["open-streams", "connections"].map(|metric| run.metric(&[("workload.credentials", mode)], metric));
    assert_eq!((of("both"), of("include")), ([10, 2], [5, 1]));
    let attached = run.facts(run.trial(&[("workload.credentials", "both")]), "attached");
    for fact in &attached {
        let same = attached.iter().filter(|other| other["conn"] == fact["conn"]);
        assert!(same.into_iter().all(|other| other["sub"].as_u64().unwrap() % 2 == fact["sub"].as_u64().unwrap() % 2));
    }
}

#[test]
fn every_kind_of_request_beside_is_sent_and_answered() {
    let mut text = format!("protocol = 'sse/h2'\n[factors]\nclient = ['chromium', 'firefox', 'webkit']\n{SHORT}");
    let expected = [
        ("fetch", "omit", "204"),
        ("fetch", "same-origin", "204"),
        ("fetch", "include", "204"),
        ("image", "omit", "loaded"),
        ("websocket", "omit", "error: the handshake was refused, or there was no connection"),
        ("navigation", "omit", "loaded"),
    ];
    for (kind, credentials, _) in expected {
        write!(text, "[[beside]]\nat = '300ms'\nkind = '{kind}'\ncredentials = '{credentials}'\n").unwrap();
    }
    let run = completed(&text);
    for trial in run.trials() {
        assert_eq!(run.facts(trial, "beside-sent").len(), expected.len(), "{}", trial["levels"]);
        let answered = run.facts(trial, "beside-answered");
        for (actor, (kind, credentials, how)) in expected.iter().enumerate() {
            let answers: Vec<_> = answered.iter().filter(|fact| fact["actor"] == actor).collect();
            assert_eq!(answers.len(), 1, "{kind} {credentials}: {}", trial["levels"]);
            assert_eq!(answers[0]["how"], *how, "{kind} {credentials}: {}", trial["levels"]);
        }
    }
}

#[test]
fn beside_six_streams_of_http_1_a_fetch_and_an_image_wait_in_chromium_and_a_websocket_does_not() {
    let mut text = format!("client = 'chromium'\nprotocol = 'sse/h1'\n{SHORT}subscribers = 8\n");
    for kind in ["fetch", "image", "websocket"] {
        write!(text, "[[beside]]\nat = '400ms'\nkind = '{kind}'\n").unwrap();
    }
    let run = completed(&text);
    let trial = &run.trials()[0];
    assert_eq!(run.facts(trial, "beside-sent").len(), 3);
    let answered = run.facts(trial, "beside-answered");
    assert_eq!(answered.iter().map(|fact| fact["actor"].as_u64().unwrap()).collect::<Vec<_>>(), [2]);
}

#[test]
fn the_native_client_fetches_beside() {
    let run = completed(&format!(
        "client = 'native'\n[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3']\n{SHORT}[[beside]]\nat = '300ms'\n\
         kind = 'fetch'\n"
    ));
    for trial in run.trials() {
        assert_eq!(run.facts(trial, "beside-answered")[0]["how"], "204", "{}", trial["levels"]);
    }
}
