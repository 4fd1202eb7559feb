//! TLS connections to the router: bounded in number, and none may sit there without asking for anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::door::Peer;
use crate::trial::Alpn;
use crate::wire::{HANDSHAKE_TIMEOUT, MAX_HEADER_BYTES};

/// How many connections are open at most; further ones wait to be accepted.
const CONNECTIONS: usize = 256;
/// How long a connection may take to its first request, and one request's header to its end.
const HEADER: Duration = Duration::from_secs(10);
/// How long one side may be silent on HTTP/2 before it is asked for a sign of life, and then has to give one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// How long to wait after the system refused to accept, as it does while no file descriptor is left.
const BREATH: Duration = Duration::from_millis(50);

/// Accepts for ever. Dropping this ends every connection.
pub(super) async fn serve(sockets: Vec<TcpListener>, tls: Arc<rustls::ServerConfig>, router: Router) {
    let acceptor = TlsAcceptor::from(tls);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut listeners = JoinSet::new();
    for socket in sockets {
        listeners.spawn(accept(socket, acceptor.clone(), router.clone(), room.clone()));
    }
    while listeners.join_next().await.is_some() {}
}

async fn accept(socket: TcpListener, acceptor: TlsAcceptor, router: Router, room: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    while let Ok(permit) = room.clone().acquire_owned().await {
        let stream = loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => break stream,
                    Err(error) => {
                        tracing::warn!(%error, "the control origin could not accept a connection");
                        tokio::time::sleep(BREATH).await;
                    }
                }
            }
        };
        connections.spawn(connection(stream, acceptor.clone(), router.clone(), permit));
    }
}

/// One connection, to its end.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router, _room: OwnedSemaphorePermit) {
    // A contract line is small and must leave at once; Nagle's algorithm would hold it back.
    let _ = stream.set_nodelay(true);
    let Ok(peer) = stream.peer_addr() else { return };
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(Alpn::H2.wire());
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let (asked, router) = (asked.clone(), TowerToHyperService::new(router));
        service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(Peer(peer.ip()));
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
    // hyper gives an HTTP/2 preface all the time in the world.
    let silence = async {
        tokio::time::sleep(HEADER).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = talk => {}
        () = silence => tracing::debug!("a connection asked for nothing"),
    }
}
