//! What agents said of a run whose coordinator was killed: taken from the run's stream into its journal.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use super::RunError;
use super::results::JOURNAL;
use crate::agent::{AgentSaid, RunStream, ServerPlace, translated};
use crate::broker::Broker;
use crate::trial::fact::Outcome;
use crate::trial::journal::{self, Journal};
use crate::trial::{ClientFact, Fact, JournalLine, LabFact, Observation, ServerFact, Up};

/// Why the trial that was under way is not complete.
const KILLED: &str = "the lab was killed in the middle of it; what its agents saw was taken in afterwards";

/// Takes what is in the stream and not in the journal, and removes the stream. Gives back how many facts there were; `None`:
/// there is no such stream.
pub async fn take_in(folder: &Path, broker: Broker) -> Result<Option<usize>, RunError> {
    let run = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stream = RunStream::left(broker, &run);
    let Some(words) = stream.read().await? else { return Ok(None) };
    let path = folder.join(JOURNAL);
    let known = journal::read(&path)?.lines;
    let text = |line: &JournalLine| serde_json::to_string(line).unwrap_or_default();
    let mut there: HashSet<String> = known.iter().map(text).collect();
    let clocks = clocks(&known);
    let mut journal = Journal::go_on(&path)?;
    let (mut taken, mut trials) = (0, BTreeSet::new());
    for agent in words {
        let mut ends: BTreeMap<u32, (u32, Option<ServerPlace>)> = BTreeMap::new();
        for said in agent.said {
            let (end, seen) = match said {
                AgentSaid::Started { end, trial, server, .. } => {
                    ends.insert(end, (trial, server));
                    continue;
                }
                AgentSaid::Said { end, line: Up::Saw(seen) } => (end, Seen::ByClient(seen)),
                AgentSaid::Served { end, line: Up::Saw(seen) } => (end, Seen::ByServer(seen)),
                _ => continue,
            };
            let Some(&(trial, server)) = ends.get(&end) else { continue };
            // Translated as the coordinator did it: what it took is the same to the nanosecond.
            let Some(offset) = clocks.get(&(trial, agent.agent.clone())) else { continue };
            let observation = seen.taken(server, |t| t.saturating_add_signed(offset.saturating_neg()));
            let line = JournalLine { trial, observation };
            if there.insert(text(&line)) {
                journal.write(&line)?;
                taken += 1;
                trials.insert(trial);
            }
        }
    }
    let ended = |trial: u32| {
        let is_outcome = |line: &JournalLine| matches!(line.observation.fact, Fact::Lab(LabFact::Outcome { .. }));
        known.iter().any(|line| line.trial == trial && is_outcome(line))
    };
    for trial in trials.into_iter().filter(|trial| !ended(*trial)) {
        let fact = LabFact::Outcome { outcome: Outcome::Failed, reason: Some(KILLED.to_owned()) };
        journal.write(&JournalLine { trial, observation: Observation::now(fact.into()) })?;
    }
    stream.remove().await;
    Ok(Some(taken))
}

/// What an end at an agent saw.
enum Seen {
    ByClient(Observation<ClientFact>),
    ByServer(Observation<ServerFact>),
}

impl Seen {
    /// As the coordinator takes it from an end in that place.
    fn taken(self, server: Option<ServerPlace>, to: impl Fn(u64) -> u64) -> Observation {
        let ServerPlace { number, life } = server.unwrap_or(ServerPlace { number: 0, life: 0 });
        match self {
            Self::ByClient(seen) => translated(seen, to).map(Fact::from),
            Self::ByServer(seen) => translated(seen, to).map(|fact| fact.of_server(number, life).into()),
        }
    }
}

/// By how much each agent's clock was ahead, by trial.
fn clocks(known: &[JournalLine]) -> BTreeMap<(u32, String), i64> {
    let of = |line: &JournalLine| match &line.observation.fact {
        Fact::Lab(LabFact::Agent { agent, offset, .. }) => Some(((line.trial, agent.clone()), *offset)),
        _ => None,
    };
    known.iter().filter_map(of).collect()
}
