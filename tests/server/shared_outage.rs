//! NATS goes away while servers share their feeds in it: what is held is read on, nothing is published that isn't there
//! afterwards, and nobody is told of more than is so.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use transport_lab::broker::{Broker, BrokerNode, BrokerOptions};
use transport_lab::trial::{Alpn, ServerFact};

use crate::lab::{Lab, until};
use crate::nats::Nats;
use crate::shared::{data, polled, sharing};

/// Posts this, until it is taken; gives back the event's id.
#[track_caller]
fn insist(lab: &Lab, id: &str, data: &str) -> String {
    let mut taken = String::new();
    until("the event to be taken", || {
        let answer = lab.ask(Alpn::H2, &format!("/feeds/news?id={id}"), &["--data-binary", data]);
        if answer.head.status == 201 {
            answer.json()["id"].as_str().unwrap().clone_into(&mut taken);
        } else {
            assert_eq!((answer.head.status, &*answer.head.field("retry-after")), (503, "1"), "{answer:?}");
        }
        !taken.is_empty()
    });
    taken
}

#[test]
fn readers_stay_while_nats_is_away_and_go_on_without_loss_when_it_is_back() {
    let mut nats = Nats::start();
    let labs = [sharing(&nats, &[]), sharing(&nats, &[])];
    let mut readers = [&labs[0], &labs[1]].map(|lab| lab.subscribe(Alpn::H2, "/feeds/news/sse", &[]));
    let first = labs[0].publish(Alpn::H1, "news", b"before");
    for reader in &mut readers {
        assert_eq!(reader.next().data, "before");
    }
    nats.kill();
    until("the outage to be noticed", || labs.iter().all(|lab| lab.log().contains("NATS is away")));
    for lab in &labs {
        let refused = lab.ask(Alpn::H2, "/feeds/news", &["--data-binary", "x"]);
        refused.assert_refused(503, "away");
        assert_eq!(refused.head.field("retry-after"), "1");
        assert_eq!(data(&polled(lab, "news", "0")), ["before"], "what is held is served");
        assert_eq!(polled(lab, "news", &first), [] as [Value; 0]);
        // There is nothing of a feed that was never read here, and nobody can say what there should be.
        lab.ask(Alpn::H2, "/feeds/other/polling?after=0", &["--max-time", "30"]).assert_refused(503, "away");
    }
    nats.again();
    let id = insist(&labs[0], "m-1", "after");
    assert_eq!(insist(&labs[1], "m-1", "after"), id);
    assert_eq!(id.split_once('-').unwrap().1, "2", "what was refused is not there");
    for reader in &mut readers {
        let event = reader.next();
        assert_eq!((event.id.as_str(), event.data.as_str()), (id.as_str(), "after"));
    }
    assert!(labs.iter().all(|lab| lab.log().contains("NATS is back")));
}

#[test]
fn a_store_that_was_lost_is_a_new_epoch_and_readers_that_come_back_are_told_of_the_gap() {
    let mut nats = Nats::start();
    let labs = [sharing(&nats, &[]), sharing(&nats, &[])];
    let mut reader = labs[1].subscribe(Alpn::H2, "/feeds/news/sse", &[]);
    let old = labs[0].publish(Alpn::H1, "news", b"lost");
    assert_eq!(reader.next().data, "lost");
    nats.kill();
    nats.forget();
    nats.again();
    let new = insist(&labs[0], "m-1", "new");
    assert!(new.ends_with("-1") && new != old, "{new}");
    reader.expect_end();
    for lab in &labs {
        until("the new log to be followed", || data(&polled(lab, "news", &new)).is_empty());
        let events = polled(lab, "news", &old);
        let gap = json!({"name": "gap", "missed": null, "first": new});
        assert_eq!((&events[0], &events[1]["data"], events.len()), (&gap, &json!("new"), 2));
    }
}

