//! How a trial looks while it runs: its lanes by the server's count, and in the end what was kept.

use serde::Serialize;

use crate::trial::fact::Outcome;
use crate::trial::lanes::Lanes;

/// What is shown of one trial to who has its token: `GET /ledger?trial=7&token=…`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LiveView {
    /// Connections and their streams; it stands still from the census on.
    #[serde(flatten)]
    pub lanes: Lanes,
    /// What it came to, once it is over.
    pub kept: Option<MeasurementResult>,
}

/// What a trial came to. A number that was not obtained is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MeasurementResult {
    pub outcome: Outcome,
    /// Why, unless it was completed.
    pub reason: Option<String>,
    /// Streams that received the census.
    pub open: Option<f64>,
    /// Streams that it was written to.
    pub server_open: Option<f64>,
    /// Connections that carried one then.
    pub connections: Option<f64>,
    /// The name of the run's folder; its report is at `/runs/NAME/report.html`.
    pub run: String,
}
