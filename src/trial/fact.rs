//! What can be observed, by who may say it: a client, the server, or the lab.

mod carried;
mod ids;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::phase::TrialPhase;
use super::settings::{Compression, IntermediaryConfig};
use super::stack::{Stack, TcpStack, Versions};
use super::{Alpn, Dialect, Dialects};
pub use carried::{EventPacket, WayCarried, WayParts};
pub use ids::EventIds;

/// What was observed, and who says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Fact {
    /// Who subscribes.
    Client(ClientFact),
    /// The server under test.
    Server(ServerFact),
    /// The lab itself.
    Lab(LabFact),
}

impl From<ClientFact> for Fact {
    fn from(fact: ClientFact) -> Self {
        Self::Client(fact)
    }
}

impl From<ServerFact> for Fact {
    fn from(fact: ServerFact) -> Self {
        Self::Server(fact)
    }
}

impl From<LabFact> for Fact {
    fn from(fact: LabFact) -> Self {
        Self::Lab(fact)
    }
}

/// What a client observes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum ClientFact {
    /// A subscription was asked for.
    Requested { sub: u32 },
    /// Its first byte of answer came: an `open` event, response headers.
    Opened { sub: u32 },
    /// Receipts of one subscription, in the order they came. `t` is a list, parallel to `ids`, where ids that
    /// count up may be one entry, the first and how many: `["k3f9-7",300]`. `wrong` lists those whose content was not what
    /// was published.
    Received {
        /// `t` in a line.
        #[serde(skip)]
        times: Vec<u64>,
        sub: u32,
        ids: EventIds,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wrong: Vec<String>,
    },
    /// A subscription ended, or failed to begin.
    Closed { sub: u32, reason: String },
    /// The server said that events are gone. `missed` is unknown when the id was of another epoch.
    Gap { sub: u32, missed: Option<u64>, first: Option<String> },
    /// An event of the client's own was handed to what sends it. `event` counts from 0 over the trial; `scheduled`
    /// is when it was due.
    Sent { sub: u32, event: u32, scheduled: u64 },
    /// The most bytes of a subscription's own that waited to be sent at once, right after one was sent
    /// (`bufferedAmount` of a page's WebSocket).
    Buffered { sub: u32, most: u64 },
    /// What came of the responses that a subscription read its events from, before it was decoded, in bytes, and in which
    /// content coding the last of them was; null: none. A page can't tell.
    Content { sub: u32, coding: Option<String>, bytes: u64 },
    /// The plain GET of mid-hold was sent.
    ProbeSent,
    /// It was answered.
    ProbeAnswered { status: u16 },
    /// Another actor of the trial (by its place in `beside`) did what it is there for.
    BesideSent { actor: u32 },
    /// It was answered: a status, `loaded`, `open`, or an error, which is an answer too (a refused WebSocket).
    BesideAnswered { actor: u32, how: String },
    /// What carries its subscriptions, of its first connection, and the versions of what speaks there.
    Stack { stack: Box<Stack>, versions: Versions },
    /// How the client's clock maps to the lab's: `page` microseconds of `performance.now()` were `t`, give or
    /// take `uncertainty` nanoseconds (half the smallest round trip of 20, plus the timer's step).
    Clock { page: u64, uncertainty: u64, step: u64, visibility: String, isolated: bool },
}

impl ClientFact {
    /// The subscription that it is about.
    pub fn subscription(&self) -> Option<u32> {
        match self {
            Self::Requested { sub }
            | Self::Opened { sub }
            | Self::Received { sub, .. }
            | Self::Closed { sub, .. }
            | Self::Gap { sub, .. }
            | Self::Sent { sub, .. }
            | Self::Content { sub, .. }
            | Self::Buffered { sub, .. } => Some(*sub),
            Self::ProbeSent
            | Self::ProbeAnswered { .. }
            | Self::BesideSent { .. }
            | Self::BesideAnswered { .. }
            | Self::Stack { .. }
            | Self::Clock { .. } => None,
        }
    }
}

