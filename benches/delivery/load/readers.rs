//! The subscriptions: as little work per receipt as there can be, the same for every server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transport_lab::transport::{self, ClientSubscription, Configured, Receipts};
use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Target};
use transport_lab::wire::{Pool, Sink, tls};

use super::super::protocols::Reader;
use super::super::stamp::Scanner;
use super::Spec;
use super::tally::Tally;

/// Handshakes at once: a listener's backlog must not overflow, since a lost SYN is sent again only after a second.
const OPENING: usize = 64;
/// What is read at once.
const BUFFER_BYTES: usize = 4096;
/// The longest header of a response, and the longest body of a long-polling's.
const LONGEST: usize = 16 * 1024;

/// All subscriptions.
pub(super) struct Readers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Readers {
    /// Lets native readers tell what they have received.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        if self.tasks.is_empty() {
            return;
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What each connection needs.
struct OpenRequest {
    spec: Spec,
    target: Target,
    ca: CertificateDer<'static>,
    connector: TlsConnector,
    gate: Arc<Semaphore>,
    tally: Tally,
    stop: watch::Sender<bool>,
}

impl OpenRequest {
    /// What lies between an answer and the next request.
    async fn pause(&self) {
        if self.spec.pause > 0 {
            tokio::time::sleep(Duration::from_millis(self.spec.pause)).await;
        }
    }
}

/// Opens them all; returns at once.
pub(super) fn start(spec: &Spec, tally: &Tally) -> Readers {
    let ca = CertificateDer::from_pem_file(&spec.ca).expect("the CA");
    let stop = watch::Sender::new(false);
    let opening = Arc::new(OpenRequest {
        spec: spec.clone(),
        target: Target { host: "localhost".to_owned(), port: spec.port },
        connector: TlsConnector::from(Arc::new(tls::client(ca.clone(), Alpn::H1).expect("TLS"))),
        ca,
        gate: Arc::new(Semaphore::new(OPENING)),
        tally: tally.clone(),
        stop: stop.clone(),
    });
    let mut tasks = JoinSet::new();
    for first in (0..spec.subscribers).step_by(spec.per_connection) {
        let subs = first..spec.subscribers.min(first + spec.per_connection);
        let opening = Arc::clone(&opening);
        tasks.spawn(async move {
            let tally = opening.tally.clone();
            if let Err(reason) = connection(opening, subs).await {
                tally.closed(reason);
            }
        });
    }
    Readers { stop, tasks }
}

async fn connection(opening: Arc<OpenRequest>, subs: std::ops::Range<usize>) -> Result<(), String> {
    let mut stop = opening.stop.subscribe();
    let reading = async {
        let opening = &opening;
        match (opening.spec.reader, opening.spec.protocol.alpn) {
            (Reader::Stream, Alpn::H1) => raw(opening).await,
            (Reader::LongPolling, Alpn::H1) => raw_long_polling(opening).await,
            (Reader::Native, _) => native(opening, subs).await,
            (reader, alpn) => {
                let pass = opening.gate.acquire().await;
                let first =
                    ClientConnection::connect(&opening.target, alpn, &opening.ca).await.map_err(|e| e.to_string())?;
                drop(pass);
                let mut dialled: Vec<_> = subs.skip(1).filter_map(|_| first.try_clone()).collect();
                dialled.push(first);
                let each = dialled.into_iter().map(|dialled| async {
                    match reader {
                        Reader::LongPolling => long_polling(opening, dialled).await,
                        _ => stream(opening, dialled).await,
                    }
                });
                // From thirty futures on it polls only those that were woken.
                futures_util::future::try_join_all(each).await.map(drop)
            }
        }
    };
    if opening.spec.reader == Reader::Native {
        // They are told to stop themselves, and tell what they received.
        return reading.await;
    }
    tokio::select! {
        ended = reading => ended,
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    }
}

/// A response that goes on, or a WebSocket, on HTTP/1.1.
async fn raw(opening: &OpenRequest) -> Result<(), String> {
    let OpenRequest { spec, tally, .. } = opening;
    let pass = opening.gate.acquire().await;
    let mut wire = Wire::connect(opening).await?;
    wire.ask(match spec.protocol.transport.as_str() {
        // The key is the one of RFC 6455 section 1.3; nobody checks the answer here.
        "websocket" => {
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        }
        "sse" => "Accept: text/event-stream\r\n",
        // nchan sends chunks to those who say that they take them.
        _ => "TE: chunked\r\n",
    })
    .await?;
    wire.head().await?;
    drop(pass);
    let (mut scanner, mut last) = (Scanner::default(), 0);
    loop {
        scanner.push(&wire.read, |stamp| tally.received(stamp, &mut last));
        wire.read.clear();
        wire.more().await?;
    }
}

/// One answer after another, on HTTP/1.1.
async fn raw_long_polling(opening: &OpenRequest) -> Result<(), String> {
    let pass = opening.gate.acquire().await;
    let mut wire = Wire::connect(opening).await?;
    drop(pass);
    let (mut fields, mut last) = (String::new(), 0);
    loop {
        wire.ask(&fields).await?;
        let head = wire.head().await?;
        if let (Some(time), Some(tag)) = (head.modified, head.tag) {
            fields = format!("If-Modified-Since: {time}\r\nIf-None-Match: {tag}\r\n");
        }
        while wire.read.len() < head.length {
            wire.more().await?;
        }
        let body = wire.read.split_to(head.length);
        Scanner::default().push(&body, |stamp| opening.tally.received(stamp, &mut last));
        if let Some(id) = last_id(&body) {
            wire.path = transport::with_query(&opening.spec.path, "after", id);
        }
        opening.pause().await;
    }
}

/// What counts of an answer's header.
#[derive(Default)]
struct Head {
    length: usize,
    modified: Option<String>,
    tag: Option<String>,
}

/// A connection that speaks HTTP/1.1, with what was read and not looked at yet.
struct Wire {
    stream: TlsStream<TcpStream>,
    host: String,
    path: String,
    read: BytesMut,
}

impl Wire {
    async fn connect(opening: &OpenRequest) -> Result<Self, String> {
        let OpenRequest { spec, target, connector, .. } = opening;
        let io = |error: std::io::Error| error.to_string();
        let stream = TcpStream::connect(("127.0.0.1", target.port)).await.map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        let stream = connector.connect(name, stream).await.map_err(io)?;
        let read = BytesMut::with_capacity(BUFFER_BYTES);
        Ok(Self { stream, host: target.authority(), path: spec.path.clone(), read })
    }

