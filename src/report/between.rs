//! What stood between client and server, and what was changed in it.

use crate::stats::{StoodBetween, Summary};
use crate::trial::settings::IntermediaryConfig;

/// An intermediary as a person reads of it.
pub(super) struct BetweenView {
    /// `nginx 1.22.1, streaming`.
    pub(super) name: String,
    /// What its configuration is.
    pub(super) says: String,
    /// What is changed in the one that its documentation begins with.
    pub(super) changes: Vec<String>,
}

/// All of them.
pub(super) fn between(summary: &Summary) -> Vec<BetweenView> {
    summary.between.iter().map(BetweenView::of).collect()
}

impl BetweenView {
    fn of(stood: &StoodBetween) -> Self {
        let StoodBetween { intermediary, version, config, compression, changes } = stood;
        let says = match config {
            IntermediaryConfig::Default if !changes.is_empty() => {
                "what its documentation begins a reverse proxy with, but for"
            }
            IntermediaryConfig::Default => "what its documentation begins a reverse proxy with",
            IntermediaryConfig::Streaming if changes.is_empty() => "the same: nothing needs a change",
            IntermediaryConfig::Streaming => "the same but for",
            IntermediaryConfig::Own(_) => "a configuration of one\u{2019}s own",
        };
        let compressed = compression.coding().map_or_else(String::new, |coding| format!(", {coding}"));
        let name = format!("{intermediary} {version}, {config}{compressed}");
        Self { name, says: says.to_owned(), changes: changes.clone() }
    }
}
