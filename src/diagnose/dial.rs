//! Connections to anybody's server, and requests on them: TCP, TLS with one ALPN, HTTP/1.1 or HTTP/2.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ProtocolVersion};
use serde::Serialize;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::aim::Aim;
use super::guest::{Guest, Stop};
use super::tallied::Tallied;
use super::tls::{SeenCertificate, SeenTls, config, fault_in_words};
use crate::trial::Alpn;
use crate::wire::{Tunnel, upgrade_key, upgrade_proof};

/// How long resolving, connecting, and TLS may each take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer's header may be, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How many fields it may have.
const MAX_FIELDS: usize = 200;
/// What a server may send ahead on HTTP/2, in bytes: as much as a browser lets it.
const WINDOW: u32 = 1024 * 1024;

type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{host} has no address that could be found")]
    Resolve { host: String, source: io::Error },
    #[error("{0} has no address")]
    NoAddress(String),
    #[error("could not connect to {peer}")]
    Connect { peer: String, source: io::Error },
    #[error("{peer} did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Slow { peer: String },
    #[error(
        "{peer} shows a certificate that {fault}; --ca FILE trusts another CA, and --insecure goes on all the same"
    )]
    Certificate { peer: String, fault: String },
    #[error("{peer} speaks no TLS that this program does")]
    Tls { peer: String, source: io::Error },
    #[error("TLS can't be set up")]
    Config(#[from] rustls::Error),
    #[error("no certificate can be for `{0}`")]
    Name(String),
    #[error("{peer} does not speak {}", alpn.title())]
    Alpn { peer: String, alpn: Alpn },
    #[error("{peer} does not speak {} as it should", alpn.title())]
    Http { peer: String, alpn: Alpn, source: Cause },
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Stopped(#[from] Stop),
    #[error("it answers with a header of more than {} kB, or of more than {MAX_FIELDS} fields", MAX_HEADER_BYTES / 1024)]
    LongHeader,
    #[error("it does not answer as {} has it", alpn.title())]
    Broken { alpn: Alpn, source: Cause },
    #[error("it switches protocols without having understood the request")]
    NoProof,
}

/// What a server's SETTINGS say on HTTP/2 (RFC 9113 section 6.5.2, RFC 8441 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenSettings {
    /// The streams that a client may have open at once; `None`: as many as it likes.
    pub max_concurrent_streams: Option<u64>,
    /// Whether a WebSocket may be opened on it.
    pub extended_connect: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) alpn: Alpn,
    pub(super) address: SocketAddr,
    /// How long TCP and TLS took together.
    pub(super) took: Duration,
    pub(super) tls: Option<SeenTls>,
    /// What has come on it so far, TLS taken off, in bytes.
    pub(super) received: Arc<AtomicU64>,
    asker: Asker,
    driver: AbortHandle,
}

#[derive(Debug)]
enum Asker {
    H1(Mutex<http1::SendRequest<Empty<Bytes>>>),
    H2 { sender: h2::client::SendRequest<Bytes>, pings: Mutex<Option<h2::PingPong>> },
}

impl Drop for Dialled {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Dialled {
    /// Connects, and agrees on this ALPN. Without TLS that is HTTP/1.1, as browsers have it.
    pub(super) async fn connect(aim: &Aim, guest: &Guest, alpn: Alpn) -> Result<Self, DialError> {
        Self::connect_with(aim, guest, alpn, WINDOW).await
    }

