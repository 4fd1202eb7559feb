//! Several servers whose feeds are in one NATS: whatever is published at one is read at all, in one order, under one id.

use serde_json::{Value, json};
use transport_lab::broker::BrokerOptions;
use transport_lab::trial::{Alpn, ServerFact};

use crate::lab::{Lab, until};
use crate::nats::Nats;

/// A server that shares its feeds there.
pub(crate) fn sharing(nats: &Nats, more: &[&str]) -> Lab {
    Lab::serve(&[&["--feeds", &nats.url()], more].concat())
}

/// What a person is told who starts a further server; it ends at once.
pub(crate) fn welcome(nats: &Nats, more: &[&str]) -> String {
    let mut told = String::new();
    let lab = Lab::serve_telling(&[&["--feeds", &nats.url()], more].concat(), |line| told += line);
    drop(lab);
    told
}

/// What a poll after this says: the events, and gaps among them.
#[track_caller]
pub(crate) fn polled(lab: &Lab, feed: &str, after: &str) -> Vec<Value> {
    let answer = lab.ask(Alpn::H2, &format!("/feeds/{feed}/polling?after={after}"), &[]);
    assert_eq!(answer.head.status, 200, "{answer:?}");
    answer.json()["events"].as_array().unwrap().clone()
}

/// The data of these events.
pub(crate) fn data(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["data"].as_str().unwrap_or("gap")).collect()
}

