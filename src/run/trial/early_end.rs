//! Why a trial does not run to its end.

use super::super::RunError;
use crate::trial::Unsupported;
use crate::trial::fact::Outcome;

/// How a trial ended early.
#[derive(Debug)]
pub(super) enum EarlyEnd {
    Ended(Outcome, String),
    Interrupted,
    Lab(RunError),
}

impl From<RunError> for EarlyEnd {
    fn from(error: RunError) -> Self {
        Self::Lab(error)
    }
}

impl From<Unsupported> for EarlyEnd {
    fn from(why: Unsupported) -> Self {
        Self::Ended(Outcome::Unsupported, why.to_string())
    }
}

pub(super) fn failed<T>(reason: impl Into<String>) -> Result<T, EarlyEnd> {
    Err(EarlyEnd::Ended(Outcome::Failed, reason.into()))
}
