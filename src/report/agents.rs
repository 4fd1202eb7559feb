//! The agents that ran ends of trials.

use crate::stats::number::with_unit;
use crate::stats::{AgentResult, Summary};

/// An agent as a person reads of it.
pub(super) struct AgentView {
    pub(super) agent: String,
    /// `client, server`.
    pub(super) ran: String,
    pub(super) trials: u32,
    /// `0.25 ms`.
    pub(super) off: String,
    pub(super) cores: u32,
    pub(super) kernel: String,
    pub(super) version: String,
    /// Why its times can't be compared.
    pub(super) apart: Option<String>,
}

/// All of them.
pub(super) fn agents(summary: &Summary) -> Vec<AgentView> {
    summary.agents.iter().map(AgentView::of).collect()
}

impl AgentView {
    fn of(result: &AgentResult) -> Self {
        let AgentResult { agent, roles, version, cores, kernel, trials, uncertainty, apart } = result;
        Self {
            agent: agent.clone(),
            ran: roles.join(", "),
            trials: *trials,
            off: uncertainty.map_or_else(|| "–".to_owned(), |off| with_unit(off, "ms")),
            cores: *cores,
            kernel: kernel.clone(),
            version: version.clone(),
            apart: apart.clone(),
        }
    }
}
