//! HTTP/2 whose every frame is a test's own.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use transport_lab::cli::log::LINES;
use transport_lab::trial::Alpn;

use crate::lab::Lab;
use crate::raw::Tls;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

/// What a connection ends with whose client is too much (RFC 9113 section 7).
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame (RFC 9113 section 4.1).
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    /// A GOAWAY's error code; 0 of any other.
    pub(crate) code: u32,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block, each field a literal that no table takes (RFC 7541 section 6.2.2).
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127, "a length of one byte: {text}");
        [&[length], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// What begins every connection (RFC 9113 section 3.4).
pub(crate) fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

/// A GET that is all of its request.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    let head = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "localhost")];
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&head))
}

/// Its end, because the client no longer wants it.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// Reads the next frame; `None`: the connection has ended.
pub(crate) fn next(from: &mut impl Read) -> Option<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head).ok()?;
    let [a, b, c, kind, _, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    from.read_exact(&mut payload).ok()?;
    let code = if kind == GOAWAY { u32::from_be_bytes(payload[4..8].try_into().unwrap()) } else { 0 };
    Some(Frame { kind, stream: u32::from_be_bytes(stream), code })
}

/// Reads until each of these streams has had a frame of the kind that is asked of it.
#[track_caller]
fn until_had(tls: &mut Tls, mut wanted: BTreeMap<u32, u8>) {
    while !wanted.is_empty() {
        let frame = next(tls).unwrap_or_else(|| panic!("it ended before {wanted:?}"));
        assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        if wanted.get(&frame.stream) == Some(&frame.kind) {
            wanted.remove(&frame.stream);
        }
    }
}

/// An extended CONNECT (RFC 8441) for a WebSocket, and what else its header says.
pub(crate) fn connect(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let head = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/feeds/news/websocket"),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ];
    frame(HEADERS, END_HEADERS, stream, &fields(&[&head[..], more].concat()))
}

/// One that says it has content, which no CONNECT has.
pub(crate) fn connect_with_content(stream: u32) -> Vec<u8> {
    connect(stream, &[("content-length", "1")])
}

/// The numbers of a client's streams, from the `n`-th on.
fn streams(n: u32) -> impl Iterator<Item = u32> {
    (n..).map(|n| 2 * n + 1)
}

#[test]
fn a_connect_with_content_ends_its_stream_and_neither_its_connection_nor_the_streams_beside_it() {
    let lab = Lab::serve(&[]);
    for round in 0..3 {
        let mut tls = lab.tls(Alpn::H2);
        let mut bytes = preface();
        let readers: Vec<u32> = streams(0).take(99).collect();
        bytes.extend(readers.iter().flat_map(|&stream| get(stream, "/feeds/news/sse")));
        bytes.extend(connect_with_content(199));
        tls.write_all(&bytes).unwrap();
        let answered = readers.iter().map(|&stream| (stream, DATA));
        until_had(&mut tls, answered.chain([(199, RST_STREAM)]).collect());
        tls.write_all(&get(201, "/ping")).unwrap();
        until_had(&mut tls, BTreeMap::from([(201, HEADERS)]));
        lab.until_counted("/alpn/h2/streams", [99, 99, 99 * (round + 1)]);
        drop(tls);
        lab.until_counted("/alpn/h2/streams", [0, 99, 99 * (round + 1)]);
    }
}

/// How many CONNECTs with content a connection survives.
const SURVIVED: usize = 1024;

#[test]
fn streams_that_begin_in_the_instant_in_which_their_connection_ends_end_with_it() {
    let lab = Lab::serve(&[]);
    let mut tls = lab.tls(Alpn::H2);
    tls.write_all(&preface()).unwrap();
    let mut numbers = streams(0);
    for _ in 0..SURVIVED / 64 {
        let bad: Vec<u32> = numbers.by_ref().take(64).collect();
        tls.write_all(&bad.iter().flat_map(|&stream| connect_with_content(stream)).collect::<Vec<_>>()).unwrap();
        until_had(&mut tls, bad.iter().map(|&stream| (stream, RST_STREAM)).collect());
    }
    // One write, and one TLS record: the server is handed all of it at once.
    let readers = numbers.by_ref().take(99).flat_map(|stream| get(stream, "/feeds/news/sse"));
    let mut bytes: Vec<u8> = readers.collect();
    bytes.extend(connect_with_content(numbers.next().unwrap()));
    assert!(bytes.len() < 16 * 1024);
    tls.write_all(&bytes).unwrap();
    while next(&mut tls).is_some() {}
    lab.until(|ledger| {
        let open = |what: &str| ledger.pointer(&format!("/alpn/h2/{what}/open")).cloned();
        // The ledger is read on HTTP/2 at the control origin, which isn't counted.
        open("streams").is_none_or(|open| open == 0) && open("connections") == Some(0.into())
    });
}

#[test]
fn a_flood_of_what_nobody_asked_for_writes_a_bounded_number_of_lines() {
    let lab = Lab::serve(&[]);
    for _ in 0..2 {
        let mut tls = lab.tls(Alpn::H2);
        tls.write_all(&preface()).unwrap();
        let acknowledgements = frame(PING, ACK, 0, &[7; 8]).repeat(500);
        for _ in 0..40 {
            tls.write_all(&acknowledgements).unwrap();
        }
        tls.write_all(&get(1, "/ping")).unwrap();
        until_had(&mut tls, BTreeMap::from([(1, HEADERS)]));
    }
    let log = lab.log();
    let lines = u32::try_from(log.lines().count()).unwrap();
    assert!(lines > 0, "a warning of the first is worth having");
    assert!(lines <= LINES + 1, "{lines} lines of 40,000: {}", &log[..2000]);
    assert!(log.ends_with("no more are written\n"), "{log}");
}