#[test]
fn a_node_that_hangs_is_an_outage_and_what_was_under_way_is_there_once() {
    let nats = Nats::start();
    let lab = sharing(&nats, &[]);
    lab.publish(Alpn::H1, "news", b"1");
    nats.signal(Signal::SIGSTOP);
    // It is handed on and not acknowledged, so that nobody can say whether it is there.
    let answer = lab.ask(Alpn::H2, "/feeds/news?id=m-2", &["--data-binary", "2"]);
    answer.assert_refused(503, "the same `id`");
    nats.signal(Signal::SIGCONT);
    insist(&lab, "m-2", "2");
    lab.publish(Alpn::H1, "news", b"3");
    assert_eq!(data(&polled(&lab, "news", "0")), ["1", "2", "3"]);
}

/// The number and the event of each that a trial's server has published.
fn published(lab: &Lab) -> Vec<(u64, u64)> {
    let mut published = Vec::new();
    lab.each_fact(|fact| {
        if let ServerFact::Published { id, event, .. } = fact {
            published.push((id.split_once('-').unwrap().1.parse().unwrap(), u64::from(*event)));
        }
    });
    published.sort_unstable();
    published
}

/// Each number once, each event once, in the order of the schedule.
#[track_caller]
fn assert_in_order(published: &[(u64, u64)]) {
    for (published, nth) in published.iter().zip(1..) {
        assert_eq!(*published, (nth, nth - 1));
    }
}

#[test]
fn a_trial_goes_on_publishing_in_order_when_its_node_was_killed() {
    let mut nats = Nats::start();
    let broker = BrokerOptions::at([nats.url()]);
    let settings = json!({
        "server": { "feeds": "nats" },
        "workload": { "hold": "3s", "settle": "0ms", "events": { "count": 300, "rate": "100/s" } },
    });
    let mut lab = Lab::trial_with(&settings, &["f0"], Some(broker));
    lab.go();
    until("some to be published", || published(&lab).len() > 50);
    nats.kill();
    until("the outage to be noticed", || lab.log().contains("NATS is away"));
    nats.again();
    until("all to be published", || published(&lab).len() == 301);
    assert_in_order(&published(&lab));
    let other = sharing(&nats, &[]);
    let events = polled(&other, "f0", "0");
    assert_eq!(events.len(), 301);
    for (event, seq) in events.iter().zip(1..) {
        assert!(transport_lab::feed::payload::is_right(seq, event["data"].as_str().unwrap()), "{event}");
    }
    lab.ask_to_stop();
    assert!(lab.ended().success());
}

#[test]
fn a_full_store_refuses_what_is_published_with_its_reason_and_readers_go_on() {
    // Room for the logs of two feeds of 8 MiB.
    let nats = Nats::start_as(BrokerNode { store_bytes: Some(20 << 20), ..BrokerNode::default() });
    let lab = sharing(&nats, &[]);
    let mut reader = lab.subscribe(Alpn::H2, "/feeds/news/sse", &[]);
    lab.publish(Alpn::H1, "news", b"1");
    lab.ask(Alpn::H2, "/feeds/more", &["--data-binary", "x"]).assert_refused(507, "full");
    assert_eq!(polled(&lab, "more", "0"), [] as [Value; 0]);
    lab.publish(Alpn::H1, "news", b"2");
    assert_eq!([reader.next().data, reader.next().data], ["1", "2"]);
}

