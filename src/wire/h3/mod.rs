//! HTTP/3 on QUIC, server side, and what both ends do alike.
//!
//! Requests are the crate `h3`'s, 0.0.8. What stands around it is there for what that version can't, and goes with the
//! version that can:
//!
//! - Extended CONNECT (RFC 9220) with a `:protocol` that it doesn't know, and the DATA and datagrams of sessions: such
//!   streams are taken out before it sees them (`stream_start`, `connect`, `sessions`, `tunnel`). Its main branch
//!   has RFC 9220.
//! - Its QPACK is private, so that a field section is decoded by a connection that carries nothing else
//!   (`codec::qpack`), and what it lets pass is looked for by names (`codec::section`). On its main branch QPACK is
//!   open.
//! - That a client has stopped a stream (`STOP_SENDING`) it tells only who writes (`adapter::StopWatcher`). Its main
//!   branch tells it at once.
//! - What is malformed and it serves all the same: lengths, fields, the order of frames, critical streams
//!   (`codec::filter`, `codec::message`, `content`, `critical`). Nobody else does that yet.

pub(in crate::wire) mod adapter;
pub(in crate::wire) mod codec;
pub(in crate::wire) mod connect;
pub(in crate::wire) mod content;
pub(in crate::wire) mod critical;
pub(in crate::wire) mod frames;
pub(in crate::wire) mod recv;
pub(in crate::wire) mod sessions;
pub(in crate::wire) mod stream_start;
pub(in crate::wire) mod tunnel;

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h3::error::Code;
use h3::quic::StreamId;
use http::Method;
use quinn::TransportConfig;
use quinn::crypto::rustls::HandshakeData;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::trial::fact::Handshake;
use crate::trial::{Alpn, Dialects, ServerFact};
use crate::wire::early::{self, MaybeReplay};
use crate::wire::h3::adapter::{QuicAdapter, StopWatcher};
use crate::wire::h3::connect::ConnectContext;
use crate::wire::h3::content::{ContentError, Rest, ServerRequestStream, give_up};
use crate::wire::h3::frames::{H3_MESSAGE_ERROR, H3_NO_ERROR};
use crate::wire::h3::sessions::Sessions;
use crate::wire::h3::stream_start::StreamRouter;
use crate::wire::parting::told;
pub use crate::wire::quic::endpoint::{QuicListener, QuicOptions};
use crate::wire::quic::endpoint::{accept, bind};
use crate::wire::stack::QuicSetup;
use crate::wire::{
    Connection, Exchange, HANDSHAKE_TIMEOUT, Handler, MAX_HEADER_BYTES, Request, ResponseBody, Sink, WireError, date,
    rest, upgrade,
};

/// Unidirectional streams of one client at once: control, and two of QPACK (RFC 9114 section 6.2), and what sessions
/// send an event each on. QUIC keeps 600 bytes for each that may come.
const UNI_STREAMS: u32 = 32;
/// What waits of datagrams to be read, and to be sent, per connection, in bytes; beyond it the oldest are dropped.
const DATAGRAM_BUFFER: usize = 256 * 1024;
/// How long a connection that is to be closed may take to say so before, and how often is looked whether it has.
const FAREWELL: Duration = Duration::from_millis(100);
const MOMENT: Duration = Duration::from_millis(1);

/// An endpoint on this socket, listening.
pub fn endpoint(socket: UdpSocket, options: &QuicOptions) -> Result<QuicListener, WireError> {
    bind(socket, options, Alpn::H3, transport)
}

/// The limits of each connection.
fn transport(options: &QuicOptions, setup: QuicSetup) -> TransportConfig {
    let mut transport = setup.transport();
    transport
        .max_concurrent_bidi_streams(options.max_concurrent_streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER);
    transport
}

/// Serves connections until it is dropped, which closes them all; or until `stop` says so: then each is told that no
/// further request is answered, and closed. The options are those of the endpoint.
pub async fn serve<H: Handler>(
    listener: QuicListener,
    options: QuicOptions,
    handler: H,
    sink: Sink<ServerFact>,
    stop: watch::Receiver<bool>,
) {
    let serving = Serving {
        streams: options.max_concurrent_streams,
        offered: options.dialects,
        handler,
        sink: sink.clone(),
        stop: stop.clone(),
    };
    accept(listener, &sink, stop, move |accepted| connection(accepted.quic, serving.clone())).await;
}

/// What connections have in common.
#[derive(Clone)]
struct Serving<H> {
    streams: u32,
    offered: Dialects,
    handler: H,
    sink: Sink<ServerFact>,
    stop: watch::Receiver<bool>,
}

