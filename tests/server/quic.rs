//! Sessions on raw QUIC, from aioquic and from the lab's own client.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use transport_lab::certs::Certs;
use transport_lab::trial::settings::StackSettings;
use transport_lab::trial::{Alpn, Dialects, ServerFact};
use transport_lab::wire::dial::{ClientConnection, Target};
use transport_lab::wire::h3::QuicOptions;
use transport_lab::wire::quic::session::Ended;
use transport_lab::wire::{Exchange, Handler, ResetKey, ResponseBody, Session, Sink, Traffic, listen, quic, tls};

use crate::lab::{Lab, PATIENCE, python};

impl Lab {
    /// What aioquic prints of sessions that begin with these lines, one after the other.
    #[track_caller]
    pub(crate) fn sessions(&self, lines: &[&str], options: &[&str]) -> Vec<Value> {
        let mut command = Command::new(python());
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/quic.py")).arg("--cacert").arg(&self.ca);
        command.args(["--port", &self.port(Alpn::Quic).to_string()]).args(options);
        command.args(lines.iter().flat_map(|line| ["--line", line]));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) async fn dial_session(&self, line: &str) -> Session {
        let target = Target { host: "localhost".to_owned(), port: self.port(Alpn::Quic) };
        let dialled = ClientConnection::connect(&target, Alpn::Quic, &self.authority()).await.unwrap();
        let (head, session) = dialled.session(line, "quic", &[]).await.unwrap();
        session.unwrap_or_else(|| panic!("refused: {}", head.status))
    }
}

#[test]
fn in_every_mode_another_client_is_given_what_it_published_in_every_way() {
    let lab = Lab::serve(&[]);
    for mode in ["stream", "streams", "datagrams"] {
        let line = format!("/feeds/{mode}/quic?mode={mode}");
        let ways = ["--uni", "one", "--bidi", "two", "--datagram", "three", "--events", "4", "--close", "7"];
        let said = lab.sessions(&[&line], &ways);
        assert_eq!(said[0]["answer"], json!({"status": 200}), "{said:?}");
        let of = |name: &str| said.iter().filter_map(|line| line.get(name)).cloned().collect::<Vec<_>>();
        let mut events: Vec<_> = of("event");
        let reply = of("reply").remove(0);
        let two = events.iter().find(|event| event["data"] == "two").unwrap();
        assert_eq!(reply, json!({"id": two["id"]}), "the answer on the stream that it came on");
        assert!(said.iter().filter_map(|line| line.get("on")).all(|on| on == mode), "{said:?}");
        events.sort_by_key(|event| event["data"].to_string());
        let data: Vec<_> = events.iter().map(|event| event["data"].as_str().unwrap()).collect();
        assert_eq!(data, ["one", "three", "two"]);
        let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!(ids.len(), 3, "each its own");
    }
    lab.until_counted("/alpn/quic/streams", [0, 1, 3]);
    lab.until_counted("/alpn/quic/connections", [0, 1, 3]);
}

#[test]
fn a_reader_that_comes_back_goes_on_where_it_was() {
    let lab = Lab::serve(&[]);
    let ids: Vec<_> = ["a", "b", "c"].map(|data| lab.publish(Alpn::H1, "news", data.as_bytes())).into();
    let events = |query: &str, count: &str| {
        let said = lab.sessions(&[&format!("/feeds/news/quic?{query}")], &["--events", count, "--close", "0"]);
        said.into_iter().filter_map(|mut line| line.get_mut("event").map(Value::take)).collect::<Vec<_>>()
    };
    let told = events(&format!("after={}", ids[0]), "2");
    assert_eq!([&told[0]["id"], &told[1]["id"]], [&json!(ids[1]), &json!(ids[2])]);
    let told = events("after=zzzzzz-1&mode=datagrams", "4");
    assert_eq!(told[0], json!({"name": "gap", "missed": null, "first": ids[0]}), "of another epoch");
    assert_eq!(told.len(), 4, "then all that is held");
}