    /// The same, and on HTTP/2 each stream is sent so many bytes before any of them is read.
    pub(super) async fn connect_with(aim: &Aim, guest: &Guest, alpn: Alpn, window: u32) -> Result<Self, DialError> {
        let begun = Instant::now();
        let (tcp, address) = tcp(aim).await?;
        guest.connects();
        let received = Arc::new(AtomicU64::new(0));
        let (stream, tls) = if aim.is_secure() {
            let (stream, tls) = secure(tcp, aim, guest, alpn).await?;
            (stream, Some(tls))
        } else {
            (Box::new(tcp) as Tunnel, None)
        };
        let took = begun.elapsed();
        let stream = Tallied { inner: stream, received: Arc::clone(&received) };
        let broken = |source: Cause| DialError::Http { peer: aim.authority(), alpn, source };
        let (asker, driver) = if alpn == Alpn::H2 {
            let handshake = h2::client::Builder::new()
                .initial_window_size(window)
                .initial_connection_window_size(4 * WINDOW)
                .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
                .enable_push(false)
                .handshake(stream);
            let (sender, mut connection) = handshake.await.map_err(|error| broken(error.into()))?;
            let pings = Mutex::new(connection.ping_pong());
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "an HTTP/2 connection ended");
                }
            });
            (Asker::H2 { sender, pings }, driver.abort_handle())
        } else {
            let mut builder = http1::Builder::new();
            builder.max_headers(MAX_FIELDS).max_header_size(MAX_HEADER_BYTES);
            let (sender, connection) =
                builder.handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.with_upgrades().await {
                    tracing::debug!(%error, "an HTTP/1.1 connection ended");
                }
            });
            (Asker::H1(Mutex::new(sender)), driver.abort_handle())
        };
        Ok(Self { alpn, address, took, tls, received, asker, driver })
    }

    /// What its settings say, once they have come: before the answer to a PING at the latest.
    pub(super) async fn settings(&self, aim: &Aim) -> Result<Option<SeenSettings>, DialError> {
        let Asker::H2 { sender, pings } = &self.asker else { return Ok(None) };
        let mut pings = pings.lock().await;
        if let Some(pings) = pings.as_mut() {
            let ping = timeout(CONNECT_TIMEOUT, pings.ping(h2::Ping::opaque())).await;
            let ping = ping.map_err(|_| DialError::Slow { peer: aim.authority() })?;
            let broken =
                |error: h2::Error| DialError::Http { peer: aim.authority(), alpn: self.alpn, source: error.into() };
            ping.map_err(broken)?;
        }
        let most = sender.current_max_send_streams() as u64;
        Ok(Some(SeenSettings {
            // h2 has the largest number that there is for a server that sets no limit.
            max_concurrent_streams: (most < u64::from(u32::MAX)).then_some(most),
            extended_connect: sender.is_extended_connect_protocol_enabled(),
        }))
    }

    /// Makes a request in its turn, and waits for the answer's header as long as it takes.
    pub(super) async fn ask(
        &self,
        aim: &Aim,
        guest: &Guest,
        method: Method,
        fields: &[(HeaderName, HeaderValue)],
    ) -> Result<Answer, AskError> {
        let alpn = self.alpn;
        let broken = |source: Cause| AskError::Broken { alpn, source };
        guest.turn().await?;
        let asked = Instant::now();
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.headers_mut() = guest.headers();
        for (name, value) in fields {
            request.headers_mut().insert(name, value.clone());
        }
        let (head, body) = match &self.asker {
            Asker::H1(sender) => {
                *request.uri_mut() = aim.path().parse().map_err(|error: http::uri::InvalidUri| broken(error.into()))?;
                let host = HeaderValue::try_from(aim.authority()).map_err(|error| broken(error.into()))?;
                request.headers_mut().insert(HOST, host);
                let answer = {
                    let mut sender = sender.lock().await;
                    sender.ready().await.map_err(|error| broken(error.into()))?;
                    sender.send_request(request.map(|()| Empty::new()))
                };
                let answer = answer.await.map_err(|error| {
                    if error.is_parse_too_large() { AskError::LongHeader } else { broken(error.into()) }
                })?;
                let (head, body) = answer.into_parts();
                (head, AnswerBody::H1(body))
            }
            Asker::H2 { sender, .. } => {
                *request.uri_mut() = aim.uri().parse().map_err(|error: http::uri::InvalidUri| broken(error.into()))?;
                let mut sender = sender.clone().ready().await.map_err(|error| broken(error.into()))?;
                let (answer, _) = sender.send_request(request, true).map_err(|error| broken(error.into()))?;
                let (head, body) = answer.await.map_err(|error| broken(error.into()))?.into_parts();
                (head, AnswerBody::H2(body))
            }
        };
        guest.answered(head.status);
        Ok(Answer { head, asked, headed: asked.elapsed(), body })
    }

    /// Asks for a tunnel of this protocol on HTTP/1.1 (RFC 6455 section 4.1); no tunnel: refused.
    pub(super) async fn upgrade(
        &self,
        aim: &Aim,
        guest: &Guest,
        protocol: &'static str,
        fields: &[(HeaderName, HeaderValue)],
    ) -> Result<(Answer, Option<Tunnel>), AskError> {
        let key = upgrade_key();
        let proof = upgrade_proof(&key);
        let mut all = vec![
            (http::header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (http::header::UPGRADE, HeaderValue::from_static(protocol)),
            (http::header::SEC_WEBSOCKET_KEY, key),
        ];
        all.extend_from_slice(fields);
        let answer = self.ask(aim, guest, Method::GET, &all).await?;
        if answer.head.status != http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok((answer, None));
        }
        if answer.head.headers.get(http::header::SEC_WEBSOCKET_ACCEPT) != Some(&proof) {
            return Err(AskError::NoProof);
        }
        let Answer { mut head, asked, headed, body } = answer;
        let mut switched = http::Response::new(());
        *switched.extensions_mut() = std::mem::take(&mut head.extensions);
        let upgraded = hyper::upgrade::on(&mut switched).await;
        let upgraded = upgraded.map_err(|error| AskError::Broken { alpn: self.alpn, source: error.into() })?;
        Ok((Answer { head, asked, headed, body }, Some(Box::new(TokioIo::new(upgraded)))))
    }
}

