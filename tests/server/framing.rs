//! Where a request ends on HTTP/1.1, and whom that concerns: its client, that wants an answer, and the next request.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use transport_lab::transport::Transport;
use transport_lab::trial::{Alpn, Exchanges};
use transport_lab::wire::BODY_TIMEOUT;

use crate::lab::{Lab, PATIENCE, transports_by_get, until};
use crate::raw::{Tls, read_all};

/// Far less than a body is waited for, and long enough for a busy machine.
const AT_ONCE: Duration = BODY_TIMEOUT.checked_sub(Duration::from_secs(3)).unwrap();

/// Closes this side, as TLS wants it and TCP too.
fn close_own_side(tls: &mut Tls) {
    tls.conn.send_close_notify();
    while tls.conn.wants_write() {
        tls.conn.write_tls(&mut tls.sock).unwrap();
    }
    tls.sock.shutdown(Shutdown::Write).unwrap();
}

/// Reads until the text has this in it.
fn read_until(tls: &mut Tls, wanted: &str) -> String {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    tls.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    while !String::from_utf8_lossy(&said).contains(wanted) {
        let length = tls.read(&mut buffer).unwrap_or_else(|error| panic!("{error}, after {said:?}"));
        assert!(length > 0, "it ends with {:?}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(said).unwrap()
}

#[test]
fn a_transfer_coding_other_than_chunked_is_not_implemented_and_nothing_is_published() {
    let lab = Lab::serve(&[]);
    for (coding, status) in [
        ("Transfer-Encoding: gzip, chunked", "501"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "501"),
        ("Transfer-Encoding: x-unknown, chunked", "501"),
        ("Transfer-Encoding: chunked, chunked", "400"),
        // A body whose end nobody can tell (RFC 9112 section 6.3).
        ("Transfer-Encoding: chunked, gzip", "400"),
    ] {
        for port in [lab.port(Alpn::H1), lab.base] {
            let mut tls = lab.tls_at(port, Alpn::H1);
            let path = if port == lab.base { "/visits" } else { "/feeds/news" };
            let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{coding}\r\n\r\n");
            write!(tls, "{head}1\r\nx\r\n0\r\n\r\n").unwrap();
            let answer = read_all(&mut tls);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{coding} at {port}: {answer}");
        }
    }
    let mut tls = lab.tls(Alpn::H1);
    let head =
        "POST /feeds/news HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: , Chunked\r\n\r\n";
    write!(tls, "{head}1\r\nx\r\n0\r\n\r\n").unwrap();
    let answer = read_all(&mut tls);
    assert!(answer.starts_with("HTTP/1.1 201") && answer.contains("-1\""), "the first that was published: {answer}");
}

#[test]
fn a_get_is_answered_at_once_whatever_its_body_does() {
    let lab = Lab::serve(&[]);
    lab.publish(Alpn::H1, "news", b"x");
    for (path, status) in [("/ping", "204"), ("/feeds/news/polling?after=0", "200"), ("/nowhere", "404")] {
        for body in ["Content-Length: 1000000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
            let begun = Instant::now();
            let mut tls = lab.tls(Alpn::H1);
            write!(tls, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{body}").unwrap();
            let head = read_until(&mut tls, "\r\n\r\n");
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
            assert!(begun.elapsed() < AT_ONCE, "{path}: after {:?}", begun.elapsed());
            // What follows is the rest of that body, whatever it looks like.
            assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
            let _ = write!(tls, "POST /feeds/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nevil");
            assert!(!read_all(&mut tls).contains("HTTP/1.1"), "what follows is no request");
        }
    }
    assert!(lab.publish(Alpn::H1, "news", b"y").ends_with("-2"), "nothing else was published");
}

#[test]
fn a_body_that_comes_with_its_get_changes_nothing() {
    let lab = Lab::serve(&[]);
    let mut tls = lab.tls(Alpn::H1);
    for body in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
        write!(tls, "GET /ping HTTP/1.1\r\nHost: localhost\r\n{body}").unwrap();
        let head = read_until(&mut tls, "\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 204") && !head.contains("close"), "{head}");
    }
    // curl 7.88, once it has its answer, never sends what HTTP/2's window held up of a body.
    for (alpn, length) in [(Alpn::H1, 100_000), (Alpn::H2, 60_000)] {
        let file = format!("@{}", lab.file(&vec![b'x'; length]).display());
        let answer = lab.ask(alpn, "/feeds/news/polling", &["-X", "GET", "--data-binary", &file]);
        assert_eq!(answer.head.status, 200, "{alpn:?}");
    }
}

#[test]
fn who_reads_a_stream_while_sending_a_body_is_seen_to_leave() {
    let lab = Lab::serve(&[]);
    let mut tls = lab.tls(Alpn::H1);
    write!(tls, "GET /feeds/news/sse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    read_until(&mut tls, "id: ");
    lab.publish(Alpn::H2, "news", b"the event");
    read_until(&mut tls, "the event");
    lab.until_counted("/alpn/h1/streams", [1, 1, 1]);
    drop(tls);
    lab.until_counted("/alpn/h1/streams", [0, 1, 1]);
}

#[test]
fn who_closes_their_side_with_the_request_is_answered() {
    let lab = Lab::serve(&[]);
    let id = lab.publish(Alpn::H1, "news", b"x");
    // An answer of 256 KiB: all of it has to arrive.
    for _ in 0..4 {
        lab.publish(Alpn::H1, "long", &vec![b'x'; 64 * 1024]);
    }
    let request = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n");
    for _ in 0..20 {
        for (text, status, wanted) in [
            (request("GET /ping", ""), "204", "\r\n\r\n"),
            (request("GET /feeds/news/polling?after=0", ""), "200", &*id),
            (request("GET /feeds/long/polling?after=0", ""), "200", "\"last\""),
            (request("POST /feeds/posted", "Content-Length: 1\r\n") + "y", "201", "\"id\""),
            (request("GET /nowhere", ""), "404", "error"),
            // Whoever waits is answered with what there is.
            (request("GET /feeds/news/long-polling?wait=300s", ""), "200", &*id),
            (request("GET /ping", "Content-Length: 1\r\n") + "y", "204", "\r\n\r\n"),
        ] {
            let mut tls = lab.tls(Alpn::H1);
            tls.write_all(text.as_bytes()).unwrap();
            close_own_side(&mut tls);
            let answer = read_all(&mut tls);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(wanted), "{text}: {answer}");
            if let Some(length) = answer.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()) {
                let body = answer.split_once("\r\n\r\n").unwrap().1;
                assert_eq!(body.len().to_string(), length, "{text}: all of it");
            }
        }
    }
    // Two requests, and the end of them.
    let mut tls = lab.tls(Alpn::H1);
    write!(tls, "{}{}", request("GET /ping", ""), request("GET /feeds/news/polling?after=0", "")).unwrap();
    close_own_side(&mut tls);
    let answers = read_all(&mut tls);
    assert!(
        answers.starts_with("HTTP/1.1 204") && answers.contains("HTTP/1.1 200") && answers.contains(&id),
        "{answers}"
    );
}

