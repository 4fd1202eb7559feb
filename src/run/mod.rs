//! From a plan to results: trial after trial, each end started, observed, ended and judged.
//!
//! Enters: a plan; for measurements of a visitor's browser, requests for them. Leaves: a run's folder with its journal and
//! all that is computed from it. What must never happen here: a process left behind, or a trial that vanishes: what was
//! observed is in the journal, however it ended.

mod agents;
mod calibrate;
mod index;
mod interrupt;
mod lab;
mod machine;
pub mod measurement;
mod place;
mod recover;
pub mod results;
mod router;
mod runner;
mod trial;

use std::net::IpAddr;
use std::path::PathBuf;

pub use index::{served_index, write_index};
pub use lab::NOT_ALLOWED;
pub use recover::take_in;
pub use runner::{Progress, Ran, RunOptions, locate, run};

use crate::experiment::validate::PlanError;
use crate::stats::explain::LifeError;

/// Why a run, or what is read of one, came to nothing: the lab's own trouble, not a trial's.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("could not {operation} {path}", path = path.display())]
    Folder {
        /// What was tried.
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file that the lab wrote has been changed or cut.
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    /// The same, in a number that no plan of the lab's has.
    #[error("{} is damaged", path.display())]
    Bounds {
        path: PathBuf,
        /// Which number, and what would be right.
        source: PlanError,
    },
    #[error("no run `{wanted}`: neither a run's folder nor one in {}", out.display())]
    NoRun {
        /// What was asked for.
        wanted: String,
        /// Where runs are.
        out: PathBuf,
    },
    /// There is no such event in it.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// This program can't find itself, and so can't start its children.
    #[error("could not find this program's own file")]
    Program(#[source] std::io::Error),
    #[error(
        "could not listen on {address}; --bind takes an address of this machine (`ip -br address` shows them), and --host the \
         name or address that others reach it by, where that is another one"
    )]
    Bind { address: IpAddr, source: std::io::Error },
    #[error(transparent)]
    Agent(#[from] crate::agent::AgentError),
    #[error(transparent)]
    Journal(#[from] crate::trial::journal::JournalError),
    #[error("the certificates can't be used")]
    Certs(#[from] crate::certs::CertsError),
    #[error(transparent)]
    Wire(#[from] crate::wire::WireError),
    #[error(transparent)]
    Control(#[from] crate::control::ControlError),
    #[error(transparent)]
    Transport(#[from] crate::transport::ConfigureError),
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),
}
