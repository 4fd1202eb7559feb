//! What all trials of a run share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::RunError;
use super::agents::Agents;
use crate::broker::node;
use crate::certs::Certs;
use crate::client::{self, Client, Found};
use crate::control::Control;
use crate::intermediary::Intermediary;
use crate::trial::Unsupported;
use crate::trial::journal::Journal;
use crate::trial::ledger::Ledger;
use crate::trial::rig::Rig;

/// Why a program isn't run.
pub const NOT_ALLOWED: &str = "it is a program of your own, which runs with all your rights; --allow-exec allows it";

/// Where NATS of a trial is for servers on other machines.
#[derive(Debug, Clone)]
pub(super) struct BrokerPlace {
    /// The address of this machine that its nodes listen on.
    pub(super) address: IpAddr,
    /// The name or address that other machines reach that by, as URLs write it.
    pub(super) host: String,
}

/// What all trials of a run share.
#[derive(Debug)]
pub(super) struct Lab {
    /// This program, which plays the children.
    pub(super) program: PathBuf,
    pub(super) certs: Arc<Certs>,
    pub(super) certs_dir: PathBuf,
    /// Where servers listen.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) control: Arc<Control>,
    pub(super) ledger: watch::Sender<Ledger>,
    pub(super) journal: Journal,
    /// The run's folder.
    pub(super) folder: PathBuf,
    /// Names that servers are reached by besides `localhost`, as URLs write them.
    pub(super) hosts: Vec<String>,
    /// Where NATS is for servers on other machines; `None`: they can't reach any.
    pub(super) broker_at: Option<BrokerPlace>,
    /// Agents on other machines.
    pub(super) agents: Agents,
    pub(super) rig: Option<Rig>,
    /// Whether programs of `exec:` may be run.
    pub(super) allow_exec: bool,
    /// Whether what links carry is written to files.
    pub(super) capture: bool,
    /// Clients looked for so far: asking a browser for its version takes a while.
    pub(super) found: HashMap<&'static str, Result<Found, Unsupported>>,
    /// The same with what stands between.
    pub(super) found_between: HashMap<&'static str, Result<Found, Unsupported>>,
    /// The same with what servers share their feeds through.
    pub(super) found_broker: Option<Result<Found, Unsupported>>,
}

impl Lab {
    /// The client of this name on this machine, or why it can't be used.
    pub(super) fn find(&mut self, name: &str, row: &'static Client) -> Result<Found, Unsupported> {
        if let Some(path) = client::exec::path(name) {
            return if self.allow_exec { client::exec::locate(path) } else { Err(NOT_ALLOWED.into()) };
        }
        self.found.entry(row.name).or_insert_with(|| (row.find)()).clone()
    }

    /// The intermediary on this machine, or why it can't be used.
    pub(super) fn find_intermediary(&mut self, row: &'static Intermediary) -> Result<Found, Unsupported> {
        self.found_between.entry(row.name).or_insert_with(|| (row.find)()).clone()
    }

    /// NATS on this machine, or why it can't be used.
    pub(super) fn find_broker(&mut self) -> Result<Found, Unsupported> {
        self.found_broker.get_or_insert_with(node::find).clone()
    }

    /// The folder of a trial, for the logs of both ends.
    pub(super) fn trial_folder(&self, trial: u32) -> Result<PathBuf, RunError> {
        let path = self.folder.join("trials").join(trial.to_string());
        make(&path)?;
        Ok(path)
    }
}

/// Makes a folder and those above it.
pub(super) fn make(path: &Path) -> Result<(), RunError> {
    std::fs::create_dir_all(path).map_err(|source| RunError::Folder {
        operation: "create",
        path: path.to_owned(),
        source,
    })
}
