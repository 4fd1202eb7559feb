//! Connections to anybody's server, and requests on them: TCP or QUIC, TLS with one ALPN, HTTP.

mod answer;
mod error;
mod frames;
mod quic;
mod settings;
mod tcp;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::aim::Aim;
use super::guest::Guest;
use super::tls::SeenTls;
use crate::trial::Alpn;
use crate::wire::dial::{H2Tunnel, H3Connection, Target};
use crate::wire::token::WEBTRANSPORT;
use crate::wire::{Session, Tunnel, upgrade_key, upgrade_proof};
use answer::AnswerBody;
pub(super) use answer::{Answer, field};
pub use error::{AskError, DialError};
use error::{CONNECT_TIMEOUT, Cause, MAX_FIELDS, MAX_HEADER_BYTES};
use frames::{Overheard, OverheardStream};
pub(super) use quic::{QuicPlace, offered};
pub(super) use settings::Goaway;
pub use settings::{SeenHttp3, SeenSettings, SeenTransport};

/// What a server may send ahead on a stream, in bytes: as much as a browser lets it.
pub(super) const WINDOW: u32 = 1024 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) alpn: Alpn,
    pub(super) address: SocketAddr,
    /// How long TCP and TLS, or QUIC, took.
    pub(super) took: Duration,
    pub(super) tls: Option<SeenTls>,
    /// Where it is on UDP, if it is.
    pub(super) place: Option<QuicPlace>,
    overheard: Overheard,
    asker: Asker,
    driver: Option<AbortHandle>,
}

#[derive(Debug)]
enum Asker {
    H1(Mutex<http1::SendRequest<Empty<Bytes>>>),
    H2 { sender: h2::client::SendRequest<Bytes>, pings: Mutex<Option<h2::PingPong>> },
    H3 { connection: H3Connection, transport: Option<SeenTransport>, target: Target },
}

impl Drop for Dialled {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl Dialled {
    /// Connects by TCP, and agrees on this ALPN. Without TLS that is HTTP/1.1, as browsers have it.
    pub(super) async fn connect(aim: &Aim, guest: &Guest, alpn: Alpn) -> Result<Self, DialError> {
        Self::connect_with(aim, guest, alpn, WINDOW).await
    }

    /// The same, and on HTTP/2 each stream is sent so many bytes before any of them is read.
    pub(super) async fn connect_with(aim: &Aim, guest: &Guest, alpn: Alpn, window: u32) -> Result<Self, DialError> {
        let begun = Instant::now();
        let (tcp, address) = tcp::connect(aim).await?;
        guest.connects();
        let (stream, tls) = if aim.is_secure() {
            let (stream, tls) = tcp::secure(tcp, aim, guest, alpn).await?;
            (stream, Some(tls))
        } else {
            (Box::new(tcp) as Tunnel, None)
        };
        let took = begun.elapsed();
        let overheard = Overheard::new(alpn == Alpn::H2);
        let stream = OverheardStream { inner: stream, overheard: overheard.clone() };
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
        Ok(Self { alpn, address, took, tls, place: None, overheard, asker, driver: Some(driver) })
    }

    /// Connects by QUIC, and speaks HTTP/3 there.
    pub(super) async fn connect_quic(aim: &Aim, guest: &Guest, place: QuicPlace) -> Result<Self, DialError> {
        let begun = Instant::now();
        let quic::Shaken { quic, endpoint, address, tls, transport } = quic::shake(aim, guest, place).await?;
        let took = begun.elapsed();
        let target = Target { host: aim.host(), port: place.port };
        let connection = H3Connection::on(&target, quic, endpoint).await;
        let broken = |source: Cause| DialError::Http { peer: aim.authority(), alpn: Alpn::H3, source };
        let connection = connection.map_err(|error| broken(error.into()))?;
        let asker = Asker::H3 { connection, transport, target };
        let (tls, place, overheard) = (Some(tls), Some(place), Overheard::new(false));
        Ok(Self { alpn: Alpn::H3, address, took, tls, place, overheard, asker, driver: None })
    }

    /// Another one like it.
    pub(super) async fn again(&self, aim: &Aim, guest: &Guest) -> Result<Self, DialError> {
        match self.place {
            Some(place) => Self::connect_quic(aim, guest, place).await,
            None => Self::connect(aim, guest, self.alpn).await,
        }
    }

    /// Ends it. On QUIC the server is told, who would wait for its idle time-out else; on TCP the kernel does that.
    pub(super) async fn leave(self) {
        if let Asker::H3 { connection, .. } = &self.asker {
            connection.close().await;
        }
    }

    /// How many bytes have come on it so far, TLS taken off; none are counted on QUIC.
    pub(super) fn received(&self) -> u64 {
        self.overheard.bytes()
    }

    /// What its settings say on HTTP/2, once they have come: before the answer to a PING at the latest.
    pub(super) async fn settings(&self, aim: &Aim) -> Result<Option<SeenSettings>, DialError> {
        let Asker::H2 { pings, .. } = &self.asker else { return Ok(None) };
        let mut pings = pings.lock().await;
        if let Some(pings) = pings.as_mut() {
            let ping = timeout(CONNECT_TIMEOUT, pings.ping(h2::Ping::opaque())).await;
            let ping = ping.map_err(|_| DialError::Slow { peer: aim.authority() })?;
            let broken =
                |error: h2::Error| DialError::Http { peer: aim.authority(), alpn: self.alpn, source: error.into() };
            ping.map_err(broken)?;
        }
        Ok(self.overheard.settings())
    }

