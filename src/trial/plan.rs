//! One trial as it was planned: which levels, which settings, which seed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Promises, Settings};

/// Every factor with its level in canonical form, and always `client` and `protocol`. A factor of several
/// levels is `null` where nothing in the trial is what it is about.
pub type Levels = BTreeMap<String, serde_json::Value>;

/// One combination of levels, run once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedTrial {
    /// Its number in the run, from 0.
    pub trial: u32,
    /// Which repeat of its combination it is, from 0.
    pub repeat: u32,
    /// hash(the run's seed, repeat): the same for every combination, so that repeats are paired. Below 2^53.
    pub seed: u64,
    pub levels: Levels,
    /// All settings, defaults filled.
    pub settings: Settings,
    /// What its transport promises with them.
    #[serde(default)]
    pub promises: Promises,
}

/// A whole run as it was planned: `plan.json`. With the journal it is enough to rebuild the summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The version of this file's format: [`Plan::VERSION`], or 1 where it says none.
    #[serde(default = "first_version")]
    pub version: u32,
    /// The experiment's name: its file's name without `.toml`.
    pub experiment: String,
    pub question: String,
    /// The run's seed.
    pub seed: u64,
    /// How often each combination is run.
    pub repeats: u32,
    /// The factors in the order of the file, `client` and `protocol` included.
    pub factors: Vec<String>,
    /// The claims.
    pub claims: Vec<super::Claim>,
    /// The trials, in the order they run.
    pub trials: Vec<PlannedTrial>,
}

impl Plan {
    /// The version that this lab writes. Version 2 has the promises of each trial's transport; in version 3 what a browser does
    /// in its own way has a level there, and is not `null`.
    pub const VERSION: u32 = 3;
}

fn first_version() -> u32 {
    1
}
