//! The other end of a trial in these tests: event streams and `/ping` over TLS, on one ALPN.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use transport_lab::trial::Alpn;

use crate::lab::Certificate;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// It ends when dropped.
pub(crate) struct FeedServer {
    pub(crate) port: u16,
    events: broadcast::Sender<Bytes>,
    _listeners: JoinSet<()>,
}

impl FeedServer {
    pub(crate) async fn start(certificate: &Certificate, alpn: Alpn) -> Self {
        let acceptor = tokio_rustls::TlsAcceptor::from(certificate.server(&[alpn]));
        let (events, _) = broadcast::channel(16_384);
        let mut port = 0;
        let mut listeners = JoinSet::new();
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let Ok(listener) = TcpListener::bind((ip, port)).await else {
                assert!(port != 0, "loopback can always be listened on");
                continue;
            };
            port = listener.local_addr().unwrap().port();
            listeners.spawn(accept(listener, acceptor.clone(), events.clone()));
        }
        Self { port, events, _listeners: listeners }
    }

    /// Sends an event of the feed to every stream.
    pub(crate) fn publish(&self, id: &str, data: &str) {
        let _ = self.events.send(format!("id: {id}\ndata: {data}\n\n").into());
    }

    /// Sends a gap to every stream.
    pub(crate) fn gap(&self, data: &str) {
        let _ = self.events.send(format!("event: gap\ndata: {data}\n\n").into());
    }
}

/// Data as a trial publishes it.
pub(crate) fn content(sequence: u32, filler: &str) -> String {
    let text = format!("{sequence} {filler}");
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x} {text}")
}

async fn accept(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor, events: broadcast::Sender<Bytes>) {
    let mut connections = JoinSet::new();
    let events = Arc::new(events);
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (acceptor, events) = (acceptor.clone(), events.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| {
                let answer = answer(&request, &events);
                async { Ok::<_, Infallible>(answer) }
            });
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(request: &Request<Incoming>, events: &broadcast::Sender<Bytes>) -> Response<Body> {
    let mut response = Response::builder().header("cache-control", "no-store").header("vary", "Origin");
    if let Some(origin) = request.headers().get("origin") {
        response = response.header("access-control-allow-origin", origin);
        response = response.header("access-control-allow-credentials", "true");
    }
    match request.uri().path() {
        "/ping" => response.status(StatusCode::NO_CONTENT).body(Empty::new().boxed_unsync()).unwrap(),
        path if path.ends_with("/sse") => {
            let first = stream::iter([Ok(Frame::data(Bytes::from_static(b":\n\n")))]);
            let rest = stream::unfold(events.subscribe(), |mut events| async {
                let event = events.recv().await.ok()?;
                Some((Ok(Frame::data(event)), events))
            });
            let body = StreamBody::new(first.chain(rest));
            response.header("content-type", "text/event-stream").body(body.boxed_unsync()).unwrap()
        }
        _ => response.status(StatusCode::NOT_FOUND).body(Empty::new().boxed_unsync()).unwrap(),
    }
}
