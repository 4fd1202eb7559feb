//! A protocol: a transport on an ALPN, written `sse/h2`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

use crate::units::inline_schema;

/// What a transport rides on, named by what TLS negotiates (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Alpn {
    /// HTTP/1.1 (and 1.0) on TCP.
    #[serde(rename = "h1")]
    H1,
    /// HTTP/2 on TCP.
    #[serde(rename = "h2")]
    H2,
    /// HTTP/3 on QUIC.
    #[serde(rename = "h3")]
    H3,
    /// QUIC without HTTP, under the lab's own name.
    #[serde(rename = "quic")]
    Quic,
}

impl Alpn {
    /// Every ALPN that a server listens on, in the order of their ports.
    pub const ALL: [Self; 4] = [Self::H1, Self::H2, Self::H3, Self::Quic];
    /// Those that are versions of HTTP.
    pub const HTTP: [Self; 3] = [Self::H1, Self::H2, Self::H3];

    /// Whether it is carried by QUIC, and so in UDP datagrams, which the kernel drops where it has no room.
    pub const fn over_quic(self) -> bool {
        match self {
            Self::H1 | Self::H2 => false,
            Self::H3 | Self::Quic => true,
        }
    }

    /// The bytes that TLS negotiates.
    pub const fn wire(self) -> &'static [u8] {
        match self {
            Self::H1 => b"http/1.1",
            Self::H2 => b"h2",
            Self::H3 => b"h3",
            Self::Quic => b"transport-lab",
        }
    }

    /// How names carry it: `h1`, `h2`, `h3`, `quic`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
            Self::Quic => "quic",
        }
    }

    /// What a person reads: `HTTP/1.1`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::H1 => "HTTP/1.1",
            Self::H2 => "HTTP/2",
            Self::H3 => "HTTP/3",
            Self::Quic => "QUIC",
        }
    }
}

impl fmt::Display for Alpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A transport on an ALPN: `sse/h2`. That the transport exists and rides on the ALPN is the plan's to check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol {
    /// The transport's name: `sse`.
    pub transport: String,
    /// What it rides on.
    pub alpn: Alpn,
}

impl Default for Protocol {
    /// What is subscribed over where nobody says: every client can, without being told to.
    fn default() -> Self {
        Self::new("sse", Alpn::H2)
    }
}

impl Protocol {
    /// The protocol of this transport on this ALPN.
    pub fn new(transport: &str, alpn: Alpn) -> Self {
        Self { transport: transport.to_owned(), alpn }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transport, self.alpn)
    }
}

/// Why a text names no protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a protocol; write TRANSPORT/ALPN, such as \"sse/h2\" (h1, h2, h3, quic)")]
pub struct ProtocolError(String);

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        let wrong = || ProtocolError(text.to_owned());
        let (transport, alpn) = text.split_once('/').ok_or_else(wrong)?;
        let alpn = Alpn::ALL.into_iter().find(|a| a.name() == alpn).ok_or_else(wrong)?;
        if transport.is_empty() {
            return Err(wrong());
        }
        Ok(Self::new(transport, alpn))
    }
}

inline_schema!(Protocol, |_generator| {
    let alpns = Alpn::ALL.map(Alpn::name).join("|");
    json_schema!({ "type": "string", "title": "a protocol", "pattern": format!("^[a-z-]+/({alpns})$") })
});

impl Serialize for Protocol {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
