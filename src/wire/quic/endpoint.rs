//! QUIC endpoints, whatever is spoken on them: bound to a socket, accepting connections, dialling one.

use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connecting, Connection, ConnectionError, Endpoint, EndpointConfig, Incoming, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::trial::settings::StackSettings;
use crate::trial::{Alpn, Dialects, ServerFact, Stack};
use crate::wire::dial::target::Target;
use crate::wire::parting::told;
use crate::wire::quic::qlog;
use crate::wire::stack::{QuicSetup, UdpBuffers, versions};
use crate::wire::{Bound, HANDSHAKE_TIMEOUT, MAX_CONNECTIONS, ResetKey, Sink, Traffic, WireError};

/// How an endpoint serves.
#[derive(Debug, Clone)]
pub struct QuicOptions {
    /// After how long a silence a client is asked whether it is still there.
    pub ping: Option<Duration>,
    /// TLS 1.3 with the ALPN `h3`.
    pub tls: Arc<rustls::ServerConfig>,
    /// `initial_max_streams_bidi` (RFC 9000 section 18.2).
    pub max_concurrent_streams: u32,
    /// The dialects of WebTransport that HTTP/3's settings name.
    pub dialects: Dialects,
    /// What it has in common with the server that takes its place.
    pub reset_key: ResetKey,
    /// How long passes between two stateless resets at least.
    pub reset_interval: Duration,
    /// Counts what is sent and received.
    pub traffic: Traffic,
    /// How QUIC is set up.
    pub stack: StackSettings,
    /// Whether a connection is served before its client has ended the handshake. It is in any case where TLS takes early
    /// data.
    pub half_rtt: bool,
}

/// An endpoint that listens, and what is told of its first connection.
#[derive(Debug)]
pub struct QuicListener {
    pub endpoint: Endpoint,
    alpn: Alpn,
    setup: QuicSetup,
    buffers: UdpBuffers,
    each: EachConnection,
    /// Whether connections are served before their handshakes have ended.
    ahead: bool,
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
/// The same of a client's, which has one for each connection: as much as Chromium's
/// (`kQuicSocketReceiveBufferSize`).
const CLIENT_RECEIVE_BUFFER: usize = 1 << 20;
/// What a connection keeps for retransmission and sends ahead, in bytes: all that a reader costs that doesn't read.
const SEND_WINDOW: u64 = 256 * 1024;
/// What a client may send before it has to wait, per stream and per connection, in bytes.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Makes the limits of a connection.
type Transport = fn(&QuicOptions, QuicSetup) -> TransportConfig;

/// What each connection of an endpoint has for itself: a file of what it does, where there is to be one.
#[derive(Debug)]
struct EachConnection(Option<Logged>);

#[derive(Debug)]
struct Logged {
    folder: PathBuf,
    config: ServerConfig,
    options: QuicOptions,
    setup: QuicSetup,
    transport: Transport,
}

impl EachConnection {
    fn accept(&self, incoming: Incoming) -> Result<Connecting, ConnectionError> {
        let Some(Logged { folder, config, options, setup, transport }) = &self.0 else { return incoming.accept() };
        let mut transport = transport(options, *setup);
        transport.qlog_stream(qlog::stream(folder, "server"));
        let mut config = config.clone();
        config.transport_config(Arc::new(transport));
        incoming.accept_with(Arc::new(config))
    }
}

/// An endpoint on this socket, listening for this ALPN, with these limits for each connection.
pub(in crate::wire) fn bind(
    socket: UdpSocket,
    options: &QuicOptions,
    alpn: Alpn,
    transport: Transport,
) -> Result<QuicListener, WireError> {
    let setup = QuicSetup {
        keep_alive: options.ping,
        send_window: SEND_WINDOW,
        stream_window: STREAM_WINDOW,
        receive_window: CONNECTION_WINDOW,
        stack: options.stack,
    };
    setup.make_room(&socket, RECEIVE_BUFFER);
    let buffers = UdpBuffers::of(&socket);
    let address = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let listen = |source: std::io::Error| WireError::Listen { address, source };
    let crypto =
        QuicServerConfig::try_from(Arc::clone(&options.tls)).map_err(|error| listen(std::io::Error::other(error)))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport(options, setup)))
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(MAX_INCOMING as u64 * INCOMING_BYTES);
    let runtime = options.traffic.runtime();
    // One key for the tokens of all its connections, logged or not.
    let each = EachConnection(qlog::folder().map(|folder| {
        let (config, options) = (config.clone(), options.clone());
        Logged { folder, config, options, setup, transport }
    }));
    let endpoint = Endpoint::new(options.reset_key.endpoint(options.reset_interval), Some(config), socket, runtime)
        .map_err(listen)?;
    let ahead = options.half_rtt || options.tls.max_early_data_size > 0;
    Ok(QuicListener { endpoint, alpn, setup, buffers, each, ahead })
}

/// A connection to a server, what was found of it, and the endpoint whose task sends and receives for it.
#[derive(Debug)]
pub(in crate::wire) struct Connected {
    pub(in crate::wire) quic: Connection,
    pub(in crate::wire) stack: Stack,
    pub(in crate::wire) endpoint: Endpoint,
}