    async fn ask(&mut self, fields: &str) -> Result<(), String> {
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.path, self.host);
        self.stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())
    }

    /// Takes the header of an answer.
    async fn head(&mut self) -> Result<Head, String> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut fields);
            let parsed = response.parse(&self.read).map_err(|error| error.to_string())?;
            if let httparse::Status::Complete(end) = parsed {
                let mut head = Head::default();
                for field in &*response.headers {
                    let value = || std::str::from_utf8(field.value).unwrap_or_default().to_owned();
                    match field.name {
                        name if name.eq_ignore_ascii_case("content-length") => {
                            head.length = value().parse().map_err(|_| "a length that is none")?;
                        }
                        name if name.eq_ignore_ascii_case("last-modified") => head.modified = Some(value()),
                        name if name.eq_ignore_ascii_case("etag") => head.tag = Some(value()),
                        _ => {}
                    }
                }
                let status = response.code.unwrap_or_default();
                self.read.advance(end);
                return if matches!(status, 200 | 101) { Ok(head) } else { Err(format!("it answered {status}")) };
            }
            if self.read.len() > LONGEST {
                return Err("a header without end".to_owned());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err("the server ended the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A response that goes on, on HTTP/2.
async fn stream(opening: &OpenRequest, dialled: ClientConnection) -> Result<(), String> {
    let accept = if opening.spec.protocol.transport == "sse" { "text/event-stream" } else { "*/*" };
    let asked = dialled.get(&opening.spec.path, &[("accept", accept)]).await;
    let mut response = asked.map_err(|error| error.to_string())?;
    if response.status != http::StatusCode::OK {
        return Err(format!("it answered {}", response.status));
    }
    let (mut scanner, mut last) = (Scanner::default(), 0);
    while let Some(chunk) = response.chunk().await {
        let chunk = chunk.map_err(|error| error.to_string())?;
        scanner.push(&chunk, |stamp| opening.tally.received(stamp, &mut last));
    }
    Err("the server ended the stream".to_owned())
}

/// One response after another, on HTTP/2, each from where the last one ended: the lab says so in its body, nchan in its fields.
async fn long_polling(opening: &OpenRequest, mut dialled: ClientConnection) -> Result<(), String> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    let mut path = opening.spec.path.clone();
    let mut last = 0;
    loop {
        let asked: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response = dialled.get(&path, &asked).await.map_err(|error| error.to_string())?;
        if response.status != http::StatusCode::OK {
            return Err(format!("it answered {}", response.status));
        }
        let field = |name: &str| response.head.headers.get(name).and_then(|value| value.to_str().ok());
        if let (Some(time), Some(tag)) = (field("last-modified"), field("etag")) {
            fields = vec![("if-modified-since", time.to_owned()), ("if-none-match", tag.to_owned())];
        }
        let (body, again) = response.whole(LONGEST).await.map_err(|error| error.to_string())?;
        dialled = again;
        Scanner::default().push(&body, |stamp| opening.tally.received(stamp, &mut last));
        if let Some(id) = last_id(&body) {
            path = transport::with_query(&opening.spec.path, "after", id);
        }
        opening.pause().await;
    }
}

/// The value of `"last"`, which ends the object; nchan's answer is the event's data, which has no quotes.
fn last_id(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body.rsplit(|byte| *byte == b'"').nth(1)?).ok()
}