#[test]
fn every_server_has_the_same_events_in_the_same_order_whichever_way_they_are_read_and_published() {
    let nats = Nats::start();
    let labs = [sharing(&nats, &[]), sharing(&nats, &[])];
    // Before anything is published there is no log, and its readers wait for one.
    let mut streams: Vec<_> =
        labs.iter().flat_map(|lab| Alpn::HTTP.map(|alpn| lab.subscribe(alpn, "/feeds/news/sse", &[]))).collect();
    let ids: Vec<String> =
        (0..12).map(|k| labs[k % 2].publish(Alpn::HTTP[k % 3], "news", k.to_string().as_bytes())).collect();
    let epoch = ids[0].split_once('-').unwrap().0;
    let expected: Vec<String> = (1..=12).map(|seq| format!("{epoch}-{seq}")).collect();
    assert_eq!(ids, expected);
    for stream in &mut streams {
        for (id, k) in ids.iter().zip(0..) {
            let event = stream.next();
            assert_eq!((&event.id, event.data), (id, k.to_string()));
        }
    }
    // Each has what it publishes itself come back, and what came before.
    for (lab, events) in labs.iter().zip(["3", "4"]) {
        let said = lab.sessions(
            &[&format!("/feeds/news/quic?after={}", ids[9])],
            &["--bidi", "mine", "--events", events, "--close", "0"],
        );
        let read: Vec<_> = said.iter().filter_map(|line| line.get("event")).map(|event| &event["id"]).collect();
        assert_eq!(read[..2], [&json!(ids[10]), &json!(ids[11])]);
    }
    for lab in &labs {
        let events = polled(lab, "news", "0");
        assert_eq!(events[..12].iter().map(|event| event["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    }
    let last = polled(&labs[0], "news", &ids[11]);
    assert_eq!((data(&last), &last), (vec!["mine", "mine"], &polled(&labs[1], "news", &ids[11])));
}

#[test]
fn a_reader_that_was_cut_off_at_one_server_goes_on_at_another_with_nothing_lost_or_twice() {
    let nats = Nats::start();
    let (mut first, second) = (sharing(&nats, &[]), sharing(&nats, &[]));
    let mut reader = first.subscribe(Alpn::H2, "/feeds/news/sse", &[]);
    let mut last = String::new();
    for k in 0..5 {
        first.publish(Alpn::H1, "news", k.to_string().as_bytes());
        last = reader.next().id;
    }
    first.ask_to_stop();
    first.ended();
    for k in 5..8 {
        second.publish(Alpn::H1, "news", k.to_string().as_bytes());
    }
    let field = format!("Last-Event-ID: {last}");
    let mut reader = second.subscribe(Alpn::H2, "/feeds/news/sse", &["-H", &field]);
    assert_eq!([reader.next().data, reader.next().data, reader.next().data], ["5", "6", "7"]);
    assert_eq!(data(&polled(&second, "news", &last)), ["5", "6", "7"]);
    // One that waited before there was any event has missed none.
    assert_eq!(polled(&second, "news", "new-0").len(), 8);
}

#[test]
fn who_reads_at_another_server_at_once_is_told_of_no_gap() {
    let nats = Nats::start();
    let (first, second) = (sharing(&nats, &[]), sharing(&nats, &[]));
    let mut last = "new-0".to_owned();
    for k in 0..40 {
        // Whatever the one was told just now the other takes for granted, though it may not have it yet.
        let (here, there) = if k % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let id = here.publish(Alpn::H1, "news", k.to_string().as_bytes());
        assert_eq!(polled(there, "news", &id), [] as [Value; 0], "{k}");
        assert_eq!(data(&polled(there, "news", &last)), [k.to_string()]);
        last = id;
    }
    // What nobody was ever told is another matter.
    let (epoch, _) = last.split_once('-').unwrap();
    for never in [format!("{epoch}-41"), "zzzzzz-1".to_owned()] {
        let events = polled(&first, "news", &never);
        assert_eq!((&events[0]["name"], events.len()), (&json!("gap"), 41), "{never}");
    }
}

#[test]
fn whether_nats_is_there_is_said_on_the_lab_page_and_in_the_ledger() {
    let mut nats = Nats::start();
    let lab = sharing(&nats, &[]);
    let page = || {
        let url = format!("https://localhost:{}/", lab.base);
        String::from_utf8(lab.client(Alpn::H2, lab.base).arg(url).output().unwrap().stdout).unwrap()
    };
    assert!(page().contains("NATS, which keeps the logs of feeds, is there.</p>"), "{}", page());
    assert_eq!(lab.ledger()["broker"], true);
    nats.kill();
    lab.until(|ledger| ledger["broker"] == false);
    assert!(
        page().contains("NATS, which keeps the logs of feeds, is away: nothing can be published until it is back.")
    );
    nats.again();
    lab.until(|ledger| ledger["broker"] == true);
    let alone = Lab::serve(&[]);
    assert!(alone.ledger().get("broker").is_none());
}

#[test]
fn the_chat_is_one_at_all_servers() {
    let nats = Nats::start();
    let labs = [sharing(&nats, &[]), sharing(&nats, &[])];
    let mut ann = labs[0].subscribe(Alpn::H2, "/feeds/chat/sse", &[]);
    labs[1].publish(Alpn::H2, "chat", br#"{"who": "Ben", "says": "hello"}"#);
    assert!(ann.next().data.contains("hello"));
    assert_eq!(polled(&labs[0], "chat", "0"), polled(&labs[1], "chat", "0"));
    // What measurements of visitors publish to is each server's own.
    labs[0].publish(Alpn::H2, "visit-0", b"x");
    assert_eq!(polled(&labs[1], "visit-0", "0"), [] as [Value; 0]);
}

#[test]
fn what_is_posted_again_under_the_same_message_id_is_there_once() {
    let nats = Nats::start();
    let labs = [sharing(&nats, &[]), sharing(&nats, &[])];
    let post = |k: usize, id: &str, data: &str| {
        let answer = labs[k].ask(Alpn::H2, &format!("/feeds/news?id={id}"), &["--data-binary", data]);
        assert_eq!(answer.head.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let first = post(0, "order-7", "seven");
    assert_eq!(post(0, "order-7", "seven"), first);
    assert_eq!(post(1, "order-7", "seven"), first, "at another server as well");
    assert_ne!(post(1, "order-8", "eight"), first);
    assert_eq!(data(&polled(&labs[0], "news", "0")), ["seven", "eight"]);
    labs[0].ask(Alpn::H2, "/feeds/news?id=a%20b", &["--data-binary", "x"]).assert_refused(400, "message id");
}

#[test]
fn readers_make_nothing_and_what_is_read_nowhere_gives_its_place_back() {
    let nats = Nats::start();
    let lab = sharing(&nats, &[]);
    let paths: Vec<String> = (0..200).map(|k| format!("/feeds/read-{k}/polling?after=0")).collect();
    for answer in lab.ask_all(Alpn::H2, &paths, &[]) {
        assert_eq!(answer.head.status, 200, "{answer:?}");
    }
    // 64 logs in all, of which the chat has one.
    for k in 0..63 {
        lab.publish(Alpn::H2, &format!("used-{k}"), b"x");
    }
    let full = lab.ask(Alpn::H2, "/feeds/one-more", &["--data-binary", "x"]);
    full.assert_refused(507, "64 feeds");
    // Those that are there are read and written as before, at a server that was started since as well.
    let other = sharing(&nats, &[]);
    for k in [0, 62] {
        other.publish(Alpn::H2, &format!("used-{k}"), b"y");
        assert_eq!(data(&polled(&lab, &format!("used-{k}"), "0")), ["x", "y"]);
    }
}

#[test]
fn a_trial_publishes_on_schedule_and_tells_the_ids_that_jetstream_gave() {
    let nats = Nats::start();
    let broker = BrokerOptions::at([nats.url()]);
    let settings = json!({
        "server": { "feeds": "nats" },
        "workload": { "hold": "500ms", "settle": "0ms", "events": { "count": 200, "rate": "1000/s" } },
    });
    let mut lab = Lab::trial_with(&settings, &["f0"], Some(broker));
    lab.go();
    let published = |lab: &Lab| {
        let mut published = Vec::new();
        lab.each_fact(|fact| {
            if let ServerFact::Published { id, event, census, .. } = fact {
                published.push((id.clone(), *event, *census));
            }
        });
        published
    };
    until("all to be published", || published(&lab).len() == 201);
    let mut published = published(&lab);
    // Where an acknowledgement was late, it is told later.
    published.sort_by_key(|(id, ..)| id.split_once('-').unwrap().1.parse::<u64>().unwrap());
    let epoch = published[0].0.split_once('-').unwrap().0.to_owned();
    for (seq, (id, event, census)) in (1..).zip(&published) {
        assert_eq!((id, *census), (&format!("{epoch}-{seq}"), seq == 201));
        assert!(*census || *event + 1 == seq, "{event} is {seq}");
    }
    // Another server has them all, and each says in its data which number it has.
    let other = sharing(&nats, &[]);
    for (event, seq) in polled(&other, "f0", "0").iter().zip(1..) {
        assert!(transport_lab::feed::payload::is_right(seq, event["data"].as_str().unwrap()), "{event}");
    }
    lab.ask_to_stop();
    assert!(lab.ended().success());
}
