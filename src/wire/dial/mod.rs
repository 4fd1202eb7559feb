//! Connections to a server, and requests on them, in the HTTP version that was asked for and no other.

pub(in crate::wire) mod http3;
pub mod pool;
pub(in crate::wire) mod raw_quic;
pub(in crate::wire) mod target;
mod tickets;
pub(in crate::wire) mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::trial::{Alpn, Stack};
pub(crate) use crate::wire::dial::http3::{H3Connection, H3Response};
use crate::wire::dial::raw_quic::QuicConnection;
use crate::wire::dial::target::Use;
pub use crate::wire::dial::target::{Target, Windows};
pub use crate::wire::dial::tickets::TICKETS_OF_ONE;
pub(crate) use crate::wire::dial::tunnel::H2Tunnel;
use crate::wire::{Session, WireError, stack, tls};

/// How many questions of TCP's keep-alive go unanswered before the connection is ended.
const UNANSWERED: u32 = 3;
/// The longest silence that Linux lets be asked after, in seconds (`MAX_TCP_KEEPIDLE`).
const MAX_KEEP_ALIVE: u32 = 32_767;

/// A connection to a server.
#[derive(Debug)]
pub struct ClientConnection {
    pub(in crate::wire) target: Target,
    pub(in crate::wire) kind: Kind,
}

#[derive(Debug)]
pub(in crate::wire) enum Kind {
    H1 { sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>, driver: ConnectionTask },
    H2 { sender: h2::client::SendRequest<Bytes>, driver: Arc<ConnectionTask>, pings: Arc<Mutex<Option<h2::PingPong>>> },
    H3(H3Connection),
    Quic(QuicConnection),
}

