//! Connections that end at every point of their life, many times over: nothing of them stays.
//!
//! The server is in this process, whose runtime says how many tasks there are. A few rounds by default;
//! `TRANSPORT_LAB_SOAK=100` makes it so many: `make soak`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use transport_lab::certs::Certs;
use transport_lab::server::Server;
use transport_lab::trial::Alpn;
use transport_lab::trial::ledger::{Ledger, OpenCounts};
use transport_lab::wire::dial::{ClientConnection, Target};
use transport_lab::wire::{Sink, tls};

use crate::frames::{
    DATA, END_HEADERS, HEADERS, RST_STREAM, connect, connect_with_content, fields, frame, get, next, preface, reset,
};
use crate::lab::{PATIENCE, options, until};
use crate::raw::{Tls, handshake};

/// How often each way to end is gone in a round.
const TIMES: usize = 2;
/// Rounds after which caches are filled and the allocator has what it needs.
const WARM: usize = 2;
/// How much the process may have grown since, in KiB. A round has 70 connections and more streams; each that stayed
/// would keep 20 KiB or more of it, and its tasks would be counted besides.
const GROWTH: u64 = 4096;

/// A server in a runtime of its own, and its own count.
struct Subject {
    runtime: Runtime,
    _server: Server,
    ports: BTreeMap<Alpn, u16>,
    ledger: Arc<Mutex<Ledger>>,
    ca: CertificateDer<'static>,
    _folder: TempDir,
}

impl Subject {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = Arc::new(Certs::ensure(&folder.path().join("certs"), &[]).unwrap().0);
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let sink = {
            let ledger = Arc::clone(&ledger);
            Sink::new(move |observation| ledger.lock().unwrap().apply(&observation.fact))
        };
        let (server, ports) = runtime.block_on(async {
            let mut server = Server::new(options(Arc::clone(&certs), sink));
            let mut ports = BTreeMap::new();
            for alpn in Alpn::ALL {
                ports.insert(alpn, server.listen(alpn, 0).await.unwrap());
            }
            (server, ports)
        });
        Self { runtime, _server: server, ports, ledger, ca: certs.ca(), _folder: folder }
    }

    fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// What is open, by ALPN: connections and streams.
    fn open(&self) -> Vec<(Alpn, u64, u64)> {
        let ledger = self.ledger.lock().unwrap();
        let open = |(alpn, counts): (&Alpn, &OpenCounts)| (*alpn, counts.connections.open, counts.streams.open);
        ledger.alpn.iter().map(open).filter(|(_, connections, streams)| connections + streams > 0).collect()
    }

    fn tcp(&self, alpn: Alpn) -> TcpStream {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[&alpn])).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp
    }

    fn hello(&self, alpn: Alpn) -> Vec<u8> {
        let config = Arc::new(tls::client(self.ca.clone(), alpn).unwrap());
        let mut client = rustls::ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    fn tls(&self, alpn: Alpn) -> Tls {
        handshake(self.tcp(alpn), tls::client(self.ca.clone(), alpn).unwrap())
    }

    /// A TLS connection on which this was said and nothing read.
    fn told(&self, alpn: Alpn, bytes: &[u8]) -> Tls {
        let mut tls = self.tls(alpn);
        tls.write_all(bytes).unwrap();
        tls
    }

    fn resident_kib() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until nothing is open and no task is left beside those that serve nobody.
    fn until_nothing_is_left(&self, tasks: usize, after: &str) {
        until(&format!("nothing to be left of {after}: {:?}, {} of {tasks} tasks", self.open(), self.tasks()), || {
            self.open().is_empty() && self.tasks() <= tasks
        });
    }
}

/// Begins a connection and ends it.
type Ending = (&'static str, fn(&Subject));

fn half(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() / 2]
}

const H1_GET: &[u8] = b"GET /feeds/news/sse?trial=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
const H1_POLL: &[u8] = b"GET /feeds/news/long-polling HTTP/1.1\r\nHost: localhost\r\n\r\n";
const H1_POST: &[u8] = b"POST /feeds/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ncut short";
const H1_UPGRADE: &[u8] = b"GET /feeds/news/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// The beginning of a WebSocket message that doesn't come.
const HALF_A_MESSAGE: &[u8] = b"\x81\xfe\x01";

fn h2_post(stream: u32) -> Vec<u8> {
    let head = [(":method", "POST"), (":scheme", "https"), (":path", "/feeds/news"), (":authority", "localhost")];
    [frame(HEADERS, END_HEADERS, stream, &fields(&head)), frame(DATA, 0, stream, b"not all of it")].concat()
}

fn gets(count: u32) -> Vec<u8> {
    let get = |n| get(2 * n + 1, "/feeds/news/sse?trial=1");
    [preface(), (0..count).flat_map(get).collect()].concat()
}

/// Reads HTTP/2 frames until one of this kind has come on this stream.
fn until_frame(tls: &mut Tls, kind: u8, stream: u32) {
    while next(tls).is_some_and(|frame| (frame.kind, frame.stream) != (kind, stream)) {}
}

