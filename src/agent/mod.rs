//! Agents: the lab on other machines, which run one end of a trial there.
//!
//! Enters: an agent's address, or a coordinator's orders. Leaves: ends of trials that the runner takes as if they were
//! here, with their times on this machine's clock, and how far off these may be. What must never happen here: a process
//! that outlives its coordinator, a path or a key of one machine that another is told, or a program run whose owner did not
//! allow it.
//!
//! One set of messages ([`AgentOrder`], [`AgentSaid`]) goes over whichever carrier: standard input and output, as over
//! ssh. The trial contract is unchanged inside.

mod address;
mod clock;
mod end;
mod lines;
mod machine;
mod message;
mod serve;
mod session;
mod stdio;

pub use self::address::{AddressError, AgentAddress, AgentPart, is_name};
pub use self::clock::{ClockComparison, ClockReading};
pub use self::lines::{Pipe, PipeError};
pub use self::machine::{AgentOptions, AgentRig};
pub use self::message::{AgentClient, AgentHello, AgentOrder, AgentSaid, EndStart, LabVersion};
pub use self::serve::{Agent, AgentStartError, SessionEnd};
pub use self::session::{RemoteStart, RemoteStartError, Session};
use self::stdio::Starter;
pub use self::stdio::own as own_stdio;

/// Why an agent can't take part.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the agent {address} could not be started")]
    Start { address: String, source: std::io::Error },
    #[error("no certificate for the agent's own pages")]
    Certs(#[from] crate::certs::CertsError),
    #[error("the agent {agent} is lost: {why}")]
    Lost { agent: String, why: String },
    #[error(
        "the agent {agent} is of {version}, and this lab of {own}: install the same version at both",
        own = LabVersion::own()
    )]
    Version { agent: String, version: LabVersion },
    #[error("the agent {0} is known by name alone: say where agents join (--join nats://HOST:4222), or write ssh:HOST")]
    NoBroker(String),
}

/// What carries a session, and is to be ended with it.
#[derive(Debug)]
pub struct Carried {
    /// How the agent was asked for.
    address: String,
    starter: Option<Starter>,
}

impl Carried {
    /// Why the agent is lost, with what the process says that was to reach it.
    async fn lost(&mut self, why: String) -> AgentError {
        let said = match &mut self.starter {
            Some(starter) => starter.complaint().await,
            None => String::new(),
        };
        AgentError::Lost { agent: self.address.clone(), why: why + &said }
    }

    async fn close(self) {
        if let Some(starter) = self.starter {
            starter.end().await;
        }
    }
}

/// Reaches the agent of this address, and greets it.
pub async fn open(address: &AgentAddress) -> Result<Session, AgentError> {
    let (pipe, carried) = stdio::reach(address)?;
    Session::greet(pipe, carried).await
}