#[test]
fn a_first_line_that_is_no_good_is_answered_and_the_connection_closed_with_its_status() {
    let lab = Lab::serve(&[]);
    let long = format!("/feeds/news/quic?x={}", "x".repeat(3000));
    let cases = [
        ("/feeds/news/quic?mode=carrier-pigeon", 400, "no mode `carrier-pigeon`; there are stream, streams, datagrams"),
        ("/feeds/news/quic?after=yesterday", 400, "an event's id"),
        ("/feeds/No_Such/quic", 400, "a feed's name"),
        ("/feeds/news/sse", 400, "sse takes a GET, not quic"),
        ("/feeds/news/pigeon", 404, "no transport `pigeon`"),
        ("/ping", 404, "no such route"),
        ("hello", 400, "a path and query"),
        ("", 400, "a path and query"),
        (&long, 400, "longer than 2048 bytes"),
    ];
    let said = lab.sessions(&cases.map(|(line, ..)| line), &[]);
    assert_eq!(said.len(), 2 * cases.len(), "{said:?}");
    for ((line, status, word), said) in cases.into_iter().zip(said.chunks(2)) {
        let answer = &said[0]["answer"];
        assert_eq!(answer["status"], status, "{line}: {said:?}");
        assert!(answer["error"].as_str().unwrap().contains(word), "{word:?} is not in {answer}");
        assert_eq!(said[1]["closed"], status, "{said:?}");
    }
}

#[test]
fn what_is_too_long_for_an_event_is_stopped_or_answered_and_the_session_goes_on() {
    let lab = Lab::serve(&[]);
    let long = "x".repeat(65_537);
    let ways = ["--uni", &long, "--bidi", &long, "--bidi", "short", "--events", "4", "--close", "0"];
    let said = lab.sessions(&["/feeds/news/quic"], &ways);
    let has = |what: &Value| assert!(said.contains(what), "no {what} in {said:?}");
    has(&json!({"stopped": 413}));
    has(&json!({"reply": {"error": "an event holds at most 65536 bytes"}}));
    assert!(said.iter().any(|line| line["event"]["data"] == "short"), "{said:?}");
}

#[tokio::test]
async fn a_connection_that_says_no_first_line_is_sent_away() {
    let lab = Lab::serve(&[]);
    let target = (std::net::Ipv4Addr::LOCALHOST, lab.port(Alpn::Quic)).into();
    let crypto = tls::client(lab.authority(), Alpn::Quic).unwrap();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(crypto).unwrap();
    let endpoint = quinn::Endpoint::client(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connection = endpoint.connect_with(config, target, "localhost").unwrap().await.unwrap();
    // A line that is begun is no line.
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(b"/feeds/").await.unwrap();
    let error = timeout(PATIENCE, connection.closed()).await.expect("it takes 10 s");
    let quinn::ConnectionError::ApplicationClosed(close) = error else { panic!("{error}") };
    assert_eq!((close.error_code.into_inner(), &close.reason[..]), (408, &b"no first line in time"[..]));
}

/// Accepts every session, gives it out, and keeps it until it is closed.
#[derive(Clone)]
struct Keeping(mpsc::Sender<Session>);

impl Handler for Keeping {
    fn answer(&self, _: Exchange) -> impl Future<Output = http::Response<ResponseBody>> + Send + use<> {
        let Self(sender) = self.clone();
        std::future::ready(http::Response::new(ResponseBody::session(move |session| async move {
            sender.send(session.clone()).await.unwrap();
            session.ended().await;
        })))
    }
}

/// A server of its own with what its sessions are, and a session at both ends.
async fn both_ends(folder: &Path, sink: Sink<ServerFact>) -> (tokio::task::JoinHandle<()>, Session, Session) {
    let (certs, _) = Certs::ensure(folder, &[]).unwrap();
    let tls = Arc::new(tls::server(certs.chain(), certs.key(), &[Alpn::Quic]).unwrap());
    let (mut sockets, port) = listen::udp(&[[127, 0, 0, 1].into()], 0).unwrap();
    let endpoint = quic::endpoint(
        sockets.remove(0),
        &QuicOptions {
            ping: None,
            tls,
            max_concurrent_streams: 100,
            dialects: Dialects::ALL,
            reset_key: ResetKey::of(b"a test's"),
            reset_interval: Duration::from_millis(20),
            traffic: Traffic::default(),
            stack: StackSettings::default(),
            half_rtt: true,
        },
    )
    .unwrap();
    let (sender, mut sessions) = mpsc::channel(1);
    let serving = tokio::spawn(quic::serve(endpoint, Keeping(sender), sink));
    let target = Target { host: "localhost".to_owned(), port };
    let dialled = ClientConnection::connect(&target, Alpn::Quic, &certs.ca()).await.unwrap();
    let (_, client) = dialled.session("/", "quic", &[]).await.unwrap();
    (serving, sessions.recv().await.unwrap(), client.unwrap())
}

#[tokio::test]
async fn whichever_end_closes_a_session_the_other_is_told_its_code_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    for by_server in [true, false] {
        let (serving, server, client) = both_ends(folder.path(), Sink::new(|_| {})).await;
        let (closes, other) = if by_server { (server, client) } else { (client, server) };
        closes.close(4711, "that will do").await;
        let ended = timeout(PATIENCE, other.ended()).await.expect("it is told");
        assert_eq!(ended, Ended { code: 4711, reason: "that will do".to_owned() }, "by the server: {by_server}");
        assert!(other.open_uni().await.is_err(), "nothing goes on in it");
        serving.abort();
    }
}

