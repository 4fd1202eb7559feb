//! TLS connections to the router: bounded in number, and none may sit there without asking for what it may have.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::door::Peer;
use super::places::Places;
use crate::trial::Alpn;
use crate::wire::{HANDSHAKE_TIMEOUT, MAX_HEADER_BYTES};

/// How long a connection may take to its first request that is let in, and one request's header to its end.
const HEADER: Duration = Duration::from_secs(10);
/// How long one side may be silent on HTTP/2 before it is asked for a sign of life, and then has to give one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// How long to wait after the system refused to accept, as it does while no file descriptor is left.
const BREATH: Duration = Duration::from_millis(50);

/// Accepts for ever. Dropping this ends every connection.
///
/// Deviation: without `close_notify` (RFC 8446 section 6.1) or GOAWAY (RFC 9113 section 6.8), which the data ports send.
pub(super) async fn serve(sockets: Vec<TcpListener>, tls: Arc<rustls::ServerConfig>, router: Router) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Places::new();
    let mut listeners = JoinSet::new();
    for socket in sockets {
        listeners.spawn(accept(socket, acceptor.clone(), router.clone(), Arc::clone(&places)));
    }
    while listeners.join_next().await.is_some() {}
}

async fn accept(socket: TcpListener, acceptor: TlsAcceptor, router: Router, places: Arc<Places>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => {
                    let peer = Peer { ip: peer.ip(), visitor: places.arrives() };
                    connections.spawn(connection(stream, acceptor.clone(), router.clone(), peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "the control origin could not accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// One connection, to its end.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router, peer: Peer) {
    let visitor = Arc::clone(&peer.visitor);
    tokio::select! {
        () = talk(stream, acceptor, router, peer) => {}
        () = visitor.sent_away() => tracing::debug!("a connection made way for others"),
    }
}

async fn talk(stream: TcpStream, acceptor: TlsAcceptor, router: Router, peer: Peer) {
    // A contract line is small and must leave at once; Nagle's algorithm would hold it back.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(Alpn::H2.wire());
    let visitor = Arc::clone(&peer.visitor);
    let service = {
        let router = TowerToHyperService::new(router);
        service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.call(request)
        })
    };
    let io = TokioIo::new(stream);
    let talk = async {
        let ended = if h2 {
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_header_list_size(MAX_HEADER_BYTES)
                .keep_alive_interval(SIGN_OF_LIFE)
                .keep_alive_timeout(SIGN_OF_LIFE)
                .serve_connection(io, service)
                .await
        } else {
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER)
                .max_buf_size(MAX_HEADER_BYTES as usize)
                .serve_connection(io, service)
                .await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the control origin ended early");
        }
    };
    // hyper gives an HTTP/2 preface all the time in the world, and a client may ask for what it isn't given for ever.
    let silence = async {
        tokio::time::sleep(HEADER).await;
        if visitor.has_place() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = talk => {}
        () = silence => tracing::debug!("a connection asked for nothing that it was given"),
    }
}
