//! Clients at agents: they are reached before the trial's ends are started, their clocks are read before it and after it.

use std::path::Path;

use super::start::log;
use super::{EarlyEnd, TrialRunner, Which, failed};
use crate::agent::{ClockReading, EndStart, RemoteStart, RemoteStartError};
use crate::client::LaunchContext;
use crate::participant::Participant;
use crate::text::chain;
use crate::trial::clock::monotonic_nanos;
use crate::trial::fact::Outcome;
use crate::trial::{LabFact, TrialMessage};

impl TrialRunner<'_> {
    /// How many agents take part.
    fn agents(&self) -> u32 {
        self.planned.settings.workload.agents
    }

    /// Makes sure that all agents of this trial are there, and reads their clocks.
    pub(super) async fn reach_agents(&mut self) -> Result<(), EarlyEnd> {
        let (wanted, given) = (self.agents(), self.lab.agents.len());
        if wanted as usize > given {
            let s = if wanted == 1 { "" } else { "s" };
            let reason = format!(
                "it takes {wanted} agent{s}, and the run was given {given}: `run --agent ssh:HOST` for each, or `--agents \
                 A,B --join nats://HOST:4222`; and the server has to be where they reach it, by --bind and --host"
            );
            return Err(EarlyEnd::Ended(Outcome::Unsupported, reason));
        }
        self.can_be_reached()?;
        for number in 0..wanted {
            if let Err(error) = self.lab.agents.ready(number as usize).await {
                return failed(chain(&error));
            }
            let Some(reached) = self.lab.agents.of_client(number) else { continue };
            let hello = reached.session.hello().clone();
            let read = match reached.session.read_clock().await {
                Ok(read) => read,
                Err(error) => return failed(chain(&error)),
            };
            self.clocks.push(read);
            let which = Which::Client(number);
            self.ends.of(which).at = Some(hello.name.clone());
            self.note(LabFact::Agent {
                role: which.to_string(),
                agent: hello.name,
                version: hello.version.lab,
                cores: hello.cores,
                kernel: hello.kernel,
                offset: read.offset(),
            })?;
        }
        Ok(())
    }

    /// Whether what agents are to ask for is where they are told that it is.
    fn can_be_reached(&self) -> Result<(), EarlyEnd> {
        let settings = &self.planned.settings;
        let (named, wanted) = (self.lab.hosts.len(), settings.workload.hosts.max(1) as usize);
        let unsupported = |why: String| Err(EarlyEnd::Ended(Outcome::Unsupported, why));
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

    /// How this client's clock was read, where it isn't this one.
    pub(super) fn clock_of(&self, client: u32) -> Option<ClockReading> {
        self.clocks.get(client as usize).copied()
    }

    /// How long a word takes to the farthest agent and back, in nanoseconds.
    pub(super) fn longest_round_trip(&self) -> u64 {
        self.clocks.iter().map(ClockReading::round_trip).max().unwrap_or(0)
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
        let (Some(reached), Some(clock)) = (self.lab.agents.of_client(number), self.clock_of(number)) else {
            return failed(format!("no agent for client {number}"));
        };
        let ca = match std::fs::read_to_string(&context.ca) {
            Ok(ca) => ca,
            Err(error) => return failed(format!("the CA {} can't be read: {error}", context.ca.display())),
        };
        let start = EndStart {
            end: 0,
            client: client.to_owned(),
            message,
            ca,
            ports: context.ports.to_vec(),
            trusted: context.spki_sha256.clone(),
            rig: self.lab.rig,
        };
        let log = log(folder, &format!("{}.log", Which::Client(number)))?;
        let agent = &reached.session.hello().name;
        match reached.session.start(RemoteStart { start, clock, log }).await {
            Ok((remote, version)) => Ok((Participant::elsewhere(remote), Some(version).filter(|v| !v.is_empty()))),
            Err(RemoteStartError::Unsupported(reason)) => {
                Err(EarlyEnd::Ended(Outcome::Unsupported, format!("at the agent {agent}: {reason}")))
            }
            Err(RemoteStartError::NotStarted(reason)) => failed(format!("at the agent {agent}: {reason}")),
            Err(RemoteStartError::Lost(error)) => failed(chain(&error)),
        }
    }

    /// Reads all agents' clocks once more, and notes how they went meanwhile.
    pub(super) async fn compare_clocks(&mut self) -> Result<(), EarlyEnd> {
        for (number, before) in (0..).zip(self.clocks.clone()) {
            let Some(reached) = self.lab.agents.of_client(number) else { continue };
            let agent = reached.session.hello().name.clone();
            let after = match reached.session.read_clock().await {
                Ok(after) => after,
                Err(error) => return failed(chain(&error)),
            };
            let told = before.until(&after);
            let (offset, uncertainty, drift) = (told.offset, told.uncertainty, told.drift);
            let fact = LabFact::AgentClock { agent, offset, uncertainty, drift, apart: told.apart };
            self.note(fact)?;
        }
        Ok(())
    }

    /// What this client can have seen goes by its agent's clock as well.
    pub(super) fn allow_for_clock(&mut self, number: u32) {
        if let Some(clock) = self.clock_of(number)
            && let Some(possible) = &mut self.ends.of(Which::Client(number)).possible
        {
            possible.by_clock(clock.uncertainty(), monotonic_nanos());
        }
    }
}