fn read_some(tls: &mut Tls) {
    assert!(tls.read(&mut [0; 1024]).unwrap() > 0);
}

const BY_TCP: &[Ending] = &[
    ("a connection without a byte", |at| drop([at.tcp(Alpn::H1), at.tcp(Alpn::H2)])),
    ("half a ClientHello", |at| at.tcp(Alpn::H1).write_all(half(&at.hello(Alpn::H1))).unwrap()),
    ("a ClientHello", |at| at.tcp(Alpn::H2).write_all(&at.hello(Alpn::H2)).unwrap()),
    ("a handshake for HTTP/1.1", |at| drop(at.tls(Alpn::H1))),
    ("a handshake for HTTP/2", |at| drop(at.tls(Alpn::H2))),
    ("half a header on HTTP/1.1", |at| drop(at.told(Alpn::H1, half(H1_GET)))),
    ("half a body on HTTP/1.1", |at| drop(at.told(Alpn::H1, H1_POST))),
    ("a request on HTTP/1.1 whose answer isn't read", |at| drop(at.told(Alpn::H1, H1_GET))),
    ("a stream on HTTP/1.1", |at| read_some(&mut at.told(Alpn::H1, H1_GET))),
    ("a long poll on HTTP/1.1", |at| drop(at.told(Alpn::H1, H1_POLL))),
    ("an Upgrade whose answer isn't read", |at| drop(at.told(Alpn::H1, H1_UPGRADE))),
    ("a WebSocket on HTTP/1.1", |at| {
        let mut tls = at.told(Alpn::H1, H1_UPGRADE);
        read_some(&mut tls);
        tls.write_all(HALF_A_MESSAGE).unwrap();
    }),
    ("half a preface", |at| drop(at.told(Alpn::H2, half(&preface())))),
    ("half a header on HTTP/2", |at| drop(at.told(Alpn::H2, &[preface(), half(&gets(1)).to_vec()].concat()))),
    ("half a body on HTTP/2", |at| drop(at.told(Alpn::H2, &[preface(), h2_post(1)].concat()))),
    ("thirty requests on HTTP/2 whose answers aren't read", |at| drop(at.told(Alpn::H2, &gets(30)))),
    ("thirty streams on HTTP/2", |at| until_frame(&mut at.told(Alpn::H2, &gets(30)), DATA, 59)),
    ("a stream on HTTP/2 that was reset before", |at| drop(at.told(Alpn::H2, &[gets(1), reset(1)].concat()))),
    ("streams that came with a CONNECT that is refused", |at| {
        until_frame(&mut at.told(Alpn::H2, &[gets(30), connect_with_content(61)].concat()), RST_STREAM, 61);
    }),
    ("streams that came with nonsense", |at| drop(at.told(Alpn::H2, &[gets(30), vec![0xff; 64]].concat()))),
    ("an extended CONNECT whose answer isn't read", |at| {
        drop(at.told(Alpn::H2, &[preface(), connect(1, &[])].concat()));
    }),
    ("a WebSocket on HTTP/2", |at| {
        let mut tls = at.told(Alpn::H2, &[preface(), connect(1, &[])].concat());
        until_frame(&mut tls, HEADERS, 1);
        tls.write_all(&frame(DATA, 0, 1, HALF_A_MESSAGE)).unwrap();
    }),
];

/// A QUIC connection in a runtime that is gone with it.
struct Quic {
    runtime: Runtime,
    _endpoint: quinn::Endpoint,
    connection: quinn::Connection,
}

impl Quic {
    fn dial(at: &Subject, alpn: Alpn) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (endpoint, connection) = runtime.block_on(async {
            let config = QuicClientConfig::try_from(tls::client(at.ca.clone(), alpn).unwrap()).unwrap();
            let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, at.ports[&alpn]));
            let config = quinn::ClientConfig::new(Arc::new(config));
            let connection = endpoint.connect_with(config, to, "localhost").unwrap().await.unwrap();
            (endpoint, connection)
        });
        Self { runtime, _endpoint: endpoint, connection }
    }

    /// Writes this on a stream of its own, until it has left, or until it is answered, and ends while the stream is
    /// open.
    fn end_after(self, bytes: &[u8], read: bool) {
        let streams = self.runtime.block_on(async {
            let (mut send, mut recv) = self.connection.open_bi().await.unwrap();
            send.write_all(bytes).await.unwrap();
            while self.connection.stats().frame_tx.stream == 0 {
                tokio::task::yield_now().await;
            }
            if read {
                let answer = timeout(PATIENCE, recv.read_chunk(1024, true)).await.expect("an answer");
                assert!(answer.unwrap().is_some());
            }
            (send, recv)
        });
        self.end();
        drop(streams);
    }

    fn end(&self) {
        let sent = || self.connection.stats().udp_tx.datagrams;
        let before = sent();
        self.connection.close(0_u32.into(), b"");
        self.runtime.block_on(async {
            // The peer is told.
            while sent() == before {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// A field section of literals (RFC 9204 section 4.5.6) in a HEADERS frame.
fn h3_headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        match u8::try_from(name.len()).unwrap() {
            short @ ..7 => section.push(0x20 | short),
            long => section.extend([0x27, long - 7]),
        }
        section.extend(name.bytes());
        section.push(u8::try_from(value.len()).unwrap());
        section.extend(value.bytes());
    }
    assert!(section.len() < 1 << 14);
    let length = (0x4000 | u16::try_from(section.len()).unwrap()).to_be_bytes();
    [&[1], &length[..], &section].concat()
}

fn h3_request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let head = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)];
    h3_headers(&[&head, more].concat())
}

