//! From a plan to results: trial after trial, each end started, observed, ended and judged.
//!
//! Enters: a plan; for measurements of a visitor's browser, requests for them. Leaves: a run's folder with its journal and
//! all that is computed from it. What must never happen here: a process left behind, or a trial that vanishes: what was
//! observed is in the journal, however it ended.

mod calibrate;
mod lab;
mod machine;
pub mod measurement;
mod participant;
pub mod results;
mod router;
mod runner;
mod trial;

use std::path::PathBuf;

pub use lab::NOT_ALLOWED;
pub use runner::{Progress, Ran, RunOptions, locate, loopback, run};

/// Why a run, or what is read of one, came to nothing: the lab's own trouble, not a trial's.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A folder or file.
    #[error("could not {operation} {path}", path = path.display())]
    Folder {
        /// What was tried.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that the lab wrote has been changed or cut.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        source: serde_json::Error,
    },
    /// The same, in a number that no plan of the lab's has.
    #[error("{} is damaged: {says}", path.display())]
    Bounds {
        /// Which.
        path: PathBuf,
        /// Which number, and what would be right.
        says: String,
    },
    /// There is no such run.
    #[error("no run `{wanted}`: neither a run's folder nor one in {}", out.display())]
    NoRun {
        /// What was asked for.
        wanted: String,
        /// Where runs are.
        out: PathBuf,
    },
    /// This program can't find itself, and so can't start its children.
    #[error("could not find this program's own file")]
    Program(#[source] std::io::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] crate::trial::journal::JournalError),
    /// The certificates.
    #[error("the certificates can't be used")]
    Certs(#[from] crate::certs::CertsError),
    /// A socket, or TLS.
    #[error(transparent)]
    Wire(#[from] crate::wire::WireError),
    /// The control origin.
    #[error(transparent)]
    Control(#[from] crate::control::ControlError),
    /// A transport.
    #[error(transparent)]
    Transport(#[from] crate::transport::ConfigureError),
    /// The report.
    #[error(transparent)]
    Report(#[from] crate::report::ReportError),
}
