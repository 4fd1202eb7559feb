//! Servers at agents: what can't be with them there, and what clients are told of them.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::agents::ServerAgent;
use super::early_end::unless_interrupted;
use super::{EarlyEnd, TrialRunner, Which, failed};
use crate::agent::{EndPart, ServerPlace};
use crate::certs::base64;
use crate::participant::Participant;
use crate::text::chain;
use crate::trial::TrialMessage;
use crate::trial::fact::Outcome;
use crate::trial::settings::CertificateUse;

/// SHA-256 of a certificate and of its public key.
type Fingerprints = ([u8; 32], [u8; 32]);

impl TrialRunner<'_> {
    /// Makes sure that the agents of this trial's servers are there and that it can be with them, and reads their clocks.
    pub(super) async fn reach_server_agents(&mut self) -> Result<(), EarlyEnd> {
        if !self.lab.agents.have_servers() {
            return Ok(());
        }
        let [servers, _] = self.servers_and_clients();
        for number in 0..servers {
            let ready = unless_interrupted(&self.interrupt, self.lab.agents.server_ready(number as usize)).await?;
            ready.or_else(|error| failed(chain(&error)))?;
        }
        if let Some(why) = self.cannot_be_there() {
            return Err(EarlyEnd::Ended(Outcome::Unsupported, why));
        }
        for number in 0..servers {
            self.meet(Which::Server(number)).await?;
        }
        Ok(())
    }

    /// The agents that servers are at; none: they are here.
    fn server_agents(&self) -> Vec<ServerAgent<'_>> {
        let [servers, _] = self.servers_and_clients();
        (0..servers).filter_map(|number| self.lab.agents.of_server(number)).collect()
    }

    /// Why this trial's servers can't be at the agents that the run was given for them.
    fn cannot_be_there(&self) -> Option<String> {
        let (settings, all) = (&self.planned.settings, self.server_agents());
        all.first()?;
        let name = |at: &ServerAgent<'_>| at.reached.session.hello().name.clone();
        if settings.link.is_some() {
            return Some("a link is between ends on one machine; the server is at an agent".to_owned());
        }
        if settings.between.is_there() {
            return Some(
                "what stands between passes on to this machine's loopback; the server is at an agent".to_owned(),
            );
        }
        if settings.shares_feeds()
            && self.lab.broker_at.as_ref().is_none_or(|place| place.address.is_loopback())
            && let Some(far) = all.iter().find(|at| !at.reached.is_here())
        {
            return Some(format!(
                "NATS is on this machine's loopback, which a server at {} can't reach: say at which address of this machine \
                 it does (--bind 192.0.2.7)",
                name(far)
            ));
        }
        let [_, clients] = self.servers_and_clients();
        let agents = clients.min(settings.workload.agents);
        let mut agents = (0..agents).filter_map(|client| self.lab.agents.of_client(client));
        if let Some(near) = all.iter().find(|at| at.host.is_none())
            && let Some(far) = agents.find(|reached| !reached.is_here())
        {
            let (client, server) = (&far.session.hello().name, name(near));
            return Some(format!(
                "the server at {server} is on this machine's loopback, which {client} can't reach: say by which host clients \
                 do, behind a `=` of --server-agent"
            ));
        }
        let host = all.iter().find_map(|at| at.host)?;
        if settings.workload.hosts > 1 {
            let hosts = settings.workload.hosts;
            return Some(format!("workload.hosts = {hosts} takes as many names; a server at an agent has one, {host}"));
        }
        if settings.server.certificate == CertificateUse::PerHost {
            return Some(format!("`localhost` and its like have certificates of their own, and {host} has none"));
        }
        settings
            .has_pages_of_the_server()
            .then(|| format!("a page of {host} reports to the lab, which lets in none of another machine's"))
    }

    /// Whether a server is at an agent that isn't on this machine's loopback.
    pub(super) fn is_served_from_afar(&self) -> bool {
        self.server_agents().iter().any(|at| !at.reached.is_here())
    }

    /// Names that this server is reached by besides `localhost`, as URLs write them.
    pub(super) fn given_hosts(&self, server: u32) -> Vec<String> {
        match self.lab.agents.of_server(server) {
            Some(at) => at.host.cloned().into_iter().collect(),
            None => self.lab.hosts.clone(),
        }
    }

    /// Starts a server at its agent.
    pub(super) async fn launch_server_elsewhere(
        &self,
        which: Which,
        message: Box<TrialMessage>,
        folder: &Path,
    ) -> Result<Participant, EarlyEnd> {
        let number = which.number();
        let Some(at) = self.lab.agents.of_server(number) else { return failed(format!("no agent for the {which}")) };
        let life = self.ends.get(which).map_or(0, |end| end.life);
        let part = EndPart::Server {
            place: ServerPlace { number, life },
            host: at.host.cloned(),
            certs: at.certs.all().map(|der| base64(der)).collect(),
        };
        Ok(self.start_at_agent(which, part, message, folder).await?.0)
    }

    /// The fingerprints of the certificates that these hosts show, and those of their keys, separated by commas.
    pub(super) fn fingerprints(&self, hosts: &[String]) -> [String; 2] {
        let used = self.planned.settings.server.certificate;
        let shown = |shared: Fingerprints, of_host: &dyn Fn(&str) -> Option<Fingerprints>| match used {
            CertificateUse::Shared => vec![shared],
            CertificateUse::PerHost => hosts.iter().filter_map(|host| of_host(host)).collect(),
        };
        let (certs, all) = (&self.lab.certs, self.server_agents());
        let mut shown = if all.is_empty() {
            shown((certs.cert_sha256(), certs.spki_sha256()), &|host: &str| certs.host_sha256(host))
        } else {
            let of = |at: &ServerAgent<'_>| shown(at.certs.shared_sha256(), &|host: &str| at.certs.host_sha256(host));
            all.iter().flat_map(of).collect()
        };
        // Several servers at one agent show the same.
        let mut told = BTreeSet::new();
        shown.retain(|one| told.insert(*one));
        let (certificates, keys): (Vec<_>, Vec<_>) =
            shown.iter().map(|(cert, spki)| (base64(cert), base64(spki))).unzip();
        [certificates, keys].map(|all| all.join(","))
    }
}
