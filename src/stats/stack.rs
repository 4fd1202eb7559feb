//! What carried trials: the stacks of both ends, as facts say, and in a sentence wherever protocols are compared that
//! don't share one.

use super::record::client_number;
use super::result::{TrialResult, TrialStack};
use crate::trial::stack::{QuicStack, TcpStack, Versions};
use crate::trial::{ClientFact, Fact, JournalLine, LabFact, Plan, PlannedTrial, ServerFact, Stack};

/// What carried this trial; `None`: nothing was found of it.
pub(super) fn found<'a>(
    planned: &PlannedTrial,
    journal: impl IntoIterator<Item = &'a JournalLine>,
) -> Option<TrialStack> {
    let (mut server, mut client, mut versions) = (None, None, Versions::new());
    let (mut network, mut elsewhere) = (None, None);
    let (alpn, between) = (planned.settings.protocol.alpn, &planned.settings.between);
    let mut proxy = between.is_there().then(|| between.intermediary.clone());
    for JournalLine { observation, .. } in journal {
        match &observation.fact {
            Fact::Server(ServerFact::Stack { alpn: of, stack, versions: those }) if *of == alpn && proxy.is_none() => {
                (server, versions) = (Some(Stack::clone(stack)), those.clone());
            }
            Fact::Client(ClientFact::Stack { stack, .. }) => client = Some(Stack::clone(stack)),
            Fact::Lab(LabFact::Network { stack }) => network = Some(Stack::Tcp(TcpStack::clone(stack))),
            // What this machine's kernel does says nothing of that one's.
            Fact::Lab(LabFact::Agent { role, kernel, .. }) if client_number(role).is_some() => {
                let there = Stack::Tcp(TcpStack { implementation: Some(kernel.clone()), ..TcpStack::default() });
                // Of several kernels there is none to name.
                let other = elsewhere.as_ref().is_some_and(|other| *other != there);
                elsewhere = Some(if other { Stack::Tcp(TcpStack::default()) } else { there });
            }
            Fact::Lab(LabFact::Started { role, version: Some(version), .. }) if role == "intermediary" => {
                proxy = proxy.map(|name| format!("{name} {version}"));
            }
            _ => {}
        }
    }
    // A journal of before says nothing at all.
    let known = server.is_some() || client.is_some() || network.is_some();
    let quic = |implementation| Some(Stack::Quic(QuicStack { implementation, ..QuicStack::default() }));
    // Clients have a proxy for their server. It says nothing of itself: of TCP it has the kernel's, of QUIC its own.
    let server = match proxy {
        Some(_) if !alpn.over_quic() => network.clone(),
        Some(name) => quic(Some(name)),
        None => server,
    };
    let own = || if alpn.over_quic() { quic(None) } else { elsewhere.or(network) };
    known.then(|| TrialStack { server, client: client.or_else(own), versions })
}

