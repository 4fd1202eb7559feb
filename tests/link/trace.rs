//! A link that is traced: every event is found in the packets that carried it, whatever carried it.

use std::collections::BTreeMap;

use serde_json::Value;
use transport_lab::transport;
use transport_lab::trial::fact::EventIds;

use crate::can_link;
use crate::trials::{SLOW, metric, run, run_from};

/// Few events, each of which is cut by frames of HTTP/2, which hold 16 KiB.
const LONG: &str = "question = 'Is it true?'\n[workload]\nprobe = false\nhold = '2s'\n\
                    events = { count = 4, rate = '4/s', size = '60 KiB' }\n";

/// The facts of one kind in one trial.
fn of<'j>(journal: &'j [Value], trial: &Value, kind: &str) -> Vec<&'j Value> {
    journal.iter().filter(|fact| fact["trial"] == trial["trial"] && fact["kind"] == kind).collect()
}

/// When each event was first received, by its id.
fn received(journal: &[Value], trial: &Value) -> BTreeMap<String, u64> {
    let mut received = BTreeMap::new();
    for fact in of(journal, trial, "received") {
        let ids: EventIds = serde_json::from_value(fact["ids"].clone()).unwrap();
        for (id, t) in ids.iter().zip(fact["t"].as_array().unwrap()) {
            received.entry(id.to_owned()).or_insert(t.as_u64().unwrap());
        }
    }
    received
}

/// Each event's packets, by its id. Each was sent once.
fn on_link<'j>(journal: &'j [Value], trial: &Value) -> BTreeMap<String, &'j Vec<Value>> {
    let mut on_link = BTreeMap::new();
    for fact in of(journal, trial, "event-on-link") {
        let id = fact["id"].as_str().unwrap().to_owned();
        assert!(on_link.insert(id, fact["packets"].as_array().unwrap()).is_none(), "twice: {fact}");
    }
    on_link
}

#[test]
fn every_event_of_every_protocol_is_found_in_the_packets_that_carried_it() {
    if !can_link() {
        return;
    }
    let protocols = transport::ALL
        .iter()
        .flat_map(|transport| transport.alpns.iter().map(|alpn| format!("'{}/{}'", transport.name, alpn.name())));
    let protocols: Vec<_> = protocols.collect();
    let (summary, journal) = run(&format!(
        "drain = '1500ms'\n[factors]\nprotocol = [{}]\n[link]\ndelay = '5ms'\ntrace = true\n",
        protocols.join(", ")
    ));
    let trials = summary["trials"].as_array().unwrap();
    assert_eq!(trials.len(), protocols.len());
    for trial in trials {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let traced = of(&journal, trial, "link-traced");
        assert_eq!((&traced[0]["missed"], &traced[0]["opaque"]), (&0.into(), &0.into()), "{levels}: {traced:?}");
        assert_found(&journal, trial);
    }
}

/// Whatever was received is found, in packets that came before it was, where none is lost: one that is sent again all
/// the same may come later.
fn assert_found(journal: &[Value], trial: &Value) {
    let levels = &trial["levels"];
    let (received, on_link) = (received(journal, trial), on_link(journal, trial));
    // A page's clock may be off; three times its uncertainty is what the lab itself takes for possible.
    let unsure = of(journal, trial, "clock").into_iter().filter_map(|clock| clock["uncertainty"].as_u64()).max();
    let unsure = 3 * unsure.unwrap_or(0);
    // Who begins late reads from then on: how many that are is no test's business, but the census is for all.
    assert!(!received.is_empty(), "{levels}");
    for (id, received) in received {
        let packets = on_link.get(&id).unwrap_or_else(|| panic!("{levels}: {id} was not found"));
        let first = packets.iter().filter(|packet| packet["again"] != true);
        let arrived = first.map(|packet| packet["arrives"].as_u64().unwrap()).max().unwrap();
        assert!(arrived <= received + unsure, "{levels}: {id} was received at {received}, and {packets:?} came later");
    }
}

#[test]
fn an_event_that_is_longer_than_a_frame_of_http_2_is_found() {
    if !can_link() {
        return;
    }
    let (summary, journal) = run_from(
        LONG,
        "[factors]\nprotocol = ['sse/h2', 'websocket/h2']\n[link]\ndelay = '5ms'\nrate = '20 Mbit/s'\ntrace = true\n",
    );
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        assert_found(&journal, trial);
    }
}

#[test]
fn what_a_proxy_sends_is_looked_into_with_the_secrets_of_its_client() {
    if !can_link() {
        return;
    }
    let (summary, journal) = run_from(
        LONG,
        "[factors]\nclient = ['native', 'chromium']\nprotocol = ['sse/h2', 'sse/h3']\n\
         [between]\nintermediary = 'caddy'\nconfig = 'streaming'\n[link]\ndelay = '5ms'\ntrace = true\n",
    );
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        assert_eq!(of(&journal, trial, "link-traced")[0]["opaque"], 0, "{levels}");
        assert_found(&journal, trial);
    }
}

#[test]
fn an_event_whose_packet_is_dropped_is_found_again_in_the_one_that_brings_it() {
    if !can_link() {
        return;
    }
    let (summary, journal) = run_from(
        SLOW,
        "drain = '3s'\n[factors]\nprotocol = ['sse/h2', 'sse/h3']\n[link]\ndelay = '5ms'\nloss = '5%'\ntrace = true\n",
    );
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let ended = of(&journal, trial, "link-ended")[0];
        let dropped: Vec<u64> =
            ended["down-dropped"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
        let mut hit = 0;
        for packets in on_link(&journal, trial).values() {
            for packet in *packets {
                let number = packet["number"].as_u64().unwrap();
                assert_eq!(packet["arrives"].is_null(), dropped.contains(&number), "{levels}: {packet}");
            }
            if packets.iter().any(|packet| packet["arrives"].is_null()) {
                hit += 1;
                let brought = packets.iter().rfind(|packet| packet["arrives"].is_u64());
                assert_eq!(brought.map(|packet| &packet["again"]), Some(&true.into()), "{levels}: {packets:?}");
            }
        }
        assert!(hit > 0, "{levels}: of 500 events none was hit");
        // Whoever's packet is lost waits for another round trip at least: that of the answer that says so.
        assert!(metric(trial, "own-loss-delay") > 0.0);
        assert!(metric(trial, "hol-delay") >= 0.0);
        assert!(metric(trial, "event-packets-dropped") >= 1.0);
    }
}

#[test]
fn what_browsers_are_sent_is_looked_into_as_well() {
    if !can_link() {
        return;
    }
    let (summary, journal) = run_from(
        SLOW,
        "drain = '3s'\n[factors]\nclient = ['chromium', 'firefox', 'webkit']\nprotocol = ['sse/h2', \
         'sse/h3']\n[link]\ndelay = '5ms'\ntrace = true\n",
    );
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        if trial["outcome"] == "unsupported" && trial["reason"].as_str().unwrap().starts_with("WebKitGTK has no ") {
            continue;
        }
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let on_link = on_link(&journal, trial);
        for id in received(&journal, trial).keys() {
            assert!(on_link.contains_key(id), "{levels}: {id} was not found");
        }
    }
}
