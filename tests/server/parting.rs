//! How the server ends a connection on TCP: in words that TLS and HTTP have for it, whatever the reason is.

use std::io::{Read, Write};
use std::time::Instant;

use serde_json::json;
use transport_lab::trial::Alpn;

use crate::lab::{Lab, PATIENCE};
use crate::raw::Tls;

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4): the preface, and SETTINGS that say nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;

/// A GET as a HEADERS frame, its fields by number in HPACK's table or as they are (RFC 7541 appendix A).
fn get(stream: u8, path: &str) -> Vec<u8> {
    let (method, scheme) = (0x82, 0x87);
    let mut fields = vec![method, scheme, 0x04, u8::try_from(path.len()).unwrap()];
    fields.extend(path.as_bytes());
    fields.extend([0x01, 9]);
    fields.extend(b"localhost");
    let end = 0x04 | 0x01;
    let mut frame = vec![0, 0, u8::try_from(fields.len()).unwrap(), HEADERS, end, 0, 0, 0, stream];
    frame.extend(fields);
    frame
}

/// Kind and content of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while bytes.len() >= 9 {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let Some(content) = bytes.get(9..9 + length) else { break };
        frames.push((bytes[3], content.to_vec()));
        bytes = &bytes[9 + length..];
    }
    frames
}

/// Reads on until these bytes have come.
fn read_until(tls: &mut Tls, wanted: &[u8]) -> Vec<u8> {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    tls.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    while !said.windows(wanted.len()).any(|part| part == wanted) {
        let length = tls.read(&mut buffer).unwrap();
        assert!(length > 0, "it ends with {:?}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..length]);
    }
    said
}

/// The rest, which has to end with `close_notify`.
#[track_caller]
fn rest(what: &str, tls: &mut Tls) -> Vec<u8> {
    let mut said = Vec::new();
    tls.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    // rustls takes an end without it for an error (RFC 8446 section 6.1).
    let ended = tls.read_to_end(&mut said);
    assert!(ended.is_ok(), "{what}: {ended:?} after {:?}", String::from_utf8_lossy(&said));
    said
}

/// That somebody said GOAWAY, and that nothing was wrong.
#[track_caller]
fn assert_goes_away(what: &str, said: &[u8]) {
    let away: Vec<_> = frames(said).into_iter().filter(|(kind, _)| *kind == GOAWAY).collect();
    assert!(!away.is_empty(), "{what}: no GOAWAY among {:?}", frames(said));
    assert!(away.iter().all(|(_, content)| content[4..8] == [0; 4]), "{what}: {away:?}");
}

#[test]
fn a_server_that_stops_takes_leave_on_every_connection() {
    for mut lab in [Lab::serve(&[]), Lab::trial(&json!({}))] {
        let open = |alpn| lab.tls(alpn);
        let mut idle = open(Alpn::H1);
        write!(idle, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        read_until(&mut idle, b"\r\n\r\n");
        let mut reading = open(Alpn::H1);
        write!(reading, "GET /feeds/news/sse HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        read_until(&mut reading, b"id: ");
        let mut waiting = open(Alpn::H1);
        write!(waiting, "GET /feeds/news/long-polling?trial=1 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut silent = open(Alpn::H1);
        let mut idle_2 = open(Alpn::H2);
        idle_2.write_all(&[PREFACE, &get(1, "/ping")].concat()).unwrap();
        // The answer's HEADERS: 204 is number 9 of HPACK's table.
        read_until(&mut idle_2, &[0x89]);
        let mut reading_2 = open(Alpn::H2);
        reading_2.write_all(&[PREFACE, &get(1, "/feeds/news/sse")].concat()).unwrap();
        read_until(&mut reading_2, b"id: ");
        let mut silent_2 = open(Alpn::H2);

        let begun = Instant::now();
        lab.ask_to_stop();
        for (what, tls) in
            [("idle", &mut idle), ("reading", &mut reading), ("waiting", &mut waiting), ("silent", &mut silent)]
        {
            rest(what, tls);
        }
        for (what, tls) in
            [("idle, HTTP/2", &mut idle_2), ("reading, HTTP/2", &mut reading_2), ("silent, HTTP/2", &mut silent_2)]
        {
            assert_goes_away(what, &rest(what, tls));
        }
        assert!(lab.ended().success());
        assert!(begun.elapsed() < PATIENCE, "after {:?}", begun.elapsed());
    }
}

#[test]
fn who_never_asks_on_http_2_is_taken_leave_of() {
    let lab = Lab::serve(&[]);
    let mut preface = lab.tls(Alpn::H2);
    preface.write_all(PREFACE).unwrap();
    let mut nothing = lab.tls(Alpn::H2);
    for (what, tls) in [("nothing but the preface", &mut preface), ("nothing", &mut nothing)] {
        assert_goes_away(what, &rest(what, tls));
    }
}

#[test]
fn the_control_origin_takes_leave_of_whoever_it_sends_away_and_of_all_when_it_stops() {
    let mut lab = Lab::serve(&[]);
    let port = lab.base;
    let mut silent = lab.tls_at(port, Alpn::H1);
    let mut nothing = lab.tls_at(port, Alpn::H2);
    let mut preface = lab.tls_at(port, Alpn::H2);
    preface.write_all(PREFACE).unwrap();
    // 404 is number 13 of HPACK's table.
    let mut refused = lab.tls_at(port, Alpn::H2);
    refused.write_all(&[PREFACE, &get(1, "/nowhere")].concat()).unwrap();
    let said = read_until(&mut refused, &[0x8d]);
    assert!(frames(&said).iter().all(|(kind, _)| *kind != GOAWAY));
    rest("silent", &mut silent);
    for (what, tls) in [("nothing", &mut nothing), ("nothing but the preface", &mut preface)] {
        assert_goes_away(what, &rest(what, tls));
    }

    let mut idle = lab.tls_at(port, Alpn::H1);
    write!(idle, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    read_until(&mut idle, b"\r\n\r\n");
    let mut reading = lab.tls_at(port, Alpn::H1);
    write!(reading, "GET /ledger HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    read_until(&mut reading, b"data: ");
    let mut idle_2 = lab.tls_at(port, Alpn::H2);
    idle_2.write_all(&[PREFACE, &get(1, "/ping")].concat()).unwrap();
    read_until(&mut idle_2, &[0x89]);
    lab.ask_to_stop();
    rest("idle", &mut idle);
    rest("reading", &mut reading);
    assert_goes_away("idle, HTTP/2", &rest("idle, HTTP/2", &mut idle_2));
    assert!(lab.ended().success());
}

#[test]
fn who_is_refused_is_taken_leave_of() {
    let lab = Lab::serve(&[]);
    let mut tls = lab.tls(Alpn::H1);
    tls.write_all(b"GET /ping HTTP/9.9\r\n\r\n").unwrap();
    rest("not HTTP", &mut tls);
    let mut tls = lab.tls(Alpn::H1);
    write!(tls, "GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    rest("as was asked for", &mut tls);
    // HTTP/2 needs its ALPN (RFC 9113 section 3.2).
    let mut tls = lab.tls_without_alpn(lab.port(Alpn::H2));
    rest("no ALPN", &mut tls);
    // A frame on a stream that a client can't open.
    let mut tls = lab.tls(Alpn::H2);
    tls.write_all(&[PREFACE, &get(2, "/ping")].concat()).unwrap();
    let said = rest("not HTTP/2", &mut tls);
    assert!(frames(&said).iter().any(|(kind, _)| *kind == GOAWAY), "{:?}", frames(&said));
}
