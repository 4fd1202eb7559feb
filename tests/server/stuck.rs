//! Readers that never read, and readers that leave as soon as they have come.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use transport_lab::transport::sse::Parser;
use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Response, Target};
use transport_lab::wire::{Session, Tunnel, tls};

use crate::frames::{ENHANCE_YOUR_CALM, GOAWAY, get, next, preface, reset};
use crate::lab::{Lab, PATIENCE, until};

impl Lab {
    pub(crate) async fn dial(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(("127.0.0.1", self.port(Alpn::H2))).await.unwrap();
        let connector = TlsConnector::from(Arc::new(tls::client(self.authority(), Alpn::H2).unwrap()));
        connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }

    /// A connection to publish on: a process for each of thousands of events would be slow.
    async fn publisher(&self) -> SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.dial().await);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

const EVENT_BYTES: usize = 64 * 1024;
const EVENTS: u64 = 3200;
/// What 200 MiB of events may cost in memory while five readers are stuck: the log's 8 MiB thrice over (as text, and
/// in the two forms that readers share), and what TLS, HTTP and the allocator keep for a handful of connections.
const GROWTH: u64 = 48 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_never_read_cost_little_memory_and_delay_nobody() {
    let lab = Lab::serve(&[]);
    let mut stuck = Vec::new();
    for alpn in Alpn::HTTP {
        let target = Target { host: "localhost".to_owned(), port: lab.port(alpn) };
        let dialled = ClientConnection::connect(&target, alpn, &lab.authority()).await.unwrap();
        let response = dialled.get("/feeds/news/sse", &[]).await.unwrap();
        assert_eq!(response.status, 200);
        stuck.push((alpn, response));
    }
    let mut stuck_sockets = Vec::new();
    for alpn in [Alpn::H1, Alpn::H2] {
        let target = Target { host: "localhost".to_owned(), port: lab.port(alpn) };
        let dialled = ClientConnection::connect(&target, alpn, &lab.authority()).await.unwrap();
        let version = [("sec-websocket-version", "13")];
        let (_, tunnel) = dialled.tunnel("/feeds/news/websocket", "websocket", &version).await.unwrap();
        stuck_sockets.push((alpn, WebSocketStream::from_raw_socket(tunnel.unwrap(), Role::Client, None).await));
    }
    let mut sessions = Vec::new();
    for mode in ["stream", "streams", "datagrams"] {
        sessions.push(lab.dial_session(&format!("/feeds/news/quic?mode={mode}")).await);
    }
    let mut reader = lab.subscribe(Alpn::H2, "/feeds/news/sse", &[]);
    let before = lab.resident();
    let mut publisher = lab.publisher().await;
    let data = Bytes::from(vec![b'x'; EVENT_BYTES]);
    let url = lab.url(Alpn::H2, "/feeds/news");
    for k in 1..=EVENTS {
        let request = http::Request::post(&url).body(Full::new(data.clone())).unwrap();
        let response = timeout(PATIENCE, publisher.send_request(request)).await.expect("nobody is delayed").unwrap();
        assert_eq!(response.status(), 201);
        response.into_body().collect().await.unwrap();
        // The log holds 8 MiB; a reader that reads is at most 2 MiB behind here.
        if k % 32 == 0 {
            for seq in k - 31..=k {
                let event = tokio::task::block_in_place(|| reader.next());
                let id = event.id.split_once('-').unwrap().1;
                assert_eq!((id, event.data.len()), (seq.to_string().as_str(), EVENT_BYTES), "every event, in order");
            }
        }
    }
    let growth = lab.resident().saturating_sub(before);
    assert!(growth < GROWTH, "the server has grown by {growth} bytes");
    for (alpn, response) in stuck {
        let (received, missed) = timeout(PATIENCE, read_to_end(response)).await.expect("it reads on");
        assert!(missed > EVENTS / 2, "{alpn} was told of {missed} missed events");
        assert_eq!(received + missed, EVENTS, "{alpn}");
    }
    for (alpn, socket) in stuck_sockets {
        let (received, missed) = timeout(PATIENCE, read_socket_to_end(socket)).await.expect("it reads on");
        assert!(missed > EVENTS / 2, "{alpn}, WebSocket: was told of {missed} missed events");
        assert_eq!(received + missed, EVENTS, "{alpn}, WebSocket");
    }
    let (received, missed) = timeout(PATIENCE, read_session_to_end(&sessions[0])).await.expect("it reads on");
    assert!(missed > EVENTS / 2, "a session was told of {missed} missed events");
    assert_eq!(received + missed, EVENTS, "in a session");
}

/// The same of a session whose events come on one stream.
async fn read_session_to_end(session: &Session) -> (u64, u64) {
    let mut stream = session.accept_uni().await.unwrap();
    let (mut rest, mut last, mut received, mut missed) = (Vec::new(), 0, 0, 0);
    while last < EVENTS {
        let chunk = stream.read_chunk(usize::MAX, true).await.unwrap().expect("it goes on");
        rest.extend_from_slice(&chunk.bytes);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
        let lines: Vec<u8> = rest.drain(..=end).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let told: Value = serde_json::from_slice(line).unwrap();
            match told["id"].as_str() {
                Some(id) => (last, received) = (id.split_once('-').unwrap().1.parse().unwrap(), received + 1),
                None => missed += told["missed"].as_u64().unwrap(),
            }
        }
    }
    (received, missed)
}

