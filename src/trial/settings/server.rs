//! The server under test: `[server]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Compression;
use crate::units::{Settable, Span, inline_schema, word_or};

/// The server under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Streams that the server lets one connection hold open: `SETTINGS_MAX_CONCURRENT_STREAMS` on HTTP/2
    /// (RFC 9113 section 6.5.2; unset: the entry isn't sent), `initial_max_streams_bidi` on QUIC
    /// (RFC 9000 section 18.2, where leaving it out means 0, so it can't be unset).
    pub max_concurrent_streams: Settable<u32>,
    /// How often a silent subscription is written a sign of life.
    pub heartbeat: Heartbeat,
    /// How many events a feed's log holds.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub log: u32,
    /// Whether all hosts share one certificate, which lets HTTP/2 share a connection (RFC 9113 section 9.1.1).
    pub certificate: CertificateUse,
    /// Whether on QUIC the server sends its own streams, HTTP/3's settings among them, together with its part of the
    /// handshake (0.5-RTT data, RFC 8446 section 2.3), or once its client has ended the handshake.
    pub half_rtt: bool,
    /// What a response that goes on says to what stands between, so that it is passed on as it comes.
    pub buffering_hint: BufferingHint,
    /// By which content coding (RFC 9110 section 8.4.1) the server compresses a response that goes on, for who accepts it,
    /// each event flushed. Each such stream has a compressor of its own, of 320 kB (gzip) or 730 kB (br); beyond 500 of them
    /// further streams are not compressed.
    pub compression: Compression,
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
            max_concurrent_streams: Settable::Set(100),
            heartbeat: Heartbeat::Every(Span::from_secs(15)),
            log: 1024,
            certificate: CertificateUse::Shared,
            half_rtt: true,
            buffering_hint: BufferingHint::default(),
            compression: Compression::default(),
        }
    }
}

/// How often a silent subscription is written a sign of life: `"off"` or a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    Off,
    /// After each such silence.
    Every(Span),
}

inline_schema!(Heartbeat, |generator| word_or("off", "Never.", &Span::json_schema(generator)));

impl Serialize for Heartbeat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Every(span) => span.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Heartbeat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "off" => Ok(Self::Off),
            _ => match text.parse::<Span>() {
                Ok(span) if span.nanos() > 0 => Ok(Self::Every(span)),
                _ => Err(serde::de::Error::custom(format!("`{text}` is not a heartbeat; write \"off\" or \"15s\""))),
            },
        }
    }
}
