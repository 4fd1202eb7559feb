//! QUIC endpoints, whatever is spoken on them: bound to a socket, accepting connections, dialling one.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, Incoming, ServerConfig, TransportConfig};
use rustls::pki_types::CertificateDer;
use tokio::task::JoinSet;

use super::dial::Target;
use super::h3::QuicOptions;
use super::{MAX_CONNECTIONS, Sink, WireError, tls};
use crate::trial::clock::monotonic_nanos;
use crate::trial::{Alpn, Fact};

/// An endpoint on this socket, listening, with these limits for each connection.
pub(super) fn bind(
    socket: UdpSocket,
    options: &QuicOptions,
    transport: TransportConfig,
) -> Result<Endpoint, WireError> {
    let address = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let listen = |source: std::io::Error| WireError::Listen { address, source };
    let crypto =
        QuicServerConfig::try_from(Arc::clone(&options.tls)).map_err(|error| listen(std::io::Error::other(error)))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Endpoint::new(options.reset_key.endpoint(), Some(config), socket, options.traffic.runtime()).map_err(listen)
}

/// A connection to a server that speaks this ALPN under a certificate of this CA, and the endpoint whose task sends
/// and receives for it.
pub(super) async fn connect(
    target: &Target,
    alpn: Alpn,
    ca: &CertificateDer<'static>,
    transport: TransportConfig,
) -> Result<(quinn::Connection, Endpoint), WireError> {
    let address = target.address()?;
    let local = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let crypto = tls::client(ca.clone(), alpn)?;
    let crypto = QuicClientConfig::try_from(crypto).map_err(|error| target.failed(&error))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client(local).map_err(|error| target.failed(&error))?;
    let connecting = endpoint.connect_with(config, address, &target.host).map_err(|error| target.failed(&error))?;
    let quic = connecting.await.map_err(|error| target.failed(&error))?;
    Ok((quic, endpoint))
}

/// Serves each connection until this is dropped, which ends them all. One too many is refused and counted.
pub(super) async fn accept<F>(endpoint: &Endpoint, sink: &Sink, serve: impl Fn(Incoming) -> F)
where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut refused = 0;
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Some(incoming) = incoming else { return };
        if connections.len() >= MAX_CONNECTIONS {
            incoming.refuse();
            refused += 1;
            sink.saw(Fact::BoundReached { t: monotonic_nanos(), bound: "connections".to_owned(), times: refused });
            continue;
        }
        let served = serve(incoming);
        connections.spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "a QUIC connection ended");
            }
        });
    }
}
