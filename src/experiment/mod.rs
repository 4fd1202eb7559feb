//! From a file to a plan.
//!
//! Enters: an experiment file and the flags that change it. Leaves: a plan, every trial of it checked. What must never
//! happen here: a process or a socket, a trial planned with a setting nobody checked, or one whose expectations its own
//! faults make impossible.

pub mod assign;
pub mod builtin;
pub mod plan;
pub mod schema;
pub mod validate;

mod claims;
mod file;
mod flags;
mod readers;
mod recover;
mod source;
mod suggest;
mod tree;
mod unchecked;

use std::path::PathBuf;

use crate::trial::{Claim, Settings};
use source::ExperimentSource;

/// What can be wrong with an experiment before anything runs.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    #[error("could not read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// There is no experiment of that name.
    #[error("no experiment `{name}`{hint}")]
    Unknown {
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
        /// Which bytes of the file, where it is some of them.
        span: Option<std::ops::Range<usize>>,
    },
}

impl ExperimentError {
    /// Which bytes of the file it is about, where it is some of them.
    fn span(&self) -> Option<std::ops::Range<usize>> {
        match self {
            Self::Invalid { span, .. } => span.clone(),
            Self::Read { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// How many bytes an experiment's name may have: with the time in front and a number behind, its folder's has no more
/// than file systems take (`NAME_MAX`, 255 on Linux).
const MAX_NAME: usize = 255 - "20260131T120000Z-".len() - "-1000".len();

/// The repeats of an experiment at most.
const MAX_REPEATS: u64 = 1000;
/// Seeds stay below 2^53, so that JavaScript keeps them exactly.
const MAX_SEED: u64 = (1 << 53) - 1;
/// The top level's words that are not settings of a trial.
const OWN: [&str; 6] = ["question", "repeats", "seed", "factors", "full", "claim"];
/// The trials of a run at most.
const MAX_TRIALS: usize = 100_000;

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
    pub name: String,
    /// How many levels, 1 at least.
    pub levels: usize,
}

/// An experiment file that was checked as a whole: every combination of levels is a trial that can be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its file's name without `.toml`.
    pub name: String,
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
    /// Reads and checks an experiment: a name (`six-vs-hundred`), or a path when it has a `/` or ends in `.toml`. The
    /// errors are all that is wrong with it, as far as one can be told from another.
    pub fn load(name_or_path: &str, overrides: &Overrides) -> Result<Self, Vec<ExperimentError>> {
        let (name, source) = Self::located(name_or_path).map_err(|error| vec![error])?;
        file::parse(name, source, overrides)
    }

    /// The same both as it is run without `--full` and as it is with it, read once.
    pub fn load_both(name_or_path: &str, overrides: &Overrides) -> Result<[Self; 2], Vec<ExperimentError>> {
        let (name, source) = Self::located(name_or_path).map_err(|error| vec![error])?;
        file::parse_both(name, source, overrides)
    }

    fn located(name_or_path: &str) -> Result<(String, ExperimentSource), ExperimentError> {
        let (name, source) = builtin::locate(name_or_path, std::path::Path::new("experiments"))?;
        if name.len() > MAX_NAME {
            let says = format!(
                "the name has {} bytes, `.toml` aside: a run's folder begins with the time and then has the name; \
                 take {} or fewer",
                name.len(),
                MAX_NAME
            );
            return Err(source.whole(&says));
        }
        Ok((name, source))
    }
}
