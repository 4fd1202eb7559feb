//! Polling, long polling and HTTP streaming in whole runs: what is published is received once, whatever asks for it.

use crate::run::{any, completed};

/// A workload for requests that come and go, on connections that are there already.
const SHORT: &str = "subscribers = 8\nopen = 'after-settings'\ndrain = '600ms'\n\
                     events = { count = 5, rate = '20/s', size = '200 B' }\n[polling]\ninterval = '250ms'\n";
/// When, where a process of its own reads.
const NATIVE: &str = "[workload]\nhold = '700ms'\nsettle = '300ms'\n";
/// When, where a browser reads.
const BROWSER: &str = "[workload]\nhold = '1200ms'\nsettle = '800ms'\n";

#[test]
fn the_native_client_receives_everything_once_by_any_kind_of_request() {
    let run = completed(&format!(
        "[factors]\nprotocol = ['polling/h1', 'polling/h2', 'polling/h3', 'long-polling/h1', 'long-polling/h2', \
         'long-polling/h3', 'streaming/h1', 'streaming/h2', 'streaming/h3']\n{NATIVE}{SHORT}"
    ));
    assert_eq!(run.trials().len(), 9);
    for trial in run.trials() {
        // Five, and the census; that none came twice, and that both ends agree, is the judge's to say.
        assert_eq!(trial["metrics"]["events-received"]["median"], 48.0, "{}", trial["levels"]);
        assert_eq!(trial["metrics"]["open-streams"]["median"], 8.0, "{}", trial["levels"]);
        let metrics = &trial["metrics"]["connections"];
        match trial["levels"]["protocol"].as_str().unwrap().split_once('/').unwrap() {
            ("polling", _) => assert!(metrics["absent"].as_str().unwrap().contains("between two polls"), "{metrics}"),
            (_, "h1") => assert_eq!(metrics["median"], 8.0, "{}", trial["levels"]),
            _ => assert_eq!(metrics["median"], 1.0, "{}", trial["levels"]),
        }
    }
}

#[test]
fn polls_keep_a_connection_or_take_a_new_one_each_and_may_be_spread() {
    let run = completed(&format!(
        "[factors]\nprotocol = ['polling/h1', 'polling/h2']\n\"polling.connection\" = ['keep-alive', 'new']\n\
         {NATIVE}{SHORT}phase = 'zero'\netag = true\n"
    ));
    for trial in run.trials() {
        let (connected, attached) = (run.facts(trial, "connected").len(), run.facts(trial, "attached").len());
        // Before `go`, and for the probe of mid-hold.
        let others = 2;
        assert!(attached >= 8 * 4, "{attached} polls: {}", trial["levels"]);
        match (trial["levels"]["protocol"].as_str().unwrap(), trial["levels"]["polling.connection"].as_str().unwrap()) {
            (_, "new") => assert!((attached..=attached + others + 8).contains(&connected), "{connected} of {attached}"),
            ("polling/h1", _) => assert_eq!(connected, 8 + others, "{}", trial["levels"]),
            _ => assert_eq!(connected, 1, "{}", trial["levels"]),
        }
    }
}

#[test]
fn a_page_receives_everything_once_in_every_browser() {
    for factors in [
        "client = ['chromium']\nprotocol = ['polling/h2', 'long-polling/h1', 'streaming/h2']",
        "client = ['firefox', 'webkit']\nprotocol = ['long-polling/h1']",
    ] {
        let run = completed(&format!("[factors]\n{factors}\n{BROWSER}{SHORT}"));
        for trial in run.trials() {
            // Eight long polls take turns on a browser's six connections.
            assert_eq!(trial["metrics"]["open-streams"]["median"], 8.0, "{}", trial["levels"]);
            assert_eq!(trial["metrics"]["events-received"]["median"], 48.0, "{}", trial["levels"]);
        }
    }
}

#[test]
fn a_browser_does_not_let_a_page_take_a_new_connection_for_each_poll() {
    let run = any(&format!("client = 'firefox'\nprotocol = 'polling/h2'\n{BROWSER}{SHORT}connection = 'new'\n"));
    assert_eq!(run.trials()[0]["outcome"], "unsupported");
    assert_eq!(run.trials()[0]["reason"], "a browser decides its own connections, and keeps one for the next fetch");
}

/// A stream that ends before its first event, which is published before its reader is back, and the census after.
const CUT_OFF: &str = "[workload]\nopen = 'after-settings'\nsettle = '900ms'\nhold = '2200ms'\ndrain = '500ms'\n\
                       events = { count = 1, rate = '10/s' }\n[reconnect]\ntries = 3\ndelay = '1s'\njitter = 'none'\n[sse]\n\
                       retry = '1s'\n[expect]\ndelivery = 'observe'\n[[fault]]\nat = '500ms'\nkind = 'close-streams'\n";

#[test]
fn an_id_without_an_event_is_a_place_to_go_on_from_in_chromium() {
    let run = completed(&format!(
        "client = 'chromium'\nprotocol = 'sse/h2'\n[factors]\n\"sse.greeting\" = [true, false]\n{CUT_OFF}"
    ));
    for trial in run.trials() {
        let lost = if trial["levels"]["sse.greeting"] == true { 0.0 } else { 1.0 };
        assert_eq!(trial["metrics"]["lost"]["median"], lost, "{}", trial["levels"]);
    }
}

#[test]
fn a_native_reader_that_is_cut_off_before_any_event_knows_its_place() {
    let run = completed(&format!("[factors]\nprotocol = ['sse/h2', 'streaming/h2', 'long-polling/h2']\n{CUT_OFF}"));
    for trial in run.trials() {
        assert_eq!(trial["metrics"]["lost"]["median"], 0.0, "{}", trial["levels"]);
        assert_eq!(trial["metrics"]["events-received"]["median"], 2.0, "{}", trial["levels"]);
    }
}
