//! HTTP/1.1 and HTTP/2 on TCP and TLS, server side.

mod early_stream;
pub(in crate::wire) mod half_close;
pub(in crate::wire) mod stream;
pub(in crate::wire) mod streams;

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::trial::settings::StackSettings;
use crate::trial::{Alpn, ServerFact, Stack};
use crate::wire::early;
use crate::wire::exchange::BodyError;
use crate::wire::malformed;
use crate::wire::parting::{self, Lent};
use crate::wire::rest;
use crate::wire::tcp::half_close::HalfClose;
use crate::wire::tcp::stream::ServerStream;
use crate::wire::tcp::streams::ConnectionStreams;
use crate::wire::upgrade::{self, Tunnels, UpgradeRequest};
use crate::wire::{
    BODY_TIMEOUT, Bound, Connection, Exchange, HANDSHAKE_TIMEOUT, HEADER_TIMEOUT, Handler, MAX_BODY_BYTES,
    MAX_CONNECTIONS, MAX_HEADER_BYTES, OpenRequest, Request, ResponseBody, Sink, Traffic, stack, tls, traffic::Counted,
};

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
    /// How TCP is set up.
    pub stack: StackSettings,
}

/// Serves connections until it is to stop, and then closes them all; dropped, it drops them.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    options: TcpOptions,
    handler: H,
    sink: Sink<ServerFact>,
    mut stop: watch::Receiver<bool>,
) {
    stack::choose_congestion(&listener, options.stack);
    let mut first = true;
    let mut connections = JoinSet::new();
    let mut stops = HashMap::new();
    let refused = Bound::new("connections");
    let calmed = Arc::new(Bound::new("rapid-reset"));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next_with_id(), if !connections.is_empty() => {
                stops.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                continue;
            }
            () = parting::told(&mut stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => stream,
            Ok(_) => {
                refused.reached(&sink);
                continue;
            }
            Err(error) => {
                // Out of descriptors, mostly: wait for one rather than spin.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            }
        };
        let (options, handler, facts) = (options.clone(), handler.clone(), sink.clone());
        let (sink, calmed) = (sink.clone(), Arc::clone(&calmed));
        let (stops_it, stop) = oneshot::channel();
        let first = std::mem::take(&mut first);
        let task = connections.spawn(async move {
            if let Err(error) = connection(stream, first, options, handler, facts, stop).await {
                tracing::debug!(%error, "a connection ended");
                if is_calm_wanted(&*error) {
                    calmed.reached(&sink);
                }
            }
        });
        stops.insert(task.id(), stops_it);
    }
    drop(listener);
    for stop in stops.into_values() {
        // One that has ended needn't be told.
        let _ = stop.send(());
    }
    parting::ended(connections).await;
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// One connection, from its handshake to the end of both sides. Of the first, what carries it is told.
async fn connection<H: Handler>(
    stream: TcpStream,
    first: bool,
    options: TcpOptions,
    handler: H,
    sink: Sink<ServerFact>,
    stop: oneshot::Receiver<()>,
) -> Ended {
    // Events are small and due now: Nagle's algorithm (RFC 896) would hold each until the last is acknowledged.
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?.ip();
    let found = first.then(|| Box::new(Stack::Tcp(stack::tcp(&stream))));
    let stream = options.traffic.counted(stream);
    // Each stage in a box of its own, that a connection doesn't hold for its life what only its handshake, the other
    // version of HTTP or a request under way needs: 9 kB of 25.
    let accepting = ServerStream::accept(stream, &options.tls);
    let tls = Box::new(Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting)).await??);
    let alpn = tls::negotiated(tls.session().alpn_protocol(), &options.tls);
    let (replay, known) = (tls.replay(), tls.handshake());
    let (tls, mut comes_back) = parting::lend(tls);
    let mut last_words = &[][..];
    let ended = match alpn {
        Ok(alpn) => {
            if let Some(stack) = found {
                sink.record(ServerFact::Stack { alpn, stack, versions: stack::versions() });
            }
            let connection = Connection::begin(peer, alpn, options.alt_svc.clone(), replay, sink);
            if let Some(known) = known {
                connection.knew(known);
            }
            Box::pin(talk(tls, connection, options, handler, stop, &mut last_words)).await
        }
        Err(reason) => {
            drop(tls);
            Err(reason.into())
        }
    };
    if let Ok(tls) = comes_back.try_recv() {
        Box::pin(parting::close(tls, last_words)).await;
    }
    ended
}

type Tls = Lent<ServerStream<Counted<TcpStream>>>;

