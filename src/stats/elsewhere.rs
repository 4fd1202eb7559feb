//! Which agents ran ends of trials, what those were and held, and how well their clocks were known.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number;
use super::record::{ClientSeen, client_number};
use crate::trial::{Fact, JournalLine, LabFact};

/// An agent that ran ends of trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AgentResult {
    /// Its name.
    pub agent: String,
    /// The ends that it ran: `client`, `client-1`, `server`.
    pub roles: Vec<String>,
    /// What these were, each once for each client, version and host that it had.
    #[serde(default)]
    pub ends: Vec<AgentEnd>,
    /// Its version of the lab.
    pub version: String,
    /// Processors that it had.
    pub cores: u32,
    /// Its kernel.
    pub kernel: String,
    /// In how many trials it took part.
    pub trials: u32,
    /// In how many of these it ran a client and a server: what the one read of the other crossed no network.
    #[serde(default, skip_serializing_if = "is_none")]
    pub both_ends: u32,
    /// The most that its times may be off by on this machine's clock, in milliseconds; where clocks were compared.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub uncertainty: Option<f64>,
    /// Why times of it can't be compared with others', where they can't in some trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<String>,
}

/// An end of trials that an agent ran.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AgentEnd {
    /// `client`, `client-1`, `server`.
    pub role: String,
    /// Which client it was: `chromium`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// That client's version, where it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// By which name or address clients reached the server, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How many of that client's subscriptions received the census event of their feed, by the number of the trial.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub open_streams: BTreeMap<u32, usize>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_none(trials: &u32) -> bool {
    *trials == 0
}

/// All of them, in the order in which they first took part; `seen` are the clients of each trial.
pub(super) fn agents(journal: &[JournalLine], seen: &BTreeMap<u32, Vec<ClientSeen>>) -> Vec<AgentResult> {
    let mut all: Vec<AgentResult> = Vec::new();
    // Whether each ran a client in a trial, and whether it ran a server there.
    let mut ran: BTreeMap<(usize, u32), [bool; 2]> = BTreeMap::new();
    for JournalLine { trial, observation } in journal {
        match &observation.fact {
            Fact::Lab(LabFact::Agent { role, agent, version, cores, kernel, host, .. }) => {
                let place = all.iter().position(|known| known.agent == *agent).unwrap_or_else(|| {
                    all.push(AgentResult::new(agent, version, *cores, kernel));
                    all.len() - 1
                });
                let number = client_number(role);
                let client = number.and_then(|number| seen.get(trial)?.get(number as usize));
                all[place].take(role, host.as_ref(), *trial, client);
                ran.entry((place, *trial)).or_default()[usize::from(number.is_none())] = true;
            }
            Fact::Lab(LabFact::AgentClock { agent, uncertainty, apart, .. }) => {
                let Some(known) = all.iter_mut().find(|known| known.agent == *agent) else { continue };
                let off = *uncertainty as f64 / 1e6;
                known.uncertainty = Some(known.uncertainty.map_or(off, |most| most.max(off)));
                known.apart = known.apart.take().or_else(|| apart.clone());
            }
            _ => {}
        }
    }
    for ((place, _), ends) in ran {
        all[place].trials += 1;
        all[place].both_ends += u32::from(ends == [true; 2]);
    }
    all
}

impl AgentResult {
    fn new(agent: &str, version: &str, cores: u32, kernel: &str) -> Self {
        let [agent, version, kernel] = [agent, version, kernel].map(str::to_owned);
        let (roles, ends, trials, both_ends, uncertainty, apart) = (Vec::new(), Vec::new(), 0, 0, None, None);
        Self { agent, roles, ends, version, cores, kernel, trials, both_ends, uncertainty, apart }
    }

