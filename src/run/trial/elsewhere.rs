//! Ends at agents: these are reached before the trial's ends are started, and their clocks are read before it and after it.

use std::path::Path;

use super::super::agents::Reached;
use super::early_end::unless_interrupted;
use super::start::log;
use super::{EarlyEnd, TrialRunner, Which, failed};
use crate::agent::{ClockReading, EndPart, EndStart, RemoteStart, RemoteStartError};
use crate::client::LaunchContext;
use crate::participant::Participant;
use crate::text::chain;
use crate::trial::clock::monotonic_nanos;
use crate::trial::contract::ServerAddress;
use crate::trial::fact::Outcome;
use crate::trial::{Alpn, LabFact, TrialMessage};

impl TrialRunner<'_> {
    /// How many agents of clients take part.
    fn agents(&self) -> u32 {
        self.planned.settings.workload.agents
    }

    /// Makes sure that all agents of this trial are there, and reads their clocks.
    pub(super) async fn reach_agents(&mut self) -> Result<(), EarlyEnd> {
        let (wanted, given) = (self.agents(), self.lab.agents.for_clients());
        if wanted as usize > given {
            let s = if wanted == 1 { "" } else { "s" };
            let reason = format!(
                "it takes {wanted} agent{s}, and the run was given {given}: `run --agent ssh:HOST` for each, or `--agents \
                 A,B --join nats://HOST:4222`; and the server has to be where they reach it, by --bind and --host"
            );
            return Err(EarlyEnd::Ended(Outcome::Unsupported, reason));
        }
        for number in 0..wanted {
            let ready = unless_interrupted(&self.interrupt, self.lab.agents.client_ready(number)).await?;
            ready.or_else(|error| failed(chain(&error)))?;
        }
        self.can_be_reached()?;
        for number in 0..wanted {
            self.meet(Which::Client(number)).await?;
        }
        self.reach_server_agents().await
    }

    /// The agent that runs this end, where one does and is there.
    fn agent_of(&self, which: Which) -> Option<&Reached> {
        match which {
            Which::Client(number) if number < self.agents() => self.lab.agents.of_client(number),
            Which::Server(number) => self.lab.agents.of_server(number).map(|at| at.reached),
            Which::Client(_) | Which::Intermediary | Which::Broker(_) => None,
        }
    }

    /// By which name or address clients reach this end, where it is a server for which one was given.
    fn host_of(&self, which: Which) -> Option<String> {
        match which {
            Which::Server(number) => self.lab.agents.of_server(number)?.host.cloned(),
            Which::Client(_) | Which::Intermediary | Which::Broker(_) => None,
        }
    }

    /// Notes which agent runs this end, and reads its clock, unless that was read for another end.
    pub(super) async fn meet(&mut self, which: Which) -> Result<(), EarlyEnd> {
        let Some(reached) = self.agent_of(which) else { return Ok(()) };
        let hello = reached.session.hello().clone();
        let is_its = |other: Which| self.agent_of(other).is_some_and(|agent| std::ptr::eq(agent, reached));
        let read = match self.clocks.iter().find(|(other, _)| is_its(*other)) {
            Some((_, read)) => *read,
            None => match reached.session.read_clock().await {
                Ok(read) => read,
                Err(error) => return failed(chain(&error)),
            },
        };
        self.clocks.push((which, read));
        self.ends.of(which).at = Some(hello.name.clone());
        self.note(LabFact::Agent {
            role: which.to_string(),
            agent: hello.name,
            version: hello.version.lab,
            cores: hello.cores,
            kernel: hello.kernel,
            offset: read.offset(),
            host: self.host_of(which),
        })?;
        Ok(())
    }

    /// Whether what agents are to ask for is where they are told that it is.
    fn can_be_reached(&self) -> Result<(), EarlyEnd> {
        let settings = &self.planned.settings;
        let (named, wanted) = (self.lab.hosts.len(), settings.workload.hosts.max(1) as usize);
        let unsupported = |why: String| Err(EarlyEnd::Ended(Outcome::Unsupported, why));
        let mut agents = (0..self.agents()).filter_map(|number| self.lab.agents.of_client(number));
        if named == 0
            && !self.lab.agents.have_servers()
            && let Some(far) = agents.find(|reached| !reached.is_here())
        {
            return unsupported(format!(
                "the server is on this machine's loopback, which {} can't reach: say at which address of this machine it does \
                 (--bind 192.0.2.7)",
                far.session.hello().name
            ));
        }
        if named > 0 && named < wanted {
            return unsupported(format!(
                "workload.hosts = {wanted} takes as many names of this machine: --host for each"
            ));
        }
        if named > 0 && settings.between.is_there() {
            return unsupported(
                "what stands between listens on loopback alone, where no other machine reaches it".to_owned(),
            );
        }
        Ok(())
    }

    /// Where each server listens on TCP, by the names that clients ask for.
    pub(super) fn tcp_addresses(&self) -> Vec<ServerAddress> {
        let [servers, _] = self.servers_and_clients();
        let of = |number: u32| {
            let port = self.ends.get(Which::Server(number))?.ports.get(&Alpn::H2)?.first().copied()?;
            let hosts = self.asked_for(number, Vec::new()).hosts.into_iter();
            Some(hosts.map(move |host| ServerAddress { host, port }))
        };
        (0..servers).filter_map(of).flatten().collect()
    }

    /// How this end's clock was read, where it isn't this one.
    fn clock_of(&self, which: Which) -> Option<ClockReading> {
        self.clocks.iter().find(|(of, _)| *of == which).map(|(_, read)| *read)
    }

    /// How long a word takes to the farthest agent and back, in nanoseconds.
    pub(super) fn longest_round_trip(&self) -> u64 {
        self.clocks.iter().map(|(_, read)| read.round_trip()).max().unwrap_or(0)
    }

    /// Starts a client at its agent; gives it back with its version, where that is known.
    pub(super) async fn launch_elsewhere(
        &self,
        number: u32,
        client: &str,
        message: Box<TrialMessage>,
        context: &LaunchContext<'_>,
        folder: &Path,
    ) -> Result<(Participant, Option<String>), EarlyEnd> {
        let part = EndPart::Client {
            name: client.to_owned(),
            trusted: context.spki_sha256.clone(),
            servers: self.tcp_addresses(),
        };
        let (client, version) = self.start_at_agent(Which::Client(number), part, message, folder).await?;
        Ok((client, Some(version).filter(|version| !version.is_empty())))
    }

    /// Starts an end at its agent; gives it back with its version, empty where only it knows that.
    pub(super) async fn start_at_agent(
        &self,
        which: Which,
        part: EndPart,
        message: Box<TrialMessage>,
        folder: &Path,
    ) -> Result<(Participant, String), EarlyEnd> {
        let (Some(reached), Some(clock)) = (self.agent_of(which), self.clock_of(which)) else {
            return failed(format!("no agent for the {which}"));
        };
        let path = self.lab.certs.ca_path();
        let ca = match std::fs::read_to_string(path) {
            Ok(ca) => ca,
            Err(error) => return failed(format!("the CA {} can't be read: {error}", path.display())),
        };
        let start = EndStart { end: 0, part, message, ca, rig: self.lab.rig };
        let log = log(folder, &format!("{which}.log"))?;
        let agent = &reached.session.hello().name;
        let begun = reached.session.start(RemoteStart { start, clock, log });
        match unless_interrupted(&self.interrupt, begun).await? {
            Ok((remote, version)) => Ok((Participant::elsewhere(remote), version)),
            Err(RemoteStartError::Unsupported(reason)) => {
                Err(EarlyEnd::Ended(Outcome::Unsupported, format!("at the agent {agent}: {reason}")))
            }
            Err(RemoteStartError::NotStarted(reason)) => failed(format!("at the agent {agent}: {reason}")),
            Err(RemoteStartError::Lost(error)) => failed(chain(&error)),
        }
    }

    /// Reads all agents' clocks once more, and notes how they went meanwhile.
    pub(super) async fn compare_clocks(&mut self) -> Result<(), EarlyEnd> {
        for (which, before) in self.clocks.clone() {
            let Some(reached) = self.agent_of(which) else { continue };
            let agent = reached.session.hello().name.clone();
            let after = match reached.session.read_clock().await {
                Ok(after) => after,
                Err(error) => return failed(chain(&error)),
            };
            let told = before.until(&after);
            let (offset, uncertainty, drift) = (told.offset, told.uncertainty, told.drift);
            let serves = which.is_server();
            let fact = LabFact::AgentClock { agent, offset, uncertainty, drift, apart: told.apart, serves };
            self.note(fact)?;
        }
        Ok(())
    }

    /// What this client can have seen goes by its agent's clock as well.
    pub(super) fn allow_for_clock(&mut self, number: u32) {
        if let Some(clock) = self.clock_of(Which::Client(number))
            && let Some(possible) = &mut self.ends.of(Which::Client(number)).possible
        {
            possible.by_clock(clock.uncertainty(), monotonic_nanos());
        }
    }
}
