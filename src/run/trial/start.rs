//! The start of a trial's ends: the server until it listens, the client until it is ready.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::super::RunError;
use super::super::participant::{Participant, spawn};
use super::{EarlyEnd, Possible, TrialRunner, Which, failed};
use crate::browser::BrowserProcess;
use crate::certs::{Certs, base64};
use crate::client::{self, Found, Launch, LaunchContext};
use crate::experiment::assign;
use crate::link;
use crate::text::chain;
use crate::trial::contract::{ClientRole, ServerRole};
use crate::trial::fact::Outcome;
use crate::trial::rig::Rig;
use crate::trial::settings::{CertificateUse, PageOrigin};
use crate::trial::{Down, LabFact, PlannedTrial, Role, TrialMessage, Up};

/// What is kept of the version that a program says, in characters.
const MAX_VERSION: usize = 100;
/// How long a server may take until it listens, and what stands before it.
pub(super) const LISTEN: Duration = Duration::from_secs(10);
/// How long a browser may take to report before it is taken for stuck, and started once more. WebKitGTK, where the
/// machine is busy, now and then fetches its page and does nothing with it: of two hundred starts, about one.
const STUCK: Duration = Duration::from_secs(15);

impl TrialRunner<'_> {
    /// Starts this server, and waits until it listens; gives back where clients find it, or what stands before it.
    pub(super) async fn start_server(&mut self, number: u32, folder: &Path) -> Result<Vec<u16>, EarlyEnd> {
        let mut argv = vec![self.lab.program.to_string_lossy().into_owned(), "child".into(), "server".into()];
        if let Some(rig) = self.lab.rig.filter(|rig| !matches!(rig, Rig::Capped | Rig::SlowLink)) {
            argv.extend(["--rig".to_owned(), word(rig)]);
        }
        let place = self.link.as_ref().map(|link| &link.server);
        let which = Which::Server(number);
        let environment = self.environment(which, folder).or_else(|error| no_file(&error))?;
        let server = match Participant::server(&argv, log(folder, &format!("{which}.log"))?, place, environment) {
            Ok(server) => server,
            Err(error) => return failed(format!("the {which} could not be started: {error}")),
        };
        self.started(which, server, Some(env!("CARGO_PKG_VERSION").to_owned()))?;
        let end = self.ends.of(which);
        let (ports, life) = (end.ports.clone(), end.life);
        let role = Role::Server(ServerRole {
            certs: self.lab.certs_dir.clone(),
            bind: self.addresses(),
            feeds: assign::feeds(&self.planned.settings.workload),
            origins: std::iter::once(self.lab.control.origin()).chain(self.intermediary_origins()).collect(),
            control: self.planned.settings.has_pages_of_the_server().then(|| self.lab.control.origin()),
            ports,
            life,
            publishes: number == 0,
            broker: self.broker.as_ref().map(|broker| broker.options.clone()),
        });
        let message = self.message(role);
        self.order(which, message).await;
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

    /// Where the server listens, and what stands before it.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        match self.link {
            // What the server calls loopback is at the client's end of a link called so too.
            Some(_) => vec![Ipv4Addr::LOCALHOST.into()],
            None => self.lab.addresses.clone(),
        }
    }

    /// Where a client's packets to the server come from: loopback answers itself, and names have IPv6 first.
    fn client_address(&self) -> IpAddr {
        match self.link {
            Some(_) => link::CLIENT.into(),
            None => self.lab.addresses.iter().copied().max().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        }
    }

    /// Starts this client, and waits until it is ready. `ports` are those of each server, or of what stands before it.
    pub(super) async fn start_client(
        &mut self,
        number: u32,
        row: &'static client::Client,
        found: &Found,
        ports: &[Vec<u16>],
        folder: &Path,
    ) -> Result<(), EarlyEnd> {
        let settings = &self.planned.settings;
        let certs = &self.lab.certs;
        let hosts = assign::hosts(&settings.workload);
        let [cert_sha256, spki_sha256] = fingerprints(certs, settings.server.certificate, &hosts);
        // The page's own certificate is the shared one, whichever the hosts under test show.
        let trusted = [base64(&certs.spki_sha256()), spki_sha256.clone()].join(",");
        let PlannedTrial { trial, seed, .. } = *self.planned;
        let [_, clients] = self.servers_and_clients();
        let subscriptions = assign::of_client(number, clients, assign::assign(settings, trial, seed, clients, ports));
        let stuck = assign::stuck(settings, &subscriptions);
        let ports = ports.concat();
        let which = Which::Client(number);
        self.ends.of(which).possible = Some(Possible::of(self.planned, number, clients));
        let role = Role::Client(ClientRole {
            protocol: settings.protocol.clone(),
            hosts: hosts.clone(),
            port: ports.first().copied().unwrap_or(0),
            ca: std::path::absolute(certs.ca_path()).unwrap_or_else(|_| certs.ca_path().to_owned()),
            token: None,
            cert_sha256,
            spki_sha256,
            subscriptions,
            stuck,
        });
        let Down::Trial(message) = self.message(role) else { return Ok(()) };
        let mut context = LaunchContext {
            url: String::new(),
            settings,
            hosts: &hosts,
            ports: &ports,
            ca: certs.ca_path().to_owned(),
            spki_sha256: trusted,
            address: self.client_address(),
            root: nix::unistd::geteuid().is_root(),
        };
        let mut may_be_stuck = settings.workload.page == PageOrigin::Apart && settings.timeout.duration() >= 2 * STUCK;
        loop {
            let client = self.launch(which, row, found, &mut context, message.clone(), folder).await?;
            may_be_stuck &= client.is_page();
            let (pid, known) = (client.pid(), Some(found.version.clone()).filter(|version| !version.is_empty()));
            self.started(which, client, known.clone())?;
            let until = if may_be_stuck { self.within(STUCK) } else { self.end_by };
            match self.ready(which, until).await {
                Ok(version) if known.is_none() => {
                    let version = Some(version.chars().take(MAX_VERSION).collect());
                    self.note(LabFact::Started { role: which.to_string(), pid, version })?;
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(EarlyEnd::Ended(Outcome::TimedOut, _)) if may_be_stuck => {
                    tracing::warn!(client = row.name, "a browser never reported, and is started once more");
                    may_be_stuck = false;
                    self.end_by += STUCK;
                    self.finish(which).await?;
                }
                Err(early) => return Err(early),
            }
        }
    }

    /// Starts the client's process, with the page that is its own if it needs one.
    async fn launch(
        &self,
        which: Which,
        row: &'static client::Client,
        found: &Found,
        context: &mut LaunchContext<'_>,
        message: Box<TrialMessage>,
        folder: &Path,
    ) -> Result<Participant, EarlyEnd> {
        let place = self.link.as_ref().map(|link| &link.client);
        let log = log(folder, &format!("{which}.log"))?;
        let environment = self.environment(which, folder).or_else(|error| no_file(&error))?;
        // A process needs no page; its command is the same for any address.
        Ok(match (row.command)(found, context) {
            Launch::Process(mut argv) => {
                if self.lab.rig == Some(Rig::Capped) {
                    argv.extend(["--rig".to_owned(), word(Rig::Capped)]);
                }
                match Participant::client(&argv, log, place, environment) {
                    Ok(client) => {
                        client.order(Down::Trial(message)).await;
                        client
                    }
                    Err(error) => return failed(format!("the client could not be started: {error}")),
                }
            }
            Launch::Program(argv) => match Participant::program(&argv, log, place, environment) {
                Ok(client) => {
                    client.order(Down::Trial(message)).await;
                    client
                }
                Err(error) => return failed(format!("the client could not be started: {error}")),
            },
            Launch::Browser(_) => {
                let carrier = match self.lab.control.open(*message, context.settings.workload.pages) {
                    Ok(carrier) => carrier,
                    Err(error) => return failed(error.to_string()),
                };
                context.url.clone_from(&carrier.url);
                let Launch::Browser(mut spec) = (row.command)(found, context) else {
                    return failed("a browser that is also a process");
                };
                // It finds nothing else of this process's environment.
                spec.env
                    .extend(environment.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())));
                match BrowserProcess::start_by(&self.lab.program, &spec, log, |command| spawn(command, place)).await {
                    Ok(browser) => Participant::browser(carrier, browser),
                    Err(error) => return failed(chain(&error)),
                }
            }
        })
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

fn word(rig: Rig) -> String {
    clap::ValueEnum::to_possible_value(&rig).map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The fingerprints of the certificates that these hosts show, and those of their keys, separated by commas.
fn fingerprints(certs: &Certs, used: CertificateUse, hosts: &[String]) -> [String; 2] {
    let shown: Vec<_> = match used {
        CertificateUse::Shared => vec![(certs.cert_sha256(), certs.spki_sha256())],
        CertificateUse::PerHost => hosts.iter().filter_map(|host| certs.host_sha256(host)).collect(),
    };
    let (certificates, keys): (Vec<_>, Vec<_>) = shown.iter().map(|(cert, spki)| (base64(cert), base64(spki))).unzip();
    [certificates, keys].map(|all| all.join(","))
}
