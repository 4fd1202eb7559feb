//! Observations to metrics, groups and claims.
//!
//! Enters: a plan and the observations of its trials. Leaves: a [`Summary`], and the judgement of one trial.
//! What must never happen here: a socket, a clock, a print; a number that is not a fold over observations; an
//! absent value that looks like 0.

pub mod calibration;
pub mod claim;
pub mod compare;
mod elsewhere;
pub mod explain;
pub mod judge;
pub mod lanes;
pub mod metric;
pub mod number;
mod record;
pub mod result;
mod sample;
pub mod stack;
pub mod summary;
pub mod versions;

#[cfg(test)]
pub(crate) mod rig;

pub use calibration::{Calibration, calibrate};
pub use claim::check as check_claim;
pub use compare::{Comparison, compare};
pub use elsewhere::{AgentEnd, AgentResult};
pub use judge::judge;
pub use lanes::{LaneFault, TrialLanes, lanes};
pub use result::{
    ClaimResult, ClientResult, Entry, Group, GroupEntry, PhaseParts, StoodBetween, Summary, TrialResult, TrialStack,
    Verdict,
};
pub use summary::summarise;

/// The names of all metrics, in the order of tables.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    metric::ALL.iter().map(|metric| metric.name)
}
