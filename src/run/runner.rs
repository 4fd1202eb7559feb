//! A plan to results: trial after trial, each written down as it happens.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::watch;

use super::agents::Agents;
use super::interrupt::interrupted;
use super::lab::{BrokerPlace, Lab};
use super::results::{self, Results};
use super::trial::TrialRunner;
use super::{RunError, calibrate, machine};
use crate::agent::{AgentPart, RunStream, ServerAgentPart};
use crate::broker::Broker;
use crate::browser::owned_folder;
use crate::certs::Certs;
use crate::control::{Control, ControlConfig};
use crate::report;
use crate::trial::fact::Outcome;
use crate::trial::journal::Journal;
use crate::trial::ledger::Ledger;
use crate::trial::rig::Rig;
use crate::trial::{Alpn, Plan, PlannedTrial};
use crate::wire::listen::loopback;
use crate::wire::{descriptors, tls};

/// How a run is done.
#[derive(Debug)]
pub struct RunOptions {
    /// The folder that the run's own folder is made in.
    pub out: PathBuf,
    /// The folder of the certificates.
    pub certs: PathBuf,
    /// Where agents have joined that are known by name.
    pub broker: Option<Broker>,
    /// Agents that clients are run at.
    pub agents: Vec<AgentPart>,
    /// Agents that servers are run at; none: servers are here. Their hosts are as URLs write them.
    pub server_agents: Vec<ServerAgentPart>,
    /// Addresses of this machine that other machines reach: what servers here listen on, or NATS of trials, where servers are
    /// at agents; none: loopback.
    pub bind: Vec<IpAddr>,
    /// Names that agents reach them by; none: `localhost`.
    pub hosts: Vec<String>,
    /// How one end lies, if it does.
    pub rig: Option<Rig>,
    /// Whether programs of `exec:` may be run.
    pub allow_exec: bool,
    /// Whether two trials that differ in nothing come first.
    pub calibration: bool,
    /// Whether what links carry is written to files.
    pub capture: bool,
    /// Becomes true when the run should end early.
    pub interrupt: watch::Receiver<bool>,
}

/// Is told how a run gets on.
pub trait Progress {
    /// Something that a person should know.
    fn notice(&mut self, text: &str);
    /// A trial begins.
    fn begin(&mut self, planned: &PlannedTrial);
    /// It has ended.
    fn end(&mut self, planned: &PlannedTrial, outcome: Outcome, reason: Option<&str>);
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// Where its results are, and the summary.
    pub results: Results,
    /// Whether it was ended early.
    pub interrupted: bool,
}

/// Runs a plan. `text` is the experiment's file. Whatever happens, what was observed until then is in the journal.
pub async fn run(
    plan: &Plan,
    text: &str,
    mut options: RunOptions,
    progress: &mut dyn Progress,
) -> Result<Ran, RunError> {
    for address in &options.bind {
        let bound = UdpSocket::bind((*address, 0));
        bound.map_err(|source| RunError::Bind { address: *address, source })?;
    }
    let broker_at = broker_place(&mut options);
    let elsewhere = options.server_agents.iter().filter_map(|part| part.host.clone());
    let names: Vec<String> = options.hosts.iter().cloned().chain(elsewhere).collect();
    let own = own_certs(&mut options, &names)?;
    let (certs, notices) = Certs::ensure(&options.certs, &names)?;
    if own.is_some() {
        progress.notice(&format!(
            "this run has a CA of its own, as the one that is there may not vouch for {}",
            names.join(", ")
        ));
    } else {
        for notice in &notices {
            progress.notice(notice);
        }
    }
    descriptors::raise_descriptors();
    let machine = machine::read().await;
    let folder = results::create(&options.out, plan, text, &machine)?;
    let program = std::env::current_exe().map_err(RunError::Program)?;
    let addresses = loopback();
    let ledger = watch::Sender::new(Ledger::default());
    let control = Control::start(ControlConfig {
        addresses: addresses.clone(),
        port: 0,
        tls: Arc::new(tls::server(certs.chain(), certs.key(), &[Alpn::H2, Alpn::H1])?),
        hosts: Vec::new(),
        origins: Vec::new(),
        ledger: ledger.subscribe(),
        serving: None,
    })
    .await?;
    let journal = Journal::create(&folder.join(results::JOURNAL))?;
    // Children are told where to look from wherever they are started.
    let certs_dir = std::path::absolute(&options.certs).unwrap_or(options.certs);
    let run = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts = (options.agents, options.server_agents);
    let agents = match reach(parts, options.broker, &run, &certs_dir, &options.interrupt).await {
        Ok(Some(agents)) => agents,
        Ok(None) => return Ok(Ran { results: results::derive(&folder)?, interrupted: true }),
        Err(error) => {
            // Nothing was observed, and the latest run is the last one that was.
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                tracing::warn!(%error, folder = %folder.display(), "the folder of a run that never began stays");
            }
            return Err(error);
        }
    };
    let mut lab = Lab {
        program,
        certs: Arc::new(certs),
        certs_dir,
        addresses: if options.bind.is_empty() { addresses } else { options.bind },
        hosts: options.hosts,
        broker_at,
        agents,
        control: Arc::new(control),
        ledger,
        journal,
        folder: folder.clone(),
        rig: options.rig,
        allow_exec: options.allow_exec,
        capture: options.capture,
        found: HashMap::new(),
        found_between: HashMap::new(),
        found_broker: None,
    };
    let mut interrupted = false;
    if options.calibration {
        interrupted = calibrate::run(&mut lab, plan, &options.interrupt).await?;
        if !interrupted {
            progress.notice(&report::calibrated(&results::calibration(&folder, plan, &machine, &[])?));
        }
    }
    let interrupted = interrupted || trials(&mut lab, plan, &options.interrupt, progress).await?;
    lab.agents.close().await;
    if let Some(control) = Arc::into_inner(lab.control) {
        control.stop().await;
    }
    // It is gone with the run, whose children have ended.
    drop(own);
    Ok(Ran { results: results::derive(&folder)?, interrupted })
}

