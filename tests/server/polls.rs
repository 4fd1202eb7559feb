//! Polling and long polling: what is answered when, and that between two requests nothing is lost.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use transport_lab::trial::Alpn;

use crate::asking::Answer;
use crate::lab::{Lab, PATIENCE, until};
use crate::stream::Ended;

/// An answer's events: the data of each, a gap as what it says was missed. And where it leaves its reader.
#[track_caller]
fn read(answer: &Answer) -> (Vec<String>, String) {
    assert_eq!(answer.head.status, 200, "{answer:?}");
    assert_eq!(answer.head.field("content-type"), "application/json");
    assert_eq!(answer.head.field("cache-control"), "no-store");
    let json = answer.json();
    let told = |event: &Value| match event["data"].as_str() {
        Some(data) => data.to_owned(),
        None => format!("{} of {}", event["name"].as_str().unwrap(), event["missed"]),
    };
    (json["events"].as_array().unwrap().iter().map(told).collect(), json["last"].as_str().unwrap().to_owned())
}

impl Lab {
    /// A poll of the feed `news`, of either kind.
    #[track_caller]
    fn poll(&self, alpn: Alpn, query: &str) -> (Vec<String>, String) {
        read(&self.ask(alpn, &format!("/feeds/news/{query}"), &[]))
    }

    /// Asks for something that takes a while, and does something meanwhile, once the server has so many open.
    #[track_caller]
    fn meanwhile(&self, alpn: Alpn, query: &str, act: impl FnOnce()) -> (Vec<String>, String) {
        thread::scope(|scope| {
            let asked = scope.spawn(|| self.poll(alpn, query));
            let at = format!("/alpn/{}/streams/open", alpn.name());
            until("the request to wait", || self.ledger().pointer(&at) == Some(&json!(1)));
            act();
            asked.join().unwrap()
        })
    }
}

#[test]
fn a_poll_is_answered_at_once_with_what_is_new_and_where_that_leaves_its_reader() {
    let lab = Lab::serve(&[]);
    let (none, start) = lab.poll(Alpn::H1, "polling");
    assert!(none.is_empty() && start.ends_with("-0"), "{start}");
    for (k, alpn) in Alpn::HTTP.into_iter().enumerate() {
        let (_, before) = lab.poll(alpn, "polling");
        lab.publish(alpn, "news", b"one\n\"line\"");
        let last = lab.publish(alpn, "news", "zwei 🦀".as_bytes());
        let both = ["one\n\"line\"", "zwei 🦀"].map(str::to_owned).to_vec();
        let all = vec![both.clone(); k + 1].concat();
        let queries = [String::new(), last.clone(), before, "0".to_owned(), start.clone()];
        let asked = queries.map(|after| format!("/feeds/news/polling?after={after}"));
        let answers = lab.ask_all(alpn, &asked, &[]);
        let news: Vec<_> = answers.iter().map(read).collect();
        // From now on, after the last: nothing yet. Then what is new, and all that there is.
        let expected = [vec![], vec![], both, all.clone(), all].map(|events| (events, last.clone()));
        assert_eq!(news, expected);
        let whole = answers[2].json();
        let event = &whole["events"][1];
        assert_eq!((&event["id"], &event["name"]), (&json!(last), &json!("message")));
        assert!(event["time"].as_u64().is_some_and(|micros| micros > 1_700_000_000_000_000));
        assert!(whole.get("more").is_none());
    }
}