#[test]
fn who_goes_away_while_waiting_or_reading_is_noticed() {
    let lab = Lab::serve(&[]);
    let (mut open, mut total) = (0, 0);
    for Transport { name, .. } in transports_by_get().filter(|row| row.exchanges != Exchanges::Periodic) {
        for polite in [true, false] {
            let mut tls = lab.tls(Alpn::H1);
            write!(tls, "GET /feeds/news/{name}?wait=300s HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            (open, total) = (open + 1, total + 1);
            lab.until_counted("/alpn/h1/streams", [open, 1, total]);
            if polite {
                close_own_side(&mut tls);
            }
            drop(tls);
            open -= 1;
            lab.until_counted("/alpn/h1/streams", [open, 1, total]);
        }
    }
}

#[test]
fn a_body_that_breaks_off_is_not_waited_for() {
    let lab = Lab::serve(&[]);
    let begun = Instant::now();
    let mut tls = lab.tls(Alpn::H1);
    write!(tls, "POST /feeds/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab").unwrap();
    close_own_side(&mut tls);
    let answer = read_all(&mut tls);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(begun.elapsed() < AT_ONCE, "after {:?}", begun.elapsed());
    assert!(lab.publish(Alpn::H1, "news", b"x").ends_with("-1"), "nothing was published");
}

#[test]
fn an_answer_reaches_whoever_is_still_sending() {
    let lab = Lab::serve(&[]);
    let mut tls = lab.tls(Alpn::H1);
    write!(tls, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n").unwrap();
    tls.sock.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // A connection that is reset takes with it what wasn't read yet.
    for _ in 0..20 {
        match tls.write(&[b'x'; 8192]) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let answer = read_all(&mut tls);
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer:?}");
    until("the server to go on", || lab.ask(Alpn::H1, "/ping", &[]).head.status == 204);
}
