//! Who takes part in a trial.

/// Which of them; an index of what the runner keeps for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Server = 0,
    Client = 1,
    /// What stands between, which says nothing, and ends.
    Intermediary = 2,
}

impl Which {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Intermediary => "intermediary",
        }
    }
}