#[test]
fn a_poll_that_names_the_answer_it_has_is_answered_304_without_a_body() {
    let lab = Lab::serve(&[]);
    let old = lab.publish(Alpn::H1, "news", b"old");
    let last = lab.publish(Alpn::H1, "news", b"new");
    let tag = format!("\"{last}\"");
    let long = format!("{}{tag}", "\"x\", ".repeat(1000));
    let asked = |alpn, value: &str| {
        let field = format!("If-None-Match: {value}");
        lab.ask(alpn, &format!("/feeds/news/polling?after={last}"), &["-H", &field])
    };
    let unchanged = |answer: &Answer| {
        assert_eq!((answer.head.status, answer.body.len()), (304, 0), "{answer:?}");
        assert_eq!(
            [answer.head.field("etag"), answer.head.field("cache-control")],
            [tag.clone(), "no-store".to_owned()]
        );
    };
    for alpn in Alpn::HTTP {
        unchanged(&asked(alpn, &tag));
        // What the tag names is not all that this reader lacks.
        let behind = format!("/feeds/news/polling?after={old}");
        let answer = lab.ask(alpn, &behind, &["-H", &format!("If-None-Match: \"{old}\"")]);
        assert_eq!(read(&answer), (vec!["new".to_owned()], last.clone()));
        assert_eq!(answer.head.field("etag"), tag);
    }
    for held in [&format!("W/{tag}"), &format!("\"a\", W/\"b\" ,{tag}"), "*", &long] {
        unchanged(&asked(Alpn::H1, held));
    }
    for other in [&format!("\"{old}\""), &last, "\"", "nonsense, ,", "\"*\""] {
        assert_eq!(read(&asked(Alpn::H1, other)), (vec![], last.clone()), "{other}");
    }
}

#[test]
fn an_answer_is_bounded_and_the_rest_comes_with_the_next() {
    let lab = Lab::serve(&[]);
    let data = vec![b'x'; 64 * 1024];
    for _ in 0..6 {
        lab.publish(Alpn::H2, "news", &data);
    }
    for name in ["polling", "long-polling"] {
        let first = lab.ask(Alpn::H2, &format!("/feeds/news/{name}?after=0"), &[]);
        let (events, last) = read(&first);
        assert_eq!((events.len(), &first.json()["more"]), (4, &json!(true)), "256 KiB");
        let second = lab.ask(Alpn::H2, &format!("/feeds/news/{name}?after={last}"), &[]);
        assert_eq!((read(&second).0.len(), second.json().get("more")), (2, None));
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_and_what_is_gone_is_said_to_be() {
    let lab = Lab::serve(&[]);
    let last = lab.publish(Alpn::H1, "news", b"held");
    let epoch = last.split_once('-').unwrap().0;
    let long = "9".repeat(4000);
    for alpn in Alpn::HTTP {
        for name in ["polling", "long-polling", "streaming"] {
            let path = |query: &str| format!("/feeds/news/{name}?{query}");
            let ids = ["x", "-1", "1", "K3F9-1", "k3f9-", "k3f9-%2B1", "k3f9-1%00", "%F0%9F%A6%80", &long];
            for answer in lab.ask_all(alpn, &ids.map(|id| path(&format!("after={id}"))), &[]) {
                answer.assert_refused(400, "after");
            }
            if alpn == Alpn::H1 {
                lab.ask(alpn, &path(""), &["--data-binary", "x"]).assert_refused(405, "GET");
            }
        }
        let waits = ["", "30", "-1s", "s", "301s", "6min", "1e9s", "soon", "30s%00", &long];
        for answer in lab.ask_all(alpn, &waits.map(|wait| format!("/feeds/news/long-polling?wait={wait}")), &[]) {
            answer.assert_refused(400, "`wait` is a time from 0s to 300s");
        }
        // Another epoch, and the future: a gap of unknown size, then all that is held. Neither waits.
        let strange = ["zzzzzz-1".to_owned(), format!("{epoch}-99"), format!("{epoch}-18446744073709551615")];
        let polls = strange
            .iter()
            .flat_map(|id| ["polling", "long-polling"].map(|name| format!("/feeds/news/{name}?after={id}")));
        for answer in lab.ask_all(alpn, &polls.collect::<Vec<_>>(), &[]) {
            assert_eq!(read(&answer), (vec!["gap of null".to_owned(), "held".to_owned()], last.clone()));
        }
    }
}

#[test]
fn a_long_poll_waits_for_an_event_but_no_longer_than_it_says() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        let (_, start) = lab.poll(alpn, "long-polling?wait=0s");
        let begun = Instant::now();
        assert_eq!(lab.poll(alpn, &format!("long-polling?after={start}&wait=300ms")), (vec![], start.clone()));
        assert!(begun.elapsed() >= Duration::from_millis(300));

        let (events, first) = lab.meanwhile(alpn, &format!("long-polling?after={start}&wait=5min"), || {
            lab.publish(alpn, "news", b"waited for");
        });
        assert_eq!(events, ["waited for"]);
        // What comes between two requests is the second's, and is answered at once.
        let between = lab.publish(alpn, "news", b"between");
        let expected = (vec!["between".to_owned()], between);
        assert_eq!(lab.poll(alpn, &format!("long-polling?after={first}&wait=5min")), expected);
    }
    // Who says no place waits for what is next.
    let (events, _) = lab.meanwhile(Alpn::H1, "long-polling", || {
        lab.publish(Alpn::H2, "news", b"next");
    });
    assert_eq!(events, ["next"]);
}

