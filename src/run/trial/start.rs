//! The start of a trial's ends: the server until it listens, the client until it is ready.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::RunError;
use super::{EarlyEnd, Possible, TrialRunner, Which, failed};
use crate::admission::Token;
use crate::agent;
use crate::certs::base64;
use crate::client::{self, Found, LaunchContext};
use crate::experiment::assign::{self, AskedServer};
use crate::link;
use crate::participant::{self, ClientStart, Network, Participant};
use crate::text::chain;
use crate::trial::contract::{ClientRole, ServerRole};
use crate::trial::fact::Outcome;
use crate::trial::settings::PageOrigin;
use crate::trial::{Down, LabFact, PlannedTrial, Role, SubscriptionPlan, TrialMessage, Up};

/// What is kept of the version that a program says, in characters.
const MAX_VERSION: usize = 100;
/// How long a server may take until it listens, and what stands before it.
pub(super) const LISTEN: Duration = Duration::from_secs(10);
/// How long a browser may take to report before it is taken for stuck, and started once more. WebKitGTK, where the
/// machine is busy, now and then fetches its page and does nothing with it: of two hundred starts, about one.
const STUCK: Duration = Duration::from_secs(15);

/// A client of a trial.
#[derive(Debug, Clone)]
pub(super) struct TrialClient {
    name: String,
    row: &'static client::Client,
    /// Where it is on this machine; `None`: its agent looks for it.
    found: Option<Found>,
}