/// All that is said on one connection but the last words, which nothing else may come between.
async fn talk<H: Handler>(
    tls: Tls,
    connection: Arc<Connection>,
    options: TcpOptions,
    handler: H,
    mut stop: oneshot::Receiver<()>,
    last_words: &mut &'static [u8],
) -> Ended {
    let alpn = connection.alpn;
    let asked = Arc::clone(&connection);
    let (tunnels, mut granted) = mpsc::channel(1);
    let service = service_fn(move |request| answer(request, &handler, Arc::clone(&connection), &tunnels));
    match alpn {
        Alpn::H2 => {
            let io = TokioIo::new(tls);
            let streams = ConnectionStreams::default();
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
            let (leaving, mut http2) = (AtomicBool::new(false), Box::pin(http2.serve_connection(io, service)));
            let http2 = std::future::poll_fn(|cx| {
                if leaving.load(Ordering::Relaxed) {
                    http2.as_mut().graceful_shutdown();
                }
                http2.as_mut().poll(cx)
            });
            let mut served = pin!(streams.run(http2));
            let mut silence = pin!(silence(&asked));
            let mut stop = pin!(async {
                // A server that is gone needn't say so: its connections go with it.
                let _ = stop.await;
                leaving.store(true, Ordering::Relaxed);
            });
            loop {
                tokio::select! {
                    served = &mut served => return Ok(served?),
                    () = &mut silence => {
                        *last_words = parting::GOAWAY;
                        return Err("no request in time".into());
                    }
                    () = &mut stop => {
                        if let Ok(served) = tokio::time::timeout(parting::GOING, &mut served).await {
                            return Ok(served?);
                        }
                        *last_words = if asked.requests() == 0 { parting::GOAWAY } else { &[] };
                        return Ok(());
                    }
                    Some(tunnel) = granted.recv() => entrance.execute(tunnel.run()),
                }
            }
        }
        Alpn::H1 | Alpn::H3 | Alpn::Quic => {
            let mut http1 = hyper::server::conn::http1::Builder::new();
            // Its own limit on the time for a header would be a timer begun and ended for each request.
            let http1 = http1.header_read_timeout(None).max_buf_size(H1_BUFFER_BYTES);
            let io = TokioIo::new(HalfClose::new(tls, Arc::clone(&asked)));
            {
                let mut served = Box::pin(http1.serve_connection(io, service).with_upgrades());
                tokio::select! {
                    biased;
                    served = &mut served => served?,
                    () = idleness(&asked) => return Err("no request in time".into()),
                    _ = &mut stop => {
                        served.as_mut().graceful_shutdown();
                        return Ok(tokio::time::timeout(parting::GOING, served).await.unwrap_or(Ok(()))?);
                    }
                }
            }
            // HTTP/1.1 is over once there is a tunnel, which has all of the connection.
            if let Ok(tunnel) = granted.try_recv() {
                tokio::select! {
                    () = tunnel.run() => {}
                    _ = stop => {}
                }
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
        // The service, what reads and this hold the connection, and so does whatever is being answered.
        if now == before && Arc::strong_count(connection) <= 3 {
            return;
        }
        before = now;
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
    connection.answer.begins();
    let version = request.version();
    let finish = Finish { is_head: request.method() == http::Method::HEAD, alt_svc: connection.alt_svc.clone() };
    let upgrade = malformed::check(version, request.headers()).and_then(|()| UpgradeRequest::of(&request));
    let upgrade = upgrade.and_then(|upgrade| {
        early::check(connection.replay.is(), request.method(), upgrade.is_some()).map(|()| upgrade)
    });
    Answering(match upgrade {
        Ok(None) if request.body().is_end_stream() => {
            let (head, _) = request.into_parts();
            let response = handler.answer(Exchange::Request(Request { head, body: Ok(Bytes::new()), connection }));
            Box::pin(async move { Ok(finish.with(response.await)) })
        }
        Ok(None) if !rest::means_something(request.method()) => {
            let (head, body) = request.into_parts();
            let response = handler.answer(Exchange::Request(Request { head, body: Ok(Bytes::new()), connection }));
            Box::pin(async move { Ok(finish.with(rest::beside(response, body, version).await)) })
        }
        Ok(None) if handler.leaves_unread(request.uri()) => Box::pin(async move {
            let _unread = request;
            std::future::pending().await
        }),
        Ok(None) => {
            let handler = handler.clone();
            Box::pin(async move {
                let (head, body) = request.into_parts();
                let body = tokio::select! {
                    biased;
                    body = tokio::time::timeout(BODY_TIMEOUT, read_body(body)) => body.unwrap_or(Err(BodyError::CutShort)),
                    // Before the end of the body, or the body would have come first.
                    () = connection.answer.half_closed() => Err(BodyError::CutShort),
                };
                let response = handler.answer(Exchange::Request(Request { head, body, connection }));
                Ok(finish.with(response.await))
            })
        }
        Ok(Some(upgrade)) => {
            let opening = hyper::upgrade::on(&mut request);
            let (head, _) = request.into_parts();
            let protocol = upgrade.protocol.clone();
            let response = handler.answer(Exchange::Tunnel(OpenRequest { head, protocol, connection }));
            let tunnels = tunnels.clone();
            Box::pin(async move { Ok(finish.with(upgrade::settle(upgrade, opening, response.await, &tunnels).await)) })
        }
        Err(refused) => {
            let (body, response) = (request.into_body(), std::future::ready(refused.response()));
            Box::pin(async move { Ok(finish.with(rest::beside(response, body, version).await)) })
        }
    })
}

/// What every answer gets in the end.
struct Finish {
    is_head: bool,
    alt_svc: Option<http::HeaderValue>,
}

impl Finish {
    fn with(self, response: http::Response<ResponseBody>) -> http::Response<ResponseBody> {
        let mut response = response;
        if self.is_head {
            // hyper writes the length of what a GET would get, where it is known, and on HTTP/2 the content as well.
            let length = response.body().size_hint().exact().filter(|length| *length > 0);
            if let Some(length) = length {
                response.headers_mut().entry(http::header::CONTENT_LENGTH).or_insert(length.into());
            }
            // RFC 9110 section 9.3.2: none, whatever the answer is.
            response = response.map(|_| ResponseBody::empty());
        }
        if let Some(value) = self.alt_svc {
            response.headers_mut().insert(http::header::ALT_SVC, value);
        }
        response
    }
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