async fn connection<H: Handler>(
    quic: quinn::Connection,
    serving: Serving<H>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Serving { streams, offered, handler, sink, mut stop } = serving;
    let handshake = quic.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    if handshake.and_then(|data| data.protocol).as_deref() != Some(Alpn::H3.wire()) {
        return Err("an ALPN other than h3".into());
    }
    let connection =
        Connection::begin(quic.remote_address().ip(), Alpn::H3, None, MaybeReplay::default(), sink.clone());
    let (sessions, (connects, mut connecting)) = (Sessions::of_server(sink, streams), mpsc::unbounded_channel());
    let router = StreamRouter::of_server(quic.clone(), Arc::clone(&sessions), connects);
    let arrivals = QuicAdapter::new(router, offered);
    let gone = arrivals.gone();
    let mut h3 = h3::server::builder()
        .max_field_section_size(u64::from(MAX_HEADER_BYTES))
        .enable_extended_connect(true)
        .enable_datagram(true)
        .build::<_, Bytes>(arrivals)
        .await?;
    let (quic_of, connection_of) = (quic.clone(), Arc::clone(&connection));
    let shared =
        ConnectContext { handler: handler.clone(), connection: connection_of, quic: quic_of, sessions, offered };
    let datagrams = shared.sessions.read_datagrams(&quic);
    let mut datagrams = std::pin::pin!(datagrams);
    let mut requests = JoinSet::new();
    loop {
        let resolver = tokio::select! {
            accepted = h3.accept() => match accepted? {
                Some(resolver) => resolver,
                None => break,
            },
            Some(connect) = connecting.recv() => {
                requests.spawn(connect::serve(connect, shared.clone()));
                continue;
            }
            () = &mut datagrams => return Err("the connection is gone".into()),
            Some(_) = requests.join_next(), if !requests.is_empty() => continue,
            () = told(&mut stop) => {
                // RFC 9114 section 5.2: what has begun was looked at, and nothing will be that hasn't. Responses that
                // have no end of their own are cut off. `h3` itself doesn't know of extended CONNECTs.
                let before = quic.stats().frame_tx.stream;
                let next = h3::proto::varint::VarInt::try_from(shared.sessions.next()).unwrap_or_default();
                h3.inner.shutdown(&mut None, StreamId::from(next)).await?;
                let sent = async {
                    while quic.stats().frame_tx.stream == before {
                        tokio::time::sleep(MOMENT).await;
                    }
                };
                let _ = tokio::time::timeout(FAREWELL, sent).await;
                quic.close(H3_NO_ERROR, b"the server stops");
                return Ok(());
            }
        };
        let (handler, connection, gone) = (handler.clone(), Arc::clone(&connection), gone.clone());
        requests.spawn(async move {
            // A task per request: a header that is slow to come delays no other.
            // Each stage in a box of its own, that an open response doesn't hold what only its request needed.
            match Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, resolver.resolve_request())).await {
                Ok(Ok((request, stream))) => {
                    if let Err(error) = request_task(request, stream, handler, connection, gone).await {
                        tracing::debug!(%error, "a response broke off");
                    }
                }
                Ok(Err(error)) => tracing::debug!(%error, "not a request"),
                Err(_) => tracing::debug!("a request's header took too long"),
            }
        });
    }
    // The peer said GOAWAY or closed; responses still under way may end.
    while requests.join_next().await.is_some() {}
    quic.close(H3_NO_ERROR, b"");
    Ok(())
}

async fn request_task<H: Handler>(
    request: http::Request<()>,
    mut stream: ServerRequestStream,
    handler: H,
    connection: Arc<Connection>,
    gone: StopWatcher,
) -> Result<(), h3::error::StreamError> {
    let (head, ()) = request.into_parts();
    // Extended ones don't come here: what says where to connect to has neither scheme nor path.
    let wrong = head.method == Method::CONNECT && head.uri.scheme().is_some();
    let checked = codec::message::check(&head).and_then(|()| codec::message::content_length(&head.headers));
    let (false, Ok(length)) = (wrong, checked) else {
        give_up(&mut stream, H3_MESSAGE_ERROR);
        return Ok(());
    };
    connection.asked();
    if head.method == Method::CONNECT {
        // A proxy's (RFC 9114 section 4.4), which this isn't.
        let (mut parts, body) = upgrade::NO_PROXY.response().into_parts();
        date::put(&mut parts.headers);
        stream.send_response(http::Response::from_parts(parts, ())).await?;
        content::send(&mut stream, body, &mut Rest::default()).await?;
        // What else it sends would be for whom it wanted to reach.
        stream.stop_sending(Code::from(H3_NO_ERROR.into_inner()));
        return Ok(());
    }
    let (mut gone, early) = gone.of(stream.id());
    if early {
        connection.knew(Handshake::Early);
    }
    let taken = early::check(early, &head.method, false);
    if handler.leaves_unread(&head.uri) {
        gone.await;
        return Ok(());
    }
    let is_head = head.method == Method::HEAD;
    let means_something = rest::means_something(&head.method);
    let (body, mut rest) = match Box::pin(content::read(&mut stream, length, means_something)).await {
        Ok(read) => read,
        Err(ContentError(code)) => {
            give_up(&mut stream, code);
            return Ok(());
        }
    };
    // An answer may take minutes, to a long poll: who has gone by then must not be waited for.
    let answer = async move {
        match taken {
            Ok(()) => handler.answer(Exchange::Request(Request { head, body, connection })).await,
            Err(refused) => refused.response(),
        }
    };
    let response = tokio::select! {
        response = Box::pin(answer) => response,
        () = &mut gone => return Ok(()),
        ContentError(code) = rest.discard(&mut stream) => {
            give_up(&mut stream, code);
            return Ok(());
        }
    };
    // RFC 9110 section 9.3.2: no content, whatever the answer is.
    let response = if is_head { response.map(|_| ResponseBody::empty()) } else { response };
    let (mut parts, body) = response.into_parts();
    date::put(&mut parts.headers);
    Box::pin(stream.send_response(http::Response::from_parts(parts, ()))).await?;
    tokio::select! {
        sent = content::send(&mut stream, body, &mut rest) => sent?,
        () = &mut gone => return Ok(()),
    }
    rest.leave(&mut stream).await;
    Ok(())
}
