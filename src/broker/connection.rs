//! The connection to NATS: made once, and made again by itself whenever it breaks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{AccountErrorKind, ContextBuilder};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;
use tokio::time::Instant;

use super::credentials::{USER, shown_from};
use super::denial::{Denial, Denials, unless_denied};
use super::error::BrokerError;
use super::options::{check_prefix, check_url};
use super::trouble::refused;
use crate::program;
use crate::text::{chain, visible};
use crate::trial::contract::BrokerOptions;

/// The oldest nats-server that will do: the first whose streams have metadata.
pub(super) const LEAST: [u32; 3] = [2, 10, 0];
/// How long one node may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often JetStream is asked whether it is there.
const AGAIN: Duration = Duration::from_millis(200);
/// How long somebody waits for a log, or for a connection; then it is asked again, or who waits is told.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How long JetStream may, for whatever it is asked and to acknowledge what is published. A leader that died never answers,
/// and the next one is asked so much later.
const JETSTREAM: Duration = Duration::from_secs(2);
/// How often a silent connection is asked whether it is there; two that aren't answered end it.
const PING: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to come back.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection to NATS. Clones are of the same one, which ends with the last.
#[derive(Debug, Clone)]
pub struct Broker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: BrokerOptions,
    /// It goes before the connection does: the end of one that nobody has any more is no news.
    state: watch::Receiver<BrokerState>,
    denials: watch::Receiver<Denials>,
    client: Client,
    jetstream: Context,
    version: String,
}

/// Whether NATS is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerState {
    pub is_there: bool,
    /// How often a connection was made so far.
    pub connections: u64,
}

impl Broker {
    /// Connects, and makes sure that NATS is one that the lab can use. From then on it comes back by itself.
    ///
    /// # Errors
    /// Nobody answers within ten seconds, lets us in, or has what the lab needs; each says what to do.
    pub async fn connect(mut options: BrokerOptions) -> Result<Self, BrokerError> {
        options.urls = options.urls.iter().map(|url| check_url(url)).collect::<Result<_, _>>()?;
        check_prefix(&options.prefix)?;
        let (state, mut seen) = watch::channel(BrokerState { is_there: false, connections: 0 });
        let (denied, denials) = watch::channel(Denials::default());
        let asked =
            asked(&options, Told { state, denied, addresses: options.addresses(), hindered: Mutex::default() })?;
        let connecting = tokio::time::timeout(PATIENCE, asked.connect(options.urls.clone()));
        let timed_out = |_| Err(async_nats::ConnectError::new(ConnectErrorKind::TimedOut));
        let client = connecting.await.unwrap_or_else(timed_out).map_err(|error| refused(&options, error))?;
        let info = client.server_info();
        let url = options.addresses();
        if program::parts(&info.version) < LEAST {
            let least = LEAST.map(|part| part.to_string()).join(".");
            return Err(BrokerError::TooOld { url, version: info.version, least });
        }
        let jetstream = ContextBuilder::new().timeout(JETSTREAM).build(client.clone());
        let until = Instant::now() + PATIENCE;
        loop {
            let has = unless_denied(&denials, has_jetstream(&jetstream, url.clone())).await;
            let Err(error) = has.unwrap_or_else(|denial| Err(forbidden(&options, denial))) else { break };
            // The nodes of a cluster that was started just now have to find each other first.
            if !matches!(error, BrokerError::Silent { .. }) || Instant::now() >= until {
                return Err(error);
            }
            tokio::time::sleep(AGAIN).await;
        }
        let version = info.version;
        // What the connection tells of itself comes a moment after it.
        let _ = tokio::time::timeout(ANSWER, seen.wait_for(|state| state.is_there)).await;
        Ok(Self(Arc::new(Inner { options, client, jetstream, state: seen, denials, version })))
    }

    /// The connection itself: for messages that nobody keeps.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// JetStream on it: for what is kept.
    pub fn jetstream(&self) -> &Context {
        &self.0.jetstream
    }

    /// Where it is, and what of it is this lab's.
    pub fn options(&self) -> &BrokerOptions {
        &self.0.options
    }

    /// The version of the node that was connected to first.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Whether it is there, and every change of that.
    pub fn state(&self) -> watch::Receiver<BrokerState> {
        self.0.state.clone()
    }

    /// Whether it is there now.
    pub fn is_there(&self) -> bool {
        self.0.state.borrow().is_there
    }

    /// Does this, unless NATS denies something on this connection meanwhile: whatever is waited for then doesn't come.
    ///
    /// # Errors
    /// Something was denied; says what.
    pub async fn unless_denied<T>(&self, does: impl Future<Output = T>) -> Result<T, BrokerError> {
        unless_denied(&self.0.denials, does).await.map_err(|denial| forbidden(&self.0.options, denial))
    }

