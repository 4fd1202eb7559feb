//! What is published reaches readers: whole, once, in order, from where they left off.

use serde_json::json;
use transport_lab::trial::Alpn;

use crate::lab::Lab;
use crate::stream::{Event, Seen};

#[test]
fn a_published_event_reaches_readers_on_every_http_version() {
    let lab = Lab::serve(&[]);
    let mut readers = Alpn::HTTP.map(|alpn| lab.subscribe(alpn, "/feeds/news/sse", &[]));
    for (k, publisher) in Alpn::HTTP.into_iter().enumerate() {
        let data = format!("published over {}", publisher.title());
        let id = lab.publish(publisher, "news", data.as_bytes());
        let (epoch, sequence) = id.split_once('-').unwrap();
        assert!((4..=8).contains(&epoch.len()) && sequence == (k + 1).to_string(), "{id}");
        for reader in &mut readers {
            let expected = Event { id: id.clone(), name: String::new(), data: data.clone() };
            assert_eq!(reader.next(), expected);
        }
    }
    let named = lab.ask(Alpn::H2, "/feeds/news?name=weather.v1", &["--data-binary", "rain"]);
    assert_eq!(named.head.status, 201);
    for mut reader in readers {
        let event = reader.next();
        assert_eq!((event.name.as_str(), event.data.as_str()), ("weather.v1", "rain"));
    }
}

#[test]
fn a_reader_resumes_exactly_where_it_left_off() {
    let lab = Lab::serve(&[]);
    let ids: Vec<_> = (1..=4).map(|k| lab.publish(Alpn::H1, "news", k.to_string().as_bytes())).collect();
    let last_event_id = |k: usize| format!("Last-Event-ID: {}", ids[k]);
    let mut readers = Vec::new();
    for alpn in Alpn::HTTP {
        let after = |text: &str| format!("/feeds/news/sse?after={text}");
        let cases = [
            (after(""), None, vec![]),
            (after("0"), None, vec!["1", "2", "3", "4"]),
            (after(&ids[1]), None, vec!["3", "4"]),
            (after(&ids[3]), None, vec![]),
            ("/feeds/news/sse".to_owned(), Some(last_event_id(2)), vec!["4"]),
            // A reconnecting EventSource asks at its first address again: what it knows by now wins.
            (after("0"), Some(last_event_id(1)), vec!["3", "4"]),
            (after(&ids[0]), Some(last_event_id(3)), vec![]),
            // curl's way to send a field without a value.
            (after(&ids[2]), Some("Last-Event-ID;".to_owned()), vec!["4"]),
        ];
        for (path, field, expected) in cases {
            if alpn == Alpn::H3 && field.as_ref().is_some_and(|field| field.ends_with(';')) {
                continue;
            }
            let options: Vec<_> = field.iter().flat_map(|field| ["-H", field]).collect();
            readers.push((lab.subscribe(alpn, &path, &options), path, expected));
        }
    }
    // What comes right after the replay shows that the replay held nothing more.
    lab.publish(Alpn::H1, "news", b"from now on");
    for (mut reader, path, mut expected) in readers {
        expected.push("from now on");
        assert_eq!(reader.data(expected.len()), expected, "{path}");
    }
}

#[test]
fn an_id_that_the_feed_does_not_know_is_told_a_gap_and_then_all_that_is_held() {
    let lab = Lab::trial(&json!({"server": {"log": 4}}));
    let ids: Vec<_> = (1..=9).map(|k| lab.publish(Alpn::H2, "news", k.to_string().as_bytes())).collect();
    let epoch = ids[0].split_once('-').unwrap().0;
    let future = format!("{epoch}-10");
    for alpn in Alpn::HTTP {
        let cases = [
            ("zzzzzzz-3", json!(null)),
            (future.as_str(), json!(null)),
            (ids[0].as_str(), json!(4)),
            (ids[3].as_str(), json!(1)),
        ];
        for (id, missed) in cases {
            let gap = json!({"missed": missed, "first": ids[5]});
            for by_field in [false, true] {
                let mut reader = if by_field {
                    lab.subscribe(alpn, "/feeds/news/sse", &["-H", &format!("Last-Event-ID: {id}")])
                } else {
                    lab.subscribe(alpn, &format!("/feeds/news/sse?after={id}"), &[])
                };
                let first = reader.next();
                assert_eq!(first.name, "gap", "{id}");
                // Without an id of its own: a reader that reconnects now still says what it last received.
                assert_eq!(first.id, "");
                assert_eq!(serde_json::from_str::<serde_json::Value>(&first.data).unwrap(), gap, "{id}");
                assert_eq!(reader.data(4), ["6", "7", "8", "9"]);
            }
        }
        // The oldest that is held is a neighbour of this one: nothing is missing.
        let mut reader = lab.subscribe(alpn, &format!("/feeds/news/sse?after={}", ids[4]), &[]);
        assert_eq!(reader.data(4), ["6", "7", "8", "9"]);
        // No id of any feed; a browser sends what the stream said last, so it isn't refused.
        let mut reader = lab.subscribe(alpn, "/feeds/news/sse", &["-H", "Last-Event-ID: what?"]);
        assert_eq!(reader.next().name, "gap");
    }
}