    /// What it says of itself on HTTP/3, once that has come.
    pub(super) async fn http3(&self) -> Option<SeenHttp3> {
        let Asker::H3 { connection, transport, .. } = &self.asker else { return None };
        Some(SeenHttp3::new(&connection.settings().await, connection.dialects().await, *transport))
    }

    /// That the server takes no more requests on it, if it has said so.
    pub(super) fn goaway(&self) -> Option<Goaway> {
        if let Asker::H3 { connection, .. } = &self.asker {
            let last = connection.leaving()?;
            return Some(Goaway { at: None, last, code: 0, said: String::new() });
        }
        self.overheard.goaway()
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
        let mut request = request(aim, guest, method, fields, &broken)?;
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
                let mut sender = sender.clone().ready().await.map_err(|error| broken(error.into()))?;
                let (answer, _) = sender.send_request(request, true).map_err(|error| broken(error.into()))?;
                let (head, body) = answer.await.map_err(|error| broken(error.into()))?.into_parts();
                (head, AnswerBody::H2(body))
            }
            Asker::H3 { connection, .. } => {
                let answered = connection.clone().request(request, Bytes::new()).await;
                let (head, body) = answered.map_err(|error| broken(error.into()))?;
                (head, AnswerBody::H3(Box::new(body)))
            }
        };
        guest.answered(head.status);
        Ok(Answer { head, asked, headed: asked.elapsed(), body })
    }

    /// Asks for a tunnel of this protocol, by whichever opening the ALPN has (RFC 6455 section 4.1, RFC 8441, RFC
    /// 9220); no tunnel: refused.
    pub(super) async fn tunnel(
        &self,
        aim: &Aim,
        guest: &Guest,
        protocol: &'static str,
        fields: &[(HeaderName, HeaderValue)],
    ) -> Result<(Answer, Option<Tunnel>), AskError> {
        let alpn = self.alpn;
        let broken = |source: Cause| AskError::Broken { alpn, source };
        if matches!(self.asker, Asker::H1(_)) {
            return self.upgrade(aim, guest, protocol, fields).await;
        }
        guest.turn().await?;
        let asked = Instant::now();
        let mut request = request(aim, guest, Method::CONNECT, fields, &broken)?;
        let (head, tunnel) = match &self.asker {
            Asker::H1(_) => return Err(AskError::NoTunnels { alpn }),
            Asker::H2 { sender, .. } => {
                request.extensions_mut().insert(h2::ext::Protocol::from_static(protocol));
                let mut sender = sender.clone().ready().await.map_err(|error| broken(error.into()))?;
                if !sender.is_extended_connect_protocol_enabled() {
                    return Err(AskError::NoTunnels { alpn });
                }
                let (answer, send) = sender.send_request(request, false).map_err(|error| broken(error.into()))?;
                let (head, recv) = answer.await.map_err(|error| broken(error.into()))?.into_parts();
                let tunnel = head.status.is_success().then(|| Box::new(H2Tunnel::new(send, recv, ())) as Tunnel);
                (head, tunnel)
            }
            Asker::H3 { connection, target, .. } => {
                let answered = connection.clone().tunnel(target, request, protocol).await;
                answered.map_err(|error| broken(error.into()))?
            }
        };
        guest.answered(head.status);
        Ok((Answer { head, asked, headed: asked.elapsed(), body: AnswerBody::None }, tunnel))
    }

    /// Asks for a WebTransport session, in whichever dialect its SETTINGS name; none: refused.
    pub(super) async fn session(&self, aim: &Aim, guest: &Guest) -> Result<(Answer, Option<Session>), AskError> {
        let alpn = self.alpn;
        let broken = |source: Cause| AskError::Broken { alpn, source };
        let Asker::H3 { connection, target, .. } = &self.asker else { return Err(AskError::NoTunnels { alpn }) };
        guest.turn().await?;
        let asked = Instant::now();
        let request = request(aim, guest, Method::CONNECT, &[], &broken)?;
        let answered = connection.clone().session(target, request, WEBTRANSPORT).await;
        let (head, session) = answered.map_err(|error| broken(error.into()))?;
        guest.answered(head.status);
        Ok((Answer { head, asked, headed: asked.elapsed(), body: AnswerBody::None }, session))
    }

    /// The same on HTTP/1.1.
    async fn upgrade(
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
        if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
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

/// A request for what it is aimed at, with all that the guest says and these fields.
fn request(
    aim: &Aim,
    guest: &Guest,
    method: Method,
    fields: &[(HeaderName, HeaderValue)],
    broken: &dyn Fn(Cause) -> AskError,
) -> Result<Request<()>, AskError> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = aim.uri().parse().map_err(|error: http::uri::InvalidUri| broken(error.into()))?;
    *request.headers_mut() = guest.headers();
    for (name, value) in fields {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}
