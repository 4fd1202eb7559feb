//! Which dialect of WebTransport is offered, asked for and spoken.

use transport_lab::text::chain;
use transport_lab::trial::{Dialect, Dialects};

use crate::bytes::{Raw, assert_status, connect, frame, headers};
use crate::echo::{Echo, soon};

/// What a client's settings say, by dialect (ids as QUIC's integers).
const SAYS: [(Dialect, &[u8]); 4] = [
    (Dialect::Draft02, &[0xab, 0x60, 0x37, 0x42, 1]),
    (Dialect::Draft07, &[0xc0, 0, 0, 0, 0xc6, 0x71, 0x70, 0x6a, 1]),
    (Dialect::Draft13, &[0x94, 0xe9, 0xcd, 0x29, 1]),
    (Dialect::Draft15, &[0xac, 0x7c, 0xf0, 0x00, 1]),
];

fn only(dialect: Dialect) -> Dialects {
    [dialect].into_iter().collect()
}

#[tokio::test]
async fn the_native_client_opens_a_session_in_each_dialect_that_is_offered_alone() {
    for dialect in Dialect::ALL {
        let echo = Echo::offering(100, only(dialect));
        let asked = soon("a session", echo.dial().await.session("/s", "webtransport", &[])).await;
        let (head, session) = asked.unwrap();
        let (session, old) = (session.unwrap(), dialect == Dialect::Draft02);
        assert_eq!(head.headers.contains_key("sec-webtransport-http3-draft"), old, "{dialect:?}");
        let mut send = session.open_uni().await.unwrap();
        send.write_all(b"there and back").await.unwrap();
        send.finish().unwrap();
        let mut recv = soon("a stream", session.accept_uni()).await.unwrap();
        assert_eq!(recv.read_to_end(100).await.unwrap(), b"there and back");
        let token = if dialect == Dialect::Draft15 { "webtransport-h3" } else { "webtransport" };
        let told = (Dialects::ALL, token.to_owned(), Some(dialect));
        assert_eq!(echo.seen.borrow().dialects, [told]);
    }
    let echo = Echo::offering(100, Dialects::default());
    let error = soon("an error", echo.dial().await.session("/s", "webtransport", &[])).await.unwrap_err();
    assert!(chain(&error).contains("does not offer webtransport"), "{error:?}");
}

#[tokio::test]
async fn a_dialect_is_told_by_the_request_or_by_the_settings_of_both_ends() {
    let echo = Echo::start();
    let head = [(":method", "CONNECT"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
    let old = [&head[..], &[(":protocol", "webtransport"), ("sec-webtransport-http3-draft02", "1")]].concat();
    let mut wanted = Vec::new();
    for (dialect, said) in SAYS {
        let raw = Raw::dial_saying(&echo, &[&[0][..], &frame(4, said)].concat()).await;
        for (asking, token, taken) in [
            (connect("webtransport"), "webtransport", dialect),
            (connect("webtransport-h3"), "webtransport-h3", Dialect::Draft15),
            (headers(&old), "webtransport", Dialect::Draft02),
        ] {
            let (_send, mut recv) = raw.ask(&asking).await;
            assert_status(&mut recv, "200").await;
            wanted.push((only(dialect), token.to_owned(), Some(taken)));
            assert_eq!(echo.seen.borrow().dialects, wanted);
        }
    }
    // A client whose settings say nothing may mean any; it is let in all the same.
    let raw = Raw::dial(&echo).await;
    let _session = raw.session().await;
    wanted.push((Dialects::default(), "webtransport".to_owned(), None));
    assert_eq!(echo.seen.borrow().dialects, wanted);
}

#[tokio::test]
async fn a_session_is_not_answered_before_the_clients_settings_have_come() {
    let echo = Echo::start();
    // The control stream, and nothing on it yet.
    let mut raw = Raw::dial_saying(&echo, &[0]).await;
    let (_send, mut recv) = raw.ask(&connect("webtransport")).await;
    raw.assert_well().await;
    assert!(echo.seen.borrow().dialects.is_empty());
    raw.control.write_all(&frame(4, SAYS[1].1)).await.unwrap();
    assert_status(&mut recv, "200").await;
    assert_eq!(echo.seen.borrow().dialects[0].2, Some(Dialect::Draft07));
}