/// The transport's own client.
async fn native(opening: &Arc<OpenRequest>, subs: std::ops::Range<usize>) -> Result<(), String> {
    let Spec { protocol, .. } = &opening.spec;
    let row = transport::find(&protocol.transport).ok_or("no such transport")?;
    let transport = (row.configure)(&serde_json::json!({})).map_err(|error| error.to_string())?;
    let transport = Arc::<dyn Configured>::from(transport);
    // Given back when the first of them is open, or is not to be.
    let pass = Arc::new(Mutex::new(Some(Arc::clone(&opening.gate).acquire_owned().await)));
    let pool = Arc::new(Pool::new(protocol.alpn, opening.ca.clone(), true));
    let mut tasks = JoinSet::new();
    for sub in subs {
        let (opening, pool, pass) = (Arc::clone(opening), Arc::clone(&pool), Arc::clone(&pass));
        let transport = Arc::clone(&transport);
        tasks.spawn(async move {
            let tally = opening.tally.clone();
            let sink = Sink::new(move |observation| {
                drop(pass.lock().unwrap_or_else(PoisonError::into_inner).take());
                tally.told(observation.fact);
            });
            let mut receipts = Receipts::new(u32::try_from(sub).unwrap_or(0), sink);
            let mut stop = opening.stop.subscribe();
            let subscribing = ClientSubscription {
                pool: &pool,
                target: &opening.target,
                path: &opening.spec.path,
                receipts: &mut receipts,
                decodes: false,
                outgoing: None,
                seed: sub as u64,
            };
            let ended = tokio::select! {
                reason = transport.subscribe(subscribing) => Some(reason),
                _ = stop.wait_for(|stop| *stop) => None,
            };
            if let Some(reason) = ended {
                receipts.closed(&reason);
            }
            receipts.tell();
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}
