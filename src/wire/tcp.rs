//! HTTP/1.1 and HTTP/2 on TCP and TLS, server side.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::exchange::BodyError;
use super::streams::Streams;
use super::upgrade::{self, Tunnels, Wish};
use super::{
    BODY_TIMEOUT, Connection, Exchange, HANDSHAKE_TIMEOUT, HEADER_TIMEOUT, Handler, MAX_BODY_BYTES, MAX_CONNECTIONS,
    MAX_HEADER_BYTES, Opening, Request, ResponseBody, Sink, Traffic, tls, traffic::Counted,
};
use crate::trial::clock::monotonic_nanos;
use crate::trial::{Alpn, Fact};

/// What a HTTP/1.1 connection may buffer in either direction, in bytes.
const H1_BUFFER_BYTES: usize = 16 * 1024;
/// What HTTP/2 buffers of a response that its reader doesn't take, per stream, in bytes.
const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// What a client may send before HTTP/2 makes it wait, per stream and per connection, in bytes.
const H2_STREAM_WINDOW: u32 = 64 * 1024;
const H2_CONNECTION_WINDOW: u32 = 256 * 1024;

/// How a listener serves.
#[derive(Debug, Clone)]
pub struct TcpOptions {
    /// TLS; its ALPNs decide which versions of HTTP are spoken.
    pub tls: Arc<rustls::ServerConfig>,
    /// `SETTINGS_MAX_CONCURRENT_STREAMS`; `None`: the entry isn't sent (RFC 9113 section 6.5.2).
    pub max_concurrent_streams: Option<u32>,
    /// The `Alt-Svc` field of every response.
    pub alt_svc: Option<http::HeaderValue>,
    /// Counts what is sent and received.
    pub traffic: Traffic,
}

/// Serves connections until it is dropped, which closes them all.
pub async fn serve<H: Handler>(listener: TcpListener, options: TcpOptions, handler: H, sink: Sink) {
    let acceptor = TlsAcceptor::from(Arc::clone(&options.tls));
    let mut connections = JoinSet::new();
    let refused = AtomicU64::new(0);
    let calmed = Arc::new(AtomicU64::new(0));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => stream,
            Ok(_) => {
                let times = refused.fetch_add(1, Ordering::Relaxed) + 1;
                sink.saw(Fact::BoundReached { t: monotonic_nanos(), bound: "connections".to_owned(), times });
                continue;
            }
            Err(error) => {
                // Out of descriptors, mostly: wait for one rather than spin.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            }
        };
        let (acceptor, options, handler, facts) = (acceptor.clone(), options.clone(), handler.clone(), sink.clone());
        let (sink, calmed) = (sink.clone(), Arc::clone(&calmed));
        connections.spawn(async move {
            if let Err(error) = connection(stream, acceptor, options, handler, facts).await {
                tracing::debug!(%error, "a connection ended");
                if is_calm_wanted(&*error) {
                    let times = calmed.fetch_add(1, Ordering::Relaxed) + 1;
                    sink.saw(Fact::BoundReached { t: monotonic_nanos(), bound: "rapid-reset".to_owned(), times });
                }
            }
        });
    }
}

async fn connection<H: Handler>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    options: TcpOptions,
    handler: H,
    sink: Sink,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Events are small and due now: Nagle's algorithm (RFC 896) would hold each until the last is acknowledged.
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?.ip();
    let stream = options.traffic.counted(stream);
    // Each stage in a box of its own, that a connection doesn't hold for its life what only its handshake, the other
    // version of HTTP or a request under way needs: 9 kB of 25.
    let tls = Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream))).await??;
    let alpn = negotiated(&tls, &options)?;
    let connection = Connection::begin(peer, alpn, options.alt_svc.clone(), sink);
    let asked = Arc::clone(&connection);
    let (tunnels, mut granted) = mpsc::channel(1);
    let service = service_fn(move |request| answer(request, &handler, Arc::clone(&connection), &tunnels));
    let io = TokioIo::new(tls);
    match alpn {
        Alpn::H2 => {
            let streams = Streams::default();
            let (entrance, io) = (streams.entrance(), streams.watched(io));
            let mut http2 = hyper::server::conn::http2::Builder::new(entrance.clone());
            let http2 = http2
                .timer(TokioTimer::new())
                .enable_connect_protocol()
                .max_concurrent_streams(options.max_concurrent_streams)
                .max_send_buf_size(H2_SEND_BUFFER_BYTES)
                .max_header_list_size(MAX_HEADER_BYTES)
                .initial_stream_window_size(H2_STREAM_WINDOW)
                .initial_connection_window_size(H2_CONNECTION_WINDOW);
            let mut served = pin!(streams.run(Box::pin(http2.serve_connection(io, service))));
            let mut silence = pin!(silence(&asked));
            loop {
                tokio::select! {
                    served = &mut served => return Ok(served?),
                    () = &mut silence => return Err("no request in time".into()),
                    Some(tunnel) = granted.recv() => entrance.execute(tunnel.run()),
                }
            }
        }
        Alpn::H1 | Alpn::H3 | Alpn::Quic => {
            let mut http1 = hyper::server::conn::http1::Builder::new();
            // Its own limit on the time for a header would be a timer begun and ended for each request.
            let http1 = http1.header_read_timeout(None).max_buf_size(H1_BUFFER_BYTES);
            let served = Box::pin(http1.serve_connection(io, service).with_upgrades());
            tokio::select! {
                biased;
                served = served => served?,
                () = idleness(&asked) => return Err("no request in time".into()),
            }
            // HTTP/1.1 is over once there is a tunnel, which has all of the connection.
            if let Ok(tunnel) = granted.try_recv() {
                tunnel.run().await;
            }
            Ok(())
        }
    }
}

