//! Everything that can be set for a trial. Each field is one setting; its place in these structs is its
//! dotted name (`workload.events.rate`), and every one of them can be a factor.

mod beside;
mod between;
mod broker;
mod compression;
mod events;
mod expect;
mod fault;
mod link;
mod nat;
mod preset;
mod reconnect;
mod server;
mod stack;
mod workload;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Alpn, Protocol};
use crate::units::Span;

pub use beside::{Beside, BesideKind, FetchCredentials, MAX_DOWNLOAD};
pub use between::{BetweenPlace, BetweenSettings, Drain, IntermediaryConfig};
pub use broker::BrokerSettings;
pub use compression::Compression;
pub use events::{Arrival, EventCount, EventFeeds, Events, Payload};
pub use expect::{CountsRule, DeliveryRule, Expect};
pub use fault::{BrokerFault, Fault, FaultAct, FaultKind, FaultRow, IntermediaryFault, KilledServer, LinkFault};
pub use link::{Blocked, LinkRate, LinkSettings, WaySettings};
pub use nat::{NatSettings, NatTimeout};
pub use preset::{Preset, PresetRow};
pub use reconnect::{Jitter, Reconnect};
pub use server::{BufferingHint, CertificateUse, FeedLog, Heartbeat, ServerSettings};
pub use stack::{Congestion, CongestionChoice, StackProfile, StackSettings};
pub use workload::{
    Connections, Credentials, Direction, HostOrder, Opening, PageOrigin, Prepare, StuckDirection, StuckOn, Urls,
    Visibility, Workload,
};

/// The least and the most that a trial may take beyond its timeline.
const TIMEOUTS: [Span; 2] = [Span::from_secs(1), Span::from_secs(3600)];

/// The settings of one trial, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Who subscribes: a client's name.
    #[serde(default = "default_client")]
    pub client: String,
    /// What is subscribed over.
    #[serde(default)]
    pub protocol: Protocol,
    /// How long one trial may take beyond its own timeline before it ends `timed-out`.
    #[serde(default = "thirty_seconds")]
    #[schemars(extend("x-least" = TIMEOUTS[0], "x-most" = TIMEOUTS[1]))]
    pub timeout: Span,
    /// Who subscribes to what, when, and what is published.
    #[serde(default)]
    pub workload: Workload,
    /// The server under test.
    #[serde(default)]
    pub server: ServerSettings,
    /// How TCP and QUIC are set up at both ends.
    #[serde(default)]
    pub stack: StackSettings,
    /// The link between client and server; without it they are on loopback.
    #[serde(default)]
    #[schemars(with = "LinkSettings")]
    pub link: Option<LinkSettings>,
    /// What stands between them.
    #[serde(default)]
    pub between: BetweenSettings,
    /// What its servers share their feeds through.
    #[serde(default)]
    pub broker: BrokerSettings,
    /// How a client comes back whose subscription ended.
    #[serde(default)]
    pub reconnect: Reconnect,
    /// What a trial must keep to, or else end `failed`.
    #[serde(default)]
    pub expect: Expect,
    /// What goes wrong on purpose, in the order of the file.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// What else the client does, in the order of the file: `[[beside]]`.
    #[serde(default)]
    pub beside: Vec<Beside>,
    /// One table per transport, keyed by its name; typed and checked in that transport's file. A key here
    /// that names no transport is an unknown setting, which the plan refuses.
    #[serde(flatten)]
    pub transports: BTreeMap<String, serde_json::Value>,
}

impl Settings {
    /// What the server under test is spoken to over: by clients, or by what stands between.
    pub fn origin_alpn(&self) -> Alpn {
        if self.between.is_there() { self.between.origin } else { self.protocol.alpn }
    }

    /// Whether servers keep their feeds in NATS, which a trial then has nodes of.
    pub fn shares_feeds(&self) -> bool {
        self.server.feeds == FeedLog::Nats
    }

    /// How many servers there are.
    pub fn servers(&self) -> u32 {
        self.server.count.max(1)
    }

    /// Whether HTTP/2 and HTTP/3 are at one port of the server under test, and a client may come on either. Through an
    /// intermediary nobody could take the offer: the port isn't its own.
    pub fn offers_h3(&self) -> bool {
        self.server.alt_svc && !self.between.is_there() && matches!(self.protocol.alpn, Alpn::H2 | Alpn::H3)
    }

    /// Whether a subscription may reach the server under test on this.
    pub fn may_arrive_on(&self, alpn: Alpn) -> bool {
        alpn == self.origin_alpn() || (self.offers_h3() && matches!(alpn, Alpn::H2 | Alpn::H3))
    }

    /// Whether anything compresses what a client reads, so that the native client asks for it as browsers always do.
    pub fn compresses(&self) -> bool {
        self.server.compression.is_on() || self.between.is_there() && self.between.compression.is_on()
    }

    /// Whether the server under test serves pages of the lab's.
    pub fn has_pages_of_the_server(&self) -> bool {
        self.workload.page == PageOrigin::SameOrigin || self.beside.iter().any(|beside| beside.kind == BesideKind::Tab)
    }
}

/// Who subscribes where nobody says: who is there on every machine.
pub fn default_client() -> String {
    "native".to_owned()
}

fn thirty_seconds() -> Span {
    Span::from_secs(30)
}