    /// Takes in that it ran this end of a trial.
    fn take(&mut self, role: &str, host: Option<&String>, trial: u32, seen: Option<&ClientSeen>) {
        if self.roles.iter().all(|known| known != role) {
            self.roles.push(role.to_owned());
        }
        let (client, version) = (seen.map(|seen| &seen.client), seen.and_then(|seen| seen.version.as_ref()));
        // One that didn't start in some trial has no version there.
        let is_it = |end: &AgentEnd| {
            let same_version = end.version.is_none() || version.is_none() || end.version.as_ref() == version;
            end.role == role && end.client.as_ref() == client && end.host.as_ref() == host && same_version
        };
        let place = self.ends.iter().position(is_it).unwrap_or_else(|| {
            let (role, client, host) = (role.to_owned(), client.cloned(), host.cloned());
            self.ends.push(AgentEnd { role, client, host, ..AgentEnd::default() });
            self.ends.len() - 1
        });
        let end = &mut self.ends[place];
        end.version = end.version.take().or_else(|| version.cloned());
        end.open_streams.extend(seen.and_then(|seen| seen.open).map(|open| (trial, open)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::RecordedTrial;
    use super::super::summarise;
    use super::*;
    use crate::trial::Alpn;
    use crate::trial::fact::Outcome;

    /// A trial over two agents, the second of which has the server too: Chromium holds three streams, Firefox two.
    fn trial(number: u32, uncertainty: u64, apart: Option<String>) -> RecordedTrial {
        let mut one = RecordedTrial::of(number, 0, "chromium+firefox", Alpn::H2);
        (one.planned.settings.workload.agents, one.planned.settings.workload.subscribers) = (2, 6);
        for (role, agent) in [("client", "eu-1"), ("client-1", "us-2"), ("server", "us-2")] {
            one.at_agent(role, agent, Some("192.0.2.9").filter(|_| role == "server"));
        }
        one.start("156.0.8078.108").start_as("client-1", "153.8.0esr");
        let subs: Vec<u32> = (0..5).collect();
        for &sub in &subs {
            one.request(sub).attach(sub, u64::from(sub % 2)).open(sub);
        }
        one.census().write(&subs).receive_all_census(&subs);
        let (agent, offset, drift, serves) = ("eu-1".to_owned(), 7, 0.0, false);
        one.fact(LabFact::AgentClock { agent, offset, uncertainty, drift, apart, serves });
        one.end(Outcome::Completed, None);
        one
    }

    #[test]
    fn an_agent_is_told_of_once_with_all_that_it_ran_and_the_most_that_its_clock_was_off() {
        let trials = [trial(0, 100_000, None), trial(1, 250_000, Some("its clock gained".to_owned()))];
        let (plan, journal) = RecordedTrial::plan(&trials, Vec::new());
        let all = summarise(&plan, &journal).agents;
        let told =
            |of: &AgentResult| (of.agent.clone(), of.roles.join(" "), of.trials, of.uncertainty, of.apart.is_some());
        assert_eq!(
            all.iter().map(told).collect::<Vec<_>>(),
            [
                ("eu-1".to_owned(), "client".to_owned(), 2, Some(0.25), true),
                ("us-2".to_owned(), "client-1 server".to_owned(), 2, None, false),
            ]
        );
    }

    #[test]
    fn an_agents_ends_say_which_client_held_how_much_and_where_the_server_was_reached() {
        let mut not_started = RecordedTrial::of(2, 0, "chromium+firefox", Alpn::H2);
        not_started.planned.settings.workload.agents = 2;
        not_started.at_agent("client", "eu-1", None).end(Outcome::Failed, Some("it broke"));
        let (plan, journal) = RecordedTrial::plan(&[trial(0, 1, None), trial(1, 1, None), not_started], Vec::new());
        let all = summarise(&plan, &journal).agents;
        let end = |role: &str, client: &str, version: &str, open: usize| AgentEnd {
            role: role.to_owned(),
            client: Some(client.to_owned()),
            version: Some(version.to_owned()),
            host: None,
            open_streams: BTreeMap::from([(0, open), (1, open)]),
        };
        let (role, host) = ("server".to_owned(), Some("192.0.2.9".to_owned()));
        let server = AgentEnd { role, host, ..AgentEnd::default() };
        assert_eq!(all[0].ends, [end("client", "chromium", "156.0.8078.108", 3)]);
        assert_eq!(all[1].ends, [end("client-1", "firefox", "153.8.0esr", 2), server]);
        assert_eq!((all[0].both_ends, all[1].both_ends), (0, 2), "who reads from itself crosses no network");
    }
}
