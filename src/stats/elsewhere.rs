//! Which agents ran ends of trials, and how well their clocks were known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number;
use crate::trial::{Fact, JournalLine, LabFact};

/// An agent that ran ends of trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AgentResult {
    /// Its name.
    pub agent: String,
    /// The ends that it ran: `client`, `client-1`, `server`.
    pub roles: Vec<String>,
    /// Its version of the lab.
    pub version: String,
    /// Processors that it had.
    pub cores: u32,
    /// Its kernel.
    pub kernel: String,
    /// In how many trials it took part.
    pub trials: u32,
    /// The most that its times may be off by on this machine's clock, in milliseconds; where clocks were compared.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub uncertainty: Option<f64>,
    /// Why times of it can't be compared with others', where they can't in some trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<String>,
}

/// All of them, in the order in which they first took part.
pub(super) fn agents(journal: &[JournalLine]) -> Vec<AgentResult> {
    let mut all: Vec<(AgentResult, Option<u32>)> = Vec::new();
    for JournalLine { trial, observation } in journal {
        match &observation.fact {
            Fact::Lab(LabFact::Agent { role, agent, version, cores, kernel, .. }) => {
                let place = all.iter().position(|(known, _)| known.agent == *agent).unwrap_or_else(|| {
                    let (agent, version, kernel) = (agent.clone(), version.clone(), kernel.clone());
                    let (roles, trials, uncertainty, apart) = (Vec::new(), 0, None, None);
                    let new = AgentResult { agent, roles, version, cores: *cores, kernel, trials, uncertainty, apart };
                    all.push((new, None));
                    all.len() - 1
                });
                let (known, last) = &mut all[place];
                if !known.roles.contains(role) {
                    known.roles.push(role.clone());
                }
                if *last != Some(*trial) {
                    (known.trials, *last) = (known.trials + 1, Some(*trial));
                }
            }
            Fact::Lab(LabFact::AgentClock { agent, uncertainty, apart, .. }) => {
                let Some((known, _)) = all.iter_mut().find(|(known, _)| known.agent == *agent) else { continue };
                let off = *uncertainty as f64 / 1e6;
                known.uncertainty = Some(known.uncertainty.map_or(off, |most| most.max(off)));
                known.apart = known.apart.take().or_else(|| apart.clone());
            }
            _ => {}
        }
    }
    all.into_iter().map(|(agent, _)| agent).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rig::RecordedTrial;
    use super::*;
    use crate::trial::Alpn;

    #[test]
    fn an_agent_is_told_of_once_with_all_that_it_ran_and_the_most_that_its_clock_was_off() {
        let mut trials = Vec::new();
        for (trial, uncertainty, apart) in [(0, 100_000, None), (1, 250_000, Some("its clock gained".to_owned()))] {
            let mut one = RecordedTrial::of(trial, 0, "native", Alpn::H2);
            for (role, agent) in [("client", "eu-1"), ("client-1", "us-2"), ("server", "eu-1")] {
                let (role, agent, version, kernel) =
                    (role.to_owned(), agent.to_owned(), "0.1.0".to_owned(), "Linux 6.1.0".to_owned());
                one.fact(LabFact::Agent { role, agent, version, cores: 2, kernel, offset: 7 });
            }
            let agent = "eu-1".to_owned();
            let (offset, drift, serves) = (7, 0.0, false);
            one.fact(LabFact::AgentClock { agent, offset, uncertainty, drift, apart, serves });
            trials.extend(one.journal);
        }
        let all = agents(&trials);
        let told =
            |of: &AgentResult| (of.agent.clone(), of.roles.join(" "), of.trials, of.uncertainty, of.apart.is_some());
        assert_eq!(
            all.iter().map(told).collect::<Vec<_>>(),
            [
                ("eu-1".to_owned(), "client server".to_owned(), 2, Some(0.25), true),
                ("us-2".to_owned(), "client-1".to_owned(), 2, None, false),
            ]
        );
    }
}
