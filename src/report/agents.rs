//! The agents that ran ends of trials.

use std::collections::BTreeMap;

use super::Title;
use super::answer::listed;
use super::table::{plain, protocol_title};
use crate::stats::number::{plural, with_unit};
use crate::stats::versions::named;
use crate::stats::{AgentEnd, AgentResult, Summary};
use crate::trial::Plan;
use crate::trial::fact::Outcome;

/// What the section says.
pub(super) struct AgentsView {
    pub(super) agents: Vec<AgentView>,
    /// `4.45 ms`: the most that a page's clock may be off by itself, where pages were clients.
    pub(super) page_clock: Option<String>,
    /// What else is to be known of them, in sentences.
    pub(super) notes: Vec<String>,
}

/// An agent as a person reads of it.
pub(super) struct AgentView {
    pub(super) agent: String,
    /// `Chromium 156.0: 6 of 12 over HTTP/1.1`, `server, reached at 192.0.2.9`.
    pub(super) ran: Vec<String>,
    pub(super) trials: u32,
    /// `0.25 ms`.
    pub(super) off: String,
    pub(super) cores: u32,
    pub(super) kernel: String,
    pub(super) version: String,
}

/// Of how many protocols' streams a line says each; of more it says the least and the most.
const MOST_VALUES: usize = 4;

/// The least and the most.
type Ends = [f64; 2];

/// All of them; `None` where there were none.
pub(super) fn agents(plan: &Plan, summary: &Summary, title: Title<'_>) -> Option<AgentsView> {
    let page_clock = summary.trials.iter().filter_map(|trial| trial.page_clock).reduce(f64::max);
    let agents: Vec<AgentView> = summary
        .agents
        .iter()
        .map(|result| AgentView {
            agent: result.agent.clone(),
            ran: ran(&result.ends, plan, summary, title),
            trials: result.trials,
            off: result.uncertainty.map_or_else(|| "–".to_owned(), |off| with_unit(off, "ms")),
            cores: result.cores,
            kernel: result.kernel.clone(),
            version: result.version.clone(),
        })
        .collect();
    let notes = summary.agents.iter().flat_map(|agent| [crossed_no_network(agent), apart(agent)]).flatten().collect();
    let page_clock = page_clock.map(|off| with_unit(off, "ms"));
    (!agents.is_empty()).then_some(AgentsView { agents, page_clock, notes })
}

fn crossed_no_network(of: &AgentResult) -> Option<String> {
    let when = match of.both_ends {
        0 => return None,
        all if all == of.trials => String::new(),
        some => format!(" in {some} of {}", plural(of.trials as usize, "trial")),
    };
    Some(format!("{} had readers and a server{when}: what they read there crossed no network.", of.agent))
}

fn apart(of: &AgentResult) -> Option<String> {
    let why = of.apart.as_ref()?;
    Some(format!("{}: no time that involves it decides anything, as {why}.", of.agent))
}

/// A line for each client and each server's host, whichever numbers they had.
fn ran(ends: &[AgentEnd], plan: &Plan, summary: &Summary, title: Title<'_>) -> Vec<String> {
    let mut clients: Vec<(String, BTreeMap<u32, usize>)> = Vec::new();
    let mut servers: Vec<(Option<&str>, usize)> = Vec::new();
    for end in ends {
        if let Some(client) = &end.client {
            let name = named(client, end.version.as_deref(), title);
            let place = clients.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                clients.push((name, BTreeMap::new()));
                clients.len() - 1
            });
            for (trial, open) in &end.open_streams {
                *clients[place].1.entry(*trial).or_default() += open;
            }
        } else {
            let host = end.host.as_deref();
            match servers.iter_mut().find(|(known, _)| *known == host) {
                Some((_, count)) => *count += 1,
                None => servers.push((host, 1)),
            }
        }
    }
    let client = |(name, open): &(String, BTreeMap<u32, usize>)| match held(open, plan, summary) {
        Some(held) => format!("{name}: {held}"),
        None => name.clone(),
    };
    let server = |(host, count): &(Option<&str>, usize)| {
        let servers = if *count == 1 { "server".to_owned() } else { plural(*count, "server") };
        host.map_or_else(|| servers.clone(), |host| format!("{servers}, reached at {host}"))
    };
    clients.iter().map(client).chain(servers.iter().map(server)).collect()
}