/// An answer under way.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Parts,
    /// When it was asked for.
    pub(super) asked: Instant,
    /// How long its header took.
    pub(super) headed: Duration,
    body: AnswerBody,
}

#[derive(Debug)]
enum AnswerBody {
    H1(Incoming),
    H2(h2::RecvStream),
}

impl Answer {
    /// The next bytes of its content; `None` at its end.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, Cause>> {
        match &mut self.body {
            AnswerBody::H1(body) => loop {
                match body.frame().await? {
                    Ok(frame) => {
                        if let Ok(data) = frame.into_data() {
                            return Some(Ok(data));
                        }
                    }
                    Err(error) => return Some(Err(error.into())),
                }
            },
            AnswerBody::H2(stream) => match stream.data().await? {
                Ok(data) => {
                    // What is taken may be sent again (RFC 9113 section 5.2).
                    let released = stream.flow_control().release_capacity(data.len());
                    Some(released.map(|()| data).map_err(Into::into))
                }
                Err(error) => Some(Err(error.into())),
            },
        }
    }

    /// A text field of its header, where there is one.
    pub(super) fn field(&self, name: &HeaderName) -> Option<&str> {
        field(&self.head, name)
    }
}

/// A text field of a header, where there is one.
pub(super) fn field<'a>(head: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

async fn tcp(aim: &Aim) -> Result<(TcpStream, SocketAddr), DialError> {
    let (host, port) = (aim.host(), aim.port());
    let slow = || DialError::Slow { peer: aim.authority() };
    let found = timeout(CONNECT_TIMEOUT, lookup_host((host.as_str(), port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let found = found.map_err(|source| DialError::Resolve { host: host.clone(), source })?;
    let mut last = None;
    for address in found {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // What is small and urgent isn't to wait for more (RFC 1122 section 4.2.3.4).
                let _ = tcp.set_nodelay(true);
                return Ok((tcp, address));
            }
            Ok(Err(source)) => last = Some(DialError::Connect { peer: address.to_string(), source }),
            Err(_) => last = Some(slow()),
        }
    }
    Err(last.unwrap_or(DialError::NoAddress(host)))
}

async fn secure(tcp: TcpStream, aim: &Aim, guest: &Guest, alpn: Alpn) -> Result<(Tunnel, SeenTls), DialError> {
    let peer = || aim.authority();
    let (config, fault) = config(guest, alpn)?;
    let name = aim.server_name().ok_or_else(|| DialError::Name(aim.host()))?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let connected = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| DialError::Slow { peer: peer() })?;
    let stream = match connected {
        Ok(stream) => stream,
        Err(source) => {
            let inner = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if matches!(inner, Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))) {
                return Err(DialError::Alpn { peer: peer(), alpn });
            }
            return Err(match fault_in_words(&fault) {
                Some(fault) => DialError::Certificate { peer: peer(), fault },
                None => DialError::Tls { peer: peer(), source },
            });
        }
    };
    let session = stream.get_ref().1;
    match session.alpn_protocol() {
        Some(chosen) if chosen == alpn.wire() => {}
        // RFC 9112 needs no ALPN.
        None if alpn == Alpn::H1 => {}
        _ => return Err(DialError::Alpn { peer: peer(), alpn }),
    }
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let chain = session.peer_certificates().unwrap_or_default().iter().filter_map(SeenCertificate::read).collect();
    let seen = SeenTls { version, chain, fault: fault_in_words(&fault) };
    Ok((Box::new(stream), seen))
}
