//! Agents: the lab on other machines, which run one end of a trial there.
//!
//! Enters: an agent's address, or a coordinator's orders. Leaves: ends of trials that the runner takes as if they were
//! here, with their times on this machine's clock, and how far off these may be. What must never happen here: a process
//! that outlives its coordinator, a path or a key of one machine that another is told, or a program run or an address listened
//! on whose owner did not allow it.
//!
//! One set of messages ([`AgentOrder`], [`AgentSaid`]) goes over whichever carrier: standard input and output, as over
//! ssh, or NATS. The trial contract is unchanged inside.

mod address;
mod begin;
mod clock;
mod end;
mod lines;
mod machine;
mod message;
mod nats;
mod reach;
mod serve;
mod session;
mod ssh;
mod stdio;

pub use self::address::{
    AddressError, AgentAddress, AgentPart, AgentPartError, ServerAgentPart, ServerPlaceError, is_name,
};
pub use self::clock::{ClockComparison, ClockReading, Translated, translated};
pub use self::lines::{Pipe, PipeError};
pub use self::machine::{AgentOptions, AgentRig, loopback};
pub use self::message::{AgentClient, AgentHello, AgentOrder, AgentSaid, EndPart, EndStart, LabVersion, ServerPlace};
pub use self::nats::{AgentWords, RunStream, join, list};
pub use self::reach::{Unreached, reaches};
pub use self::serve::{Agent, AgentStartError, SessionEnd};
pub use self::session::{AgentSession, RemoteStart, RemoteStartError};
pub use self::ssh::SshAddress;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use self::stdio::Starter;
pub use self::stdio::own as own_stdio;
use crate::broker::BrokerError;

/// Why an agent can't take part.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the agent {address} could not be started")]
    Start { address: String, source: std::io::Error },
    #[error("no certificate for the agent's own pages")]
    Certs(#[from] crate::certs::CertsError),
    #[error("the agent {agent} is lost: {why}")]
    Lost { agent: String, why: String },
    #[error("the agent {agent} was not reached: {why}")]
    NotReached { agent: String, why: String },
    #[error(
        "the agent {agent} is of {version}, and this lab of {own}: install the same version at both",
        own = LabVersion::own()
    )]
    Version { agent: String, version: LabVersion },
    #[error(
        "no agent {agent} has joined; {}",
        if there.is_empty() { "nor has any other: `transport-lab agent --join` joins".to_owned() }
        else { format!("there is {}", there.join(", ")) }
    )]
    NotJoined { agent: String, there: Vec<String> },
    #[error("the agent {agent} takes part in the run {run}: wait for its end, or take another")]
    Busy { agent: String, run: String },
    #[error(
        "the agent {0} is not on this machine's loopback: say by which name or address clients reach a server there, behind \
         a `=` (--server-agent {0}=192.0.2.9)"
    )]
    NoHost(String),
    #[error("an agent {0} is here already: give this one another name (--name)")]
    NameTaken(String),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("NATS can't keep {replicas} replicas of the run's stream: --replicas 3 takes three nodes in a cluster")]
    Replicas { replicas: usize, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(
        "NATS has no room for what agents say of the run, {gibibytes} GiB at most: raise `max_file_store` of its `jetstream`, or \
         remove streams that nobody needs (`nats stream ls`)"
    )]
    NoRoom { gibibytes: i64, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("could not {doing}")]
    Nats { doing: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the agent {0} is known by name alone: say where agents join (--join nats://HOST:4222), or write ssh:HOST")]
    NoBroker(String),
}

impl AgentError {
    /// NATS did not do this.
    fn nats(doing: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Nats { doing, source: Box::new(source) }
    }
}

/// How long the last order may take to be on its way.
const FLUSHED: Duration = Duration::from_secs(2);

/// What carries a session, and is to be ended with it.
#[derive(Debug)]
pub struct Carriage {
    /// How the agent was asked for.
    address: String,
    starter: Option<Starter>,
    /// What takes in what the agent says, over NATS.
    tasks: JoinSet<()>,
    /// Ends once the last order is on its way, over NATS.
    flushed: Option<JoinHandle<()>>,
}

impl Carriage {
    /// Why the agent was not reached, with what the process says that was to reach it, and what to do.
    async fn not_reached(&mut self, why: String) -> AgentError {
        let said = match &mut self.starter {
            Some(starter) => starter.complaint().await,
            None => String::new(),
        };
        AgentError::NotReached { agent: self.address.clone(), why: why + &said }
    }

    /// Ends it. Of an agent that is lost nothing is waited for long.
    async fn close(mut self, lost: bool) {
        self.tasks.abort_all();
        if let Some(flushed) = self.flushed {
            let _ = timeout(FLUSHED, flushed).await;
        }
        if let Some(starter) = self.starter {
            starter.end(lost).await;
        }
    }
}

/// Reaches the agent of this address, and greets it. One that is known by its name is asked at the broker that keeps the
/// run's stream.
pub async fn open(address: &AgentAddress, stream: Option<&RunStream>) -> Result<AgentSession, AgentError> {
    if let (AgentAddress::Named(name), Some(stream)) = (address, stream) {
        let reached = async {
            let (pipe, carried) = nats::reach(name, stream).await?;
            AgentSession::greet(pipe, carried).await
        };
        // It is some twenty kilobytes, which all who wait for it would carry.
        return stream.unless_denied(Box::pin(reached)).await;
    }
    let (pipe, carried) = stdio::reach(address)?;
    AgentSession::greet(pipe, carried).await
}
