//! What a run is told of other machines.

use std::net::IpAddr;

use clap::Args;

use super::NatsArgs;
use super::expose::{in_url, own_addresses};
use crate::agent::{AgentAddress, AgentPart, ServerAgentPart};
use crate::broker::{Broker, BrokerError};
use crate::client;
use crate::experiment::{Experiment, ExperimentError, Overrides};

/// What a run is told of other machines.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Other machines")]
pub struct ElsewhereArgs {
    /// Run clients at this agent, which is started for it: ssh:HOST, ssh:USER@HOST:PORT, ssh:HOST/PATH/OF/transport-lab, or
    /// exec:COMMAND, and behind a `=` which client; may be given several times, and trials are dealt over all of them. ssh reads
    /// its own configuration (~/.ssh/config), and asks for no password; where `TRANSPORT_LAB_SSH` is set, as to `ssh -F FILE
    /// -i KEY`, that is run in its place.
    #[arg(long, value_name = "ADDRESS[=CLIENT]")]
    pub agent: Vec<AgentPart>,
    /// Run clients at these agents, which have joined NATS under these names; `NAME=CLIENT` says which client.
    #[arg(long, value_name = "NAME[=CLIENT]", value_delimiter = ',', requires = "join")]
    pub agents: Vec<AgentPart>,
    /// Run servers at this agent, which has joined under this name or is started for it, as with --agent. Behind a `=` the name
    /// or address that clients reach that machine by, which the server's certificate is then for: it listens there, or at all
    /// addresses where that isn't one of the machine's own, if its owner lets it (`agent --allow-servers`). From other machines
    /// only the trial's own clients read and publish.
    /// Without it the agent must be on this machine, and its server is on loopback alone. May be given several times: servers
    /// are dealt over all of them.
    #[arg(long, value_name = "ADDRESS[=HOST]")]
    pub server_agent: Vec<ServerAgentPart>,
    /// Where they have joined: `nats://HOST:4222` or `tls://HOST:4222`, several separated by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub join: Vec<String>,
    /// How many nodes of NATS keep what agents say of the run until it is taken: 1, or 3 of a cluster, of which one may
    /// then be lost.
    #[arg(long, value_name = "N", default_value = "1", requires = "join", value_parser = super::nats::replicas)]
    pub replicas: usize,
    /// What surrounds that.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Have servers listen on this address of this machine, so that agents reach them; without it, on loopback alone. From
    /// other machines only the trial's own clients read and publish. May be given several times. With --server-agent: the one
    /// address of this machine that servers there reach, on which NATS listens that they share their feeds through, with a
    /// password of each trial's and without encryption.
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Vec<IpAddr>,
    /// The name or address that agents reach this machine by, which its certificate is then for; one for each of
    /// `workload.hosts`, and with --server-agent one. Without one: the address of --bind, of which Firefox keeps more
    /// connections over HTTP/2 than of a name.
    #[arg(long, value_name = "NAME", requires = "bind")]
    pub host: Vec<String>,
}

impl ElsewhereArgs {
    /// The agents, in the order in which they take part.
    pub(super) fn parts(&self) -> Vec<AgentPart> {
        [&self.agents[..], &self.agent[..]].concat()
    }

    /// The broker that agents have joined, where any are known by name.
    pub(super) async fn broker(&self) -> Result<Option<Broker>, BrokerError> {
        let named = |part: &ServerAgentPart| matches!(part.address, AgentAddress::Named(_));
        // A name without a place to look for it is told of when it is looked for.
        if self.agents.is_empty() && (self.join.is_empty() || !self.server_agent.iter().any(named)) {
            return Ok(None);
        }
        Broker::connect(self.nats.at(&self.join, self.replicas)).await.map(Some)
    }

    /// The agents of servers, with their hosts as URLs write them.
    pub(super) fn server_parts(&self) -> Vec<ServerAgentPart> {
        let one = |part: &ServerAgentPart| ServerAgentPart { host: part.host.as_deref().map(in_url), ..part.clone() };
        self.server_agent.iter().map(one).collect()
    }

    /// The names that servers here are reached by, as URLs write them.
    pub(super) fn hosts(&self) -> Vec<String> {
        let bound = || {
            let named = self.bind.iter().filter(|address| !address.is_unspecified() && !address.is_loopback());
            let mut named: Vec<String> = named.map(ToString::to_string).collect();
            if named.is_empty() && self.bind.iter().any(IpAddr::is_unspecified) {
                named.extend(own_addresses().into_iter().next());
            }
            named.truncate(1);
            named
        };
        let hosts = if self.host.is_empty() { bound() } else { self.host.clone() };
        hosts.iter().map(|host| in_url(host)).collect()
    }

    /// What is changed in an experiment for these agents: it is dealt over them, and has their clients, unless it says so
    /// itself.
    pub(super) fn overrides(&self, experiment: &Experiment, mut overrides: Overrides) -> Overrides {
        let parts = self.parts();
        if parts.is_empty() {
            return overrides;
        }
        if experiment.combinations.iter().all(|settings| settings.workload.agents == 0) {
            overrides.set.push(format!("workload.agents={}", parts.len()));
        }
        let clients: Vec<&str> = parts.iter().filter_map(|part| part.client.as_deref()).collect();
        if !clients.is_empty() {
            let same = clients.iter().all(|client| *client == clients[0]);
            let and = client::AND.to_string();
            overrides.clients = vec![if same { clients[0].to_owned() } else { clients.join(&and) }];
        }
        overrides
    }

    /// What is wrong with what was said of the agents.
    pub(super) fn wrong(&self) -> Option<ExperimentError> {
        let invalid = |place: &str, says: &str| {
            Some(ExperimentError::Invalid { place: place.to_owned(), says: says.to_owned(), span: None })
        };
        if !self.server_agent.is_empty() && (self.bind.len() > 1 || self.host.len() > 1) {
            return invalid("--bind", "with --server-agent it is where NATS listens: at one address, by one --host");
        }
        let parts = self.parts();
        let places: Vec<_> = parts.iter().map(|part| &part.address).collect();
        let is_twice =
            |(i, name): (usize, &&AgentAddress)| matches!(name, AgentAddress::Named(_)) && places[..i].contains(name);
        if let Some(twice) = places.iter().enumerate().find(|one| is_twice(*one)) {
            return invalid(
                "--agents",
                &format!("{} is there twice: an agent that has joined takes part once", twice.1),
            );
        }
        let named = parts.iter().filter(|part| part.client.is_some()).count();
        let says = "say for every agent which client it starts (--agent ssh:HOST=chromium, --agents eu-1=chromium,us-2=firefox), or for none";
        if named > 0 && named < parts.len() { invalid("--agent", says) } else { None }
    }
}