#[test]
fn a_long_poll_that_gathers_goes_on_collecting_until_it_is_full() {
    // It is answered by being full, long before its minute is over.
    let lab = Lab::trial(&json!({"long-polling": {"gather": "60s"}}));
    let data = vec![b'x'; 64 * 1024];
    let (_, start) = lab.poll(Alpn::H2, "polling");
    let (events, _) = thread::scope(|scope| {
        let asked = scope.spawn(|| lab.poll(Alpn::H1, &format!("long-polling?after={start}")));
        for _ in 0..4 {
            lab.publish(Alpn::H2, "news", &data);
        }
        asked.join().unwrap()
    });
    assert_eq!(events.len(), 4);
}

#[test]
fn a_long_poll_whose_client_has_gone_is_let_go() {
    let lab = Lab::serve(&[]);
    let path = "/feeds/news/long-polling?wait=5min";
    let open = |alpn: Alpn| lab.ledger().pointer(&format!("/alpn/{}/streams/open", alpn.name())).cloned();
    for alpn in [Alpn::H1, Alpn::H2] {
        let client = lab.client(alpn, lab.port(alpn)).arg(lab.url(alpn, path)).spawn().unwrap();
        let client = Ended(client);
        until("the request to wait", || open(alpn) == Some(json!(1)));
        drop(client);
        until("the request to be let go", || open(alpn) == Some(json!(0)));
    }
    // Fifty requests stopped, on a connection that lives on: the stream that follows is on it.
    let stream = lab.open(
        Alpn::H3,
        lab.port(Alpn::H3),
        path,
        &["--cancel", "50", &lab.url(Alpn::H3, path), &lab.url(Alpn::H3, "/feeds/news/streaming")],
    );
    assert_eq!(stream.head.field("content-type"), "application/x-ndjson");
    until("all but the stream to be let go", || open(Alpn::H3) == Some(json!(1)));
}

#[test]
fn many_long_polls_that_wait_together_are_all_answered() {
    let lab = Lab::serve(&[]);
    let url = lab.url(Alpn::H2, "/feeds/news/long-polling?wait=5min");
    let mut load = Command::new("h2load");
    load.args(["-n", "400", "-c", "4", "-m", "100", "-T", &PATIENCE.as_secs().to_string(), &url]);
    let load = load.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("all to wait", || lab.ledger().pointer("/alpn/h2/streams/open") == Some(&json!(400)));
    lab.publish(Alpn::H1, "news", b"for all");
    let said = String::from_utf8(load.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("400 total, 400 started, 400 done, 400 succeeded, 0 failed"), "{said}");
    until("all to be let go", || lab.ledger().pointer("/alpn/h2/streams/open") == Some(&json!(0)));
}