/// Reads messages until the last event, likewise.
async fn read_socket_to_end(mut socket: WebSocketStream<Tunnel>) -> (u64, u64) {
    let (mut last, mut received, mut missed) = (0, 0, 0);
    while last < EVENTS {
        let Message::Text(text) = socket.next().await.expect("it goes on").unwrap() else { continue };
        let told: Value = serde_json::from_str(&text).unwrap();
        if let Some(id) = told["id"].as_str() {
            last = id.split_once('-').unwrap().1.parse().unwrap();
            received += 1;
            assert_eq!(received + missed, last, "nothing is missing that the server doesn't say");
        } else {
            missed += told["missed"].as_u64().unwrap();
        }
    }
    (received, missed)
}

/// Reads until the last event; how many were received, and how many the server says were missed.
async fn read_to_end(mut response: Response) -> (u64, u64) {
    let (mut parser, mut last, mut received, mut missed) = (Parser::default(), 0, 0, 0);
    while last < EVENTS {
        let bytes = response.chunk().await.expect("it goes on").unwrap();
        parser
            .push(&bytes, |message| {
                if message.name == "gap" {
                    let gap: Value = serde_json::from_str(&message.data).unwrap();
                    missed += gap["missed"].as_u64().unwrap();
                } else {
                    last = message.id.split_once('-').unwrap().1.parse().unwrap();
                    received += 1;
                    assert_eq!(received + missed, last, "nothing is missing that the server doesn't say");
                }
            })
            .unwrap();
    }
    (received, missed)
}

const VISITS: u32 = 1000;

/// How many streams are opened and reset at once, in one TLS record, and on how many connections: the server is handed
/// all of a record together, however slow the machine is, and can't have begun to answer in between.
const RESETS: u32 = 100;
const RESETTING: usize = 100;

#[test]
fn who_resets_ten_thousand_streams_as_fast_as_it_goes_is_told_to_calm_down() {
    let mut lab = Lab::trial(&serde_json::json!({}));
    for _ in 0..RESETTING {
        let mut tls = lab.tls(Alpn::H2);
        tls.write_all(&preface()).unwrap();
        let both = |stream| [get(stream, "/feeds/news/sse"), reset(stream)].concat();
        let bytes: Vec<u8> = (0..RESETS).flat_map(|n| both(2 * n + 1)).collect();
        assert!(bytes.len() < 16 * 1024, "one record");
        tls.write_all(&bytes).unwrap();
        let last = std::iter::from_fn(|| next(&mut tls)).last().expect("it says something");
        assert_eq!((last.kind, last.code), (GOAWAY, ENHANCE_YOUR_CALM));
    }
    lab.assert_alive();
    until("it to be counted", || lab.reached("rapid-reset") == RESETTING as u64);
    until("all of them to be gone", || lab.attached() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_opened_and_cancelled_on_h2_leave_none_attached() {
    let mut lab = Lab::serve(&[]);
    let url = lab.url(Alpn::H2, "/feeds/news/sse");
    let request = || http::Request::get(&url).body(()).unwrap();
    // As fast as it goes: the server may end the connection (CVE-2023-44487), but not itself.
    let (sender, connection) = h2::client::handshake(lab.dial().await).await.unwrap();
    let driver = tokio::spawn(connection);
    for _ in 0..VISITS {
        let Ok(mut ready) = sender.clone().ready().await else { break };
        let Ok((response, mut stream)) = ready.send_request(request(), true) else { break };
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
    }
    drop(sender);
    let _ = timeout(Duration::from_secs(10), driver).await;
    // And each once it is answered, which is no abuse.
    let (sender, connection) = h2::client::handshake(lab.dial().await).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..VISITS {
        let mut ready = sender.clone().ready().await.unwrap();
        let (response, mut stream) = ready.send_request(request(), true).unwrap();
        let response = timeout(PATIENCE, response).await.expect("an answer").unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().data().await.expect("the first comment").unwrap();
        stream.send_reset(h2::Reason::CANCEL);
    }
    let mut ready = sender.clone().ready().await.unwrap();
    let ping = http::Request::get(lab.url(Alpn::H2, "/ping")).body(()).unwrap();
    let (response, _) = ready.send_request(ping, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 204, "on the same connection");
    lab.assert_alive();
    tokio::task::block_in_place(|| assert_none_attached(&lab, Alpn::H2));
}

#[test]
fn a_thousand_streams_opened_and_cancelled_on_h3_leave_none_attached() {
    let mut lab = Lab::serve(&[]);
    let answer = lab.ask(Alpn::H3, "/feeds/news/sse", &["--cancel", &VISITS.to_string()]);
    assert_eq!(answer.head.status, 204, "the /ping after them, on the same connection");
    lab.assert_alive();
    assert_none_attached(&lab, Alpn::H3);
}

#[track_caller]
fn assert_none_attached(lab: &Lab, alpn: Alpn) {
    let at = |what: &str| format!("/alpn/{}/streams/{what}", alpn.name());
    let count = |what: &str| lab.ledger().pointer(&at(what)).and_then(Value::as_u64).unwrap();
    crate::lab::until("the ledger to count no stream", || count("open") == 0);
    assert!(count("total") >= u64::from(VISITS) - 50, "{} were attached", count("total"));
    assert!(count("peak") <= 100, "{} at once", count("peak"));
}
