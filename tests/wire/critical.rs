//! What a client must not say outside its requests (RFC 9114 sections 6.2 and 7.2, RFC 9204 section 4).

use quinn::{SendStream, VarInt};

use crate::bytes::{Raw, frame, varint};
use crate::echo::{Echo, soon};

const H3_STREAM_CREATION_ERROR: u64 = 0x103;
const H3_CLOSED_CRITICAL_STREAM: u64 = 0x104;
const H3_FRAME_UNEXPECTED: u64 = 0x105;
const H3_FRAME_ERROR: u64 = 0x106;
const H3_ID_ERROR: u64 = 0x108;
const H3_SETTINGS_ERROR: u64 = 0x109;
const H3_MISSING_SETTINGS: u64 = 0x10a;
const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;

const CANCEL_PUSH: u32 = 3;
const SETTINGS: u32 = 4;
const GOAWAY: u32 = 7;
const MAX_PUSH_ID: u32 = 13;
const GREASE: u32 = 0x21;

#[tokio::test]
async fn a_control_stream_that_says_what_must_not_be_said_ends_the_connection() {
    let echo = Echo::start();
    let after = |frames: &[u8]| [&[0][..], &frame(SETTINGS, b""), frames].concat();
    for (bytes, code) in [
        ([&[0][..], &frame(GREASE, b"?"), &frame(SETTINGS, b"")].concat(), H3_MISSING_SETTINGS),
        ([&[0][..], &frame(GOAWAY, &[0])].concat(), H3_MISSING_SETTINGS),
        (after(&frame(SETTINGS, b"")), H3_FRAME_UNEXPECTED),
        (after(&frame(1, b"")), H3_FRAME_UNEXPECTED),
        (after(&frame(CANCEL_PUSH, &[0])), H3_ID_ERROR),
        (after(&[frame(MAX_PUSH_ID, &[8]), frame(MAX_PUSH_ID, &[7])].concat()), H3_ID_ERROR),
        (after(&frame(MAX_PUSH_ID, &[8, 8])), H3_FRAME_ERROR),
        (after(&frame(GOAWAY, &[0, 0])), H3_FRAME_ERROR),
        (after(&frame(GOAWAY, &[0x40])), H3_FRAME_ERROR),
        (after(&frame(GOAWAY, b"")), H3_FRAME_ERROR),
        (after(&[frame(GOAWAY, &[1]), frame(GOAWAY, &[2])].concat()), H3_ID_ERROR),
        ([&[0][..], &frame(SETTINGS, &[0x33, 2])].concat(), H3_SETTINGS_ERROR),
        ([&[0][..], &frame(SETTINGS, &[8, 2])].concat(), H3_SETTINGS_ERROR),
        ([&[0][..], &frame(SETTINGS, &[6, 1, 6, 1])].concat(), H3_SETTINGS_ERROR),
        ([&[0][..], &frame(SETTINGS, &[4, 1])].concat(), H3_SETTINGS_ERROR),
        ([&[0][..], &frame(SETTINGS, &[6])].concat(), H3_FRAME_ERROR),
    ] {
        let raw = Raw::dial_saying(&echo, &bytes).await;
        assert_eq!(raw.closed().await, code, "{bytes:x?}");
    }
    let fine = [frame(GREASE, b"?"), frame(MAX_PUSH_ID, &[7]), frame(MAX_PUSH_ID, &[7]), frame(0xf0700, b"")].concat();
    let raw = Raw::dial_saying(&echo, &after(&fine)).await;
    raw.assert_well().await;
    echo.assert_well().await;
}

/// A unidirectional stream that begins with these bytes.
async fn begin(raw: &Raw, bytes: &[u8]) -> SendStream {
    let mut send = soon("a stream", raw.quic.open_uni()).await.unwrap();
    send.write_all(bytes).await.unwrap();
    send
}

#[tokio::test]
async fn who_pushes_or_opens_a_second_critical_stream_is_sent_away() {
    let echo = Echo::start();
    for kinds in [&[1][..], &[0], &[2, 2], &[3, 3]] {
        let raw = Raw::dial(&echo).await;
        let mut streams = Vec::new();
        for kind in kinds {
            streams.push(begin(&raw, &varint(*kind)).await);
        }
        assert_eq!(raw.closed().await, H3_STREAM_CREATION_ERROR, "{kinds:?}");
    }
    echo.assert_well().await;
}

#[tokio::test]
async fn a_critical_stream_that_ends_ends_the_connection() {
    let echo = Echo::start();
    for kind in [2, 3] {
        let raw = Raw::dial(&echo).await;
        begin(&raw, &varint(kind)).await.finish().unwrap();
        assert_eq!(raw.closed().await, H3_CLOSED_CRITICAL_STREAM, "{kind}");
        let raw = Raw::dial(&echo).await;
        let mut send = begin(&raw, &varint(kind)).await;
        // A reset may overtake what says which stream it is: the server must have read that.
        raw.assert_well().await;
        send.reset(VarInt::from_u32(0)).unwrap();
        assert_eq!(raw.closed().await, H3_CLOSED_CRITICAL_STREAM, "{kind}");
    }
    let mut raw = Raw::dial(&echo).await;
    raw.control.finish().unwrap();
    assert_eq!(raw.closed().await, H3_CLOSED_CRITICAL_STREAM);
    // The server's own, which a client doesn't want any more.
    for _ in 0..3 {
        let raw = Raw::dial(&echo).await;
        loop {
            let mut recv = soon("a stream", raw.quic.accept_uni()).await.unwrap();
            let mut kind = [0];
            recv.read_exact(&mut kind).await.unwrap();
            if kind[0] < 4 {
                recv.stop(VarInt::from_u32(0)).unwrap();
                break;
            }
        }
        assert_eq!(raw.closed().await, H3_CLOSED_CRITICAL_STREAM);
    }
    echo.assert_well().await;
}

#[tokio::test]
async fn qpack_without_a_table_has_nothing_to_say_but_that_streams_are_cancelled() {
    let echo = Echo::start();
    for (bytes, code) in [
        (&[2, 0x3f, 0x01][..], QPACK_ENCODER_STREAM_ERROR),
        (&[2, 0xc0, 0], QPACK_ENCODER_STREAM_ERROR),
        (&[2, 0x00], QPACK_ENCODER_STREAM_ERROR),
        (&[3, 0x80], QPACK_DECODER_STREAM_ERROR),
        (&[3, 0x01], QPACK_DECODER_STREAM_ERROR),
        (&[3, 0x00], QPACK_DECODER_STREAM_ERROR),
    ] {
        let raw = Raw::dial(&echo).await;
        let _send = begin(&raw, bytes).await;
        assert_eq!(raw.closed().await, code, "{bytes:x?}");
    }
    let raw = Raw::dial(&echo).await;
    let _encoder = begin(&raw, &[2, 0x20]).await;
    let _decoder = begin(&raw, &[3, 0x44, 0x7f, 0x80, 0x01]).await;
    raw.assert_well().await;
    echo.assert_well().await;
}