/// The profiles that trials had, each with what carried them: `as-shipped: TCP bbr of Linux 6.1.0, QUIC cubic of quinn
/// 0.11.12`; nothing where nothing was found.
pub fn carried<'a>(plan: &Plan, trials: impl IntoIterator<Item = &'a TrialResult>) -> Option<String> {
    let mut profiles: Vec<(&'static str, Vec<String>)> = Vec::new();
    for trial in trials {
        let Some(stack) = &trial.stack else { continue };
        let planned = plan.trials.iter().find(|planned| planned.trial == trial.trial);
        let profile = planned.map_or("", |planned| planned.settings.stack.profile.word());
        let at = profiles.iter().position(|(known, _)| *known == profile).unwrap_or_else(|| {
            profiles.push((profile, Vec::new()));
            profiles.len() - 1
        });
        let server = stack.server.as_ref().map(Stack::named);
        for (end, stack) in stack.ends() {
            let mut named = stack.named();
            if server.as_ref().is_some_and(|server| *server != named) {
                named = format!("{named} at the {end}");
            }
            if !profiles[at].1.contains(&named) {
                profiles[at].1.push(named);
            }
        }
    }
    let told: Vec<String> =
        profiles.iter().map(|(profile, stacks)| format!("{profile}: {}", stacks.join(", "))).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// The same of trials that TCP carried and trials that QUIC did; where one alone carried them all, nothing needs to be
/// said.
pub(super) fn compared(plan: &Plan, trials: &[&TrialResult]) -> Option<String> {
    let stacks = || trials.iter().filter_map(|trial| trial.stack.as_ref()).flat_map(TrialStack::ends);
    let first = stacks().next()?.1.over();
    if stacks().all(|(_, stack)| stack.over() == first) {
        return None;
    }
    carried(plan, trials.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::Alpn;
    use crate::trial::fact::Outcome;
    use crate::trial::settings::StackProfile;

    fn tcp(congestion: &str) -> TcpStack {
        let (congestion, implementation) = (Some(congestion.to_owned()), Some("Linux 6.1.0".to_owned()));
        TcpStack { implementation, congestion, ..TcpStack::default() }
    }

    fn quinn() -> Stack {
        let (congestion, implementation) = (Some("cubic".to_owned()), Some("quinn 0.11.12".to_owned()));
        Stack::Quic(QuicStack { implementation, congestion, ..QuicStack::default() })
    }

    /// A browser's trial, in which the server says what carries this ALPN.
    fn trial(trial: u32, alpn: Alpn, server: Stack) -> RecordedTrial {
        let mut rig = RecordedTrial::of(trial, 0, "chromium", alpn);
        rig.fact(LabFact::Network { stack: Box::new(tcp("bbr")) });
        rig.fact(ServerFact::Stack { alpn, stack: Box::new(server), versions: Versions::new() });
        // Whoever was there by mistake on another port.
        let alpn = if alpn == Alpn::H2 { Alpn::H1 } else { Alpn::H2 };
        rig.fact(ServerFact::Stack { alpn, stack: Box::new(Stack::Tcp(tcp("vegas"))), versions: Versions::new() });
        rig.request(0).attach(0, 1).wait(3).open(0).census().write(&[0]).receive_last(0);
        rig.end(Outcome::Completed, None);
        rig
    }

    #[test]
    fn what_a_browser_does_not_say_is_the_kernels_on_tcp_and_unknown_on_quic() {
        let [h2, h3] = [trial(0, Alpn::H2, Stack::Tcp(tcp("cubic"))), trial(1, Alpn::H3, quinn())];
        let stack = h2.result().stack.unwrap();
        assert_eq!((stack.server, stack.client), (Some(Stack::Tcp(tcp("cubic"))), Some(Stack::Tcp(tcp("bbr")))));
        let stack = h3.result().stack.unwrap();
        assert_eq!((stack.server, stack.client), (Some(quinn()), Some(Stack::Quic(QuicStack::default()))));
        assert_eq!(RecordedTrial::new().result().stack, None, "a journal of before");
    }

    #[test]
    fn a_browser_at_an_agent_has_the_kernel_there_and_not_this_one() {
        let mut rig = trial(0, Alpn::H2, Stack::Tcp(tcp("cubic")));
        rig.at_agent("client", "eu-1", None).at_agent("server", "us-2", None);
        let there = rig.result().stack.unwrap().client.unwrap().named();
        assert_eq!(there, "TCP of Linux 6.1.0, congestion control unknown");
    }

    #[test]
    fn what_carries_a_proxys_streams_is_the_proxys_and_the_kernels() {
        let named = |alpn, server: Stack| {
            let mut rig = trial(0, alpn, server);
            rig.planned.settings.between.intermediary = "caddy".to_owned();
            let (role, version) = ("intermediary".to_owned(), Some("2.11.7".to_owned()));
            rig.fact(LabFact::Started { role, pid: 1, version });
            rig.result().stack.unwrap().server.unwrap().named()
        };
        assert_eq!(named(Alpn::H3, quinn()), "QUIC of caddy 2.11.7, congestion control unknown");
        assert_eq!(named(Alpn::H2, Stack::Tcp(tcp("cubic"))), "TCP bbr of Linux 6.1.0");
    }

    #[test]
    fn a_claim_across_tcp_and_quic_names_profile_and_implementations_and_others_need_not() {
        let claims = r#"[{"says": "Sooner.", "source": "own", "metric": "time-to-open", "where": {"protocol": "sse/h3"},
            "than": {"where": {"protocol": "sse/h2"}}, "at-most": 1},
            {"says": "Soon.", "source": "own", "metric": "time-to-open", "where": {"protocol": "sse/h2"}, "at-most": 9}]"#;
        let mut rigs = [trial(0, Alpn::H2, Stack::Tcp(tcp("cubic"))), trial(1, Alpn::H3, quinn())];
        for rig in &mut rigs {
            rig.planned.settings.stack.profile = StackProfile::Parity;
        }
        let (plan, journal) = RecordedTrial::plan(&rigs, serde_json::from_str(claims).unwrap());
        let summary = summarise(&plan, &journal);
        assert_eq!(
            summary.claims[0].stacks.as_deref(),
            Some(
                "parity: QUIC cubic of quinn 0.11.12, QUIC of which nothing is known at the client, TCP cubic of Linux \
                 6.1.0, TCP bbr of Linux 6.1.0 at the client"
            )
        );
        assert_eq!(summary.claims[1].stacks, None);
        assert!(carried(&plan, &summary.trials).unwrap().starts_with("parity: TCP cubic"));
    }
}
