//! The server under test: `[server]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Compression;
use crate::units::{Settable, Span, word_or_quantity};

/// From no limit to one that is of no use to anybody.
const RESET_INTERVALS: [Span; 2] = [Span::from_millis(0), Span::from_secs(60)];

/// From a flood to what is never seen.
pub(super) const HEARTBEATS: [Span; 2] = [Span::from_millis(1), Span::from_secs(86_400)];

/// The server under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServerSettings {
    /// How many servers there are, each a process with ports of its own. Subscriptions are dealt over them; the first one
    /// publishes. More than one need `feeds = "nats"`, through which they share their feeds.
    #[schemars(range(min = 1, max = 8))]
    pub count: u32,
    /// Streams that the server lets one connection hold open: `SETTINGS_MAX_CONCURRENT_STREAMS` on HTTP/2
    /// (RFC 9113 section 6.5.2; unset: the entry isn't sent), `initial_max_streams_bidi` on QUIC
    /// (RFC 9000 section 18.2, where leaving it out means 0, so it can't be unset).
    pub max_concurrent_streams: Settable<u32>,
    /// How often a silent subscription is written a sign of life.
    #[schemars(extend("x-least" = HEARTBEATS[0], "x-most" = HEARTBEATS[1]))]
    pub heartbeat: Heartbeat,
    /// After how long a silence the server asks a client on QUIC whether it is still there, by a PING (RFC 9000 section
    /// 10.1.2). On TCP it asks nobody.
    #[schemars(extend("x-least" = HEARTBEATS[0], "x-most" = HEARTBEATS[1]))]
    pub ping: Heartbeat,
    /// How many events a feed's log holds.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub log: u32,
    /// What keeps the logs of feeds.
    pub feeds: FeedLog,
    /// Whether all hosts share one certificate, which lets HTTP/2 share a connection (RFC 9113 section 9.1.1).
    pub certificate: CertificateUse,
    /// Whether on QUIC the server sends its own streams, HTTP/3's settings among them, together with its part of the
    /// handshake (0.5-RTT data, RFC 8446 section 2.3), or once its client has ended the handshake.
    pub half_rtt: bool,
    /// How long passes on QUIC between two stateless resets at least (RFC 9000 section 10.3): by them a server that was
    /// started anew ends the connections of the one before it. 20 ms is quinn's own limit; 0 is none.
    #[schemars(extend("x-least" = RESET_INTERVALS[0], "x-most" = RESET_INTERVALS[1]))]
    pub reset_interval: Span,
    /// What a response that goes on says to what stands between, so that it is passed on as it comes.
    pub buffering_hint: BufferingHint,
    /// Whether HTTP/2 and HTTP/3 are served at one port, and every answer over HTTP/2 offers HTTP/3 there (`Alt-Svc`,
    /// RFC 7838). In a trial on `h2` a browser hears of it by the first answer; in one on `h3` it knows of it from before,
    /// and HTTP/2 is what it can go back to. A subscription may come on either. The native client takes no offer.
    pub alt_svc: bool,
    /// By which content coding (RFC 9110 section 8.4.1) the server compresses a response that goes on, for who accepts it,
    /// each event flushed. Each such stream has a compressor of its own, of 320 kB (gzip) or 730 kB (br); beyond 500 of them
    /// further streams are not compressed.
    pub compression: Compression,
}

/// What keeps the logs of feeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FeedLog {
    /// The server itself, in its memory: a feed is this server's alone.
    #[default]
    Memory,
    /// NATS JetStream: servers share their feeds, and an event has the same id at each.
    Nats,
}

/// What a response that goes on says to intermediaries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BufferingHint {
    /// Nothing.
    None,
    /// `Cache-Control: no-transform` (RFC 9111 section 5.2.2.6): whoever compresses must not.
    #[default]
    NoTransform,
    /// `X-Accel-Buffering: no`, which is nginx's.
    XAccelBuffering,
    /// `Incremental: ?1` (RFC 10036): not to be gathered.
    Incremental,
}

/// Whether all hosts share one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateUse {
    /// One, with all names.
    Shared,
    /// One each, with that name alone; TLS chooses by the name asked for (RFC 6066 section 3).
    PerHost,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            count: 1,
            max_concurrent_streams: Settable::Set(100),
            heartbeat: Heartbeat::Every(Span::from_secs(15)),
            ping: Heartbeat::Every(Span::from_secs(8)),
            log: 1024,
            feeds: FeedLog::default(),
            certificate: CertificateUse::Shared,
            half_rtt: true,
            reset_interval: Span::from_millis(20),
            buffering_hint: BufferingHint::default(),
            alt_svc: false,
            compression: Compression::default(),
        }
    }
}

/// How often a sign of life is given in a silence: `"off"` or a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    Off,
    /// After each such silence.
    Every(Span),
}

impl Heartbeat {
    /// After how long a silence, if ever.
    pub fn span(self) -> Option<Span> {
        match self {
            Self::Off => None,
            Self::Every(span) => Some(span),
        }
    }
}

word_or_quantity!(Heartbeat, "off" is Off: "Never.", or Every(Span));
