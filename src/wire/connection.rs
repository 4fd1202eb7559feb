//! A connection's record, and the facts that its life and that of its subscriptions leave behind.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use crate::feed::Event;
use crate::trial::clock::monotonic_nanos;
use crate::trial::{Alpn, Fact};
use crate::wire::tcp::half_close::AnswerState;

/// Where facts go. It must not block: it is called from the tasks that are measured.
#[derive(Clone)]
pub struct Sink(Arc<dyn Fn(Fact) + Send + Sync>);

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

impl Sink {
    /// Facts go to this function.
    pub fn new(take: impl Fn(Fact) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Hands over a fact.
    pub fn record(&self, fact: Fact) {
        (self.0)(fact);
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
    sink: Sink,
}

impl Connection {
    /// Begins the record.
    pub fn begin(peer: IpAddr, alpn: Alpn, alt_svc: Option<http::HeaderValue>, sink: Sink) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        sink.record(Fact::Connected { t: monotonic_nanos(), conn: id, alpn });
        Arc::new(Self { id, peer, alpn, alt_svc, answer: AnswerState::default(), requests: AtomicU64::new(0), sink })
    }

    /// How many requests there were yet.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Tells a fact about it.
    pub(super) fn record(&self, fact: Fact) {
        self.sink.record(fact);
    }

    /// Counts a request.
    pub fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let requests = self.requests();
        self.sink.record(Fact::Disconnected { t: monotonic_nanos(), conn: self.id, requests });
    }
}

/// The number of the next stream.
static STREAMS: AtomicU64 = AtomicU64::new(0);

/// A subscription that is about to be attached to a connection.
#[derive(Debug)]
pub struct SubscriptionRecord {
    /// The connection that it came on.
    pub connection: Arc<Connection>,
    /// The feed that it reads.
    pub feed: Arc<str>,
    /// What the subscription's URL says of itself: `?trial=7`.
    pub tag: Option<u32>,
    /// Likewise: `&sub=0`.
    pub sub: Option<u32>,
    /// Whether to keep quiet about what is written to it: a server that miscounts, for the lab to catch.
    pub silent: bool,
    /// Whether it only asks what it would be answered (HEAD, RFC 9110 section 9.3.2): then it is no subscription.
    pub asks_only: bool,
    /// One of as many subscriptions as the server holds.
    pub permit: OwnedSemaphorePermit,
}

impl SubscriptionRecord {
    /// Begins the subscription. To be called once the subscription's cursor exists: every event that is published
    /// from then on is the subscription's.
    pub fn begin(self) -> SubscriptionGuard {
        let Self { ref connection, tag, sub, ref feed, .. } = self;
        let (t, conn, alpn) = (monotonic_nanos(), connection.id, connection.alpn);
        let stream = STREAMS.fetch_add(1, Ordering::Relaxed);
        if self.asks_only {
            return SubscriptionGuard { stream, of: self };
        }
        connection.sink.record(Fact::Attached { t, conn, stream, alpn, tag, sub, feed: Arc::clone(feed) });
        SubscriptionGuard { stream, of: self }
    }
}

/// A subscription on a connection: a guard that its response holds, and that the ledger sees dropped.
#[derive(Debug)]
pub struct SubscriptionGuard {
    stream: u64,
    of: SubscriptionRecord,
}

impl SubscriptionGuard {
    /// Says that this event was handed to the subscription's stream; of consequence for the census of a trial only.
    pub fn written(&self, event: &Event) {
        if event.census && !self.of.silent && !self.of.asks_only && self.of.tag.is_some() {
            let (stream, sub, id) = (self.stream, self.of.sub, event.id.to_string());
            self.of.connection.sink.record(Fact::Written { t: monotonic_nanos(), stream, sub, id });
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
        let (t, conn, alpn) = (monotonic_nanos(), connection.id, connection.alpn);
        let (stream, feed) = (self.stream, Arc::clone(feed));
        connection.sink.record(Fact::Detached { t, conn, stream, alpn, tag, sub, feed });
    }
}
