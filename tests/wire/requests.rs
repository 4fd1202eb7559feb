//! Requests that HTTP/3 calls malformed (RFC 9114 sections 4.1 to 4.3): they are reset, and nobody answers them.

use std::time::{Duration, Instant};

use transport_lab::wire::BODY_TIMEOUT;

use crate::bytes::{DATA, HEADERS, Raw, frame, headers, reset, stopped};
use crate::echo::{Echo, LATE, soon};

/// Far less than a body is waited for, and long enough for a busy machine.
const AT_ONCE: Duration = BODY_TIMEOUT.checked_sub(Duration::from_secs(3)).unwrap();

const H3_NO_ERROR: u64 = 0x100;
const H3_FRAME_UNEXPECTED: u64 = 0x105;
const H3_FRAME_ERROR: u64 = 0x106;
const H3_EXCESSIVE_LOAD: u64 = 0x107;
const H3_MESSAGE_ERROR: u64 = 0x10e;
const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;

type Field = (&'static str, &'static str);

const METHOD: Field = (":method", "POST");
const SCHEME: Field = (":scheme", "https");
const HOST: Field = (":authority", "localhost");
const PATH: Field = (":path", "/feeds/news");
const POST: [Field; 4] = [METHOD, SCHEME, HOST, PATH];

/// A POST with these fields.
fn post(fields: &[Field]) -> Vec<u8> {
    headers(&[&POST, fields].concat())
}

#[tokio::test]
async fn a_malformed_header_is_reset_and_never_answered() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let whole: [(&str, Vec<Field>); 18] = [
        ("a field of a connection", [&POST[..], &[("connection", "close")]].concat()),
        ("another", [&POST[..], &[("keep-alive", "timeout=5")]].concat()),
        ("another", [&POST[..], &[("proxy-connection", "close")]].concat()),
        ("another", [&POST[..], &[("transfer-encoding", "chunked")]].concat()),
        ("another", [&POST[..], &[("upgrade", "websocket")]].concat()),
        ("what trailers alone may do", [&POST[..], &[("te", "gzip")]].concat()),
        ("a pseudo-header field twice", [&POST[..], &[(":path", "/other")]].concat()),
        ("one after a field", vec![METHOD, SCHEME, HOST, ("accept", "*/*"), PATH]),
        ("a response's", [&POST[..], &[(":status", "200")]].concat()),
        ("one that nobody knows", [&POST[..], &[(":other", "1")]].concat()),
        ("a user's name", vec![METHOD, SCHEME, (":authority", "evil@localhost"), PATH]),
        ("one in the field", vec![METHOD, SCHEME, PATH, ("host", "evil@localhost")]),
        ("no host", vec![METHOD, SCHEME, PATH]),
        ("another host", [&POST[..], &[("host", "example.com")]].concat()),
        ("two hosts", [&POST[..], &[("host", "localhost"), ("host", "localhost")]].concat()),
        ("no path", vec![METHOD, SCHEME, HOST]),
        ("what is no path", vec![METHOD, SCHEME, HOST, (":path", "*")]),
        ("white space around a value", [&POST[..], &[("accept", " */*")]].concat()),
    ];
    for (what, fields) in whole {
        let (mut send, mut recv) = raw.ask(&headers(&fields)).await;
        send.finish().unwrap();
        assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR, "{what}: {fields:?}");
    }
    let (mut send, mut recv) = raw.ask(&post(&[("te", "trailers"), ("host", "localhost"), ("cookie", "a=b")])).await;
    send.finish().unwrap();
    soon("an answer", recv.read_to_end(1000)).await.unwrap();
    drop(raw);
    echo.sees("its end", |seen| seen.disconnected == 1).await;
    assert_eq!(echo.seen.borrow().answered, 1);
}

#[tokio::test]
async fn a_content_length_is_that_of_the_body() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let data = frame(DATA, b"hello");
    for wrong in ["4", "6", "5x", "-5", "", "5, 6", "99999999999999999999999"] {
        let (mut send, mut recv) = raw.ask(&[&post(&[("content-length", wrong)]), &data[..]].concat()).await;
        send.finish().unwrap();
        assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR, "{wrong}");
    }
    let (mut send, mut recv) = raw.ask(&post(&[("content-length", "5"), ("content-length", "7")])).await;
    send.write_all(&data).await.unwrap();
    send.finish().unwrap();
    assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR, "two that differ");
    for right in ["5", "5, 5"] {
        let (mut send, mut recv) = raw.ask(&post(&[("content-length", right)])).await;
        // In two frames, and with one between that says nothing.
        for part in [frame(DATA, b"he"), frame(0x21, b"grease"), frame(DATA, b"llo")] {
            send.write_all(&part).await.unwrap();
        }
        send.finish().unwrap();
        soon("an answer", recv.read_to_end(1000)).await.unwrap();
    }
    drop(raw);
    echo.sees("its end", |seen| seen.disconnected == 1).await;
    assert_eq!(echo.seen.borrow().answered, 2);
}

