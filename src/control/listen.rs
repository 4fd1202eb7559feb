//! TLS connections to the router: bounded in number, and none may sit there without asking for what it may have.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::door::Peer;
use super::places::{Places, Visitor};
use crate::trial::Alpn;
use crate::wire::parting::{self, Lent, told};
use crate::wire::{HANDSHAKE_TIMEOUT, MAX_HEADER_BYTES};

/// How long a connection may take to its first request that is let in, and one request's header to its end.
const HEADER: Duration = Duration::from_secs(10);
/// How long one side may be silent on HTTP/2 before it is asked for a sign of life, and then has to give one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// How long to wait after the system refused to accept, as it does while no file descriptor is left.
const BREATH: Duration = Duration::from_millis(50);

/// How many connections of one listener are open at most, those that are being closed among them.
const CONNECTIONS: usize = 1024;

/// Accepts until it is to stop, and then closes every connection; dropped, it drops them.
pub(super) async fn serve(
    sockets: Vec<TcpListener>,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Places::new();
    let mut listeners = JoinSet::new();
    for socket in sockets {
        listeners.spawn(accept(socket, acceptor.clone(), router.clone(), Arc::clone(&places), stop.clone()));
    }
    while listeners.join_next().await.is_some() {}
}

async fn accept(
    socket: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    places: Arc<Places>,
    stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            () = told(&mut stopping) => break,
            accepted = socket.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, peer)) => {
                    let peer = Peer { ip: peer.ip(), visitor: places.arrives() };
                    connections.spawn(connection(stream, acceptor.clone(), router.clone(), peer, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the control origin could not accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
    drop(socket);
    parting::ended(connections).await;
}

/// One connection, from its handshake to the end of both sides.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router, peer: Peer, stop: watch::Receiver<bool>) {
    // A contract line is small and must leave at once; Nagle's algorithm would hold it back.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
    let shaken = tokio::select! {
        shaken = Box::pin(handshake) => shaken,
        () = peer.visitor.sent_away() => return tracing::debug!("a handshake made way for others"),
    };
    let stream = match shaken {
        Ok(Ok(stream)) => Box::new(stream),
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(Alpn::H2.wire());
    let (stream, mut comes_back) = parting::lend(stream);
    let last_words = Box::pin(talk(stream, is_h2, router, peer, stop)).await;
    if let Ok(stream) = comes_back.try_recv() {
        Box::pin(parting::close(stream, last_words)).await;
    }
}

/// All that is said on one connection but the last words, which it gives.
async fn talk(
    stream: Lent<TlsStream<TcpStream>>,
    is_h2: bool,
    router: Router,
    peer: Peer,
    mut stop: watch::Receiver<bool>,
) -> &'static [u8] {
    let visitor = Arc::clone(&peer.visitor);
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let (router, asked) = (TowerToHyperService::new(router), Arc::clone(&asked));
        service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer.clone());
            router.call(request)
        })
    };
    let io = TokioIo::new(stream);
    let stopping = Box::pin(stopped(&mut stop, &visitor));
    let ended = if is_h2 {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        let http2 = http2
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(SIGN_OF_LIFE)
            .keep_alive_timeout(SIGN_OF_LIFE);
        let talk = http2.serve_connection(io, service);
        to_its_end(talk, stopping, http2::Connection::graceful_shutdown).await
    } else {
        let mut http1 = http1::Builder::new();
        let http1 = http1.timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(MAX_HEADER_BYTES as usize);
        let talk = http1.serve_connection(io, service);
        to_its_end(talk, stopping, http1::Connection::graceful_shutdown).await
    };
    if let Some(Err(error)) = &ended {
        tracing::debug!(%error, "a connection to the control origin ended early");
    }
    // hyper has said nothing while it waits for the preface.
    if ended.is_none() && is_h2 && !asked.load(Ordering::Relaxed) { parting::GOAWAY } else { &[] }
}

/// Ends when the connection has to: it makes way, it asked for nothing that it was given, or nobody is answered any
/// more. hyper gives an HTTP/2 preface all the time in the world, and a client may ask for what it isn't given for ever.
async fn stopped(stop: &mut watch::Receiver<bool>, visitor: &Visitor) {
    let silence = async {
        tokio::time::sleep(HEADER).await;
        if visitor.has_place() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = silence => tracing::debug!("a connection asked for nothing that it was given"),
        () = visitor.sent_away() => tracing::debug!("a connection made way for others"),
        () = told(stop) => {}
    }
}

/// Talks to the end, or for a moment from when that is to stop. `None`: the moment was over first.
async fn to_its_end<T: Future<Output = hyper::Result<()>>>(
    talk: T,
    stopping: impl Future<Output = ()>,
    goes: impl FnOnce(Pin<&mut T>),
) -> Option<hyper::Result<()>> {
    let mut talk = Box::pin(talk);
    tokio::select! {
        ended = &mut talk => return Some(ended),
        () = stopping => goes(talk.as_mut()),
    }
    tokio::time::timeout(parting::GOING, talk).await.ok()
}
