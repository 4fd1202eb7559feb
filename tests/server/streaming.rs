//! HTTP streaming: an event a line, as it is published, on every version of HTTP.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use transport_lab::trial::Alpn;

use crate::lab::{Lab, until};
use crate::stream::{Ended, Stream};

/// The next line that says something: its data, or what a gap says.
#[track_caller]
fn next(stream: &mut Stream) -> String {
    loop {
        let line = stream.line();
        if line != "\n" {
            let event: Value = serde_json::from_str(&line).unwrap();
            return event["data"].as_str().map_or_else(|| line.trim_end().to_owned(), str::to_owned);
        }
    }
}

impl Lab {
    /// Opens a stream of the feed `news`, and waits for its first line: from then on no event is missed.
    #[track_caller]
    fn stream(&self, alpn: Alpn, query: &str, options: &[&str]) -> Stream {
        let mut stream = self.open(alpn, self.port(alpn), &format!("/feeds/news/streaming{query}"), options);
        assert_eq!(stream.head.status, 200);
        assert_eq!(stream.head.field("content-type"), "application/x-ndjson");
        assert!(stream.head.field("cache-control").contains("no-store"));
        let first = stream.line();
        // Who says no place is told it.
        assert!(if query.is_empty() { first.starts_with(r#"{"last":""#) } else { first == "\n" }, "{first:?}");
        stream
    }
}

#[test]
fn an_event_is_a_line_at_once_on_every_http_version() {
    let lab = Lab::serve(&[]);
    let mut streams: Vec<_> = Alpn::HTTP.into_iter().map(|alpn| lab.stream(alpn, "", &[])).collect();
    assert_eq!(streams[0].head.field("transfer-encoding"), "chunked");
    // RFC 9112 section 6.3: to HTTP/1.0 a body without a length lasts as long as its connection.
    let old = lab.stream(Alpn::H1, "", &["--http1.0"]);
    assert_eq!(old.head.version, "HTTP/1.0");
    assert_eq!((old.head.field("transfer-encoding"), old.head.field("content-length")), (String::new(), String::new()));
    streams.push(old);
    let long = "x".repeat(64 * 1024);
    let mut last = String::new();
    for data in ["plain", "", "two\nlines\r\n", "\"\\\u{2028}🦀", &long] {
        last = lab.publish(Alpn::H2, "news", data.as_bytes());
        for stream in &mut streams {
            let event: Value = serde_json::from_str(&stream.line()).unwrap();
            assert_eq!(event["id"], last);
            assert!(event["data"] == data, "{data:.80?} came out as {:.80}", event["data"]);
        }
    }
    // From where a reader left off, with what is gone said first.
    let epoch = last.split_once('-').unwrap().0;
    for alpn in Alpn::HTTP {
        assert_eq!(next(&mut lab.stream(alpn, &format!("?after={epoch}-3"), &[])), "\"\\\u{2028}🦀");
        let mut strange = lab.stream(alpn, "?after=zzzz-1", &[]);
        assert_eq!(next(&mut strange), format!(r#"{{"name":"gap","missed":null,"first":"{epoch}-1"}}"#));
        assert_eq!(next(&mut strange), "plain");
    }
}

#[test]
fn a_silent_stream_has_empty_lines_for_signs_of_life_and_its_first_one_can_be_left_out() {
    let lab = Lab::trial(&json!({"server": {"heartbeat": "50ms"}}));
    for alpn in Alpn::HTTP {
        let mut stream = lab.stream(alpn, "", &[]);
        assert_eq!([stream.line(), stream.line()], ["\n", "\n"]);
    }
    let lab = Lab::trial(&json!({"server": {"heartbeat": "off"}, "streaming": {"greeting": false}}));
    // curl shows a header only when there is a body; this client at once.
    let mut stream = lab.open(Alpn::H3, lab.port(Alpn::H3), "/feeds/news/streaming", &[]);
    lab.publish(Alpn::H2, "news", b"first");
    assert!(stream.line().contains("first"));
}

#[test]
fn hundreds_of_streams_at_once_are_open_until_their_clients_go() {
    let lab = Lab::serve(&[]);
    let url = lab.url(Alpn::H2, "/feeds/news/streaming");
    let mut load = Command::new("h2load");
    let load = Ended(load.args(["-n", "400", "-c", "4", "-m", "100", &url]).stdout(Stdio::null()).spawn().unwrap());
    let open = || lab.ledger().pointer("/alpn/h2/streams/open").cloned();
    until("all to be open", || open() == Some(json!(400)));
    drop(load);
    until("all to be let go", || open() == Some(json!(0)));
}