fn h3_get() -> Vec<u8> {
    h3_request("GET", "/feeds/news/sse?trial=1", &[])
}

fn told_by_quic(at: &Subject, alpn: Alpn, bytes: &[u8], read: bool) {
    Quic::dial(at, alpn).end_after(bytes, read);
}

fn session(at: &Subject, alpn: Alpn, path: &str, protocol: &str) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let target = Target { host: "localhost".to_owned(), port: at.ports[&alpn] };
        let dialled = ClientConnection::connect(&target, alpn, &at.ca).await.unwrap();
        let (_, session) = dialled.session(path, protocol, &[]).await.unwrap();
        let session = session.expect("it is let in");
        let mut stream = session.open_uni().await.unwrap();
        stream.write_all(b"{\"half").await.unwrap();
        session.close(0, "enough").await;
    });
}

const BY_QUIC: &[Ending] = &[
    ("what is no QUIC", |at| {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for alpn in [Alpn::H3, Alpn::Quic] {
            socket.send_to(&[0xc0; 1200], (Ipv4Addr::LOCALHOST, at.ports[&alpn])).unwrap();
        }
    }),
    ("a handshake for HTTP/3", |at| Quic::dial(at, Alpn::H3).end()),
    ("half a header on HTTP/3", |at| told_by_quic(at, Alpn::H3, half(&h3_get()), false)),
    ("half a body on HTTP/3", |at| {
        let post = h3_request("POST", "/feeds/news", &[]);
        told_by_quic(at, Alpn::H3, &[&post[..], &[0, 0x40, 100], b"cut short"].concat(), false);
    }),
    ("a request on HTTP/3 whose answer isn't read", |at| told_by_quic(at, Alpn::H3, &h3_get(), false)),
    ("thirty streams on HTTP/3", |at| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let target = Target { host: "localhost".to_owned(), port: at.ports[&Alpn::H3] };
            let dialled = ClientConnection::connect(&target, Alpn::H3, &at.ca).await.unwrap();
            let mut streams = Vec::new();
            for _ in 0..30 {
                let mut stream = dialled.try_clone().unwrap().get("/feeds/news/sse?trial=1", &[]).await.unwrap();
                stream.chunk().await.unwrap().unwrap();
                streams.push(stream);
            }
        });
    }),
    ("an extended CONNECT on HTTP/3 whose answer isn't read", |at| {
        let connect = h3_request("CONNECT", "/feeds/news/webtransport", &[(":protocol", "webtransport")]);
        told_by_quic(at, Alpn::H3, &connect, false);
    }),
    ("a WebTransport session", |at| session(at, Alpn::H3, "/feeds/news/webtransport?mode=stream", "webtransport")),
    ("a handshake for raw QUIC", |at| Quic::dial(at, Alpn::Quic).end()),
    ("half a line on raw QUIC", |at| told_by_quic(at, Alpn::Quic, b"/feeds/ne", false)),
    ("a session on raw QUIC whose answer isn't read", |at| {
        told_by_quic(at, Alpn::Quic, b"/feeds/news/quic?mode=stream\n", false);
    }),
    ("a session on raw QUIC", |at| told_by_quic(at, Alpn::Quic, b"/feeds/news/quic?mode=stream\n", true)),
];

#[test]
fn whatever_point_of_its_life_a_connection_ends_at_nothing_of_it_stays() {
    let soak = std::env::var("TRANSPORT_LAB_SOAK").ok().map(|rounds| rounds.parse().unwrap());
    let rounds: usize = soak.unwrap_or(WARM + 1);
    let subject = Subject::start();
    let tasks = subject.tasks();
    let mut warm = 0;
    for round in 0..rounds {
        for (what, ending) in BY_TCP.iter().chain(BY_QUIC) {
            for _ in 0..TIMES {
                ending(&subject);
            }
            // One after the other in the first round, that a failure names its cause; then as they come.
            if round == 0 {
                subject.until_nothing_is_left(tasks, what);
            }
        }
        subject.until_nothing_is_left(tasks, "a round");
        if round + 1 == WARM {
            warm = Subject::resident_kib();
        }
    }
    let grown = Subject::resident_kib().saturating_sub(warm);
    println!("{rounds} rounds: {tasks} tasks, {warm} KiB, and {grown} KiB more in the end");
    assert!(grown < GROWTH, "it has grown by {grown} KiB since the second of {rounds} rounds");
    let ledger = subject.ledger.lock().unwrap();
    for alpn in Alpn::ALL {
        let counts = ledger.alpn[&alpn];
        assert!(counts.connections.total > 0 && counts.streams.total > 0, "{alpn}: {counts:?}");
    }
}
