//! A connection's record, and the facts that its life and that of its subscriptions leave behind.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::Version;
use tokio::sync::OwnedSemaphorePermit;

use crate::feed::Event;
use crate::trial::fact::Handshake;
use crate::trial::observation::Observable;
use crate::trial::{Alpn, Observation, ServerFact};
use crate::wire::early::MaybeReplay;
use crate::wire::tcp::half_close::AnswerState;

/// Where the facts of one end go. It must not block: it is called from the tasks that are measured.
pub struct Sink<F>(Arc<dyn Fn(Observation<F>) + Send + Sync>);

// Derived, it would ask for facts that can be cloned.
impl<F> Clone for Sink<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> fmt::Debug for Sink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

impl<F: Observable> Sink<F> {
    /// Facts go to this function.
    pub fn new(take: impl Fn(Observation<F>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Hands over what is observed now.
    pub fn record(&self, fact: F) {
        (self.0)(Observation::now(fact));
    }

    /// Hands over what was observed at this time, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn record_at(&self, t: u64, fact: F) {
        (self.0)(Observation::at(t, fact));
    }
}

/// A connection whose TLS handshake is finished. It ends, for the ledger, when its last user lets go of it.
#[derive(Debug)]
pub struct Connection {
    /// Unique in this process.
    pub id: u64,
    /// Who is at the other end.
    pub peer: IpAddr,
    /// What TLS negotiated.
    pub alpn: Alpn,
    /// The value of the `Alt-Svc` field of its responses (RFC 7838), if they carry one.
    pub alt_svc: Option<http::HeaderValue>,
    pub(super) answer: AnswerState,
    requests: AtomicU64,
    /// Whether what comes now may be a replay, where that is the whole connection's.
    pub(super) replay: MaybeReplay,
    /// Whether it was told how its client was known.
    known: AtomicBool,
    sink: Sink<ServerFact>,
}

impl Connection {
    /// Begins the record.
    pub(super) fn begin(
        peer: IpAddr,
        alpn: Alpn,
        alt_svc: Option<http::HeaderValue>,
        replay: MaybeReplay,
        sink: Sink<ServerFact>,
    ) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        sink.record(ServerFact::Connected { conn: id, alpn });
        let (answer, requests, known) = (AnswerState::default(), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { id, peer, alpn, alt_svc, answer, requests, replay, known, sink })
    }

    /// How many requests there were yet.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Tells a fact about it.
    pub(super) fn record(&self, fact: ServerFact) {
        self.sink.record(fact);
    }

    /// Its client was known from before; told once.
    pub(super) fn knew(&self, handshake: Handshake) {
        if !self.known.swap(true, Ordering::Relaxed) {
            self.record(ServerFact::Handshake { conn: self.id, handshake });
        }
    }

    /// Counts a request.
    pub fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let requests = self.requests();
        self.sink.record(ServerFact::Disconnected { conn: self.id, requests });
    }
}

/// The number of the next stream.
static STREAMS: AtomicU64 = AtomicU64::new(0);

/// A subscription that is about to be attached to a connection.
#[derive(Debug)]
pub struct SubscriptionRecord {
    /// The connection that it came on.
    pub connection: Arc<Connection>,
    /// The version of HTTP that its request is of; `None`: of none.
    pub http: Option<Version>,
    /// The feed that it reads.
    pub feed: Arc<str>,
    /// What the subscription's URL says of itself: `?trial=7`.
    pub tag: Option<u32>,
    /// Likewise: `&sub=0`.
    pub sub: Option<u32>,
    /// Whether to keep quiet about what is written to it: a server that miscounts, for the lab to catch.
    pub silent: bool,
    /// Whether its client reads nothing of it, as its URL says: `?stuck=0`.
    pub stuck: bool,
    /// Whether it only asks what it would be answered (HEAD, RFC 9110 section 9.3.2): then it is no subscription.
    pub asks_only: bool,
    /// One of as many subscriptions as the server holds.
    pub permit: OwnedSemaphorePermit,
}

impl SubscriptionRecord {
    /// Begins the subscription. To be called once the subscription's cursor exists: every event that is published
    /// from then on is the subscription's.
    pub fn begin(self) -> SubscriptionGuard {
        let Self { ref connection, http, tag, sub, ref feed, .. } = self;
        let (conn, alpn) = (connection.id, connection.alpn);
        let stream = STREAMS.fetch_add(1, Ordering::Relaxed);
        if self.asks_only {
            return SubscriptionGuard { stream, handed: AtomicU64::new(0), of: self };
        }
        let (http, feed) = (http.and_then(number), Arc::clone(feed));
        connection.sink.record(ServerFact::Attached { conn, stream, alpn, http, tag, sub, feed });
        SubscriptionGuard { stream, handed: AtomicU64::new(0), of: self }
    }
}

/// A version of HTTP as a number: 1.1.
fn number(version: Version) -> Option<f64> {
    match version {
        Version::HTTP_10 => Some(1.0),
        Version::HTTP_11 => Some(1.1),
        Version::HTTP_2 => Some(2.0),
        Version::HTTP_3 => Some(3.0),
        _ => None,
    }
}

/// A subscription on a connection: a guard that its response holds, and that the ledger sees dropped.
#[derive(Debug)]
pub struct SubscriptionGuard {
    stream: u64,
    /// Bytes of events' data that were handed to its stream.
    handed: AtomicU64,
    of: SubscriptionRecord,
}

impl SubscriptionGuard {
    /// Says that this event was handed to the subscription's stream; of consequence for the census of a trial, and where
    /// nobody reads.
    pub fn written(&self, event: &Event) {
        if self.of.stuck {
            self.handed.fetch_add(event.data.len() as u64, Ordering::Relaxed);
        }
        if event.census && !self.of.silent && !self.of.asks_only && self.of.tag.is_some() {
            let (stream, sub, id) = (self.stream, self.of.sub, event.id.to_string());
            self.of.connection.sink.record(ServerFact::Written { stream, sub, id });
        }
    }

    /// Ends when the client has closed its side of a HTTP/1.1 connection while it waits for its answer: there is
    /// nothing left to wait for. To be polled in the connection's own task, which the end wakes.
    pub async fn half_closed(&self) {
        self.of.connection.answer.half_closed().await;
    }
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        let SubscriptionRecord { ref connection, ref feed, tag, sub, .. } = self.of;
        if self.of.asks_only {
            return;
        }
        let (conn, alpn) = (connection.id, connection.alpn);
        let (stream, feed) = (self.stream, Arc::clone(feed));
        if self.of.stuck {
            let bytes = self.handed.load(Ordering::Relaxed);
            connection.sink.record(ServerFact::Unread { conn, stream, bytes });
        }
        connection.sink.record(ServerFact::Detached { conn, stream, alpn, tag, sub, feed });
    }
}
