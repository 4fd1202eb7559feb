//! The trial contract: one message set between the lab and both ends of a trial, one JSON object per line.
//!
//! It travels over standard input and output (server, native client, `exec:` programs) or over the control
//! origin (a page in a browser). Version 1.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::observation::Observable;
use super::settings::FaultKind;
use super::{Alpn, Fact, Observation, Protocol, Settings};

/// The version of the contract that this lab speaks.
pub const CONTRACT: u32 = 1;

/// From the lab to an end of the trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Down {
    /// First: everything there is to know about the trial.
    Trial(Box<TrialMessage>),
    /// The timeline's 0, in nanoseconds of `CLOCK_MONOTONIC` (a page: microseconds of its own `performance.now()`).
    Go { at: u64 },
    /// To the server: do this fault now.
    Inject { fault: FaultKind },
    /// To the server: this fault is over.
    Cease { fault: FaultKind },
    /// Say what was kept back, then `done`, then exit within 2 s.
    Stop,
}

/// Which end a trial message is for, and what only that end needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Role {
    /// The server under test.
    Server(ServerRole),
    /// Who subscribes.
    Client(ClientRole),
}

/// The first message of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrialMessage {
    /// The contract's version.
    pub contract: u32,
    /// The trial's number in its run.
    pub trial: u32,
    /// The seed of everything drawn in this trial; below 2^53, so that a page keeps it exactly.
    pub seed: u64,
    /// All settings, defaults filled.
    pub settings: Settings,
    /// Which end, and what it needs.
    #[serde(flatten)]
    pub role: Role,
}

/// What the server needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServerRole {
    /// The folder with the certificate and its key.
    pub certs: PathBuf,
    /// The addresses to listen on.
    pub bind: Vec<std::net::IpAddr>,
    /// Names that it is reached by besides `localhost` and loopback addresses, as URLs write them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The feeds to publish to.
    pub feeds: Vec<String>,
    /// Origins that may read and write beside the server's own; the trial page's is one.
    #[serde(default)]
    pub origins: Vec<String>,
    /// What other machines have to show as `token` in the query to read and publish; without it, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The control origin, where this server serves pages that report there; without it, it serves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The ports to listen at, `workload.ports` of each ALPN; a free one for each that is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<Alpn, Vec<u16>>,
    /// How many servers of this trial came before this one and were killed: what was due in their time is not
    /// published again.
    #[serde(default)]
    pub life: u32,
    /// Whether it is the one of the trial's servers that publishes the schedule and the census.
    #[serde(default = "yes")]
    pub publishes: bool,
    /// What keeps the logs of its feeds, where `server.feeds` is `nats`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<BrokerOptions>,
}

/// Where NATS is, and what it is to this lab. It is a broker: it hands messages on, and keeps logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BrokerOptions {
    /// Its nodes, at least one: `nats://HOST:4222` or `tls://HOST:4222`, without a password.
    pub urls: Vec<String>,
    /// A file of credentials: nobody but their owner has to read it, and a list of processes shows its path alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// The password of a trial's own nodes, which are there for that trial alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<BrokerPassword>,
    /// The authority that signed its certificate, as a PEM file; without one, those that this machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// What the names of all that this lab keeps there begin with: labs of one prefix share their feeds.
    pub prefix: String,
    /// How many nodes keep each log: 1 or 3.
    pub replicas: usize,
}

/// The password of a trial's own NATS. It prints as nothing, so that no log can hold it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerPassword(pub(crate) String);

impl std::fmt::Debug for BrokerPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BrokerPassword(…)")
    }
}

const fn yes() -> bool {
    true
}

/// What the client needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientRole {
    /// What to subscribe over.
    pub protocol: Protocol,
    /// The host names in use.
    pub hosts: Vec<String>,
    /// The first port of the protocol's ALPN.
    pub port: u16,
    /// The lab's CA, as a PEM file.
    pub ca: PathBuf,
    /// What the server wants to be shown as `token` in every query; the subscriptions' paths have it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// SHA-256 of the server's certificate, base64 (`serverCertificateHashes`); where each host has its own, those
    /// of all in the order of `hosts`, separated by commas.
    pub cert_sha256: String,
    /// SHA-256 of its public key (SPKI), base64; of several, likewise.
    pub spki_sha256: String,
    /// The subscriptions that this client, or this page of it, opens.
    pub subscriptions: Vec<SubscriptionPlan>,
    /// What one end never reads: to be opened first, on the connections that `workload.stuck-on` says. Nothing is told
    /// of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<SubscriptionPlan>,
}

/// One subscription to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SubscriptionPlan {
    /// Its number in the trial.
    pub sub: u32,
    /// The page that opens it, from 0.
    pub page: u32,
    /// The host to ask.
    pub host: String,
    /// The port to ask.
    pub port: u16,
    /// Where the other servers of the trial are: whoever comes back takes the next one each time, and after the last one
    /// `host` and `port` again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ServerAddress>,
    /// Path and query: `/feeds/f0/sse?trial=7&sub=0`.
    pub path: String,
    /// When, in nanoseconds after `go`.
    pub open_at: u64,
    /// What it sends to its feed, in the order it is due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends: Vec<PlannedSend>,
}

/// Where a server is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServerAddress {
    pub host: String,
    pub port: u16,
}

impl SubscriptionPlan {
    /// The servers that it may ask, in the order in which it does.
    pub fn servers(&self) -> impl Iterator<Item = ServerAddress> + '_ {
        std::iter::once(ServerAddress { host: self.host.clone(), port: self.port }).chain(self.others.iter().cloned())
    }
}

impl ClientRole {
    /// Where everything is that it asks for, a page of the server's own too, each place once.
    pub fn servers(&self) -> Vec<ServerAddress> {
        let page = self.hosts.first().map(|host| ServerAddress { host: host.clone(), port: self.port });
        let all = self.subscriptions.iter().chain(&self.stuck).flat_map(SubscriptionPlan::servers);
        all.chain(page).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }
}

/// An event that a client publishes. Its data says the number after `event`'s: numbers in data begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSend {
    /// Which of the trial's, from 0.
    pub event: u32,
    /// When it is due, in nanoseconds after `go`.
    pub at: u64,
}

/// From an end of the trial to the lab: `Up<ClientFact>` from a client, `Up<ServerFact>` from the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", bound = "F: Observable")]
pub enum Up<F> {
    /// The server listens.
    Listening {
        /// The ports by ALPN, `workload.ports` of each.
        ports: BTreeMap<Alpn, Vec<u16>>,
        /// Versions worth recording, by name.
        versions: BTreeMap<String, String>,
    },
    /// The client is ready for `go`.
    Ready { version: String },
    /// The client can't take part in this trial.
    Unsupported { reason: String },
    /// The client broke: a script error, or a page that went away. The trial ends `failed`.
    Failed {
        /// What went wrong.
        reason: String,
    },
    /// Something was observed.
    Saw(Observation<F>),
    /// The last line.
    Done {
        /// How many `saw` lines were sent before it.
        sent: u64,
    },
}

impl<F: Into<Fact>> Up<F> {
    /// The same, whoever says it.
    pub fn of_any(self) -> Up<Fact> {
        match self {
            Self::Listening { ports, versions } => Up::Listening { ports, versions },
            Self::Ready { version } => Up::Ready { version },
            Self::Unsupported { reason } => Up::Unsupported { reason },
            Self::Failed { reason } => Up::Failed { reason },
            Self::Saw(observation) => Up::Saw(observation.map(Into::into)),
            Self::Done { sent } => Up::Done { sent },
        }
    }
}
