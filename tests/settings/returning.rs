//! Coming back: who does, when, and who is told not to.

use serde_json::Value;

use crate::run::{Run, completed};

/// Cut off once, and then turned away for good.
const TWICE: &str = "[workload]\nsubscribers = 2\nsettle = '400ms'\nhold = '1700ms'\ndrain = '300ms'\n\
                     events = { count = 60, rate = '50/s' }\n\
                     [[fault]]\nat = '600ms'\nkind = 'close-streams'\n\
                     [[fault]]\nat = '1200ms'\nkind = 'no-content'\nfor = '700ms'\n\
                     [reconnect]\ntries = 50\ndelay = '40ms'\nfactor = 1\njitter = 'none'\n";

/// A subscription's life in order: what it did, and why it ended.
fn life(run: &Run, trial: &Value, sub: u64) -> Vec<(String, u64, String)> {
    let kinds = ["requested", "opened", "closed"];
    let facts = kinds.iter().flat_map(|kind| run.facts(trial, kind)).filter(|fact| fact["sub"] == sub);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut life: Vec<_> =
        facts.map(|fact| (text(&fact["kind"]), fact["t"].as_u64().unwrap(), text(&fact["reason"]))).collect();
    life.sort_by_key(|(_, t, _)| *t);
    life
}

fn kinds(life: &[(String, u64, String)]) -> Vec<&str> {
    life.iter().map(|(kind, ..)| kind.as_str()).collect()
}

#[test]
fn a_script_comes_back_after_its_wait_with_what_it_missed_and_not_after_a_204() {
    let run = completed(&format!(
        "protocol = 'sse/h2'\n[factors]\nclient = ['native', 'chromium', 'firefox']\n{TWICE}[sse]\n\
         reader = 'fetch'\n"
    ));
    for trial in run.trials() {
        for sub in 0..2 {
            let life = life(&run, trial, sub);
            // A browser may open so late that it was cut off before: then it comes back once and not twice.
            let kinds = kinds(&life);
            let (asked, ends) = kinds.split_at(life.len() - 2);
            assert_eq!(ends, ["requested", "closed"], "{}: {life:?}", trial["levels"]);
            assert!(
                asked.chunks(3).all(|one| one == ["requested", "opened", "closed"]),
                "{}: {life:?}",
                trial["levels"]
            );
            assert!((1..=2).contains(&(asked.len() / 3)), "{}: {life:?}", trial["levels"]);
            assert!(life.last().unwrap().2.contains("204"), "{}: {life:?}", trial["levels"]);
            for pair in life.windows(2).filter(|pair| pair[0].0 == "closed") {
                assert!(pair[1].1 - pair[0].1 >= 39_000_000, "it waited: {}: {life:?}", trial["levels"]);
            }
        }
        assert_eq!(trial["metrics"]["open-streams"]["median"], 0.0, "{}", trial["levels"]);
    }
}

#[test]
fn an_eventsource_is_left_to_the_browser() {
    let run = completed(&format!("client = 'chromium'\nprotocol = 'sse/h2'\n{TWICE}[sse]\nretry = '100ms'\n"));
    let life = life(&run, &run.trials()[0], 0);
    assert_eq!(kinds(&life)[..4], ["requested", "opened", "closed", "opened"], "{life:?}");
    assert!(life[3].1 - life[2].1 >= 99_000_000, "the server's wait, not the file's: {life:?}");
    assert_eq!(life.last().unwrap().2, "the browser gave up", "{life:?}");
}

#[test]
fn waits_grow_while_the_server_refuses_and_nothing_is_missed() {
    let run = completed(
        "[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3']\n[workload]\nsettle = '300ms'\nhold = '1500ms'\n\
         drain = '300ms'\nevents = { count = 60, rate = '50/s' }\n[[fault]]\nat = '500ms'\nkind = 'refuse'\n\
         for = '400ms'\n[reconnect]\ntries = 50\ndelay = '40ms'\njitter = 'none'\n",
    );
    for trial in run.trials() {
        let life = life(&run, trial, 0);
        let closed: Vec<_> = life.iter().filter(|(kind, ..)| kind == "closed").collect();
        assert!(closed.len() >= 3 && closed[1..].iter().all(|(.., why)| why.contains("503")), "{life:?}");
        let waits = life.windows(2).filter(|pair| pair[0].0 == "closed").map(|pair| pair[1].1 - pair[0].1);
        for (wait, least) in waits.zip([40, 80, 160, 320]) {
            assert!(wait >= least * 1_000_000, "{least} ms: {life:?}");
        }
        assert_eq!(trial["metrics"]["open-streams"]["median"], 1.0, "{}", trial["levels"]);
    }
}
