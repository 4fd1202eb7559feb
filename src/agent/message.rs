//! What a coordinator and an agent say to each other, whatever carries it.

use serde::{Deserialize, Serialize};

use crate::trial::contract::{CONTRACT, ServerAddress};
use crate::trial::rig::Rig;
use crate::trial::{ClientFact, Down, ServerFact, TrialMessage, Up};

/// What is to be the same at both for a trial to mean anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LabVersion {
    /// Of the lab.
    pub lab: String,
    /// Of the trial contract.
    pub contract: u32,
}

impl LabVersion {
    /// This program's.
    pub fn own() -> Self {
        Self { lab: env!("CARGO_PKG_VERSION").to_owned(), contract: CONTRACT }
    }
}

/// As a person reads it.
impl std::fmt::Display for LabVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {} (trial contract {})", self.lab, self.contract)
    }
}

/// From the coordinator of a run to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum AgentOrder {
    /// First: who asks.
    Hello { version: LabVersion },
    /// What does your clock say? Asked every second, too, so that each knows that the other is there.
    Clock {
        /// Gives the answer its question.
        asked: u64,
    },
    /// The certificate for the key of your own origin, DER in base64: listen with it, and say where.
    Vouch { own: String },
    /// Start an end of a trial.
    Start(Box<EndStart>),
    /// A line of the trial contract for an end; `go` is on the agent's clock.
    Say { end: u32, line: Down },
    /// End it with SIGKILL.
    Kill { end: u32 },
    /// End it and clean up after it.
    Finish { end: u32 },
}

/// What an agent needs for one end of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndStart {
    /// The number that both call it by, which no other of the session has.
    pub end: u32,
    /// Which end, and what only that needs.
    pub part: EndPart,
    /// The trial's message. Paths in it mean nothing at the agent.
    pub message: Box<TrialMessage>,
    /// The lab's CA, as PEM.
    pub ca: String,
    /// How it lies, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rig: Option<Rig>,
}

/// Which end of a trial an agent is to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum EndPart {
    Client {
        /// Which client, by its name.
        name: String,
        /// SHA-256 of the servers' public keys, as browsers take them.
        trusted: String,
        /// Where each server listens on TCP, as this machine is to reach it.
        #[serde(default)]
        servers: Vec<ServerAddress>,
    },
    Server {
        place: ServerPlace,
        /// The name or address that clients reach the agent's machine by, as URLs write it; without one, its loopback.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// What the CA vouches with for the agent's key, each DER in base64: for all names first, then for each host alone.
        certs: Vec<String>,
    },
}

/// Which of a trial's servers, from 0, and after how many others in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlace {
    pub number: u32,
    pub life: u32,
}

/// From an agent to the coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum AgentSaid {
    /// What it is, and what it has.
    Hello(Box<AgentHello>),
    /// It takes no orders from whoever asks, and why.
    Refused { version: LabVersion, why: String },
    /// Nanoseconds of its `CLOCK_MONOTONIC`.
    Clock { asked: u64, at: u64 },
    /// Where its pages will come from: `https://127.0.0.1:PORT`.
    Origin { origin: String },
    /// There is no such place, and why.
    NoOrigin { why: String },
    /// An end of this trial runs; `server` says which, where it is a server.
    Started {
        end: u32,
        trial: u32,
        pid: u32,
        version: String,
        page: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<ServerPlace>,
    },
    /// It can't run here: the client isn't there, or isn't allowed.
    Unsupported { end: u32, reason: String },
    /// It should have been able to, and couldn't.
    NotStarted { end: u32, reason: String },
    /// A line of an end's; times are on the agent's clock.
    Said { end: u32, line: Up<ClientFact> },
    /// A line that only a server says: of a fact of its own, or where it listens.
    Served { end: u32, line: Up<ServerFact> },
    /// What it said next can't be used: how, as the rest of a sentence about it.
    Garbled { end: u32, how: String },
    /// It ended by itself.
    Exited { end: u32, status: String },
    /// It has been ended; how, where that was not said yet, and the end of what it printed.
    Ended { end: u32, status: Option<String>, log: String },
}

/// What an agent is, and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgentHello {
    pub name: String,
    pub version: LabVersion,
    /// Every client of the lab's, there or not.
    pub clients: Vec<AgentClient>,
    /// Processors that it may use.
    pub cores: u32,
    /// `Linux 6.1.0-32-amd64`.
    pub kernel: String,
    /// Whether links are possible there.
    pub links: bool,
    /// Whether its owner lets programs be run that are no client of the lab's.
    pub exec: bool,
    /// Whether its owner lets servers listen beyond its loopback.
    pub servers: bool,
    /// The public key of its own origin and of the servers that it runs, DER in base64.
    pub key: String,
    /// Which loopback it is on, where that is known: who says the same reaches it as `localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loopback: Option<String>,
}

/// A client at an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AgentClient {
    pub name: String,
    /// Its version, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it can't be used, where it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
