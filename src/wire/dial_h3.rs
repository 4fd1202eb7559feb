//! HTTP/3 on QUIC, client side.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::task::AbortHandle;

use super::dial::Target;
use super::{WireError, tls};
use crate::trial::Alpn;

/// What a server may send ahead, per stream and per connection, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// A connection that speaks HTTP/3; clones share it, and the last one closes it.
#[derive(Clone)]
pub(super) struct H3Connection {
    sender: SendRequest<h3_quinn::OpenStreams, Bytes>,
    owner: Arc<Owner>,
}

impl std::fmt::Debug for H3Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H3Connection").field("owner", &self.owner).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Owner {
    quic: quinn::Connection,
    driver: AbortHandle,
    /// Kept, since its task is what sends and receives.
    _endpoint: Endpoint,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // H3_NO_ERROR (RFC 9114 section 8.1): the server needn't wait for its idle timeout to know.
        self.quic.close(VarInt::from_u32(0x100), b"");
        self.driver.abort();
    }
}

impl H3Connection {
    /// `ask`: how long the server may be silent before it is sent a PING.
    pub(super) async fn connect(
        target: &Target,
        ca: &CertificateDer<'static>,
        ask: Option<Duration>,
    ) -> Result<Self, WireError> {
        let address = target.address()?;
        let local = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let crypto = tls::client(ca.clone(), Alpn::H3)?;
        let crypto = QuicClientConfig::try_from(crypto).map_err(|error| target.failed(&error))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(STREAM_WINDOW.into()).receive_window(CONNECTION_WINDOW.into());
        transport.keep_alive_interval(ask);
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::client(local).map_err(|error| target.failed(&error))?;
        let connecting = endpoint.connect_with(config, address, &target.host).map_err(|error| target.failed(&error))?;
        let quic = connecting.await.map_err(|error| target.failed(&error))?;
        let (mut driver, sender) =
            h3::client::new(h3_quinn::Connection::new(quic.clone())).await.map_err(|error| target.failed(&error))?;
        let driver = tokio::spawn(async move {
            let error = std::future::poll_fn(|cx| driver.poll_close(cx)).await;
            tracing::debug!(%error, "an HTTP/3 connection ended");
        });
        let owner = Arc::new(Owner { quic, driver: driver.abort_handle(), _endpoint: endpoint });
        Ok(Self { sender, owner })
    }

    /// Whether it can carry another request.
    pub(super) fn is_alive(&self) -> bool {
        self.owner.quic.close_reason().is_none()
    }

    /// Sends a request; waits for a stream's credit first, then for the response's header.
    pub(super) async fn request(
        &mut self,
        request: http::Request<()>,
        body: Bytes,
    ) -> Result<(http::response::Parts, H3Response), h3::error::StreamError> {
        let mut stream = self.sender.send_request(request).await?;
        if !body.is_empty() {
            stream.send_data(body).await?;
        }
        stream.finish().await?;
        let (head, ()) = stream.recv_response().await?.into_parts();
        Ok((head, H3Response(stream)))
    }
}

pub(super) struct H3Response(RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>);

impl std::fmt::Debug for H3Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("H3Response")
    }
}

impl H3Response {
    pub(super) async fn chunk(&mut self) -> Option<Result<Bytes, h3::error::StreamError>> {
        match self.0.recv_data().await {
            Ok(Some(mut data)) => {
                let length = data.remaining();
                Some(Ok(data.copy_to_bytes(length)))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