    /// What NATS has denied on this connection, if it has denied anything.
    ///
    /// # Errors
    /// Something was.
    pub fn was_denied_nothing(&self) -> Result<(), BrokerError> {
        match self.denial() {
            None => Ok(()),
            Some(denial) => Err(forbidden(&self.0.options, denial)),
        }
    }

    /// What was denied last on the connection as it is.
    pub(super) fn denial(&self) -> Option<Denial> {
        self.0.denials.borrow().last().cloned()
    }

    /// Waits until it is there.
    pub async fn there(&self) {
        // Its sender lives as long as the client, which this holds.
        let _ = self.state().wait_for(|state| state.is_there).await;
    }
}

/// Who is told of what happens to a connection.
struct Told {
    state: watch::Sender<BrokerState>,
    denied: watch::Sender<Denials>,
    addresses: String,
    /// Why it couldn't be made again, as was told last.
    hindered: Mutex<String>,
}

fn asked(options: &BrokerOptions, told: Told) -> Result<ConnectOptions, BrokerError> {
    let asked = match (&options.credentials, &options.password) {
        (None, None) => ConnectOptions::new(),
        (None, Some(password)) => ConnectOptions::with_user_and_password(USER.to_owned(), password.0.clone()),
        (Some(path), _) => shown_from(path)?,
    };
    let asked = asked
        .name(format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")))
        .connection_timeout(CONNECT)
        .request_timeout(Some(ANSWER))
        .ping_interval(PING)
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            told.note(&event);
            async {}
        });
    let Some(ca) = &options.ca else { return Ok(asked) };
    let text = std::fs::read(ca).map_err(|source| BrokerError::File { path: ca.clone(), source })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    if certificates.is_ok_and(|certificates| !certificates.is_empty()) {
        Ok(asked.add_root_certificates(ca.clone()))
    } else {
        Err(BrokerError::NoAuthority(ca.clone()))
    }
}

fn forbidden(options: &BrokerOptions, denial: Denial) -> BrokerError {
    BrokerError::Forbidden {
        urls: options.addresses(),
        denial,
        given: options.credentials.is_some() || options.password.is_some(),
    }
}

/// How long before this attempt to come back: at once, then twice as long each time.
fn pause(attempt: usize) -> Duration {
    match u32::try_from(attempt) {
        Ok(attempt @ 2..=6) => Duration::from_millis(25 << attempt).min(LONGEST_PAUSE),
        Ok(0 | 1) => Duration::ZERO,
        _ => LONGEST_PAUSE,
    }
}

impl Told {
    fn note(&self, event: &Event) {
        let Self { state, denied, addresses: nats, .. } = self;
        match event {
            Event::Connected => {
                denied.send_modify(Denials::forget);
                self.hindered.lock().unwrap_or_else(PoisonError::into_inner).clear();
                state.send_modify(|state| {
                    if state.connections > 0 {
                        tracing::warn!(nats, "NATS is back");
                    }
                    *state = BrokerState { is_there: true, connections: state.connections + 1 };
                });
            }
            // Nobody holds it any more.
            Event::Closed => {
                state.send_if_modified(|state| std::mem::take(&mut state.is_there));
            }
            Event::Disconnected => {
                let left = state.send_if_modified(|state| std::mem::take(&mut state.is_there));
                // Where nobody has the connection any more, it has ended because of that.
                if left && !state.is_closed() {
                    tracing::warn!(nats, "NATS is away: nothing can be published until it is back");
                }
            }
            Event::SlowConsumer(_) => tracing::warn!(nats, "messages came faster than they were taken"),
            Event::ServerError(error) => self.refused(&error.to_string()),
            Event::ClientError(ClientError::Other(error)) => self.hindered(error),
            other => tracing::debug!(nats, event = %other, "NATS"),
        }
    }

    /// It is tried again every second, and told again where the reason is another one.
    fn hindered(&self, why: &str) {
        let mut told = self.hindered.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != why {
            why.clone_into(&mut told);
            tracing::warn!(nats = self.addresses, why = &*visible(why), "no connection to NATS; it is tried again");
        }
    }

    /// What a node says that something is not as it wants it.
    fn refused(&self, said: &str) {
        let nats = &self.addresses;
        if let Some(denial) = Denial::read(said) {
            tracing::warn!(nats, "NATS doesn't let us {denial}");
            self.denied.send_modify(|denials| denials.add(denial));
        } else {
            tracing::warn!(nats, said = &*visible(said), "NATS refuses something");
        }
    }
}

async fn has_jetstream(jetstream: &Context, url: String) -> Result<(), BrokerError> {
    match jetstream.query_account().await {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            AccountErrorKind::JetStreamUnavailable => BrokerError::NoJetStream { url, account: false },
            AccountErrorKind::JetStream(error) if error.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED => {
                BrokerError::NoJetStream { url, account: false }
            }
            AccountErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT =>
            {
                BrokerError::NoJetStream { url, account: true }
            }
            _ => BrokerError::Silent { url, why: chain(&error) },
        }),
    }
}