/// `6 of 12 over HTTP/1.1 and 103 of 202 over HTTP/2`: the streams that were one client's, of all that the trial's clients had.
fn held(open: &BTreeMap<u32, usize>, plan: &Plan, summary: &Summary) -> Option<String> {
    let mut of_protocols: Vec<(String, Ends, Ends)> = Vec::new();
    for trial in summary.trials.iter().filter(|trial| trial.outcome == Outcome::Completed) {
        let Some(&own) = open.get(&trial.trial) else { continue };
        let all = trial.metrics.get("open-streams").and_then(|entry| entry.median);
        let (own, all) = ([own as f64; 2], [all.unwrap_or(own as f64); 2]);
        let protocol = trial.levels.get("protocol").map(plain).unwrap_or_default();
        match of_protocols.iter_mut().find(|(known, ..)| *known == protocol) {
            Some((_, one, of)) => (*one, *of) = (with(*one, own), with(*of, all)),
            None => of_protocols.push((protocol, own, all)),
        }
    }
    let (first, rest) = of_protocols.split_first()?;
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for (protocol, own, all) in &of_protocols {
        let (text, over) = (share(*own, *all), protocol_title(plan, protocol));
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, protocols)) => protocols.push(over),
            None => texts.push((text, vec![over])),
        }
    }
    if texts.len() > MOST_VALUES {
        let (own, all) = rest.iter().fold((first.1, first.2), |(a, b), (_, own, all)| (with(a, *own), with(b, *all)));
        return Some(format!("{} over {} protocols", share(own, all), of_protocols.len()));
    }
    let told = |(text, over): &(String, Vec<String>)| format!("{text} over {}", listed(over));
    Some(texts.iter().map(told).collect::<Vec<_>>().join(", "))
}

fn with([least, most]: Ends, [low, high]: Ends) -> Ends {
    [least.min(low), most.max(high)]
}

/// `103 of 202`, `6`, `5 to 6 of 12`.
fn share(own: Ends, all: Ends) -> String {
    let text = |[least, most]: Ends| {
        if least.total_cmp(&most).is_eq() {
            with_unit(least, "")
        } else {
            format!("{} to {}", with_unit(least, ""), with_unit(most, ""))
        }
    };
    let (own, all) = (text(own), text(all));
    if own == all { own } else { format!("{own} of {all}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::Alpn;

    /// Chromium at eu-1, Firefox at us-2, where the server is: of so many streams the first has one more.
    fn mixed(trial: u32, alpn: Alpn, open: u32) -> RecordedTrial {
        let mut rig = RecordedTrial::of(trial, 0, "chromium+firefox", alpn);
        rig.planned.settings.workload.agents = 2;
        rig.at_agent("client", "eu-1", None).at_agent("client-1", "us-2", None);
        rig.at_agent("server", "us-2", Some("192.0.2.9"));
        rig.start("156.0.8078.108").start_as("client-1", "153.8.0esr").clock(2_310_000);
        let subs: Vec<u32> = (0..open).collect();
        rig.census().receive_all_census(&subs).end(Outcome::Completed, None);
        rig
    }

    fn viewed(rigs: &[RecordedTrial]) -> AgentsView {
        let (plan, journal) = RecordedTrial::plan(rigs, Vec::new());
        agents(&plan, &summarise(&plan, &journal), &str::to_owned).unwrap()
    }

    #[test]
    fn each_agent_says_which_client_held_how_many_of_all_and_where_its_server_was_reached() {
        let view = viewed(&[mixed(0, Alpn::H1, 13), mixed(1, Alpn::H2, 205)]);
        let ran: Vec<_> = view.agents.iter().map(|agent| agent.ran.clone()).collect();
        assert_eq!(ran[0], ["chromium 156.0: 7 of 13 over HTTP/1.1, 103 of 205 over HTTP/2"]);
        assert_eq!(
            ran[1],
            ["firefox 153.8: 6 of 13 over HTTP/1.1, 102 of 205 over HTTP/2", "server, reached at 192.0.2.9"]
        );
        assert_eq!(view.page_clock.as_deref(), Some("2.31\u{a0}ms"));
    }

    #[test]
    fn repeats_are_told_by_their_ends_and_many_protocols_together() {
        let view = viewed(&[mixed(0, Alpn::H2, 200), mixed(1, Alpn::H2, 204)]);
        assert_eq!(view.agents[0].ran, ["chromium 156.0: 100 to 102 of 200 to 204 over HTTP/2"]);
        let many: Vec<RecordedTrial> = (0..5)
            .map(|trial| {
                let mut rig = mixed(trial, Alpn::H2, 2 * trial + 2);
                rig.planned.levels.insert("protocol".to_owned(), format!("p{trial}/h2").into());
                rig
            })
            .collect();
        assert_eq!(viewed(&many).agents[0].ran, ["chromium 156.0: 1 to 5 of 2 to 10 over 5 protocols"]);
    }

    #[test]
    fn an_agent_with_readers_and_a_server_says_that_no_network_lay_between() {
        let apart = RecordedTrial::of(2, 0, "chromium", Alpn::H2);
        let told = |rigs: &[RecordedTrial]| viewed(rigs).notes;
        let says = "us-2 had readers and a server: what they read there crossed no network.";
        assert_eq!(told(&[mixed(0, Alpn::H1, 4)]), [says]);
        let mut reads = apart.clone();
        reads.planned.settings.workload.agents = 1;
        reads.at_agent("client", "us-2", None).end(Outcome::Completed, None);
        let says = "us-2 had readers and a server in 1 of 2 trials: what they read there crossed no network.";
        assert_eq!(told(&[mixed(0, Alpn::H1, 4), reads.clone()]), [says]);
        assert!(told(&[reads]).is_empty());
    }
}