#[test]
fn a_disk_that_is_full_refuses_what_is_published_and_nothing_that_was_taken_is_lost() {
    let Some(mut nats) = Nats::start_on_disk(64) else {
        eprintln!("skipped: filling a disk takes root, and a machine that lets root mount one in memory");
        return;
    };
    let lab = sharing(&nats, &[]);
    let mut reader = lab.subscribe(Alpn::H2, "/feeds/news/sse", &[]);
    lab.publish(Alpn::H1, "news", b"before");
    assert_eq!(reader.next().data, "before");
    let filler = nats.disk().join("filler");
    // It ends where there is no room any more.
    let full = std::fs::write(&filler, vec![0; 64 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    // A node that can't write answers nothing, and may have it or not. A little would have its place in a block that is
    // begun.
    let much = "x".repeat(50_000);
    let refused = lab.ask(Alpn::H2, "/feeds/news", &["--data-binary", &much]);
    refused.assert_refused(503, "the same `id`");
    lab.ask(Alpn::H2, "/feeds/more", &["--data-binary", "full"]).assert_refused(507, "the disk of NATS may be");
    assert_eq!(data(&polled(&lab, "news", "0")), ["before"], "what is held is served");
    std::fs::remove_file(&filler).unwrap();
    // What is there by now has its place.
    let mut room = false;
    until("a new log to be made", || {
        room = room || lab.ask(Alpn::H2, "/feeds/more", &["--data-binary", "room"]).head.status == 201;
        room
    });
    assert_eq!(data(&polled(&lab, "more", "0")), ["room"]);
    // A log that could not be written is one that its node writes no more until it is started again; its readers stay.
    nats.kill();
    nats.again();
    let after = insist(&lab, "m-1", "after");
    assert_eq!((data(&polled(&lab, "news", "0")), reader.next().id), (vec!["before", "after"], after));
}

/// The node that leads the log of this feed.
fn leader(nodes: &[Nats], feed: &str) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let broker = Broker::connect(BrokerOptions::at(nodes.iter().map(Nats::url))).await.unwrap();
        let name = broker.leader(feed).await.unwrap().unwrap();
        nodes.iter().position(|nats| nats.node.name == name).unwrap()
    })
}

#[test]
fn the_leader_of_three_nodes_is_killed_twice_and_no_acknowledged_event_is_lost() {
    let mut nodes = Nats::cluster();
    let urls = nodes.iter().map(Nats::url).collect::<Vec<_>>().join(",");
    let options = ["--feeds", &urls, "--replicas", "3"];
    let labs = [Lab::serve(&options), Lab::serve(&options)];
    let mut readers = [&labs[0], &labs[1]].map(|lab| lab.subscribe(Alpn::H2, "/feeds/news/sse", &[]));
    let mut taken = vec![];
    for k in 0..30 {
        if k == 10 || k == 20 {
            let leads = leader(&nodes, "news");
            nodes[leads].kill();
            if k == 10 {
                taken.push(insist(&labs[1], "without-it", "10"));
                nodes[leads].again();
                continue;
            }
        }
        taken.push(insist(&labs[k % 2], &format!("m-{k}"), &k.to_string()));
    }
    for reader in &mut readers {
        for (id, k) in taken.iter().zip(0..) {
            let event = reader.next();
            assert_eq!((&event.id, event.data), (id, k.to_string()));
        }
    }
}

#[test]
fn a_trial_publishes_on_through_two_changes_of_leader_and_readers_elsewhere_have_all_of_it_once() {
    let mut nodes = Nats::cluster();
    let urls: Vec<String> = nodes.iter().map(Nats::url).collect();
    let broker = BrokerOptions { replicas: 3, ..BrokerOptions::at(urls.clone()) };
    let settings = json!({
        "server": { "feeds": "nats" },
        // Long enough that there is something to be published after either change, however long one takes.
        "workload": { "hold": "30s", "settle": "0ms", "events": { "count": 1200, "rate": "40/s" } },
    });
    let mut lab = Lab::trial_with(&settings, &["f0"], Some(broker));
    let elsewhere = Lab::serve(&["--feeds", &urls.join(","), "--replicas", "3"]);
    let mut reader = elsewhere.subscribe(Alpn::H2, "/feeds/f0/sse?after=0", &[]);
    lab.go();
    for enough in [100, 400] {
        until("some to be published", || published(&lab).len() > enough);
        let leads = leader(&nodes, "f0");
        nodes[leads].kill();
        let before = published(&lab).len();
        until("more to be published without it", || published(&lab).len() > before + 20);
        nodes[leads].again();
    }
    until("all to be published", || published(&lab).len() == 1201);
    assert_in_order(&published(&lab));
    for seq in 1..=1201 {
        let event = reader.next();
        assert!(event.id.ends_with(&format!("-{seq}")), "{event:?} is not {seq}");
        assert!(transport_lab::feed::payload::is_right(seq, &event.data), "{event:?}");
    }
}
