//! What a link carried.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a link carried one way: packets and bytes that were sent, IP headers included, and how many packets of them did
/// not arrive, by what dropped them; to how many of their senders the link itself said so (ICMP, or an RST of TCP).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WayCarried {
    pub packets: u64,
    pub bytes: u64,
    pub dropped: BTreeMap<String, u64>,
    #[serde(default)]
    pub told: u64,
}

/// What was put on a link one way, dropped packets included: their bytes are those of all that follow together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WayParts {
    pub packets: u64,
    pub bytes: u64,
    /// Headers of IP, TCP and UDP, but for what follows.
    pub headers: u64,
    /// Packets that do nothing but acknowledge, all of them.
    pub acknowledgements: u64,
    /// What TLS and QUIC need: handshakes, records' and packets' headers, tags, frames that carry nothing.
    pub protection: u64,
    /// What is in them and is no event's data: HTTP's fields and frames, and what encodes events.
    pub framing: u64,
    /// Data of events that the server published, as it is written: JSON makes some of it longer.
    pub payload: u64,
    /// What could not be decrypted, and so not be told apart.
    pub unknown: u64,
}

impl std::ops::AddAssign for WayParts {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.headers += other.headers;
        self.acknowledgements += other.acknowledgements;
        self.protection += other.protection;
        self.framing += other.framing;
        self.payload += other.payload;
        self.unknown += other.unknown;
    }
}

/// A packet that carried an event, or a part of it. Times are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EventPacket {
    /// Which of its way, from 0.
    pub number: u64,
    /// When it came to the link.
    pub came: u64,
    /// When it was to leave it; null: it was dropped.
    pub arrives: Option<u64>,
    /// What dropped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// How long it had to wait on the way, by what made it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waits: BTreeMap<String, u64>,
    /// Whether an earlier packet had carried the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}
