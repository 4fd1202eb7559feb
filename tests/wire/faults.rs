//! What nobody should send, in an order that nobody should choose.

use std::time::Instant;

use transport_lab::wire::HANDSHAKE_TIMEOUT;

use crate::bytes::{DATA, HEADERS, Raw, assert_status, connect, frame, headers, reset, stopped, varint};
use crate::echo::{Echo, soon};

const H3_FRAME_UNEXPECTED: u64 = 0x105;
const H3_FRAME_ERROR: u64 = 0x106;
const H3_ID_ERROR: u64 = 0x108;
const H3_REQUEST_CANCELLED: u32 = 0x10c;
const H3_REQUEST_INCOMPLETE: u64 = 0x10d;
const H3_MESSAGE_ERROR: u64 = 0x10e;
const H3_DATAGRAM_ERROR: u64 = 0x33;
const BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;
const SESSION_GONE: u64 = 0x170d_7b68;
const CLOSE: u32 = 0x2843;

#[tokio::test]
async fn streams_and_datagrams_may_come_before_their_session() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    raw.uni(0, b"early").await.finish().unwrap();
    raw.quic.send_datagram([&varint(0)[..], b"early too"].concat().into()).unwrap();
    let _session = raw.session().await;
    assert_eq!(raw.accept().await.read_to_end(100).await.unwrap(), b"early");
    let datagram = soon("the datagram", raw.quic.read_datagram()).await.unwrap();
    assert_eq!(&datagram[..], b"\0early too");
}

#[tokio::test]
async fn streams_that_wait_for_a_session_beyond_the_bound_are_refused_and_counted() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let mut early = Vec::new();
    for k in 0..24 {
        early.push(raw.uni(0, &[k]).await);
    }
    // It is told when the count has doubled: at 1, 2, 4 and 8. Which of them came first is the network's to say.
    echo.sees("eight refusals", |seen| seen.bounds == ["parked-streams"; 4]).await;
    let _session = raw.session().await;
    let mut refused = 0;
    for mut send in early {
        // It sees the end of one that it took, and that of the others it doesn't want to see.
        let _ = send.finish();
        if let Some(code) = stopped(&send).await {
            assert_eq!(code, BUFFERED_STREAM_REJECTED);
            refused += 1;
        }
    }
    assert_eq!(refused, 8);
    for _ in 0..16 {
        assert_eq!(raw.accept().await.read_to_end(100).await.unwrap().len(), 1);
    }
    // Those of a request that turns out to open no session are refused too.
    let waiting = raw.uni(4, b"for nobody").await;
    raw.assert_well().await;
    assert_eq!(stopped(&waiting).await, Some(BUFFERED_STREAM_REJECTED));
}

#[tokio::test]
async fn a_stream_of_a_session_that_is_gone_is_refused_and_a_datagram_is_dropped() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let (mut send, mut recv) = raw.session().await;
    // A half that is closed ends the session (draft-ietf-webtrans-http3 section 6).
    send.finish().unwrap();
    assert!(soon("the other half", recv.read_to_end(100)).await.unwrap().is_empty());
    echo.sees("the end", |seen| seen.ends == [(0, String::new())] && seen.open == 0).await;
    let late = raw.uni(0, b"late").await;
    assert_eq!(stopped(&late).await, Some(SESSION_GONE));
    raw.quic.send_datagram(varint(0).into()).unwrap();
    raw.assert_well().await;
}

#[tokio::test]
async fn what_no_session_can_be_named_by_ends_the_connection() {
    let echo = Echo::start();
    for session in [1, 2, 3] {
        let raw = Raw::dial(&echo).await;
        raw.uni(session, b"").await;
        assert_eq!(raw.closed().await, H3_ID_ERROR);
        let raw = Raw::dial(&echo).await;
        raw.ask(&[varint(0x41), varint(session)].concat()).await;
        assert_eq!(raw.closed().await, H3_ID_ERROR);
    }
    // One that 101 requests would have to come before, of which a hundred may be at once (RFC 9297 section 2.1).
    let raw = Raw::dial(&echo).await;
    let _session = raw.session().await;
    raw.quic.send_datagram(varint(100).into()).unwrap();
    raw.quic.send_datagram(varint(101).into()).unwrap();
    assert_eq!(raw.closed().await, H3_ID_ERROR);
    for datagram in [&b""[..], b"\x40", b"\xff\xff\xff\xff\xff\xff\xff\xff"] {
        let raw = Raw::dial(&echo).await;
        let _session = raw.session().await;
        raw.quic.send_datagram(datagram.to_vec().into()).unwrap();
        assert_eq!(raw.closed().await, H3_DATAGRAM_ERROR, "RFC 9297 section 5.2");
    }
    echo.assert_well().await;
}