impl TrialRunner<'_> {
    /// Starts this server, and waits until it listens; gives back where clients find it, or what stands before it.
    pub(super) async fn start_server(&mut self, number: u32, folder: &Path) -> Result<Vec<u16>, EarlyEnd> {
        let which = Which::Server(number);
        let end = self.ends.of(which);
        let (ports, life) = (end.ports.clone(), end.life);
        // A folder here and addresses of this machine mean nothing to another one, which has its own.
        let (certs, bind) = if self.lab.agents.have_servers() {
            (PathBuf::new(), Vec::new())
        } else {
            (self.lab.certs_dir.clone(), self.addresses())
        };
        let role = Role::Server(ServerRole {
            certs,
            bind,
            hosts: self.given_hosts(number),
            feeds: assign::feeds(&self.planned.settings.workload),
            origins: std::iter::once(self.lab.control.origin())
                .chain(self.lab.agents.origins(self.planned.settings.workload.agents))
                .chain(self.intermediary_origins())
                .collect(),
            token: self.token.as_ref().map(|token| token.text().to_owned()),
            control: self.planned.settings.has_pages_of_the_server().then(|| self.lab.control.origin()),
            ports,
            life,
            publishes: number == 0,
            broker: self.broker.as_ref().map(|broker| broker.options.clone()),
        });
        let Down::Trial(message) = self.message(role) else { return failed("a server without a trial") };
        let server = self.launch_server(which, message, folder).await?;
        self.started(which, server, Some(env!("CARGO_PKG_VERSION").to_owned()))?;
        let alpn = self.planned.settings.origin_alpn();
        let until = self.within(LISTEN);
        loop {
            match self.next(until, &format!("the {which} did not listen in time")).await? {
                (from, Up::Listening { ports, .. }) if from == which => {
                    self.ends.of(which).ports.clone_from(&ports);
                    let Some(ports) = ports.get(&alpn).filter(|ports| !ports.is_empty()) else {
                        return failed(format!("the {which} has no port for {alpn}"));
                    };
                    return Ok(ports.clone());
                }
                (from, said) => self.take(from, said).await?,
            }
        }
    }

    /// Starts the server's process, here or at its agent, and tells it the trial.
    async fn launch_server(
        &self,
        which: Which,
        message: Box<TrialMessage>,
        folder: &Path,
    ) -> Result<Participant, EarlyEnd> {
        if self.lab.agents.have_servers() {
            return self.launch_server_elsewhere(which, message, folder).await;
        }
        let log = log(folder, &format!("{which}.log"))?;
        let environment = self.environment(which, folder).or_else(|error| no_file(&error))?;
        let place = self.link.as_ref().map(|link| &link.server as &dyn Network);
        let with = (place, self.lab.rig);
        let launched = participant::launch_server(&self.lab.program, message, with, (log, environment)).await;
        launched.or_else(|error| failed(format!("the {which} could not be started: {error}")))
    }

    /// Where the server listens, and what stands before it.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        match self.link {
            // What the server calls loopback is at the client's end of a link called so too.
            Some(_) => vec![Ipv4Addr::LOCALHOST.into()],
            None => self.lab.addresses.clone(),
        }
    }

    /// This server, as clients are to ask for it: by the names under test, or by those that other machines reach it by.
    pub(super) fn asked_for(&self, number: u32, ports: Vec<u16>) -> AskedServer {
        let own = assign::hosts(&self.planned.settings.workload);
        let given = self.given_hosts(number);
        let hosts = if given.is_empty() { own } else { given.into_iter().take(own.len()).collect() };
        AskedServer { hosts, ports }
    }

    /// Draws what clients show, where others reach the servers as well: whoever else publishes there changes what is
    /// measured.
    pub(super) fn draw_token(&mut self) -> Result<(), EarlyEnd> {
        if self.others_reach_servers() {
            let Some(token) = Token::draw() else { return failed("the system gave no random bytes for a token") };
            self.token = Some(token);
        }
        Ok(())
    }

    /// Whether a server of this trial is anywhere but on its own machine's loopback.
    fn others_reach_servers(&self) -> bool {
        if !self.lab.agents.have_servers() {
            return self.addresses().iter().any(|address| !address.is_loopback());
        }
        let [servers, _] = self.servers_and_clients();
        (0..servers).any(|number| !self.given_hosts(number).is_empty())
    }

    /// Has subscriptions show it. Whoever makes other addresses of theirs keeps the query.
    fn show_token<'p>(&self, subscriptions: impl Iterator<Item = &'p mut SubscriptionPlan>) {
        let Some(token) = &self.token else { return };
        for subscription in subscriptions {
            subscription.path.push_str("&token=");
            subscription.path.push_str(token.text());
        }
    }

    /// Where a client's packets to the server come from: loopback answers itself, and names have IPv6 first.
    fn client_address(&self) -> IpAddr {
        match self.link {
            Some(_) => link::CLIENT.into(),
            None => self.lab.addresses.iter().copied().max().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        }
    }

    /// The clients of this trial, one per agent, or one here, which is looked for.
    pub(super) fn find_clients(&mut self) -> Result<Vec<TrialClient>, EarlyEnd> {
        let settings = &self.planned.settings;
        let mut clients = Vec::new();
        for name in client::parts(&settings.client) {
            let Some(row) = client::find(name) else { return failed(format!("no client `{name}`")) };
            (row.supports)(settings)?;
            let found = if settings.workload.agents == 0 { Some(self.lab.find(name, row)?) } else { None };
            clients.push(TrialClient { name: name.to_owned(), row, found });
        }
        let [_, wanted] = self.servers_and_clients();
        Ok(clients.into_iter().cycle().take(wanted as usize).collect())
    }

    /// Starts this client, and waits until it is ready. `servers` are each server, or what stands before it.
    pub(super) async fn start_client(
        &mut self,
        number: u32,
        client: TrialClient,
        servers: &[AskedServer],
        folder: &Path,
    ) -> Result<(), EarlyEnd> {
        let settings = &self.planned.settings;
        let certs = Arc::clone(&self.lab.certs);
        let mut hosts: Vec<String> = Vec::new();
        for host in servers.iter().flat_map(|server| &server.hosts) {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        let [cert_sha256, spki_sha256] = self.fingerprints(&hosts);
        // The page's own certificate is the shared one, whichever the hosts under test show.
        let trusted = [base64(&certs.spki_sha256()), spki_sha256.clone()].join(",");
        let PlannedTrial { trial, seed, .. } = *self.planned;
        let [_, clients] = self.servers_and_clients();
        let all = assign::assign(settings, trial, seed, clients, servers);
        let mut subscriptions = assign::of_client(number, clients, all);
        let mut stuck = assign::stuck(settings, &subscriptions);
        self.show_token(subscriptions.iter_mut().chain(&mut stuck));
        let which = Which::Client(number);
        self.ends.of(which).possible = Some(Possible::of(self.planned, number, clients));
        self.allow_for_clock(number);
        let role = ClientRole {
            protocol: settings.protocol.clone(),
            hosts: hosts.clone(),
            port: servers.iter().find_map(|server| server.ports.first().copied()).unwrap_or(0),
            ca: std::path::absolute(certs.ca_path()).unwrap_or_else(|_| certs.ca_path().to_owned()),
            token: self.token.as_ref().map(|token| token.text().to_owned()),
            cert_sha256,
            spki_sha256,
            subscriptions,
            stuck,
        };
        let asked = role.servers();
        (client.row.reaches)(settings, &asked)?;
        let Down::Trial(mut message) = self.message(Role::Client(role)) else { return Ok(()) };
        message.settings.client.clone_from(&client.name);
        if number > 0 {
            // Other actors are one client's to play.
            message.settings.beside.clear();
        }
        let mut context = LaunchContext {
            url: String::new(),
            settings,
            hosts: &hosts,
            servers: &asked,
            ca: certs.ca_path().to_owned(),
            spki_sha256: trusted,
            address: self.client_address(),
            root: nix::unistd::geteuid().is_root(),
        };
        let mut may_be_stuck = settings.workload.page == PageOrigin::Apart && settings.timeout.duration() >= 2 * STUCK;
        loop {
            let (participant, known) = self.launch(which, &client, &mut context, message.clone(), folder).await?;
            may_be_stuck &= participant.is_page();
            let pid = participant.pid();
            self.started(which, participant, known.clone())?;
            let until = if may_be_stuck { self.within(STUCK) } else { self.end_by };
            match self.ready(which, until).await {
                Ok(version) if known.is_none() => {
                    let version = Some(version.chars().take(MAX_VERSION).collect());
                    self.note(LabFact::Started { role: which.to_string(), pid, version })?;
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(EarlyEnd::Ended(Outcome::TimedOut, _)) if may_be_stuck => {
                    tracing::warn!(client = client.name, "a browser never reported, and is started once more");
                    may_be_stuck = false;
                    self.end_by += STUCK;
                    self.finish(which).await?;
                }
                Err(early) => return Err(early),
            }
        }
    }

    /// Starts the client's process, with the page that is its own if it needs one. Gives back its version too, where that is
    /// known before it says so itself.
    async fn launch(
        &self,
        which: Which,
        client: &TrialClient,
        context: &mut LaunchContext<'_>,
        message: Box<TrialMessage>,
        folder: &Path,
    ) -> Result<(Participant, Option<String>), EarlyEnd> {
        let TrialClient { name, row, found } = client;
        let Some(found) = found else {
            return self.launch_elsewhere(which.number(), name, message, context, folder).await;
        };
        // On this machine's loopback it is there.
        if self.others_reach_servers() {
            agent::reaches(&self.tcp_addresses()).await.or_else(|error| failed(chain(&error)))?;
        }
        let log = log(folder, &format!("{which}.log"))?;
        let environment = self.environment(which, folder).or_else(|error| no_file(&error))?;
        let start = ClientStart {
            program: &self.lab.program,
            control: &self.lab.control,
            place: self.link.as_ref().map(|link| &link.client as &dyn Network),
            rig: self.lab.rig,
        };
        let launched = participant::launch(row, found, context, message, start, (log, environment)).await;
        let known = Some(found.version.clone()).filter(|version| !version.is_empty());
        launched.map(|client| (client, known)).or_else(|error| failed(chain(&error)))
    }

    /// Takes ends that are there already; a visitor's version is what its page says.
    pub(super) async fn take_ends(&mut self, server: Participant, client: Participant) -> Result<(), EarlyEnd> {
        self.started(Which::Server(0), server, Some(env!("CARGO_PKG_VERSION").to_owned()))?;
        let which = Which::Client(0);
        let end = self.ends.of(which);
        (end.participant, end.possible) = (Some(client), Some(Possible::of(self.planned, 0, 1)));
        let version = self.ready(which, self.end_by).await?;
        self.note(LabFact::Started { role: which.to_string(), pid: 0, version: Some(version) })?;
        Ok(())
    }

    /// Waits until this client is, and gives its version as it says it.
    async fn ready(&mut self, which: Which, until: Instant) -> Result<String, EarlyEnd> {
        loop {
            match self.next(until, &format!("the {which} never reported")).await? {
                (from, Up::Ready { version }) if from == which => return Ok(version),
                (from, said) => self.take(from, said).await?,
            }
        }
    }
}

fn no_file<T>(error: &std::io::Error) -> Result<T, EarlyEnd> {
    failed(format!("no file for the secrets of TLS: {error}"))
}

pub(super) fn log(folder: &Path, name: &str) -> Result<File, RunError> {
    let path = folder.join(name);
    // A server that is started anew goes on where the last one stopped.
    File::options().create(true).append(true).open(&path).map_err(|source| RunError::Folder {
        operation: "create",
        path,
        source,
    })
}