#[tokio::test]
async fn a_session_ends_with_its_last_user() {
    let folder = tempfile::tempdir().unwrap();
    let (_serving, server, client) = both_ends(folder.path(), Sink::new(|_| {})).await;
    let clone = client.clone();
    drop(client);
    clone.send_datagram(b"still here").unwrap();
    assert_eq!(timeout(PATIENCE, server.datagram()).await.unwrap().unwrap(), "still here");
    drop(clone);
    assert_eq!(timeout(PATIENCE, server.ended()).await.expect("it is told").code, 0);
}

#[tokio::test]
async fn datagrams_that_nobody_takes_are_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (bounds, mut reached) = mpsc::unbounded_channel();
    let sink = Sink::new(move |observation| {
        if let ServerFact::BoundReached { bound, times } = observation.fact {
            bounds.send((bound, times)).unwrap();
        }
    });
    let (_serving, server, client) = both_ends(folder.path(), sink).await;
    for k in 0..600u32 {
        client.send_datagram_in_turn(&k.to_be_bytes()).await.unwrap();
    }
    let first = timeout(PATIENCE, reached.recv()).await.expect("more than wait").unwrap();
    assert_eq!(first, ("session-datagrams".to_owned(), 1));
    let datagram = server.datagram().await.unwrap();
    assert_eq!(datagram[..], 0u32.to_be_bytes(), "the first of those that wait");
}

/// Reads the one object of a stream that stays open.
async fn object(session: &Session) -> (Value, quinn::RecvStream) {
    let mut stream = timeout(PATIENCE, session.accept_uni()).await.expect("a stream").unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"}") {
        let chunk = timeout(PATIENCE, stream.read_chunk(usize::MAX, true)).await.expect("more").unwrap();
        text.extend_from_slice(&chunk.expect("it stays open").bytes);
    }
    (serde_json::from_slice(&text).unwrap(), stream)
}

/// Publishes on a stream in both directions; the answer's id.
async fn publish(session: &Session, data: &str) -> String {
    let (mut send, mut recv) = session.open_bi().await.unwrap();
    send.write_all(data.as_bytes()).await.unwrap();
    send.finish().unwrap();
    let answer = timeout(PATIENCE, recv.read_to_end(1000)).await.expect("an answer").unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_reader_that_lets_no_more_streams_be_open_is_told_what_it_missed_when_it_does() {
    let lab = Lab::trial(&json!({"server": {"log": 10}, "quic": {"mode": "streams", "finish": false}}));
    let reader = lab.dial_session("/feeds/news/quic").await;
    let publisher = lab.dial_session("/feeds/other/quic").await;
    let writer = lab.dial_session("/feeds/news/quic?mode=datagrams").await;
    // The lab's client lets 100 be open: number 101 waits for a stream, and ten are in the log.
    let mut held = Vec::new();
    for k in 1..=100 {
        assert!(publish(&writer, "x").await.ends_with(&format!("-{k}")));
        let (event, stream) = object(&reader).await;
        assert!(event["id"].as_str().unwrap().ends_with(&format!("-{k}")), "{event}");
        held.push(stream);
    }
    for _ in 101..=115 {
        publish(&writer, "x").await;
    }
    // Another reader of the server is none the worse.
    publish(&publisher, "x").await;
    object(&publisher).await;
    drop(held);
    let mut told = Vec::new();
    for _ in 0..12 {
        told.push(object(&reader).await.0);
    }
    // They may come in any order.
    let gap = told.iter().find(|told| told["name"] == "gap").expect("a gap");
    assert_eq!(gap["missed"], 4, "{told:?}");
    let mut ids: Vec<u64> =
        told.iter().filter_map(|told| told["id"].as_str()?.split_once('-')?.1.parse().ok()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [&[101][..], &(106..=115).collect::<Vec<_>>()].concat());
}