#[tokio::test]
async fn a_malformed_capsule_ends_its_session_alone() {
    let echo = Echo::start();
    let capsules = [
        frame(CLOSE, b"123"),
        frame(CLOSE, &[b'x'; 4 + 1025]),
        frame(CLOSE, b"\0\0\0\0\xff"),
        [varint(CLOSE), vec![0xff; 8]].concat(),
    ];
    for capsule in capsules {
        let raw = Raw::dial(&echo).await;
        let (mut send, mut recv) = raw.session().await;
        send.write_all(&frame(DATA, &capsule)).await.unwrap();
        assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR);
        raw.assert_well().await;
    }
    // Anything behind the one that ends the session, with it or later.
    for behind in [true, false] {
        let raw = Raw::dial(&echo).await;
        let (mut send, mut recv) = raw.session().await;
        let close = frame(CLOSE, b"\0\0\0\x07enough");
        let more = frame(0x1234, b"?");
        if behind {
            send.write_all(&frame(DATA, &[close, more].concat())).await.unwrap();
        } else {
            send.write_all(&frame(DATA, &close)).await.unwrap();
            echo.sees("the end", |seen| seen.ends.last() == Some(&(7, "enough".to_owned()))).await;
            send.write_all(&frame(DATA, &more)).await.unwrap();
        }
        assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR);
        raw.assert_well().await;
    }
    // One that is cut short by the stream's end.
    let raw = Raw::dial(&echo).await;
    let (mut send, mut recv) = raw.session().await;
    send.write_all(&frame(DATA, &varint(CLOSE))).await.unwrap();
    send.finish().unwrap();
    assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR);
    echo.assert_well().await;
}

#[tokio::test]
async fn malformed_frames_end_their_connection_alone() {
    let echo = Echo::start();
    let neighbour = Raw::dial(&echo).await;
    for protocol in ["websocket", "webtransport"] {
        for (bytes, code) in [
            (frame(HEADERS, &[0, 0]), H3_FRAME_UNEXPECTED),
            (frame(4, b""), H3_FRAME_UNEXPECTED),
            (varint(DATA), H3_FRAME_ERROR),
            (varint(0x41), H3_FRAME_ERROR),
            ([varint(DATA), varint(9), b"short".to_vec()].concat(), H3_FRAME_ERROR),
        ] {
            let raw = Raw::dial(&echo).await;
            let (mut send, mut recv) = raw.ask(&connect(protocol)).await;
            assert_status(&mut recv, "200").await;
            send.write_all(&bytes).await.unwrap();
            send.finish().unwrap();
            assert_eq!(raw.closed().await, code, "{protocol} {bytes:?}");
        }
    }
    // What is unknown is skipped wherever it stands (RFC 9114 section 9).
    let unknown = frame(0x21, b"grease");
    let (mut send, mut recv) = neighbour.ask(&[&unknown[..], &connect("websocket"), &unknown].concat()).await;
    assert_status(&mut recv, "200").await;
    send.write_all(&[frame(DATA, b"a"), unknown, frame(DATA, b"b")].concat()).await.unwrap();
    send.finish().unwrap();
    let back = soon("it back", recv.read_to_end(100)).await.unwrap();
    assert!(back == b"\0\x01a\0\x01b" || back == b"\0\x02ab", "{back:?}");
    echo.assert_well().await;
}

#[tokio::test]
async fn a_connect_that_is_none_is_reset() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let (https, host, root) = ((":scheme", "https"), (":authority", "localhost"), (":path", "/"));
    let (method, protocol) = ((":method", "CONNECT"), (":protocol", "websocket"));
    for fields in [
        &[method, https, host, root][..],
        &[(":method", "GET"), https, host, root, protocol],
        &[method, host, root, protocol],
        &[method, https, host, protocol],
        &[method, https, root, protocol],
        &[method, https, host, root, protocol, protocol],
        &[method, https, host, root, protocol, (":nonsense", "1")],
        &[method, https, host, root, protocol, ("Upper", "1")],
    ] {
        let (_send, mut recv) = raw.ask(&headers(fields)).await;
        assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR, "{fields:?}");
    }
    raw.assert_well().await;
}

#[tokio::test]
async fn a_stream_whose_beginning_is_slow_delays_no_other_and_is_sent_away_after_its_time() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let began = Instant::now();
    let whole = connect("websocket");
    let mut slow = Vec::new();
    for beginning in [&b""[..], &whole[..1], &whole[..2], &whole[..10], b"\x40"] {
        // A stream with nothing on it isn't there yet: one of the others makes it so (RFC 9000 section 3.2).
        slow.push(raw.ask(beginning).await);
    }
    let mut slow_uni = raw.quic.open_uni().await.unwrap();
    slow_uni.write_all(b"\x40").await.unwrap();
    raw.assert_well().await;
    let (_session, mut recv) = raw.ask(&connect("webtransport")).await;
    assert_status(&mut recv, "200").await;
    assert!(began.elapsed() < HANDSHAKE_TIMEOUT, "they did not wait");
    for (_send, recv) in &mut slow {
        assert_eq!(reset(recv).await, H3_REQUEST_INCOMPLETE);
    }
    assert_eq!(stopped(&slow_uni).await, Some(H3_REQUEST_INCOMPLETE));
    echo.sees("the session alone", |seen| seen.open == 1).await;
}

const VISITS: u32 = 10_000;

#[tokio::test]
async fn ten_thousand_connects_opened_and_cancelled_leave_nothing_open() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let heads = [connect("websocket"), connect("webtransport")];
    for k in 0..VISITS {
        let (mut send, mut recv) = raw.ask(&heads[k as usize % 2]).await;
        let _ = send.reset(H3_REQUEST_CANCELLED.into());
        let _ = recv.stop(H3_REQUEST_CANCELLED.into());
    }
    raw.assert_well().await;
    echo.assert_well().await;
}
