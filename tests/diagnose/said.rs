//! What a stream says: each finding where it must be found, and where it must not.

use crate::lab::{Ran, glance};
use crate::rigged::{GOOD, Rigged, begin, log, say, stay};

/// A good event.
const EVENT: &str = "id: 1\ndata: x\n\n";

/// A stream with these fields that says this at once.
fn looked_at(fields: &'static str, text: &'static str, more: &[&str]) -> Ran {
    let rigged = Rigged::new(move |_, stream| {
        begin(stream, fields);
        say(stream, &[(0, text)]);
        stay(stream);
    });
    glance(&rigged.url(), more)
}

#[track_caller]
fn found(ran: &Ran, name: &str, severity: &str, evidence: &str) {
    let finding = ran.finding(name);
    assert_eq!(finding["severity"], severity, "{finding}");
    assert!(finding["evidence"].to_string().contains(evidence), "no `{evidence}`: {finding}");
    assert!(!finding["change"].as_str().unwrap().is_empty());
    assert_eq!(ran.exit, Some(i32::from(severity != "advice")), "{}", ran.out);
}

#[track_caller]
fn not_found(ran: &Ran, name: &str) {
    assert!(!ran.findings().contains(&name.to_owned()), "{}", ran.out);
}

#[test]
fn a_stream_that_is_called_something_else() {
    let plain = "Content-Type: text/plain\r\nCache-Control: no-store\r\n";
    found(&looked_at(plain, EVENT, &[]), "content-type", "loses", "text/plain");
    let parameter = "Content-Type: Text/Event-Stream ; x=y\r\nCache-Control: no-store\r\n";
    not_found(&looked_at(parameter, EVENT, &[]), "content-type");
}

#[test]
fn a_stream_in_another_character_set_or_with_bytes_that_are_none() {
    let latin = "Content-Type: text/event-stream; charset=iso-8859-1\r\nCache-Control: no-store\r\n";
    found(&looked_at(latin, EVENT, &[]), "charset", "loses", "iso-8859-1");
    let utf8 = "Content-Type: text/event-stream; charset=\"UTF-8\"\r\nCache-Control: no-store\r\n";
    let ran = looked_at(utf8, "id: 1\ndata: größer 🦀\n\n", &[]);
    not_found(&ran, "charset");
    not_found(&ran, "not-utf-8");
    let bytes = Rigged::new(|_, stream| {
        begin(stream, GOOD);
        let _ = std::io::Write::write_all(stream, b"id: 1\ndata: gr\xf6\xdfer\n\n");
        stay(stream);
    });
    found(&glance(&bytes.url(), &[]), "not-utf-8", "loses", "data: gr");
}

#[test]
fn a_byte_order_mark_in_the_middle() {
    let text = "id: 1\ndata: x\n\n\u{feff}data: y\n\n";
    found(&looked_at(GOOD, text, &[]), "byte-order-mark", "loses", "1 line");
    let ran = looked_at(GOOD, "\u{feff}id: 1\ndata: x\n\n", &[]);
    not_found(&ran, "byte-order-mark");
    assert!(ran.out.contains("begins with a byte order mark"), "{}", ran.out);
}

#[test]
fn lines_that_readers_pass_over() {
    let text = "id: 1\ndata: {\n  \"a\": 1\n}\n\nid: 2\nData: x\n\n";
    let ran = looked_at(GOOD, text, &[]);
    found(&ran, "ignored-lines", "loses", "Data: x");
    assert!(ran.finding("ignored-lines")["says"].as_str().unwrap().starts_with("3 lines"), "{}", ran.out);
    let ran =
        looked_at(GOOD, ": a comment: of any kind\nid: 1\nid\nevent: x\ndata\ndata:y\r\nretry: 3000\r\n\r\n", &[]);
    not_found(&ran, "ignored-lines");
}

