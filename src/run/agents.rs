//! The agents of a run: reached before its first trial, and again where one was lost.

use std::path::{Path, PathBuf};

use crate::agent::{AgentError, AgentPart, AgentSession, RunStream, open};

/// The agents that a run was given, in the order in which they take part.
#[derive(Debug, Default)]
pub(super) struct Agents {
    all: Vec<AgentSlot>,
    /// The run's stream, where agents have joined a broker.
    stream: Option<RunStream>,
    /// The folder of the CA that vouches for their own origins.
    certs: PathBuf,
}

/// One of them.
#[derive(Debug)]
struct AgentSlot {
    part: AgentPart,
    reached: Option<Reached>,
}

/// One that takes orders.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) session: AgentSession,
    /// Where its pages come from.
    pub(super) origin: String,
}

impl Agents {
    /// Reaches all of them: a run that can't have one doesn't begin.
    pub(super) async fn reach(
        parts: Vec<AgentPart>,
        stream: Option<RunStream>,
        certs: &Path,
    ) -> Result<Self, AgentError> {
        let all = parts.into_iter().map(|part| AgentSlot { part, reached: None }).collect();
        let mut agents = Self { all, stream, certs: certs.to_owned() };
        for number in 0..agents.all.len() {
            if let Err(error) = agents.ready(number).await {
                agents.close().await;
                return Err(error);
            }
        }
        Ok(agents)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Makes sure that this one is there. One that was lost is reached anew, once.
    pub(super) async fn ready(&mut self, number: usize) -> Result<(), AgentError> {
        let Some(slot) = self.all.get_mut(number) else { return Ok(()) };
        if slot.reached.as_ref().is_some_and(|reached| reached.session.is_there()) {
            return Ok(());
        }
        if let Some(lost) = slot.reached.take() {
            lost.session.close().await;
        }
        let session = open(&slot.part.address, self.stream.as_ref()).await?;
        let origin = session.vouch(&self.certs).await?;
        slot.reached = Some(Reached { session, origin });
        Ok(())
    }

    /// The one that takes part as this client of a trial, if it is there.
    pub(super) fn of_client(&self, client: u32) -> Option<&Reached> {
        self.all.get(client as usize)?.reached.as_ref()
    }

    /// Where the pages of the first so many come from.
    pub(super) fn origins(&self, of: u32) -> impl Iterator<Item = String> {
        self.all.iter().take(of as usize).filter_map(|slot| Some(slot.reached.as_ref()?.origin.clone()))
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