/// A connection to a server as TLS has it. `early`: with a ticket it is one before the server has answered.
pub(in crate::wire) async fn connect(
    target: &Target,
    tls: Arc<rustls::ClientConfig>,
    early: bool,
    setup: QuicSetup,
    mut transport: TransportConfig,
) -> Result<Connected, WireError> {
    transport.qlog_stream(qlog::folder().and_then(|folder| qlog::stream(&folder, "client")));
    let address = target.address().await?;
    let local = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| target.failed(error))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    let socket = UdpSocket::bind(local).map_err(|error| target.failed(error))?;
    setup.make_room(&socket, CLIENT_RECEIVE_BUFFER);
    let buffers = UdpBuffers::of(&socket);
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime));
    let endpoint = endpoint.map_err(|error| target.failed(error))?;
    let connecting = endpoint.connect_with(config, address, target.name()).map_err(|error| target.failed(error))?;
    let began = if early { connecting.into_0rtt() } else { Err(connecting) };
    let quic = match began {
        Ok((quic, taken)) => {
            let lost = quic.clone();
            tokio::spawn(async move {
                // What was said on it was not heard, and its streams are gone.
                if !taken.await {
                    lost.close(VarInt::from_u32(0), b"the server took no early data");
                }
            });
            quic
        }
        Err(connecting) => connecting.await.map_err(|error| target.failed(error))?,
    };
    let stack = Stack::Quic(setup.found(&quic, buffers));
    Ok(Connected { quic, stack, endpoint })
}

/// Serves each connection until this is dropped, which ends them all, or until `stop` says so, when each ends by itself.
///
/// Whoever begins a handshake may not be where it says that it is, and may never go on. So from [`RETRY_ABOVE`]
/// handshakes under way the next have to show first that they receive what is sent to them (RFC 9000 section 8.1.2),
/// which costs nothing here; and there are [`MAX_HANDSHAKES`] at most. Both are counted, like one connection too many.
pub(in crate::wire) async fn accept<F>(
    listener: QuicListener,
    sink: &Sink<ServerFact>,
    mut stop: watch::Receiver<bool>,
    serve: impl Fn(AcceptedConnection) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let QuicListener { endpoint, alpn, setup, buffers, each, ahead } = listener;
    let mut first = true;
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
        let (serve, sink) = (serve.clone(), sink.clone());
        let first = std::mem::take(&mut first);
        let connecting = each.accept(incoming);
        connections.spawn(async move {
            let served = async {
                let (accepted, ended) = Box::pin(shake_hands(connecting?, ahead)).await?;
                let quic = accepted.quic.clone();
                let ended = async move {
                    ended.await;
                    drop(permit);
                    std::future::pending::<Infallible>().await
                };
                if first {
                    let stack = Box::new(Stack::Quic(setup.found(&quic, buffers)));
                    sink.record(ServerFact::Stack { alpn, stack, versions: versions() });
                }
                tokio::select! {
                    served = serve(accepted) => served,
                    never = ended => match never {},
                }
            };
            if let Err(error) = served.await {
                tracing::debug!(%error, "a QUIC connection ended");
            }
        });
    }
    while connections.join_next().await.is_some() {}
}

/// A connection that is there to be served.
#[derive(Debug)]
pub(in crate::wire) struct AcceptedConnection {
    pub(in crate::wire) quic: Connection,
    /// Becomes true when its handshake has ended. What is read before may be a replay.
    pub(in crate::wire) confirmed: watch::Receiver<bool>,
}

impl AcceptedConnection {
    /// Ends when the handshake has: a connection that is over before that never gets there.
    pub(in crate::wire) async fn confirmed(mut confirmed: watch::Receiver<bool>) {
        if confirmed.wait_for(|confirmed| *confirmed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Shakes hands with whoever comes: to the end, or `ahead` of it, once it is known what they speak. Gives back what ends
/// with the handshake, too; one that takes too long ends its connection.
async fn shake_hands(
    mut connecting: Connecting,
    ahead: bool,
) -> Result<(AcceptedConnection, impl Future<Output = ()>), AcceptError> {
    let (confirms, confirmed) = watch::channel(!ahead);
    let (quic, ending) = if ahead {
        // A browser's first flight is longer than a datagram: what it speaks may be in the second.
        drop(tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting.handshake_data()).await??);
        match connecting.into_0rtt() {
            Ok((quic, ending)) => (quic, Some(ending)),
            // A server's always can.
            Err(connecting) => (tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await??, None),
        }
    } else {
        (tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await??, None)
    };
    let ended = {
        let quic = quic.clone();
        async move {
            let in_time = match ending {
                Some(ending) => tokio::time::timeout(HANDSHAKE_TIMEOUT, ending).await.is_ok(),
                None => true,
            };
            if !in_time {
                quic.close(VarInt::from_u32(0), b"the handshake took too long");
            } else if quic.close_reason().is_none() {
                confirms.send_replace(true);
            }
        }
    };
    Ok((AcceptedConnection { quic, confirmed }, ended))
}

/// Why nobody came.
#[derive(Debug, thiserror::Error)]
enum AcceptError {
    #[error("the handshake failed")]
    Failed(#[from] quinn::ConnectionError),
    #[error("the handshake took too long")]
    TooLong(#[from] tokio::time::error::Elapsed),
}