#[test]
fn what_a_server_says_is_made_visible() {
    let ran = looked_at(GOOD, "id: 1\nda\u{1b}[2Jta: x\u{202e}\n\n", &[]);
    assert!(!ran.out.contains(['\u{1b}', '\u{202e}']), "{}", ran.out);
    found(&ran, "ignored-lines", "loses", r"u{1b}[2Jta: x");
}

#[test]
fn events_without_data() {
    found(&looked_at(GOOD, "event: ping\nid: 1\n\n", &[]), "events-without-data", "loses", "event: ping");
    not_found(&looked_at(GOOD, "event: ping\ndata\nid: 1\n\nid: 2\n\n", &[]), "events-without-data");
}

#[test]
fn what_is_said_of_coming_back() {
    let retry = |text: &'static str| looked_at(GOOD, text, &[]);
    found(&retry("retry: 5s\nid: 1\ndata: x\n\n"), "bad-retry", "advice", "retry: 5s");
    found(&retry("retry: 300000\nid: 1\ndata: x\n\n"), "long-retry", "delays", "300000");
    found(&retry("retry: 0\nid: 1\ndata: x\n\n"), "short-retry", "advice", "retry: 0");
    let ran = retry("retry: 3000\nid: 1\ndata: x\n\n");
    for name in ["bad-retry", "long-retry", "short-retry"] {
        not_found(&ran, name);
    }
}

#[test]
fn a_line_without_end() {
    let endless = |length: usize| {
        let rigged = Rigged::new(move |_, stream| {
            begin(stream, GOOD);
            let line = format!("id: 1\ndata: {}", "x".repeat(length));
            say(stream, &[(0, &line), (0, "\n\n")]);
            stay(stream);
        });
        glance(&rigged.url(), &[])
    };
    // It is read up to a bound, and no further.
    found(&endless(3 << 20), "endless-line", "loses", "without an end");
    not_found(&endless(300_000), "endless-line");
}

#[test]
fn a_stream_that_caches_may_keep() {
    let kind = |cache: &str| format!("Content-Type: text/event-stream\r\n{cache}").leak() as &'static str;
    found(&looked_at(kind("Cache-Control: public, max-age=60\r\n"), EVENT, &[]), "cacheable", "delays", "max-age=60");
    found(&looked_at(kind(""), EVENT, &[]), "no-cache-control", "advice", "no Cache-Control");
    for good in ["no-cache", "private, max-age=0", "no-store, no-transform"] {
        let ran = looked_at(kind(&format!("Cache-Control: {good}\r\n")), EVENT, &[]);
        not_found(&ran, "cacheable");
        not_found(&ran, "no-cache-control");
    }
}

#[test]
fn a_page_of_another_origin() {
    let origin = ["--origin", "https://www.example"];
    let cors = |fields: &str| format!("{GOOD}{fields}").leak() as &'static str;
    let allow = "Access-Control-Allow-Origin: https://www.example\r\n";
    found(&looked_at(GOOD, EVENT, &origin), "cors", "loses", "not there");
    let other = cors("Access-Control-Allow-Origin: https://other.example\r\n");
    found(&looked_at(other, EVENT, &origin), "cors", "loses", "other.example");
    let any = looked_at(cors("Access-Control-Allow-Origin: *\r\n"), EVENT, &origin);
    not_found(&any, "cors");
    found(&any, "cors-credentials", "advice", "not there");
    found(&looked_at(cors(allow), EVENT, &origin), "cors-vary", "advice", "www.example alone");
    let all = cors(&format!("{allow}Access-Control-Allow-Credentials: true\r\nVary: Accept, origin\r\n"));
    let ran = looked_at(all, EVENT, &origin);
    for name in ["cors", "cors-vary", "cors-credentials"] {
        not_found(&ran, name);
    }
    not_found(&looked_at(GOOD, EVENT, &[]), "cors");
}