/// What the server observes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum ServerFact {
    /// A connection was accepted and its TLS handshake finished; on QUIC, where it is a connection before that, the
    /// client's first flight was answered.
    Connected { conn: u64, alpn: Alpn },
    /// It ended, after this many requests.
    Disconnected { conn: u64, requests: u64 },
    /// The client of a connection was known from before. Of QUIC it is told where early data was taken.
    Handshake { conn: u64, handshake: Handshake },
    /// What carries connections on this ALPN, of the first, and the versions of what speaks here.
    Stack { alpn: Alpn, stack: Box<Stack>, versions: Versions },
    /// A subscription began on a connection. `tag` and `sub` are what its URL says: `?trial=7&sub=0`; `stream`
    /// is the server's own number for it, for URLs that say nothing. `http` is the version of HTTP that its request is
    /// of (1, 1.1, 2 or 3), where it is one.
    Attached {
        conn: u64,
        stream: u64,
        alpn: Alpn,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        http: Option<f64>,
        tag: Option<u32>,
        sub: Option<u32>,
        feed: Arc<str>,
    },
    /// It ended.
    Detached { conn: u64, stream: u64, alpn: Alpn, tag: Option<u32>, sub: Option<u32>, feed: Arc<str> },
    /// A subscription ended that its client read nothing of, as its URL says, and to whose stream so many bytes of events'
    /// data had been handed.
    Unread { conn: u64, stream: u64, bytes: u64 },
    /// An event was put into a feed's log. `event` counts from 0 per feed; `scheduled` is when it was due;
    /// `census` marks the one at T. Of one that a client sent, `event` is the number in its data, which is one more
    /// than that of `sent` and 0 where there is none, and `scheduled` is when it came.
    Published { feed: Arc<str>, id: String, event: u32, scheduled: u64, census: bool },
    /// The census event was handed to this stream.
    Written { stream: u64, sub: Option<u32>, id: String },
    /// A WebTransport session was asked for on a connection. `offered` are the dialects that the server's settings name,
    /// `sent` those that the client's do, `token` is its `:protocol` and `draft` what its fields say of the draft;
    /// `taken` is what is spoken by all that, and null where nothing says.
    WebtransportDialect {
        conn: u64,
        offered: Dialects,
        sent: Dialects,
        token: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draft: Option<String>,
        taken: Option<Dialect>,
    },
    /// A bound was reached: its name, and how often so far. Two that reach it at once may be told of in either order.
    BoundReached { bound: String, times: u64 },
    /// The broker that keeps the logs of feeds is away, or is there, where one does: told of when the server begins, and
    /// whenever it changes.
    Broker { is_there: bool },
    /// What the server's process had used: CPU (user and system) in microseconds, resident bytes, requests answered,
    /// bytes of TCP and UDP payload sent and received.
    Usage {
        at: UsageAt,
        cpu: u64,
        resident: u64,
        requests: u64,
        #[serde(default)]
        sent: u64,
        #[serde(default)]
        received: u64,
        /// Which of a trial's servers it is, from 0: the lab says so.
        #[serde(default, skip_serializing_if = "is_first")]
        server: u32,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_first(server: &u32) -> bool {
    *server == 0
}

/// How many bits one server's numbers have: no trial comes near 2^40 connections.
const LIFE_BITS: u32 = 40;
/// How many they have with those that tell servers apart which were started one after another in one place. Above them is
/// the place: of eight, so that all stay below 2^53.
const PLACE_BITS: u32 = 50;

impl ServerFact {
    /// The same of this server (from 0) of a trial's, which was started in its place after so many others: each numbers
    /// its connections and streams from 0 again, and a trial must not take two for one.
    #[must_use]
    pub fn of_server(mut self, number: u32, life: u32) -> Self {
        let first = (u64::from(number) << PLACE_BITS) + (u64::from(life) << LIFE_BITS);
        match &mut self {
            Self::Connected { conn, .. }
            | Self::Disconnected { conn, .. }
            | Self::Handshake { conn, .. }
            | Self::WebtransportDialect { conn, .. } => *conn += first,
            Self::Attached { conn, stream, .. }
            | Self::Detached { conn, stream, .. }
            | Self::Unread { conn, stream, .. } => {
                (*conn, *stream) = (*conn + first, *stream + first);
            }
            Self::Written { stream, .. } => *stream += first,
            Self::Usage { server, .. } => *server = number,
            Self::Stack { .. } | Self::Published { .. } | Self::BoundReached { .. } | Self::Broker { .. } => {}
        }
        self
    }

    /// Which server of a trial's has this connection or stream.
    pub const fn server_of(connection: u64) -> u64 {
        connection >> PLACE_BITS
    }
}

/// What the lab observes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum LabFact {
    /// The first line of a journal: the version of its format.
    Journal { version: u32 },
    /// A process was started. A program that only says its version itself is told of again when it has.
    Started { role: String, pid: u32, version: Option<String> },
    /// What the kernel's TCP does by itself in the client's network: a browser says nothing of its own connections.
    Network { stack: Box<TcpStack> },
    /// A fault was injected.
    Fault { fault: String },
    /// It is over.
    FaultEnded { fault: String },
    /// What the machine had left while the trial ran, from its first process to its last: how much of the processor
    /// was idle, in percent, and how many UDP datagrams the kernel dropped that had arrived, for want of room or with
    /// a wrong checksum. What could not be read is null.
    Machine { idle: Option<f64>, udp_dropped: Option<u64> },
    /// How late facts were written here, in nanoseconds after they were observed: one entry per fact, in the order
    /// they came, without receipts and clocks, which are not told at once. The first 4096 at most.
    Recorded { late: Vec<u64> },
    /// What the link between client and server had carried by then: from the client (`up`) and to it (`down`).
    LinkCarried { at: UsageAt, up: WayCarried, down: WayCarried },
    /// The link was taken down, after both ends: all that it carried, and the numbers (from 0) of the packets that it
    /// dropped, the first 4096 each way. By how many nanoseconds it handed packets on later than they were due, at the
    /// median and at most.
    LinkEnded {
        up: WayCarried,
        down: WayCarried,
        up_dropped: Vec<u64>,
        down_dropped: Vec<u64>,
        late_median: Option<u64>,
        late_most: Option<u64>,
    },
    /// An event was found in what the server sent over a link that is traced: on which connection (from 0, in the order in
    /// which they began), and in which packets to the client, in their order. `t` is when the first of them came to the
    /// link.
    EventOnLink { id: String, conn: u64, packets: Vec<EventPacket> },
    /// A link that is traced was searched for events: how many packets were kept, how many more came for which there was no
    /// room, and how many records and QUIC packets of the server's could not be decrypted.
    LinkTraced { packets: u64, missed: u64, opaque: u64 },
    /// What one flow put on a link whose packets were kept, in one part of the timeline: from the client (`up`) and to it
    /// (`down`). A flow is what is sent over TCP or UDP between two ports; `others` are all that began after the first 1024.
    LinkFlow { over: String, client: u16, server: u16, phase: TrialPhase, up: WayParts, down: WayParts },
    /// All packets that came to the link were written to a file in the trial's folder, with the secrets that decrypt them:
    /// how many, and their bytes, IP headers included. `missed` more came when there was no room for them in memory. Times
    /// there are these here plus `wall` microseconds, and so since 1970.
    Captured { file: String, packets: u64, bytes: u64, missed: u64, wall: u64 },
    /// Words were sent over a link that was to delay nothing and back, before a run's trials: how long each took, in
    /// nanoseconds.
    LinkTried { took: Vec<u64> },
    /// What stands between client and server: which intermediary, what it was told to do and to compress by, and where that
    /// is the lab's, what it changes in the first one of the intermediary's documentation.
    Between {
        intermediary: String,
        version: String,
        config: IntermediaryConfig,
        #[serde(default)]
        compression: Compression,
        changes: Vec<String>,
    },
    /// What all processes of what stands between had used: CPU (user and system) in microseconds, in ticks of the kernel's,
    /// and bytes of memory, of which those that several share are counted once (`Pss` of proc(5)).
    BetweenUsage { at: UsageAt, cpu: u64, resident: u64 },
    /// An end of the trial is another machine's: which agent runs it there, what that is, and by how many nanoseconds its
    /// clock was ahead; of a server by which name or address clients reach it, where one was given.
    Agent {
        role: String,
        agent: String,
        version: String,
        cores: u32,
        kernel: String,
        offset: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    /// How an agent's clock and this one went together, from before the trial to after it: its times, which were ahead by
    /// `offset` nanoseconds, are here by this clock, give or take `uncertainty` (half a round trip, and what one gained on
    /// the other); it gained `drift` parts per million. `apart` says why times can't be compared, if they can't. `serves`:
    /// it is a server's there, and not a client's.
    AgentClock {
        agent: String,
        offset: i64,
        uncertainty: u64,
        drift: f64,
        apart: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        serves: bool,
    },
    /// What a node (from 0) of what servers share their feeds through had used, likewise.
    BrokerUsage { at: UsageAt, node: u32, cpu: u64, resident: u64 },
    /// A process ended: `exit 0`, `signal 9`.
    Exited { role: String, status: String },
    /// How the trial ended. Always its last line.
    Outcome { outcome: Outcome, reason: Option<String> },
}

/// How a server came to know a client again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Handshake {
    /// By a ticket (RFC 8446 section 2.2).
    Resumed,
    /// By a ticket, and what it said before the handshake ended was taken (RFC 8446 section 2.3).
    Early,
}

/// When the server's use was read, or the link's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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

    /// How many of these there are of each.
    pub fn counted(outcomes: impl IntoIterator<Item = Self>) -> BTreeMap<Self, u32> {
        let mut counts = BTreeMap::new();
        for outcome in outcomes {
            *counts.entry(outcome).or_default() += 1;
        }
        counts
    }
}
