//! WebSocket frame by frame, on HTTP/1.1 and HTTP/2: what a client must not send, and what it may leave undone.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Target};
use transport_lab::wire::{BODY_TIMEOUT, Tunnel};

use crate::lab::{Lab, PATIENCE, until};

const BOTH: [Alpn; 2] = [Alpn::H1, Alpn::H2];

/// A WebSocket whose frames are the test's own.
struct Raw {
    tunnel: Tunnel,
    read: BytesMut,
}

/// A frame as the server sends it: its first byte (FIN, reserved bits, opcode) and its payload.
type Frame = (u8, Vec<u8>);

impl Lab {
    async fn raw(&self, alpn: Alpn, path: &str) -> Raw {
        let target = Target { host: "localhost".to_owned(), port: self.port(alpn) };
        let dialled = ClientConnection::connect(&target, alpn, &self.authority()).await.unwrap();
        let (head, tunnel) = dialled.tunnel(path, "websocket", &[("sec-websocket-version", "13")]).await.unwrap();
        Raw { tunnel: tunnel.unwrap_or_else(|| panic!("{alpn}: {}", head.status)), read: BytesMut::new() }
    }
}

/// The bit that says that a frame is masked.
const MASKED: u8 = 0x80;

/// A frame as a client has to send it, masked (RFC 6455 section 5.2).
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ ..126) => frame.push(MASKED | u8::try_from(length).unwrap()),
        Ok(length) => {
            frame.push(MASKED | 0x7e);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(MASKED | 0x7f);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

impl Raw {
    async fn send(&mut self, bytes: &[u8]) {
        // The server may have closed by now: then there is an answer to read.
        let _ = self.tunnel.write_all(bytes).await;
        let _ = self.tunnel.flush().await;
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let bytes = &self.read;
            let short = bytes.get(1).map(|length| usize::from(*length));
            let (begin, length) = match short {
                Some(126) => (4, bytes.get(2..4).map(|long| usize::from(u16::from_be_bytes([long[0], long[1]])))),
                Some(length) => (2, Some(length)),
                None => (2, None),
            };
            if let Some(length) = length
                && bytes.len() >= begin + length
            {
                let first = self.read[0];
                self.read.advance(begin);
                return Some((first, self.read.split_to(length).to_vec()));
            }
            let read = timeout(PATIENCE, self.tunnel.read_buf(&mut self.read)).await.expect("a frame or the end");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The data of the next event.
    async fn event(&mut self) -> String {
        let (first, payload) = self.next().await.expect("an event");
        assert_eq!(first, 0x81, "a text in one frame");
        serde_json::from_slice::<Value>(&payload).unwrap()["data"].as_str().unwrap().to_owned()
    }

    /// The code with which the server closes; it says nothing after.
    async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await.expect("a close frame before the end") {
                (0x88, payload) => {
                    assert_eq!(self.next().await, None, "nothing after it");
                    return u16::from_be_bytes([payload[0], payload[1]]);
                }
                (0x89 | 0x8a, _) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_standard_forbids_is_closed_with_the_code_it_names_and_harms_nobody() {
    let lab = Lab::trial(&json!({}));
    let long_ping = frame(0x89, &[b'x'; 126]);
    let second_text = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    let surrogate = frame(0x81, b"\xed\xa0\x80");
    let cut = [frame(0x01, b"\xf0\x9f"), frame(0x80, b"\xa6")].concat();
    let (protocol, text, long) = ("websocket-protocol-error", "websocket-not-text", "websocket-message-too-long");
    let binary = "websocket-binary-not-text";
    let cases: &[(&str, &[u8], u16, &str)] = &[
        ("not masked", b"\x81\x01x", 1002, protocol),
        ("a reserved bit", &frame(0xc1, b"x"), 1002, protocol),
        ("another reserved bit", &frame(0x91, b"x"), 1002, protocol),
        ("a data opcode that isn't known", &frame(0x83, b"x"), 1002, protocol),
        ("a control opcode that isn't known", &frame(0x8b, b"x"), 1002, protocol),
        ("a continuation of nothing", &frame(0x80, b"x"), 1002, protocol),
        ("a message within a message", &second_text, 1002, protocol),
        ("a ping in fragments", &frame(0x09, b"x"), 1002, protocol),
        ("a ping that is too long", &long_ping, 1002, protocol),
        ("half a close code", &frame(0x88, b"x"), 1002, protocol),
        ("half a surrogate pair", &surrogate, 1007, text),
        ("a character cut short", &cut, 1007, text),
        ("binary that is no text", &frame(0x82, b"\xff"), 1003, binary),
        ("a close reason that is no text", &frame(0x88, b"\x03\xe8\xff"), 1007, text),
        ("a frame of nine exabytes", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", 1009, long),
        ("one byte too many", &frame(0x81, &vec![b'x'; 64 * 1024 + 1]), 1009, long),
    ];
    for alpn in BOTH {
        let mut neighbour = lab.raw(alpn, "/feeds/news/websocket").await;
        for (what, bytes, code, bound) in cases {
            let before = lab.reached(bound);
            let mut raw = lab.raw(alpn, "/feeds/news/websocket").await;
            raw.send(bytes).await;
            assert_eq!(raw.closed().await, *code, "{alpn}: {what}");
            until("it to be counted", || lab.reached(bound) == before + 1);
        }
        neighbour.send(&frame(0x81, b"still here")).await;
        assert_eq!(neighbour.event().await, "still here", "and none of that was published");
    }
    until("all to be detached", || lab.attached() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_answered_with_its_own_code_and_one_that_may_not_be_sent_with_1002() {
    let lab = Lab::trial(&json!({}));
    for alpn in BOTH {
        for (sent, answered) in [(1000_u16, 1000), (1001, 1001), (4321, 4321), (1005, 1002), (1006, 1002), (999, 1002)]
        {
            let mut raw = lab.raw(alpn, "/feeds/news/websocket").await;
            raw.send(&frame(0x88, &sent.to_be_bytes())).await;
            assert_eq!(raw.closed().await, answered, "{alpn}: {sent}");
        }
        let mut raw = lab.raw(alpn, "/feeds/news/websocket").await;
        raw.send(&frame(0x88, b"")).await;
        assert_eq!(raw.next().await, Some((0x88, vec![])), "{alpn}: without a code");
    }
    until("all to be detached", || lab.attached() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_never_ends_is_bounded_in_size_and_time() {
    let lab = Lab::trial(&json!({}));
    // In size: fragments without end.
    for alpn in BOTH {
        let mut raw = lab.raw(alpn, "/feeds/news/websocket").await;
        raw.send(&frame(0x01, &[b'x'; 4096])).await;
        for _ in 0..20 {
            raw.send(&frame(0x00, &[b'x'; 4096])).await;
        }
        assert_eq!(raw.closed().await, 1009, "{alpn}");
    }
    // In time: empty fragments with pongs between them, one frame byte by byte, and a header that stops.
    let begun = Instant::now();
    let slow = async |alpn, first: Vec<u8>, then: Vec<u8>| {
        let mut raw = lab.raw(alpn, "/feeds/news/websocket").await;
        raw.send(&first).await;
        loop {
            if let Ok(frame) = timeout(Duration::from_millis(500), raw.next()).await {
                assert_eq!(frame.unwrap().1[..2], 1008_u16.to_be_bytes(), "{alpn}");
                return;
            }
            raw.send(&then).await;
        }
    };
    let dribble = || {
        let long = frame(0x81, &[b'x'; 1000]);
        (long[..20].to_vec(), b"x".to_vec())
    };
    let fragments = || (frame(0x01, b""), [frame(0x00, b""), frame(0x8a, b"")].concat());
    tokio::join!(
        slow(Alpn::H1, fragments().0, fragments().1),
        slow(Alpn::H2, fragments().0, fragments().1),
        slow(Alpn::H1, dribble().0, dribble().1),
        slow(Alpn::H2, dribble().0, dribble().1),
        slow(Alpn::H1, vec![0x81], vec![]),
    );
    let took = begun.elapsed();
    assert!(took >= BODY_TIMEOUT && took < BODY_TIMEOUT + PATIENCE, "{took:?}");
    until("five to be counted", || lab.reached("websocket-message-too-slow") == 5);
    assert_eq!(lab.attached(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_no_ping_is_sent_away_and_who_does_stays() {
    // Three seconds for an answer, which a busy machine may need.
    let lab = Lab::trial(&json!({"server": {"heartbeat": "1s"}, "websocket": {"missed-pongs": 3}}));
    let follow = async |alpn| {
        let mut raw = lab.raw(alpn, "/feeds/news/websocket").await;
        for k in 0..5 {
            assert_eq!(raw.next().await, Some((0x89, vec![])), "{alpn}: ping {k}");
            raw.send(&frame(0x8a, b"")).await;
        }
        let mut pings = 0;
        loop {
            match raw.next().await.unwrap() {
                (0x89, _) => pings += 1,
                (0x88, payload) => break assert_eq!(payload[..2], 1011_u16.to_be_bytes(), "{alpn}"),
                other => panic!("{alpn}: {other:?}"),
            }
        }
        // Those that the last answers left unanswered, which may still have been on their way, and three more.
        assert!((3..=6).contains(&pings), "{alpn}: {pings} pings were missed");
    };
    tokio::join!(follow(Alpn::H1), follow(Alpn::H2));
    until("both to be counted", || lab.reached("websocket-missed-pongs") == 2);
    until("both to be detached", || lab.attached() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_leave_in_fragments_of_the_length_that_was_set() {
    let lab = Lab::trial(&json!({"websocket": {"fragment": "100 B"}}));
    for alpn in BOTH {
        let mut raw = lab.raw(alpn, "/feeds/news/websocket").await;
        raw.send(&frame(0x81, &[b'x'; 300])).await;
        let mut message = Vec::new();
        loop {
            let (first, payload) = raw.next().await.unwrap();
            assert_eq!(first & 0x0f, u8::from(message.is_empty()), "a text, then continuations");
            message.extend_from_slice(&payload);
            if first & 0x80 != 0 {
                break;
            }
            assert_eq!(payload.len(), 100, "{alpn}");
        }
        assert!(message.len() > 300);
        assert_eq!(serde_json::from_slice::<Value>(&message).unwrap()["data"], "x".repeat(300));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_without_a_word_is_detached() {
    let lab = Lab::trial(&json!({}));
    for alpn in BOTH {
        // Half-closed: it could still read, and is gone all the same.
        let mut half = lab.raw(alpn, "/feeds/news/websocket").await;
        half.send(&frame(0x01, b"half a message")).await;
        until("it to be attached", || lab.attached() == 1);
        half.tunnel.shutdown().await.unwrap();
        until("the half-closed one to be detached", || lab.attached() == 0);
        assert_eq!(half.next().await, None, "{alpn}: and nobody is told anything");
        let gone = lab.raw(alpn, "/feeds/news/websocket").await;
        until("it to be attached", || lab.attached() == 1);
        drop(gone);
        until("the one that left to be detached", || lab.attached() == 0);
    }
    assert_eq!(lab.reached("websocket-protocol-error"), 0);
}