/// Whether a connection was ended because its client opened streams and reset them faster than they could be looked at
/// (CVE-2023-44487), which the client is told as `ENHANCE_YOUR_CALM` (RFC 9113 section 7).
fn is_calm_wanted(error: &(dyn std::error::Error + 'static)) -> bool {
    let http2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    http2.is_some_and(|error| error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM))
}

/// Ends when a client has asked for nothing in time: hyper waits for HTTP/2's preface for ever.
async fn silence(connection: &Connection) {
    tokio::time::sleep(HEADER_TIMEOUT).await;
    if connection.requests() > 0 {
        std::future::pending::<()>().await;
    }
}

/// Ends when nothing was asked for [`HEADER_TIMEOUT`] and nothing is being answered: for a client that asks for nothing
/// more, or takes too long over its header, after one to two times that.
async fn idleness(connection: &Arc<Connection>) {
    let mut before = 0;
    loop {
        tokio::time::sleep(HEADER_TIMEOUT).await;
        let now = connection.requests();
        // The service and this hold the connection, and so does whatever is being answered.
        if now == before && Arc::strong_count(connection) <= 2 {
            return;
        }
        before = now;
    }
}

/// What TLS agreed on. A client that offers no ALPN gets HTTP/1.1 where that is spoken (RFC 9112 needs none).
fn negotiated(stream: &TlsStream<Counted<TcpStream>>, options: &TcpOptions) -> Result<Alpn, &'static str> {
    match stream.get_ref().1.alpn_protocol() {
        Some(chosen) if chosen == tls::HTTP_1_0 => Ok(Alpn::H1),
        Some(chosen) => Alpn::ALL.into_iter().find(|alpn| alpn.wire() == chosen).ok_or("an ALPN that isn't served"),
        None if options.tls.alpn_protocols.iter().any(|alpn| alpn == Alpn::H1.wire()) => Ok(Alpn::H1),
        None => Err("no ALPN, which HTTP/2 needs (RFC 9113 section 3.2)"),
    }
}

type Answered = Result<http::Response<ResponseBody>, Infallible>;

/// An answer under way.
struct Answering(Pin<Box<dyn Future<Output = Answered> + Send>>);

impl Future for Answering {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered> {
        self.0.as_mut().poll(context)
    }
}

/// Begins to answer. What waits afterwards is as small as it can be: it is a poll's cost.
fn answer<H: Handler>(
    mut request: http::Request<Incoming>,
    handler: &H,
    connection: Arc<Connection>,
    tunnels: &Tunnels,
) -> Answering {
    connection.asked();
    let alt_svc = connection.alt_svc.clone();
    Answering(match Wish::of(&request) {
        Ok(None) if request.body().is_end_stream() => {
            let (head, _) = request.into_parts();
            let response = handler.answer(Exchange::Request(Request { head, body: Ok(Bytes::new()), connection }));
            Box::pin(async move { Ok(with_alt_svc(response.await, alt_svc)) })
        }
        Ok(None) if handler.leaves_unread(request.uri()) => Box::pin(async move {
            let _unread = request;
            std::future::pending().await
        }),
        Ok(None) => {
            let handler = handler.clone();
            Box::pin(async move {
                let (head, body) = request.into_parts();
                let body = tokio::time::timeout(BODY_TIMEOUT, read_body(body)).await;
                let body = body.unwrap_or(Err(BodyError::CutShort));
                let response = handler.answer(Exchange::Request(Request { head, body, connection }));
                Ok(with_alt_svc(response.await, alt_svc))
            })
        }
        Ok(Some(wish)) => {
            let opening = hyper::upgrade::on(&mut request);
            let (head, _) = request.into_parts();
            let protocol = wish.protocol.clone();
            let response = handler.answer(Exchange::Tunnel(Opening { head, protocol, connection }));
            let tunnels = tunnels.clone();
            Box::pin(async move {
                Ok(with_alt_svc(upgrade::settle(wish, opening, response.await, &tunnels).await, alt_svc))
            })
        }
        Err(refused) => Box::pin(std::future::ready(Ok(with_alt_svc(refused.response(), alt_svc)))),
    })
}

fn with_alt_svc(
    mut response: http::Response<ResponseBody>,
    alt_svc: Option<http::HeaderValue>,
) -> http::Response<ResponseBody> {
    if let Some(value) = alt_svc {
        response.headers_mut().insert(http::header::ALT_SVC, value);
    }
    response
}

/// Reads it to its end even when it is refused: what is left unread would make HTTP/2 reset the stream and HTTP/1.1
/// close the connection, and a client that is still sending takes that as a failure and never sees the answer.
async fn read_body(mut body: Incoming) -> Result<Bytes, BodyError> {
    let (mut whole, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::CutShort)?.into_data() else { continue };
        length += data.len();
        if length <= MAX_BODY_BYTES {
            whole.extend_from_slice(&data);
        }
    }
    if length > MAX_BODY_BYTES { Err(BodyError::TooLong) } else { Ok(whole.freeze()) }
}
