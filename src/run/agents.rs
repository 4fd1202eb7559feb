//! The agents of a run: reached before its first trial, and again where one was lost.

use std::path::{Path, PathBuf};

use crate::agent::{AgentAddress, AgentError, AgentPart, AgentSession, RunStream, ServerAgentPart, loopback, open};
use crate::certs::ServerCerts;

/// The agents that a run was given, those of clients and those of servers each in the order in which they take part.
#[derive(Debug, Default)]
pub(super) struct Agents {
    all: Vec<AgentSlot>,
    /// Which of them are for clients.
    clients: Vec<usize>,
    /// Which of them are for servers; none: servers are here.
    servers: Vec<ServerSlot>,
    /// The run's stream, where agents have joined a broker.
    stream: Option<RunStream>,
    /// The folder of the CA that vouches for their own origins, and for their servers.
    certs: PathBuf,
}

/// One of them.
#[derive(Debug)]
struct AgentSlot {
    address: AgentAddress,
    reached: Option<Reached>,
}

/// One that servers are run at.
#[derive(Debug)]
struct ServerSlot {
    agent: usize,
    /// By which name or address clients reach it, as URLs write it.
    host: Option<String>,
    /// What it shows, once it was reached.
    certs: Option<ServerCerts>,
}

/// One that takes orders.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) session: AgentSession,
    /// Where its pages come from.
    pub(super) origin: String,
}

impl Reached {
    /// Whether it is on this process's loopback.
    pub(super) fn is_here(&self) -> bool {
        self.session.hello().loopback.as_ref().is_some_and(|theirs| Some(theirs) == loopback().as_ref())
    }
}

/// An agent that a server runs at.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerAgent<'a> {
    pub(super) reached: &'a Reached,
    /// By which name or address clients reach it; `None`: as `localhost`.
    pub(super) host: Option<&'a String>,
    pub(super) certs: &'a ServerCerts,
}

impl Agents {
    /// Reaches all of them: a run that can't have one doesn't begin.
    pub(super) async fn reach(
        clients: Vec<AgentPart>,
        servers: Vec<ServerAgentPart>,
        stream: Option<RunStream>,
        certs: &Path,
    ) -> Result<Self, AgentError> {
        let all: Vec<_> = clients.into_iter().map(|part| AgentSlot { address: part.address, reached: None }).collect();
        let clients = (0..all.len()).collect();
        let mut agents = Self { all, clients, servers: Vec::new(), stream, certs: certs.to_owned() };
        for ServerAgentPart { address, host } in servers {
            let agent = agents.slot(address);
            agents.servers.push(ServerSlot { agent, host, certs: None });
        }
        if let Err(error) = agents.reach_all().await {
            agents.close().await;
            return Err(error);
        }
        Ok(agents)
    }

    async fn reach_all(&mut self) -> Result<(), AgentError> {
        for agent in 0..self.all.len() {
            self.ready(agent).await?;
        }
        for server in 0..self.servers.len() {
            self.server_ready(server).await?;
        }
        Ok(())
    }

    /// The place of an agent. One that has joined takes part in one session, be it with both ends.
    fn slot(&mut self, address: AgentAddress) -> usize {
        let is_it = |slot: &AgentSlot| matches!(address, AgentAddress::Named(_)) && slot.address == address;
        self.all.iter().position(is_it).unwrap_or_else(|| {
            self.all.push(AgentSlot { address, reached: None });
            self.all.len() - 1
        })
    }

    /// How many there are for clients.
    pub(super) fn for_clients(&self) -> usize {
        self.clients.len()
    }

    /// Whether servers are at agents.
    pub(super) fn have_servers(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Leaves servers here until the agents of servers are given back.
    pub(super) fn servers_here(&mut self) -> ServersAside {
        ServersAside(std::mem::take(&mut self.servers))
    }

    /// Gives them back.
    pub(super) fn servers_there(&mut self, aside: ServersAside) {
        self.servers = aside.0;
    }

    /// Makes sure that this client's is there. One that was lost is reached anew, once.
    pub(super) async fn client_ready(&mut self, client: u32) -> Result<(), AgentError> {
        match self.clients.get(client as usize) {
            Some(&agent) => self.ready(agent).await,
            None => Ok(()),
        }
    }

    /// The same of this server's. Servers are dealt over those that there are.
    pub(super) async fn server_ready(&mut self, server: usize) -> Result<(), AgentError> {
        let place = server % self.servers.len().max(1);
        let Some(slot) = self.servers.get(place) else { return Ok(()) };
        let agent = slot.agent;
        self.ready(agent).await?;
        // One that was started anew has another key.
        let (slot, certs) = (&mut self.servers[place], &self.certs);
        if let Some(reached) = &self.all[agent].reached {
            slot.certs = Some(reached.session.vouch_for_server(certs, slot.host.as_deref())?);
            if slot.host.is_none() && !reached.is_here() {
                return Err(AgentError::NoHost(reached.session.hello().name.clone()));
            }
        }
        Ok(())
    }

    async fn ready(&mut self, agent: usize) -> Result<(), AgentError> {
        let Some(slot) = self.all.get_mut(agent) else { return Ok(()) };
        if slot.reached.as_ref().is_some_and(|reached| reached.session.is_there()) {
            return Ok(());
        }
        if let Some(lost) = slot.reached.take() {
            lost.session.close().await;
        }
        let session = open(&slot.address, self.stream.as_ref()).await?;
        let origin = session.vouch(&self.certs).await?;
        slot.reached = Some(Reached { session, origin });
        Ok(())
    }

    /// The one that takes part as this client of a trial, if it is there.
    pub(super) fn of_client(&self, client: u32) -> Option<&Reached> {
        self.all.get(*self.clients.get(client as usize)?)?.reached.as_ref()
    }

    /// The one that this server of a trial is at, if servers are at agents and it is there.
    pub(super) fn of_server(&self, server: u32) -> Option<ServerAgent<'_>> {
        let slot = self.servers.get(server as usize % self.servers.len().max(1))?;
        let reached = self.all.get(slot.agent)?.reached.as_ref()?;
        Some(ServerAgent { reached, host: slot.host.as_ref(), certs: slot.certs.as_ref()? })
    }

    /// Where the pages of the first so many clients come from.
    pub(super) fn origins(&self, of: u32) -> impl Iterator<Item = String> {
        (0..of).filter_map(|client| Some(self.of_client(client)?.origin.clone()))
    }

    /// Ends all sessions, and what runs at the agents.
    pub(super) async fn close(self) {
        for reached in self.all.into_iter().filter_map(|slot| slot.reached) {
            reached.session.close().await;
        }
        if let Some(stream) = self.stream {
            stream.remove().await;
        }
    }
}

/// The agents of servers, while servers are here.
#[derive(Debug)]
pub(super) struct ServersAside(Vec<ServerSlot>);
