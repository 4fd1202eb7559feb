//! What the machine and the clocks could tell at the time of a run: `calibration.json`.

use serde::{Deserialize, Serialize};

/// What was found out around a run. What was not is `None`, or missing from its list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Calibration {
    /// How much of the processor was idle before the run, in percent.
    pub idle_percent: Option<f64>,
    /// Two trials that differ in nothing.
    pub aa: Option<Twins>,
    /// How late events were published.
    pub publisher_lateness: Option<Lateness>,
    /// How late facts reached the journal.
    pub recorder_lateness: Option<Lateness>,
    /// The clocks of clients other than the lab's own, one entry per client.
    pub clocks: Vec<ClientClock>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// Two trials that differ in nothing (A/A): how much they differ is what this machine can't tell apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Twins {
    /// The metric whose medians these are.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// The first trial's.
    pub first: f64,
    /// The second one's.
    pub second: f64,
    /// How far they are apart; never below 0.
    pub difference: f64,
}

/// How late something was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lateness {
    /// The unit of both.
    pub unit: String,
    /// The median.
    pub median: f64,
    /// 99 in 100 were this late or less.
    pub p99: f64,
}

/// A client's clock, the worst of its trials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientClock {
    /// The client's name.
    pub client: String,
    /// In what steps its timer moves, in nanoseconds.
    pub step: u64,
    /// How far its comparison with the lab's clock may be off, in nanoseconds.
    pub uncertainty: u64,
    /// Whether its page was cross-origin isolated.
    pub isolated: bool,
    /// `document.visibilityState`.
    pub visibility: String,
}
