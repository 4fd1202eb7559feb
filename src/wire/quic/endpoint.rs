//! QUIC endpoints, whatever is spoken on them: bound to a socket, accepting connections, dialling one.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBuf;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connecting, Connection, ConnectionError, Endpoint, Incoming, ServerConfig, TransportConfig};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::trial::{Alpn, Dialects, ServerFact};
use crate::wire::dial::target::Target;
use crate::wire::parting::told;
use crate::wire::quic::qlog;
use crate::wire::{Bound, HANDSHAKE_TIMEOUT, MAX_CONNECTIONS, ResetKey, Sink, Traffic, WireError, tls};

/// How an endpoint serves.
#[derive(Debug, Clone)]
pub struct QuicOptions {
    /// TLS 1.3 with the ALPN `h3`.
    pub tls: Arc<rustls::ServerConfig>,
    /// `initial_max_streams_bidi` (RFC 9000 section 18.2).
    pub max_concurrent_streams: u32,
    /// The dialects of WebTransport that HTTP/3's settings name.
    pub dialects: Dialects,
    /// What it has in common with the server that takes its place.
    pub reset_key: ResetKey,
    /// Counts what is sent and received.
    pub traffic: Traffic,
}

/// How many handshakes may be under way before the next clients have to show that they are where they say that they are.
const RETRY_ABOVE: usize = 256;
/// How many may be under way at all. Each is 46 kB.
const MAX_HANDSHAKES: usize = 2048;
/// How many first packets may wait to be looked at, and what may wait behind each, in bytes.
const MAX_INCOMING: usize = 1024;
const INCOMING_BYTES: u64 = 16 * 1024;
/// How much the kernel may keep of what was received and not read yet, in bytes. All connections share one socket, and
/// Linux's 208 KiB hold some 160 first packets: a thousand clients that come at once lose most of theirs, and try again
/// a second later.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Makes the limits of a connection.
type Transport = fn(&QuicOptions) -> TransportConfig;

fn configured(options: &QuicOptions, transport: Transport) -> Result<ServerConfig, NoInitialCipherSuite> {
    let crypto = QuicServerConfig::try_from(Arc::clone(&options.tls))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport(options)))
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(MAX_INCOMING as u64 * INCOMING_BYTES);
    Ok(config)
}

/// What each connection of an endpoint has for itself: a file of what it does, where there is to be one.
#[derive(Debug)]
pub(in crate::wire) struct EachConnection(Option<Logged>);

#[derive(Debug)]
struct Logged {
    folder: PathBuf,
    config: ServerConfig,
    options: QuicOptions,
    transport: Transport,
}

impl EachConnection {
    /// For an endpoint of these options and limits.
    pub(in crate::wire) fn of(endpoint: &Endpoint, options: QuicOptions, transport: Transport) -> Self {
        let logged = qlog::folder().and_then(|folder| Some((folder, configured(&options, transport).ok()?)));
        Self(logged.map(|(folder, config)| {
            // One key for the tokens of all its connections.
            endpoint.set_server_config(Some(config.clone()));
            Logged { folder, config, options, transport }
        }))
    }

    fn accept(&self, incoming: Incoming) -> Result<Connecting, ConnectionError> {
        let Some(Logged { folder, config, options, transport }) = &self.0 else { return incoming.accept() };
        let mut transport = transport(options);
        transport.qlog_stream(qlog::stream(folder, "server"));
        let mut config = config.clone();
        config.transport_config(Arc::new(transport));
        incoming.accept_with(Arc::new(config))
    }
}

/// An endpoint on this socket, listening, with these limits for each connection.
pub(in crate::wire) fn bind(
    socket: UdpSocket,
    options: &QuicOptions,
    transport: Transport,
) -> Result<Endpoint, WireError> {
    // The kernel gives as much of it as `net.core.rmem_max` allows; with less it is served too.
    if let Err(error) = setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER) {
        tracing::debug!(%error, "a UDP socket keeps its receive buffer");
    }
    let address = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let listen = |source: std::io::Error| WireError::Listen { address, source };
    let config = configured(options, transport).map_err(|error| listen(std::io::Error::other(error)))?;
    Endpoint::new(options.reset_key.endpoint(), Some(config), socket, options.traffic.runtime()).map_err(listen)
}

/// A connection to a server that speaks this ALPN under a certificate of this CA, and the endpoint whose task sends
/// and receives for it.
pub(in crate::wire) async fn connect(
    target: &Target,
    alpn: Alpn,
    ca: &CertificateDer<'static>,
    mut transport: TransportConfig,
) -> Result<(quinn::Connection, Endpoint), WireError> {
    transport.qlog_stream(qlog::folder().and_then(|folder| qlog::stream(&folder, "client")));
    let address = target.address()?;
    let local = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let crypto = tls::client(ca.clone(), alpn)?;
    let crypto = QuicClientConfig::try_from(crypto).map_err(|error| target.failed(error))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client(local).map_err(|error| target.failed(error))?;
    let connecting = endpoint.connect_with(config, address, &target.host).map_err(|error| target.failed(error))?;
    let quic = connecting.await.map_err(|error| target.failed(error))?;
    Ok((quic, endpoint))
}

/// Serves each connection until this is dropped, which ends them all, or until `stop` says so, when each ends by itself.
///
/// Whoever begins a handshake may not be where it says that it is, and may never go on. So from [`RETRY_ABOVE`]
/// handshakes under way the next have to show first that they receive what is sent to them (RFC 9000 section 8.1.2),
/// which costs nothing here; and there are [`MAX_HANDSHAKES`] at most. Both are counted, like one connection too many.
pub(in crate::wire) async fn accept<F>(
    endpoint: &Endpoint,
    each: EachConnection,
    sink: &Sink<ServerFact>,
    mut stop: watch::Receiver<bool>,
    serve: impl Fn(Connection) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let [refused, retried, crowded] = ["connections", "quic-retry", "handshakes"].map(Bound::of_floods);
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = told(&mut stop) => break,
        };
        let Some(incoming) = incoming else { return };
        if connections.len() >= MAX_CONNECTIONS {
            incoming.refuse();
            refused.reached(sink);
            continue;
        }
        let under_way = MAX_HANDSHAKES - handshakes.available_permits();
        if under_way >= RETRY_ABOVE && !incoming.remote_address_validated() {
            // One that can't be asked to is one that was validated.
            let _ = incoming.retry();
            retried.reached(sink);
            continue;
        }
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            incoming.refuse();
            crowded.reached(sink);
            continue;
        };
        let serve = serve.clone();
        let accepted = each.accept(incoming);
        connections.spawn(async move {
            let served = async {
                let quic = Box::pin(tokio::time::timeout(HANDSHAKE_TIMEOUT, accepted?)).await??;
                drop(permit);
                serve(quic).await
            };
            if let Err(error) = served.await {
                tracing::debug!(%error, "a QUIC connection ended");
            }
        });
    }
    while connections.join_next().await.is_some() {}
}
