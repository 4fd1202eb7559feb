//! The server under test: data routes over exchanges, on as many ports as it is told.
//!
//! Enters: exchanges, what to publish. Leaves: events, facts about connections and subscriptions. What must
//! never happen here: a request answered whose `Host` or `Origin` was not let in, or a reader that makes
//! another one wait.

mod bulk;
pub mod child;
mod feeds;
mod pages;
mod publisher;
mod routes;
mod usage;
mod watcher;

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use feeds::MAX_FEEDS;
pub use publisher::Publisher;
pub use routes::MAX_SUBSCRIPTIONS;

use crate::admission::Token;
use crate::broker::{Broker, SharedFeeds};
use crate::certs::Certs;
use crate::feed::Feed;
use crate::transport::Configuration;
use crate::trial::rig::Rig;
use crate::trial::settings::{CertificateUse, Heartbeat, ServerSettings, StackSettings};
use crate::trial::{Alpn, ServerFact};
use crate::units::{Settable, Span};
use crate::wire::h3::QuicOptions;
use crate::wire::tcp::TcpOptions;
use crate::wire::tls::Showing;
use crate::wire::{ResetKey, Sink, Traffic, WireError, h3, listen, quic, tcp, tls};
use routes::Routes;

/// The QUIC limit where the setting is unset: QUIC can't leave it out (RFC 9000 section 18.2: absent means 0).
const QUIC_STREAMS: u32 = 100;

/// How long it may take to tell clients that the server stops.
const FAREWELL: Duration = Duration::from_millis(200);

/// What a server is made of.
#[derive(Debug)]
pub struct Options {
    pub certs: Arc<Certs>,
    /// The addresses that each port is opened on.
    pub addresses: Vec<IpAddr>,
    /// Names it is served under, beside those of loopback.
    pub hosts: Vec<String>,
    /// Origins that may read and write, beside its own.
    pub origins: Vec<String>,
    /// What other machines have to show, when they can reach it.
    pub token: Option<Arc<Token>>,
    /// The control origin, where the server serves pages that report there; without it, it serves none.
    pub control: Option<String>,
    /// Limits, heartbeat, log.
    pub settings: ServerSettings,
    /// The transports, and what is set for each.
    pub transports: Arc<Configuration>,
    /// How it lies, if it does.
    pub rig: Option<Rig>,
    /// Where its facts go.
    pub sink: Sink<ServerFact>,
}

/// Reads what a server has done so far.
#[derive(Debug, Clone)]
struct Meter {
    routes: Arc<Routes>,
    traffic: Traffic,
}

/// A server and its ports. Dropping it closes them.
#[derive(Debug)]
pub struct Server {
    options: Options,
    routes: Arc<Routes>,
    tasks: JoinSet<()>,
    /// With the code that says to their peers that the server closes and nothing went wrong.
    endpoints: Vec<(quinn::Endpoint, u32)>,
    traffic: Traffic,
    /// The certificates of all ports, from the first that is listened at on.
    showing: Option<Showing>,
    /// What serves HTTP/3, and what serves HTTP on TCP; they take leave of their clients when they are told to stop.
    h3: JoinSet<()>,
    tcp: JoinSet<()>,
    stop: watch::Sender<bool>,
    stack: StackSettings,
    /// Whether it takes early data.
    early_data: bool,
}

