//! Observations: one raw fact each, with its time. They are all that metrics are computed from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Alpn, Dialect, Dialects};

/// Who observed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The lab itself.
    Lab,
    /// The server under test.
    Server,
    /// Who subscribes.
    Client,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Observation {
    /// The trial's number in its run.
    pub trial: u32,
    /// Who observed it.
    pub from: Source,
    #[serde(flatten)]
    pub fact: Fact,
}

/// What was observed. Every `t` is nanoseconds of `CLOCK_MONOTONIC` (a page sends microseconds of its
/// `performance.now()`, and the lab converts them by the page's `clock` before they reach the journal).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Fact {
    // --- the client's
    /// A subscription was asked for.
    Requested { t: u64, sub: u32 },
    /// Its first byte of answer came: an `open` event, response headers.
    Opened { t: u64, sub: u32 },
    /// Receipts of one subscription, in the order they came. `ids` and `t` are parallel; `wrong` lists those
    /// whose content was not what was published.
    Received {
        t: Vec<u64>,
        sub: u32,
        ids: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wrong: Vec<String>,
    },
    /// A subscription ended, or failed to begin.
    Closed { t: u64, sub: u32, reason: String },
    /// The server said that events are gone. `missed` is unknown when the id was of another epoch.
    Gap { t: u64, sub: u32, missed: Option<u64>, first: Option<String> },
    /// An event of the client's own was handed to what sends it. `event` counts from 0 over the trial; `scheduled`
    /// is when it was due.
    Sent { t: u64, sub: u32, event: u32, scheduled: u64 },
    /// The most bytes of a subscription's own that waited to be sent at once, right after one was sent
    /// (`bufferedAmount` of a page's WebSocket).
    Buffered { t: u64, sub: u32, most: u64 },
    /// The plain GET of mid-hold was sent.
    ProbeSent { t: u64 },
    /// It was answered.
    ProbeAnswered { t: u64, status: u16 },
    /// Another actor of the trial (by its place in `beside`) did what it is there for.
    BesideSent { t: u64, actor: u32 },
    /// It was answered: a status, `loaded`, `open`, or an error, which is an answer too (a refused WebSocket).
    BesideAnswered { t: u64, actor: u32, how: String },
    /// How the client's clock maps to the lab's: `page` microseconds of `performance.now()` were `t`, give or
    /// take `uncertainty` nanoseconds (half the smallest round trip of 20, plus the timer's step).
    Clock { t: u64, page: u64, uncertainty: u64, step: u64, visibility: String, isolated: bool },

    // --- the server's
    /// A connection was accepted and its TLS handshake finished.
    Connected { t: u64, conn: u64, alpn: Alpn },
    /// It ended, after this many requests.
    Disconnected { t: u64, conn: u64, requests: u64 },
    /// A subscription began on a connection. `tag` and `sub` are what its URL says: `?trial=7&sub=0`; `stream`
    /// is the server's own number for it, for URLs that say nothing.
    Attached { t: u64, conn: u64, stream: u64, alpn: Alpn, tag: Option<u32>, sub: Option<u32>, feed: Arc<str> },
    /// It ended.
    Detached { t: u64, conn: u64, stream: u64, alpn: Alpn, tag: Option<u32>, sub: Option<u32>, feed: Arc<str> },
    /// An event was put into a feed's log. `event` counts from 0 per feed; `scheduled` is when it was due;
    /// `census` marks the one at T. Of one that a client sent, `event` is the number in its data, which is one more
    /// than that of `sent` and 0 where there is none, and `scheduled` is when it came.
    Published { t: u64, feed: Arc<str>, id: String, event: u32, scheduled: u64, census: bool },
    /// The census event was handed to this stream.
    Written { t: u64, stream: u64, sub: Option<u32>, id: String },
    /// A WebTransport session was asked for on a connection. `offered` are the dialects that the server's settings name,
    /// `sent` those that the client's do, `token` is its `:protocol` and `draft` what its fields say of the draft;
    /// `taken` is what is spoken by all that, and `None` where nothing says.
    WebtransportDialect {
        t: u64,
        conn: u64,
        offered: Dialects,
        sent: Dialects,
        token: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draft: Option<String>,
        taken: Option<Dialect>,
    },
    /// A bound was reached: its name, and how often so far.
    BoundReached { t: u64, bound: String, times: u64 },
    /// What the server's process had used: CPU (user and system) in microseconds, resident bytes, requests answered,
    /// bytes of TCP and UDP payload sent and received.
    Usage {
        t: u64,
        at: UsageAt,
        cpu: u64,
        resident: u64,
        requests: u64,
        #[serde(default)]
        sent: u64,
        #[serde(default)]
        received: u64,
    },

    // --- the lab's
    /// A process was started. A program that only says its version itself is told of again when it has.
    Started { t: u64, role: String, pid: u32, version: Option<String> },
    /// A fault was injected.
    Fault { t: u64, fault: String },
    /// It is over.
    FaultEnded { t: u64, fault: String },
    /// What the machine had left while the trial ran, from its first process to its last: how much of the processor
    /// was idle, in percent, and how many UDP datagrams the kernel dropped that had arrived, for want of room or with
    /// a wrong checksum. What could not be read is `None`.
    Machine { t: u64, idle: Option<f64>, udp_dropped: Option<u64> },
    /// How late facts were written here, in nanoseconds after they were observed: one entry per fact, in the order
    /// they came, without receipts and clocks, which are not told at once. The first 4096 at most.
    Recorded { t: u64, late: Vec<u64> },
    /// A process ended: `exit 0`, `signal 9`.
    Exited { t: u64, role: String, status: String },
    /// How the trial ended. Always its last line.
    Outcome { t: u64, outcome: Outcome, reason: Option<String> },
}

