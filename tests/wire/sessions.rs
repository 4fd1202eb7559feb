//! Sessions between our two ends.

use tokio::task::JoinSet;
use transport_lab::text::chain;
use transport_lab::wire::Session;
use transport_lab::wire::quic::session::Ended;

use crate::echo::{Echo, soon};

async fn open(echo: &Echo) -> Session {
    let (head, session) = soon("a session", echo.dial().await.session("/s", "webtransport", &[])).await.unwrap();
    assert_eq!((head.status.as_u16(), head.headers["sec-webtransport-http3-draft"].as_bytes()), (200, &b"draft02"[..]));
    assert_eq!(head.headers["x-path"], "/s");
    session.unwrap()
}

#[tokio::test]
async fn streams_and_datagrams_come_back_beside_ordinary_requests() {
    let echo = Echo::start();
    let dialled = echo.dial().await;
    let beside = dialled.try_clone().unwrap();
    let (_, session) = dialled.session("/s", "webtransport", &[]).await.unwrap();
    let session = session.unwrap();
    assert_eq!(soon("an answer", beside.get("/ping", &[])).await.unwrap().status, 204);

    let mut send = session.open_uni().await.unwrap();
    send.write_all(b"one way").await.unwrap();
    send.finish().unwrap();
    let mut recv = soon("a stream", session.accept_uni()).await.unwrap();
    assert_eq!(recv.read_to_end(100).await.unwrap(), b"one way");

    let (mut send, mut recv) = session.open_bi().await.unwrap();
    send.write_all(b"both ways").await.unwrap();
    send.finish().unwrap();
    assert_eq!(recv.read_to_end(100).await.unwrap(), b"both ways");
    let (_, mut recv) = soon("a stream of the server's", session.accept_bi()).await.unwrap();
    assert_eq!(recv.read_to_end(100).await.unwrap(), b"mine: both ways");

    let most = session.max_datagram().unwrap();
    for data in [vec![], b"small".to_vec(), vec![b'x'; most]] {
        session.send_datagram(&data).unwrap();
        assert_eq!(soon("a datagram", session.datagram()).await.unwrap(), data);
    }
    assert!(session.send_datagram(&vec![b'x'; most + 1]).is_err());
    drop(session);
    echo.assert_well().await;
}

#[tokio::test]
async fn several_sessions_on_one_connection_keep_to_themselves() {
    let echo = Echo::start();
    let dialled = echo.dial().await;
    let mut sessions = JoinSet::new();
    for k in 0..8 {
        let shared = dialled.try_clone().unwrap();
        sessions.spawn(async move {
            let (_, session) = shared.session("/s", "webtransport", &[]).await.unwrap();
            let session = session.unwrap();
            for n in 0..20 {
                let text = format!("{k} {n}");
                let mut send = session.open_uni().await.unwrap();
                send.write_all(text.as_bytes()).await.unwrap();
                send.finish().unwrap();
                let mut recv = session.accept_uni().await.unwrap();
                assert_eq!(recv.read_to_end(100).await.unwrap(), text.as_bytes());
                session.send_datagram(text.as_bytes()).unwrap();
                assert_eq!(session.datagram().await.unwrap(), text);
            }
        });
    }
    while let Some(done) = soon("all sessions", sessions.join_next()).await {
        done.unwrap();
    }
    drop(dialled);
    echo.assert_well().await;
    assert_eq!(echo.seen.borrow().connected, 2, "one, and that of the last question");
}

#[tokio::test]
async fn a_code_and_a_reason_arrive_at_the_other_end() {
    let echo = Echo::start();
    let session = open(&echo).await;
    soon("the end", session.close(7, "we are döne")).await;
    assert_eq!(session.ended().await, Ended { code: 7, reason: "we are döne".to_owned() });
    assert!(session.accept_uni().await.is_err() && session.open_bi().await.is_err());
    echo.sees("the end", |seen| seen.ends == [(7, "we are döne".to_owned())]).await;

    let session = open(&echo).await;
    let mut send = session.open_uni().await.unwrap();
    send.write_all(b"close 4294967295 enough").await.unwrap();
    send.finish().unwrap();
    let ended = soon("the end", session.ended()).await;
    assert_eq!(ended, Ended { code: u32::MAX, reason: "enough".to_owned() });

    let session = open(&echo).await;
    drop(session);
    echo.sees("the end", |seen| seen.ends.len() == 3 && seen.ends[2] == (0, String::new())).await;

    let session = open(&echo).await;
    session.close(1, &"ö".repeat(1024)).await;
    echo.sees("the end, cut", |seen| seen.ends.len() == 4 && seen.ends[3] == (1, "ö".repeat(512))).await;
    echo.assert_well().await;
}

#[tokio::test]
async fn a_refusal_tells_its_status_and_leaves_the_connection_open() {
    let echo = Echo::start();
    let dialled = echo.dial().await;
    let shared = || dialled.try_clone().unwrap();
    let (head, session) = soon("an answer", shared().session("/refused", "webtransport", &[])).await.unwrap();
    assert!(head.status == 403 && session.is_none());
    let (head, tunnel) = soon("an answer", shared().tunnel("/refused", "websocket", &[])).await.unwrap();
    assert!(head.status == 403 && tunnel.is_none());
    let (head, tunnel) = soon("an answer", shared().tunnel("/s", "pigeons", &[])).await.unwrap();
    assert!(head.status == 501 && tunnel.is_none(), "RFC 9220 section 3");
    assert_eq!(soon("an answer", shared().get("/ping", &[])).await.unwrap().status, 204);
}

#[tokio::test]
async fn there_are_1000_sessions_on_a_connection_at_most() {
    let echo = Echo::with_streams(1100);
    let dialled = echo.dial().await;
    let mut held = Vec::new();
    for _ in 0..1000 {
        held.push(dialled.try_clone().unwrap().session("/s", "webtransport", &[]).await.unwrap().1.unwrap());
    }
    let error = soon("a refusal", dialled.try_clone().unwrap().session("/s", "webtransport", &[])).await.unwrap_err();
    assert!(chain(&error).contains("267"), "H3_REQUEST_REJECTED (0x10b), not {error}");
    echo.sees("the bound to be counted", |seen| seen.bounds == ["sessions"]).await;
    held.pop().unwrap().close(0, "").await;
    soon("a place", dialled.try_clone().unwrap().session("/s", "webtransport", &[])).await.unwrap().1.unwrap();
}