#[test]
fn events_without_ids() {
    found(&looked_at(GOOD, "data: x\n\ndata: y\n\n", &[]), "no-ids", "loses", "2 events");
    not_found(&looked_at(GOOD, EVENT, &[]), "no-ids");
    not_found(&looked_at(GOOD, ":\n\n:\n\n", &[]), "no-ids");
}

/// Answers with the log for whoever comes first, and to `Last-Event-ID` with this.
fn returning(to: impl Fn(&crate::rigged::Asked) -> String + Send + Sync + 'static) -> Ran {
    let rigged = Rigged::new(move |asked, stream| {
        begin(stream, GOOD);
        let said = if asked.field("last-event-id").is_some() { to(asked) } else { log(asked) };
        say(stream, &[(0, said.as_str())]);
        stay(stream);
    });
    glance(&rigged.url(), &[])
}

#[test]
fn a_reader_that_comes_back() {
    let nothing = returning(|_| ":\n\n".to_owned());
    found(&nothing, "not-resumed", "loses", "none of what had been sent");
    let newest = returning(|_| "id: 7\ndata: new\n\n".to_owned());
    found(&newest, "not-resumed", "loses", "none of what had been sent");
    let later = returning(|_| "id: 3\ndata: event 3\n\n".to_owned());
    found(&later, "not-resumed", "loses", "1 event was left out");
    let again = returning(|_| "id: 1\ndata: event 1\n\nid: 2\ndata: event 2\n\n".to_owned());
    found(&again, "told-again", "advice", "`1`");
    let well = returning(log);
    not_found(&well, "not-resumed");
    not_found(&well, "told-again");
    assert_eq!(well.exit, Some(0), "{}", well.out);
}

#[test]
fn a_stream_that_ends_by_itself() {
    let ends = |text: &'static str, stays: bool| {
        let rigged = Rigged::new(move |_, stream| {
            begin(stream, GOOD);
            say(stream, &[(0, text)]);
            if stays {
                stay(stream);
            }
        });
        glance(&rigged.url(), &[])
    };
    found(&ends(EVENT, false), "ends", "delays", "in order");
    found(&ends("id: 1\ndata: x\n\ndata: y", false), "ends", "loses", "in the middle of an event");
    not_found(&ends(EVENT, true), "ends");
}

#[test]
fn a_stream_that_is_cut_once_it_is_quiet() {
    let quiet = |after: &'static [(u64, &'static str)], stays: bool| {
        let rigged = Rigged::new(move |asked, stream| {
            begin(stream, GOOD);
            say(stream, &[(0, log(asked).as_str())]);
            say(stream, after);
            if stays {
                stay(stream);
            }
        });
        glance(&rigged.url(), &["--quiet", "5s"])
    };
    found(&quiet(&[(3500, "")], false), "idle-cut", "delays", "without a byte");
    not_found(&quiet(&[(1500, ":\n\n"), (1500, ":\n\n"), (1500, ":\n\n")], true), "idle-cut");
    not_found(&quiet(&[], true), "no-heartbeat");
}

#[test]
fn a_server_that_takes_no_more_than_a_few() {
    // Before the many there are two that listen, and one that comes back.
    let holds = |most: usize| {
        let rigged = Rigged::new(move |asked, stream| {
            if asked.number >= 3 + most {
                let full = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
                let _ = std::io::Write::write_all(stream, full);
            } else {
                begin(stream, GOOD);
                say(stream, &[(0, log(asked).as_str())]);
                stay(stream);
            }
        });
        crate::lab::diagnose(&rigged.url(), &["--listen", "1s", "--streams", "6"])
    };
    let few = holds(4);
    found(&few, "streams-refused", "loses", "503");
    assert_eq!(few.json()["streams"][0]["opened"], 4, "{}", few.out);
    let enough = holds(100);
    not_found(&enough, "streams-refused");
    assert_eq!(enough.json()["streams"][0]["opened"], 6, "{}", enough.out);
}