#[tokio::test]
async fn a_get_is_answered_at_once_whatever_its_content_does() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let get = |fields: &[Field]| headers(&[&[(":method", "GET"), SCHEME, HOST, (":path", "/ping")], fields].concat());
    let data = frame(DATA, b"abc");
    for ends in [true, false] {
        for fields in [&[][..], &[("content-length", "6")]] {
            let begun = Instant::now();
            let (mut send, mut recv) = raw.ask(&[&get(fields), &data[..]].concat()).await;
            soon("an answer", recv.read_to_end(1000)).await.unwrap();
            assert!(begun.elapsed() < AT_ONCE, "{fields:?}: after {:?}", begun.elapsed());
            if ends {
                send.write_all(&data).await.unwrap();
                send.finish().unwrap();
            }
            // All was taken, or no more is needed (RFC 9114 section 4.1).
            assert_eq!(stopped(&send).await, (!ends).then_some(H3_NO_ERROR), "{fields:?}");
        }
    }
    // What is wrong with it when it comes is still wrong.
    let (mut send, mut recv) = raw.ask(&[&get(&[("content-length", "4")]), &data[..]].concat()).await;
    send.finish().unwrap();
    assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR);
    raw.assert_well().await;
}

#[tokio::test]
async fn who_still_sends_when_an_answer_ends_that_took_longer_than_content_may_is_told_at_once() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let get = headers(&[(":method", "GET"), SCHEME, HOST, (":path", LATE)]);
    let (send, mut recv) = raw.ask(&[&get[..], &frame(DATA, b"abc")].concat()).await;
    soon("an answer", recv.read_to_end(1000)).await.unwrap();
    let answered = Instant::now();
    assert_eq!(stopped(&send).await, Some(H3_NO_ERROR));
    assert!(answered.elapsed() < AT_ONCE, "{:?} later", answered.elapsed());
    raw.assert_well().await;
}

#[tokio::test]
async fn trailers_are_fields_and_nothing_comes_after_them() {
    let echo = Echo::start();
    let (head, data) = (post(&[]), frame(DATA, b"hello"));
    let sum = headers(&[("x-sum", "1")]);
    let raw = Raw::dial(&echo).await;
    let wrong: [&[Field]; 3] = [&[(":path", "/")], &[("x-sum", "1"), (":status", "200")], &[("connection", "close")]];
    for trailers in wrong {
        let (mut send, mut recv) = raw.ask(&[&head[..], &data, &headers(trailers)].concat()).await;
        send.finish().unwrap();
        assert_eq!(reset(&mut recv).await, H3_MESSAGE_ERROR, "{trailers:?}");
    }
    // What says that it is longer than a header may be is not waited for.
    let (_send, mut recv) =
        raw.ask(&[&head[..], &data, &[HEADERS.to_le_bytes()[0], 0xbf, 0xff, 0xff, 0xff]].concat()).await;
    assert_eq!(reset(&mut recv).await, H3_EXCESSIVE_LOAD);
    let (mut send, mut recv) = raw.ask(&[&head[..], &data, &sum, &frame(0x21, b"grease")].concat()).await;
    send.finish().unwrap();
    soon("an answer", recv.read_to_end(1000)).await.unwrap();
    for (behind, code) in [
        (data.clone(), H3_FRAME_UNEXPECTED),
        (sum.clone(), H3_FRAME_UNEXPECTED),
        (frame(4, b""), H3_FRAME_UNEXPECTED),
        (vec![0x40, 0x41], H3_FRAME_ERROR),
        (frame(HEADERS, &[]), H3_FRAME_UNEXPECTED),
    ] {
        let raw = Raw::dial(&echo).await;
        let (mut send, _recv) = raw.ask(&[&head[..], &data, &sum, &behind].concat()).await;
        send.finish().unwrap();
        assert_eq!(raw.closed().await, code, "{behind:x?}");
    }
    for (bytes, code) in [
        ([&head[..], &frame(4, b"")].concat(), H3_FRAME_UNEXPECTED),
        ([&head[..], &[0x40, 0x41, 0]].concat(), H3_FRAME_ERROR),
        ([&head[..], &frame(HEADERS, &[])].concat(), QPACK_DECOMPRESSION_FAILED),
        ([&head[..], &data[..4]].concat(), H3_FRAME_ERROR),
        (data.clone(), H3_FRAME_UNEXPECTED),
        (frame(0x21, b"grease").into_iter().chain([0x40, 0x41]).collect(), H3_FRAME_ERROR),
        (frame(HEADERS, &[0]), QPACK_DECOMPRESSION_FAILED),
    ] {
        let raw = Raw::dial(&echo).await;
        let (mut send, _recv) = raw.ask(&bytes).await;
        send.finish().unwrap();
        assert_eq!(raw.closed().await, code, "{bytes:x?}");
    }
    echo.assert_well().await;
}

#[tokio::test]
async fn a_connect_that_wants_a_proxy_is_told_that_there_is_none() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    let (send, mut recv) = raw.ask(&headers(&[(":method", "CONNECT"), (":authority", "example.com:443")])).await;
    // It hasn't ended its side, nor does it mean to.
    let answer = soon("the answer", recv.read_to_end(1000)).await.unwrap();
    // A value in Huffman's code, as `h3` writes it: 501.
    assert!(answer.windows(3).any(|three| three == [0x82, 0x6c, 0x01]), "{answer:x?}");
    assert_eq!(stopped(&send).await, Some(H3_NO_ERROR));
    raw.assert_well().await;
}
