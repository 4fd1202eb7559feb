//! How a server of HTTP/3 takes its leave, and what it says of when it answered.

use quinn::ConnectionError;

use crate::bytes::{Raw, connect, frame, headers};
use crate::echo::{Echo, soon};

const GOAWAY: u32 = 7;

#[tokio::test]
async fn a_server_that_stops_says_goaway_and_closes_without_an_error() {
    let echo = Echo::start();
    let raw = Raw::dial(&echo).await;
    // A session that goes on for ever, on the connection's first stream.
    let (_send, mut answer) = raw.ask(&connect("webtransport")).await;
    crate::bytes::assert_status(&mut answer, "200").await;
    let mut control = loop {
        let mut recv = soon("a stream", raw.quic.accept_uni()).await.unwrap();
        let mut kind = [0];
        recv.read_exact(&mut kind).await.unwrap();
        if kind == [0] {
            break recv;
        }
        raw.keep(recv);
    };
    echo.stop.send_replace(true);
    let mut said = Vec::new();
    let lost = loop {
        let mut bytes = [0; 1000];
        match soon("the end", control.read(&mut bytes)).await {
            Ok(Some(length)) => said.extend_from_slice(&bytes[..length]),
            Ok(None) => panic!("a control stream that ends"),
            Err(error) => break error,
        }
    };
    assert!(said.ends_with(&frame(GOAWAY, &[4])), "the next would be stream 4: {said:x?}");
    assert!(matches!(lost, quinn::ReadError::ConnectionLost(ConnectionError::ApplicationClosed(_))), "{lost}");
    assert_eq!(raw.closed().await, 0x100, "H3_NO_ERROR");
}

#[tokio::test]
async fn every_answer_says_when_it_was_made() {
    let echo = Echo::start();
    let before = std::time::SystemTime::now();
    let dialled = echo.dial().await;
    let response = soon("an answer", dialled.try_clone().unwrap().get("/ping", &[])).await.unwrap();
    let (refused, _) = soon("an answer", dialled.session("/refused", "webtransport", &[])).await.unwrap();
    for head in [&response.head, &refused] {
        let date = head.headers["date"].to_str().unwrap();
        let date = httpdate::parse_http_date(date).unwrap();
        let second = std::time::Duration::from_secs(1);
        assert!(before - second <= date && date <= std::time::SystemTime::now(), "{date:?}");
    }
    // And one that no handler sees.
    let raw = Raw::dial(&echo).await;
    let (_send, mut recv) = raw.ask(&headers(&[(":method", "CONNECT"), (":authority", "example.com:443")])).await;
    let answer = soon("the answer", recv.read_to_end(1000)).await.unwrap();
    // `date` is the 6th entry of QPACK's static table (RFC 9204 appendix A), its value a literal in Huffman's code.
    assert!(answer.windows(2).any(|two| two[0] == 0x56 && two[1] & 0x80 != 0), "{answer:x?}");
}