/// The agents that a run is dealt over; `None`: it was interrupted before they were there.
async fn reach(
    (clients, servers): (Vec<AgentPart>, Vec<ServerAgentPart>),
    broker: Option<Broker>,
    run: &str,
    certs_dir: &Path,
    interrupt: &watch::Receiver<bool>,
) -> Result<Option<Agents>, RunError> {
    let stream = match broker {
        Some(broker) => Some(RunStream::create(broker, run).await?),
        None => None,
    };
    let left = stream.clone();
    tokio::select! {
        reached = Agents::reach(clients, servers, stream, certs_dir) => Ok(Some(reached?)),
        () = interrupted(interrupt) => {
            if let Some(stream) = left {
                stream.remove().await;
            }
            Ok(None)
        }
    }
}

/// A folder for this run's certificates alone, where those that there are may not be for these names: a new CA in their place
/// would be one that servers which run don't know, and that nobody has come to trust.
fn own_certs(options: &mut RunOptions, names: &[String]) -> Result<Option<TempDir>, RunError> {
    // Most runs are reached by nobody else, and have nothing to look for.
    if names.is_empty() || !Certs::load(&options.certs).is_ok_and(|certs| !certs.vouches_for(names)) {
        return Ok(None);
    }
    let folder = owned_folder().map_err(|source| RunError::Folder {
        operation: "create",
        path: std::env::temp_dir(),
        source,
    })?;
    options.certs = folder.path().join("certs");
    Ok(Some(folder))
}

/// Where NATS of trials is, where servers are at agents: what else would listen there is not on this machine.
fn broker_place(options: &mut RunOptions) -> Option<BrokerPlace> {
    if options.server_agents.is_empty() {
        return None;
    }
    let (bind, hosts) = (std::mem::take(&mut options.bind), std::mem::take(&mut options.hosts));
    let address = bind.into_iter().next()?;
    let host = hosts.into_iter().next().unwrap_or_else(|| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    Some(BrokerPlace { address, host })
}

/// Runs each trial; says whether it was interrupted.
async fn trials(
    lab: &mut Lab,
    plan: &Plan,
    interrupt: &watch::Receiver<bool>,
    progress: &mut dyn Progress,
) -> Result<bool, RunError> {
    for planned in &plan.trials {
        if *interrupt.borrow() {
            return Ok(true);
        }
        progress.begin(planned);
        match TrialRunner::new(lab, planned, interrupt.clone()).run().await? {
            Some((outcome, reason)) => progress.end(planned, outcome, reason.as_deref()),
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// The run of this name: `latest`, a folder, or a folder's name within `out`.
pub fn locate(out: &Path, run: &str) -> Result<PathBuf, RunError> {
    results::locate(out, run)
}