/// The task that drives a connection; it ends when the last user of the connection lets go.
#[derive(Debug)]
pub(in crate::wire) struct ConnectionTask(AbortHandle);

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ClientConnection {
    /// Connects. The server must speak exactly this ALPN under a certificate of this CA.
    pub async fn connect(target: &Target, alpn: Alpn, ca: &CertificateDer<'static>) -> Result<Self, WireError> {
        let tls = Arc::new(tls::client(ca.clone(), alpn)?);
        let connected = Self::connect_for(target, alpn, tls, Use { shared: true, ..Use::default() }).await;
        connected.map(|(connection, _)| connection)
    }

    /// The same, to be used so; and what was found of what carries it.
    pub(in crate::wire) async fn connect_for(
        target: &Target,
        alpn: Alpn,
        tls: Arc<rustls::ClientConfig>,
        usage: Use,
    ) -> Result<(Self, Stack), WireError> {
        let (kind, stack) = match alpn {
            Alpn::H1 => {
                let (stream, stack) = tls_stream(target, alpn, tls, usage).await?;
                let mut http1 = hyper::client::conn::http1::Builder::new();
                let handshake = http1.max_buf_size(64 * 1024).handshake(TokioIo::new(stream));
                let (sender, connection) = handshake.await.map_err(|error| target.failed(error))?;
                let driver = ConnectionTask(tokio::spawn(connection.with_upgrades()).abort_handle());
                (Kind::H1 { sender, driver }, stack)
            }
            Alpn::H2 => {
                let (stream, stack) = tls_stream(target, alpn, tls, usage).await?;
                let handshake = h2::client::Builder::new()
                    .initial_window_size(usage.windows.stream)
                    .initial_connection_window_size(usage.windows.connection)
                    .enable_push(false)
                    .handshake(stream);
                let (sender, mut connection) = handshake.await.map_err(|error| target.failed(error))?;
                let pings = Arc::new(Mutex::new(connection.ping_pong()));
                let driver = Arc::new(ConnectionTask(tokio::spawn(connection).abort_handle()));
                (Kind::H2 { sender, driver, pings }, stack)
            }
            Alpn::H3 => {
                let (connection, stack) = H3Connection::connect(target, tls, usage).await?;
                (Kind::H3(connection), stack)
            }
            Alpn::Quic => {
                let (connection, stack) = QuicConnection::connect(target, tls, usage).await?;
                (Kind::Quic(connection), stack)
            }
        };
        Ok((Self { target: target.clone(), kind }, stack))
    }

    /// Another user of the same connection; none on HTTP/1.1, which carries one response at a time, nor on raw QUIC,
    /// which is one session.
    pub fn try_clone(&self) -> Option<Self> {
        let kind = match &self.kind {
            Kind::H1 { .. } | Kind::Quic(_) => return None,
            Kind::H2 { sender, driver, pings } => {
                Kind::H2 { sender: sender.clone(), driver: Arc::clone(driver), pings: Arc::clone(pings) }
            }
            Kind::H3(connection) => Kind::H3(connection.clone()),
        };
        Some(Self { target: self.target.clone(), kind })
    }

    /// Whether it can carry another request.
    pub fn is_alive(&self) -> bool {
        match &self.kind {
            Kind::H1 { sender, driver } => !sender.is_closed() && !driver.0.is_finished(),
            Kind::H2 { driver, .. } => !driver.0.is_finished(),
            Kind::H3(connection) => connection.is_alive(),
            Kind::Quic(connection) => connection.is_alive(),
        }
    }

    /// Sends a GET and waits for the response's header: as long as it takes, since a queued request is no error.
    pub async fn get(self, path: &str, fields: &[(&str, &str)]) -> Result<Response, WireError> {
        self.request(http::Method::GET, path, fields, Bytes::new()).await
    }

    /// Sends a request with this body and waits for the response's header, likewise.
    pub async fn request(
        mut self,
        method: http::Method,
        path: &str,
        fields: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response, WireError> {
        let authority = self.target.authority();
        let mut request = http::Request::builder().method(method).uri(format!("https://{authority}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let target = self.target.clone();
        let (head, body) = match &mut self.kind {
            Kind::H1 { sender, .. } => {
                // RFC 9112 section 3.2.1: the target is the path alone, and `Host` says the rest.
                let (mut head, ()) = request.body(()).map_err(|error| target.broke(error))?.into_parts();
                head.uri = path.parse().map_err(|error| target.broke(error))?;
                let host = authority.parse().map_err(|error| target.broke(error))?;
                head.headers.insert(http::header::HOST, host);
                // On one that is kept, the end of the last answer may not have come round to the sender yet.
                sender.ready().await.map_err(|error| target.broke(error))?;
                let sent = sender.send_request(http::Request::from_parts(head, Full::new(body))).await;
                let response = sent.map_err(|error| target.broke(error))?;
                let (head, body) = response.into_parts();
                (head, Body::H1(body))
            }
            Kind::H2 { sender, .. } => {
                let request = request.body(()).map_err(|error| target.broke(error))?;
                let mut sender = sender.clone().ready().await.map_err(|error| target.broke(error))?;
                let (response, mut stream) =
                    sender.send_request(request, body.is_empty()).map_err(|error| target.broke(error))?;
                if !body.is_empty() {
                    // Waits for room by itself: a body is at most as long as an event.
                    stream.send_data(body, true).map_err(|error| target.broke(error))?;
                }
                let (head, body) = response.await.map_err(|error| target.broke(error))?.into_parts();
                (head, Body::H2(body))
            }
            Kind::H3(connection) => {
                let request = request.body(()).map_err(|error| target.broke(error))?;
                let (head, response) = connection.request(request, body).await.map_err(|error| target.broke(error))?;
                (head, Body::H3(Box::new(response)))
            }
            Kind::Quic(_) => return Err(target.broke("raw QUIC has no requests")),
        };
        Ok(Response { status: head.status, head, body, connection: self })
    }

    /// Asks for a session of this protocol, and waits for the answer as long as it takes. No session: refused. The
    /// session keeps its connection alive.
    pub async fn session(
        self,
        path: &str,
        protocol: &str,
        fields: &[(&str, &str)],
    ) -> Result<(http::response::Parts, Option<Session>), WireError> {
        let Self { target, kind } = self;
        match kind {
            Kind::H3(connection) => {
                let uri = format!("https://{}{path}", target.authority());
                let mut asking = http::Request::builder().method(http::Method::CONNECT).uri(uri);
                for (name, value) in fields {
                    asking = asking.header(*name, *value);
                }
                let request = asking.body(()).map_err(|error| target.broke(error))?;
                connection.session(&target, request, protocol).await
            }
            // A connection is a session here, of the one kind there is, and the first line has no fields.
            Kind::Quic(connection) => connection.session(&target, path).await,
            Kind::H1 { .. } | Kind::H2 { .. } => Err(target.broke(format!("there is no {protocol} without QUIC"))),
        }
    }
}

/// A response under way. It keeps its connection.
#[derive(Debug)]
pub struct Response {
    /// Its status.
    pub status: http::StatusCode,
    /// Status and fields.
    pub head: http::response::Parts,
    body: Body,
    connection: ClientConnection,
}

#[derive(Debug)]
enum Body {
    H1(hyper::body::Incoming),
    H2(h2::RecvStream),
    H3(Box<H3Response>),
}

impl Response {
    /// The next bytes; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, WireError>> {
        let target = &self.connection.target;
        match &mut self.body {
            Body::H1(body) => loop {
                match body.frame().await? {
                    Ok(frame) => {
                        if let Ok(data) = frame.into_data() {
                            return Some(Ok(data));
                        }
                    }
                    Err(error) => return Some(Err(target.broke(error))),
                }
            },
            Body::H2(stream) => match stream.data().await? {
                Ok(data) => {
                    // What is taken may be sent again (RFC 9113 section 5.2).
                    let released = stream.flow_control().release_capacity(data.len());
                    Some(released.map(|()| data).map_err(|error| target.broke(error)))
                }
                Err(error) => Some(Err(target.broke(error))),
            },
            Body::H3(response) => response.chunk().await.map(|chunk| chunk.map_err(|error| target.broke(error))),
        }
    }
}

impl Response {
    /// All of its body, at most this long, and its connection for the next request.
    pub async fn whole(mut self, most: usize) -> Result<(Bytes, ClientConnection), WireError> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await {
            whole.extend_from_slice(&chunk?);
            if whole.len() > most {
                return Err(self.connection.target.broke(format!("its answer is longer than {most} bytes")));
            }
        }
        Ok((whole.freeze(), self.connection))
    }
}

async fn tls_stream(
    target: &Target,
    alpn: Alpn,
    tls: Arc<rustls::ClientConfig>,
    usage: Use,
) -> Result<(TlsStream<TcpStream>, Stack), WireError> {
    let stream = tcp_stream(target, usage).await.map_err(|error| target.failed(error))?;
    let found = Stack::Tcp(stack::tcp(&stream));
    let connector = TlsConnector::from(tls).early_data(usage.early);
    let tls = connector.connect(target.server_name()?, stream).await.map_err(|error| target.failed(error))?;
    // A server without ALPN would leave this open to guesses.
    match tls.get_ref().1.alpn_protocol() {
        Some(chosen) if chosen == alpn.wire() => Ok((tls, found)),
        // It hasn't answered yet; what it speaks is what it spoke when it gave the ticket (RFC 8446 section 4.2.10).
        None if usage.early && tls.get_ref().1.is_handshaking() => Ok((tls, found)),
        _ => Err(target.failed(format!("it does not speak {}", alpn.title()))),
    }
}

/// Has the kernel ask a peer that was silent for so long, and again each time that it has been silent for as long, and end
/// the connection where nobody answers (RFC 9293 section 3.8.4). It counts in whole seconds.
fn keep_alive(stream: &TcpStream, silence: Duration) -> nix::Result<()> {
    let seconds = u32::try_from(silence.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).clamp(1, MAX_KEEP_ALIVE);
    setsockopt(stream, TcpKeepIdle, &seconds)?;
    setsockopt(stream, TcpKeepInterval, &seconds)?;
    setsockopt(stream, TcpKeepCount, &UNANSWERED)?;
    setsockopt(stream, KeepAlive, &true)
}

/// A connection to the first of the server's addresses that has anybody.
async fn tcp_stream(target: &Target, usage: Use) -> Result<TcpStream, Box<dyn std::error::Error + Send + Sync>> {
    let mut failed = None;
    for address in target.addresses().await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        stack::choose_congestion(&socket, usage.stack);
        match socket.connect(address).await {
            Ok(stream) => {
                if let Some(silence) = usage.ask {
                    keep_alive(&stream, silence)?;
                }
                return Ok(stream);
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or_else(|| "it has no address".into(), Into::into))
}
