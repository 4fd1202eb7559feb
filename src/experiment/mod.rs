//! From a file to a plan to a run.
//!
//! Enters: an experiment file and the flags that change it. Leaves: a plan, every trial of it checked, and the
//! results of running it. What must never happen here: a trial that starts with a setting nobody checked, or
//! one whose expectations its own faults make impossible.

pub mod builtin;
pub mod cage;
pub mod deal;
pub mod plan;

mod calibrate;
mod claims;
mod draft;
mod end;
mod file;
mod flags;
mod judge;
mod lab;
mod machine;
pub mod results;
pub mod run;
mod source;
mod tree;
mod trial;
pub mod visit;
mod witness;
mod words;

use std::path::PathBuf;

pub use self::lab::NOT_ALLOWED;
use crate::trial::{Claim, Settings};

/// What can be wrong with an experiment before anything runs.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// The file system said no.
    #[error("could not read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no experiment of that name.
    #[error("no experiment `{name}`{hint}")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name, or all of them.
        hint: String,
    },
    /// Something in the file or in a flag is not right.
    #[error("{place}: {says}")]
    Invalid {
        /// `experiments/x.toml:12`, or the flag: `--set workload.subscribers=x`.
        place: String,
        /// What is wrong, and what would be right.
        says: String,
    },
}

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

/// The flags that change an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--client`: these clients instead of the file's; empty leaves them.
    pub clients: Vec<String>,
    /// `--set`: `dotted.setting=level,level`, each in place of the setting or factor of that name.
    pub set: Vec<String>,
    /// `--repeats`, 1 to 1000.
    pub repeats: Option<u32>,
    /// `--seed`, below 2^53.
    pub seed: Option<u64>,
    /// `--full`: the factors of `[full]` in place of those of the same name.
    pub full: bool,
}

/// What varies: a setting's dotted name (or `client`, `protocol`) and how many levels it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// The dotted name.
    pub name: String,
    /// How many levels, 1 at least.
    pub levels: usize,
}

/// An experiment file that was checked as a whole: every combination of levels is a trial that can be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its file's name without `.toml`.
    pub name: String,
    /// What it asks.
    pub question: String,
    /// How often each combination is run, 1 to 1000.
    pub repeats: u32,
    /// The run's seed, below 2^53.
    pub seed: u64,
    /// The factors in the order of the file, then those of the flags; `client` and `protocol` are among them.
    pub factors: Vec<Factor>,
    /// The claims; the levels in their `where` are in canonical form.
    pub claims: Vec<Claim>,
    /// One entry per combination of levels, the last factor varying fastest; defaults filled in.
    pub combinations: Vec<Settings>,
    /// The file's text, for `experiment.toml` among the results.
    pub text: String,
}

impl Experiment {
    /// Reads and checks an experiment: a name (`six-vs-hundred`), or a path when it has a `/` or ends in `.toml`.
    pub fn load(name_or_path: &str, overrides: &Overrides) -> Result<Self, ExperimentError> {
        let (name, source) = builtin::locate(name_or_path, std::path::Path::new("experiments"))?;
        if name.len() > results::MAX_NAME {
            let says = format!(
                "the name has {} bytes, `.toml` aside: a run's folder begins with the time and then has the name; \
                 take {} or fewer",
                name.len(),
                results::MAX_NAME
            );
            return Err(source.whole(&says));
        }
        file::parse(name, source, overrides)
    }
}
