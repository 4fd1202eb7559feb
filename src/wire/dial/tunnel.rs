//! Tunnels to a server: an Upgrade on HTTP/1.1, an extended CONNECT on HTTP/2 and HTTP/3.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;

use crate::wire::dial::{ClientConnection, Kind, Target};
use crate::wire::{Tunnel, WireError, upgrade};

/// How much a tunnel on HTTP/2 hands over at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// How a server answered, and the tunnel unless it refused.
type Answered = (http::response::Parts, Option<Tunnel>);

impl ClientConnection {
    /// Asks for a tunnel of this protocol, and waits for the answer as long as it takes. No tunnel: refused. The
    /// tunnel keeps its connection alive.
    pub async fn tunnel(
        self,
        path: &str,
        protocol: &'static str,
        fields: &[(&str, &str)],
    ) -> Result<Answered, WireError> {
        let Self { target, kind } = self;
        let mut asking = Request::builder();
        for (name, value) in fields {
            asking = asking.header(*name, *value);
        }
        match kind {
            // What drives the connection does so until it is handed over, and then ends by itself.
            Kind::H1 { mut sender, driver: _driver } => {
                let key = upgrade::key();
                let request = asking
                    .uri(path)
                    .header(HOST, target.authority())
                    .header(CONNECTION, HeaderValue::from_static("Upgrade"))
                    .header(UPGRADE, protocol)
                    .header(SEC_WEBSOCKET_KEY, &key)
                    .body(Full::default())
                    .map_err(|error| target.broke(error))?;
                let mut response = sender.send_request(request).await.map_err(|error| target.broke(error))?;
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    return Ok((response.into_parts().0, None));
                }
                // RFC 6455 section 4.1: an answer without both is no answer to this request.
                let proof = response.headers().get(SEC_WEBSOCKET_ACCEPT);
                if !upgrade::names(response.headers(), &UPGRADE, protocol) || proof != Some(&upgrade::proof(&key)) {
                    return Err(target.broke("it switches protocols without having understood the request"));
                }
                let upgraded = hyper::upgrade::on(&mut response).await.map_err(|error| target.broke(error))?;
                Ok((response.into_parts().0, Some(Box::new(TokioIo::new(upgraded)))))
            }
            Kind::H2 { sender, driver, pings } => {
                let mut sender = sender.ready().await.map_err(|error| target.broke(error))?;
                takes_tunnels(&sender, &pings, &target).await?;
                let request = asking
                    .method(Method::CONNECT)
                    .uri(format!("https://{}{path}", target.authority()))
                    .extension(h2::ext::Protocol::from_static(protocol))
                    .body(())
                    .map_err(|error| target.broke(error))?;
                let (response, send) = sender.send_request(request, false).map_err(|error| target.broke(error))?;
                let (head, recv) = response.await.map_err(|error| target.broke(error))?.into_parts();
                let tunnel = H2Tunnel::new(send, recv, driver);
                let tunnel: Option<Tunnel> = head.status.is_success().then(|| Box::new(tunnel) as Tunnel);
                Ok((head, tunnel))
            }
            Kind::Quic(_) => Err(target.broke("raw QUIC has sessions, and no tunnels")),
            Kind::H3(connection) => {
                let uri = format!("https://{}{path}", target.authority());
                let request = asking.method(Method::CONNECT).uri(uri).body(()).map_err(|error| target.broke(error))?;
                connection.tunnel(&target, request, protocol).await
            }
        }
    }
}

/// RFC 8441 section 3: an extended CONNECT waits for the setting that allows it. That comes with the server's first
/// frame, so it is known, if not before, when a PING is answered.
async fn takes_tunnels(
    sender: &h2::client::SendRequest<Bytes>,
    pings: &Mutex<Option<h2::PingPong>>,
    target: &Target,
) -> Result<(), WireError> {
    let mut pings = pings.lock().await;
    if !sender.is_extended_connect_protocol_enabled()
        && let Some(pings) = pings.as_mut()
    {
        pings.ping(h2::Ping::opaque()).await.map_err(|error| target.broke(error))?;
    }
    if sender.is_extended_connect_protocol_enabled() {
        return Ok(());
    }
    Err(target.broke("it takes no extended CONNECT on HTTP/2 (RFC 8441 section 3)"))
}

/// A stream of HTTP/2 as a two-way byte stream, and what keeps its connection (`K`).
#[derive(Debug)]
pub(crate) struct H2Tunnel<K> {
    send: h2::SendStream<Bytes>,
    recv: h2::RecvStream,
    /// What has come and wasn't read yet.
    read: Bytes,
    _keep: K,
}

impl<K> H2Tunnel<K> {
    pub(crate) fn new(send: h2::SendStream<Bytes>, recv: h2::RecvStream, keep: K) -> Self {
        Self { send, recv, read: Bytes::new(), _keep: keep }
    }
}

impl<K: Unpin> AsyncRead for H2Tunnel<K> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(data)) => self.read = data,
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let length = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..length]);
        self.read.advance(length);
        // What is taken may be sent again (RFC 9113 section 5.2).
        let released = self.recv.flow_control().release_capacity(length);
        Poll::Ready(released.map_err(io::Error::other))
    }
}

impl<K: Unpin> AsyncWrite for H2Tunnel<K> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(buf.len().min(CHUNK_BYTES));
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = buf.len().min(self.send.capacity()).min(CHUNK_BYTES);
        let sent = self.send.send_data(Bytes::copy_from_slice(&buf[..length]), false);
        Poll::Ready(sent.map(|()| length).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's driver writes by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