#[test]
fn any_text_comes_out_as_the_standard_says() {
    let lab = Lab::serve(&[]);
    let long = "x".repeat(64 * 1024);
    let lines = "\n".repeat(64 * 1024);
    let cases = [
        ("</script><script>alert(1)</script>", "</script><script>alert(1)</script>"),
        ("nul \0 inside", "nul \0 inside"),
        ("cr\rlf\ncrlf\r\nlfcr\n\rend", "cr\nlf\ncrlf\nlfcr\n\nend"),
        ("\r\n", "\n"),
        ("", ""),
        (" a space first", " a space first"),
        (
            ": looks like a comment\nid: 7\nevent: gap\nretry: 1\n\ndata: x",
            ": looks like a comment\nid: 7\nevent: gap\nretry: 1\n\ndata: x",
        ),
        (
            "separators \u{2028} and \u{2029} and \u{85} end no line",
            "separators \u{2028} and \u{2029} and \u{85} end no line",
        ),
        ("\u{feff}a mark first", "\u{feff}a mark first"),
        ("🦀 und 👩‍👩‍👧‍👦", "🦀 und 👩‍👩‍👧‍👦"),
        (&long, &long),
        (&lines, &lines),
    ];
    let mut readers = Alpn::HTTP.map(|alpn| lab.subscribe(alpn, "/feeds/news/sse", &[]));
    for (published, expected) in cases {
        let id = lab.publish(Alpn::H2, "news", published.as_bytes());
        for reader in &mut readers {
            let event = reader.next();
            assert_eq!((event.id.as_str(), event.name.as_str()), (id.as_str(), ""));
            assert!(event.data == expected, "{published:.80?} came out as {:.80?}", event.data);
        }
    }
}

#[test]
fn a_ping_is_answered_empty_and_not_to_be_stored() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        let answer = lab.ask(alpn, "/ping", &[]);
        assert_eq!((answer.head.status, answer.body.len()), (204, 0));
        assert_eq!(answer.head.field("cache-control"), "no-store");
    }
}

#[test]
fn a_silent_stream_is_written_comments_and_a_busy_one_fewer() {
    let lab = Lab::trial(&json!({"server": {"heartbeat": "200ms"}}));
    // The silent ones live longer on both sides, so they live through all heartbeats of the busy ones.
    let mut silent = Alpn::HTTP.map(|alpn| lab.subscribe(alpn, "/feeds/silent/sse", &[]));
    let mut busy = Alpn::HTTP.map(|alpn| lab.subscribe(alpn, "/feeds/busy/sse", &[]));
    let mut comments = [0; 3];
    for _ in 0..6 {
        lab.publish(Alpn::H1, "busy", b"news");
        for (reader, comments) in busy.iter_mut().zip(&mut comments) {
            while reader.seen() == Seen::Comment {
                *comments += 1;
            }
            // The heartbeat right after the event is left out; this is a later one.
            assert_eq!(reader.seen(), Seen::Comment);
            *comments += 1;
        }
    }
    lab.publish(Alpn::H1, "silent", b"the end");
    for (reader, busy) in silent.iter_mut().zip(comments) {
        let mut silent = 0;
        while reader.seen() == Seen::Comment {
            silent += 1;
        }
        // Six were left out. Where a comment waits for a slow machine, the next one takes its place: two may be so.
        assert!(busy + 4 <= silent, "{busy} comments to the busy one, {silent} to the silent one");
    }
}

#[test]
fn heartbeats_can_be_turned_off() {
    let lab = Lab::trial(&json!({"server": {"heartbeat": "off"}, "sse": {"retry": "1500ms"}}));
    let beating = Lab::trial(&json!({"server": {"heartbeat": "50ms"}}));
    let mut stream = lab.open(Alpn::H2, lab.port(Alpn::H2), "/feeds/news/sse", &[]);
    let mut clock = beating.subscribe(Alpn::H2, "/feeds/news/sse", &[]);
    for _ in 0..10 {
        assert_eq!(clock.seen(), Seen::Comment);
    }
    lab.publish(Alpn::H2, "news", b"first");
    assert_eq!(stream.retry(), "1500");
    assert_eq!(stream.seen(), Seen::Comment, "the greeting");
    assert!(matches!(stream.seen(), Seen::Event(event) if event.data == "first"));
}