impl Server {
    /// A server without ports yet.
    pub fn new(options: Options) -> Self {
        let routes = Arc::new(Routes::new(&options));
        let mut tasks = JoinSet::new();
        if let Heartbeat::Every(span) = options.settings.heartbeat {
            // One timer for all subscriptions of all feeds.
            let routes = Arc::clone(&routes);
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(span.duration()).await;
                    routes.feeds.each(Feed::beat);
                }
            });
        }
        Self {
            options,
            routes,
            tasks,
            tcp: JoinSet::new(),
            endpoints: Vec::new(),
            traffic: Traffic::default(),
            showing: None,
            h3: JoinSet::new(),
            stop: watch::Sender::new(false),
            stack: StackSettings::default(),
            early_data: false,
        }
    }

    /// Sets TCP and QUIC up so, on all that is listened at from now on.
    #[must_use]
    pub fn with_stack(mut self, stack: StackSettings) -> Self {
        self.stack = stack;
        self
    }

    /// Has other machines show this token to read and publish, and nothing for all else; to be called once: what a trial
    /// wants whose server they can reach.
    fn keep_feeds(&self, token: Token) {
        let _ = self.routes.feed_token.set(token);
    }

    /// Takes early data of what is safe to be said twice (RFC 8470), on all that is listened at from now on: what a
    /// trial wants.
    pub fn take_early_data(&mut self) {
        self.early_data = true;
    }

    /// Listens for this ALPN at this port (0: a free one) of all addresses; gives back the port.
    pub async fn listen(&mut self, alpn: Alpn, port: u16) -> Result<u16, WireError> {
        let port = match alpn {
            Alpn::H3 | Alpn::Quic => {
                let (sockets, port) = listen::udp(&self.options.addresses, port)?;
                self.serve_quic(alpn, sockets)?;
                port
            }
            Alpn::H1 | Alpn::H2 => {
                let (listeners, port) = listen::tcp(&self.options.addresses, port).await?;
                self.serve_tcp(alpn, listeners, None)?;
                port
            }
        };
        if alpn != Alpn::Quic {
            self.routes.admission.add_port(port);
        }
        Ok(port)
    }

    /// Listens for HTTP/2 on TCP, whose answers carry `Alt-Svc` (RFC 7838), and for HTTP/3 on UDP, both at this port.
    pub async fn listen_both(&mut self, port: u16) -> Result<u16, WireError> {
        let (listeners, sockets, port) = listen::both(&self.options.addresses, port).await?;
        let alt_svc = http::HeaderValue::try_from(format!("h3=\":{port}\"; ma=3600")).ok();
        self.serve_quic(Alpn::H3, sockets)?;
        self.serve_tcp(Alpn::H2, listeners, alt_svc)?;
        self.routes.admission.add_port(port);
        Ok(port)
    }

    /// The feed of this name, made if it is new; `None` when there are [`MAX_FEEDS`] already.
    pub fn feed(&self, name: &str) -> Option<Arc<Feed>> {
        self.routes.feeds.get(name)
    }

    /// Has it share the logs of its feeds with other servers; to be called before any feed is made. Those that it
    /// reserves stay its own.
    pub fn share_feeds(&self, shared: SharedFeeds) {
        self.routes.feeds.share(shared);
    }

    /// Tells whether the broker is there that keeps the logs of feeds, now and whenever that changes.
    pub fn tell_of_broker(&mut self, broker: &Broker) {
        let (mut state, sink) = (broker.state(), self.options.sink.clone());
        self.tasks.spawn(async move {
            loop {
                let is_there = state.borrow_and_update().is_there;
                sink.record(ServerFact::Broker { is_there });
                if state.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// A feed beside those [`MAX_FEEDS`] that is always there, whoever asks for others, and no other server's; to be made
    /// before listening.
    pub fn reserve_feed(&self, name: &str) -> Arc<Feed> {
        self.routes.feeds.reserve(name)
    }

    /// Lets pages of this origin in.
    pub fn allow_origin(&self, origin: &str) {
        self.routes.admission.add_origin(origin);
    }

    /// Ends every response that is open.
    pub fn end_streams(&self) {
        self.routes.feeds.each(Feed::end_readers);
    }

    /// Answers whoever subscribes from now on with this status, after ending every response that is open; `None`:
    /// lets them in again.
    pub fn turn_away(&self, status: Option<http::StatusCode>) {
        self.routes.turned_away.store(status.map_or(0, |status| status.as_u16()), Ordering::Release);
        if status.is_some() {
            self.end_streams();
        }
    }

    /// Leaves unread from now on what is posted with `stuck` in its query, and doesn't answer it: what a trial wants.
    fn leave_unread(&self) {
        self.routes.leaves_unread.store(true, Ordering::Relaxed);
    }

    /// Reads what the server has done so far, from any thread.
    fn meter(&self) -> Meter {
        Meter { routes: Arc::clone(&self.routes), traffic: self.traffic.clone() }
    }

    /// Closes all ports and connections, and waits for the tasks that served them.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let said = async { while self.h3.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, said).await;
        for (endpoint, code) in &self.endpoints {
            endpoint.close(quinn::VarInt::from_u32(*code), b"the server stops");
        }
        // It keeps its own time.
        while self.tcp.join_next().await.is_some() {}
        self.tasks.shutdown().await;
        for (endpoint, _) in &self.endpoints {
            // The peers are told; a peer that is gone needn't be waited for.
            let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
        }
    }

    /// What it shows, one certificate or one for each host. Whoever renews it does so for every port.
    pub fn showing(&mut self) -> Result<Showing, WireError> {
        if let Some(showing) = &self.showing {
            return Ok(showing.clone());
        }
        let certs = &self.options.certs;
        let by_host = match self.options.settings.certificate {
            CertificateUse::Shared => Vec::new(),
            CertificateUse::PerHost => certs.by_host(),
        };
        Ok(self.showing.insert(Showing::new(by_host, (certs.chain(), certs.key()))?).clone())
    }

    fn tls(&mut self, alpn: Alpn) -> Result<Arc<rustls::ServerConfig>, WireError> {
        let mut config = tls::server_showing(&self.showing()?, &[alpn])?;
        // Into the file that SSLKEYLOGFILE names, and nowhere where it isn't set (draft-ietf-tls-keylogfile).
        config.key_log = Arc::new(rustls::KeyLogFile::new());
        if self.early_data {
            tls::take_early_data(&mut config, alpn);
        }
        Ok(Arc::new(config))
    }

    fn serve_tcp(
        &mut self,
        alpn: Alpn,
        listeners: Vec<TcpListener>,
        alt_svc: Option<http::HeaderValue>,
    ) -> Result<(), WireError> {
        let spoken = if self.options.rig == Some(Rig::WrongAlpn) { Alpn::H1 } else { alpn };
        let options = TcpOptions {
            tls: self.tls(spoken)?,
            max_concurrent_streams: self.options.settings.max_concurrent_streams.value(),
            alt_svc,
            traffic: self.traffic.clone(),
            stack: self.stack,
        };
        for listener in listeners {
            let (handler, sink) = (Arc::clone(&self.routes), self.options.sink.clone());
            self.tcp.spawn(tcp::serve(listener, options.clone(), handler, sink, self.stop.subscribe()));
        }
        Ok(())
    }

    fn serve_quic(&mut self, alpn: Alpn, sockets: Vec<UdpSocket>) -> Result<(), WireError> {
        let max_concurrent_streams = match self.options.settings.max_concurrent_streams {
            Settable::Set(streams) => streams,
            Settable::Unset => QUIC_STREAMS,
        };
        let reset_key = ResetKey::of(self.options.certs.key().secret_der());
        let traffic = self.traffic.clone();
        let dialects = self.options.transports.dialects();
        let (tls, stack, half_rtt) = (self.tls(alpn)?, self.stack, self.options.settings.half_rtt);
        let reset_interval = self.options.settings.reset_interval.duration();
        let ping = self.options.settings.ping.span().map(Span::duration);
        let options = QuicOptions {
            ping,
            tls,
            max_concurrent_streams,
            dialects,
            reset_key,
            reset_interval,
            traffic,
            stack,
            half_rtt,
        };
        for socket in sockets {
            let (handler, sink) = (Arc::clone(&self.routes), self.options.sink.clone());
            if alpn == Alpn::Quic {
                let listener = quic::endpoint(socket, &options)?;
                self.endpoints.push((listener.endpoint.clone(), 0));
                self.tasks.spawn(quic::serve(listener, handler, sink));
            } else {
                let listener = h3::endpoint(socket, &options)?;
                // H3_NO_ERROR (RFC 9114 section 8.1).
                self.endpoints.push((listener.endpoint.clone(), 0x100));
                self.h3.spawn(h3::serve(listener, options.clone(), handler, sink, self.stop.subscribe()));
            }
        }
        Ok(())
    }
}