/// How many bits one server's numbers have: no trial comes near 2^40 connections, and all stay below 2^53.
const LIFE_BITS: u32 = 40;

impl Fact {
    /// The same of the server that was started after so many others: it numbers its connections and streams from 0
    /// again, and a trial must not take two for one.
    #[must_use]
    pub fn in_life(mut self, life: u32) -> Self {
        let first = u64::from(life) << LIFE_BITS;
        match &mut self {
            Self::Connected { conn, .. } | Self::Disconnected { conn, .. } | Self::WebtransportDialect { conn, .. } => {
                *conn += first;
            }
            Self::Attached { conn, stream, .. } | Self::Detached { conn, stream, .. } => {
                (*conn, *stream) = (*conn + first, *stream + first);
            }
            Self::Written { stream, .. } => *stream += first,
            _ => {}
        }
        self
    }

    /// Whether a client may say it. What the server and the lab observe, nobody says in their place.
    pub fn can_be_a_clients(&self) -> bool {
        !matches!(
            self,
            Self::Connected { .. }
                | Self::Disconnected { .. }
                | Self::Attached { .. }
                | Self::Detached { .. }
                | Self::WebtransportDialect { .. }
                | Self::Published { .. }
                | Self::Written { .. }
                | Self::Usage { .. }
                | Self::Started { .. }
                | Self::Fault { .. }
                | Self::FaultEnded { .. }
                | Self::Machine { .. }
                | Self::Recorded { .. }
                | Self::Exited { .. }
                | Self::Outcome { .. }
        )
    }

    /// The subscription that a client's fact is about.
    pub fn subscription(&self) -> Option<u32> {
        match self {
            Self::Requested { sub, .. }
            | Self::Opened { sub, .. }
            | Self::Received { sub, .. }
            | Self::Closed { sub, .. }
            | Self::Gap { sub, .. }
            | Self::Sent { sub, .. }
            | Self::Buffered { sub, .. } => Some(*sub),
            _ => None,
        }
    }

    /// When it was observed; of receipts, the last.
    pub fn time(&self) -> u64 {
        match self {
            Self::Received { t, .. } => t.last().copied().unwrap_or(0),
            Self::Requested { t, .. }
            | Self::Opened { t, .. }
            | Self::Closed { t, .. }
            | Self::Gap { t, .. }
            | Self::Sent { t, .. }
            | Self::Buffered { t, .. }
            | Self::ProbeSent { t }
            | Self::ProbeAnswered { t, .. }
            | Self::BesideSent { t, .. }
            | Self::BesideAnswered { t, .. }
            | Self::Clock { t, .. }
            | Self::Connected { t, .. }
            | Self::Disconnected { t, .. }
            | Self::Attached { t, .. }
            | Self::Detached { t, .. }
            | Self::Published { t, .. }
            | Self::Written { t, .. }
            | Self::WebtransportDialect { t, .. }
            | Self::BoundReached { t, .. }
            | Self::Usage { t, .. }
            | Self::Started { t, .. }
            | Self::Fault { t, .. }
            | Self::FaultEnded { t, .. }
            | Self::Machine { t, .. }
            | Self::Recorded { t, .. }
            | Self::Exited { t, .. }
            | Self::Outcome { t, .. } => *t,
        }
    }
}

/// When the server's use was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageAt {
    /// Before `go`.
    Go,
    /// At T.
    Census,
    /// At `stop`.
    End,
    /// Just before the first event was due.
    First,
}

/// How a trial ended. It never vanishes and never stops the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ran to its end, and what was expected held.
    Completed,
    /// This client can't do this protocol or setting, or isn't on this machine.
    Unsupported,
    /// It didn't end in time.
    TimedOut,
    /// Something broke, or an expectation did.
    Failed,
}

impl Outcome {
    /// The word of files and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Unsupported => "unsupported",
            Self::TimedOut => "timed-out",
            Self::Failed => "failed",
        }
    }
}
