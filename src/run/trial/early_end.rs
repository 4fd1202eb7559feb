//! Why a trial does not run to its end.

use tokio::sync::watch;

use super::super::RunError;
use super::super::interrupt::interrupted;
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

/// What comes of this, unless the run is interrupted before.
pub(super) async fn unless_interrupted<T>(
    interrupt: &watch::Receiver<bool>,
    does: impl Future<Output = T>,
) -> Result<T, EarlyEnd> {
    tokio::select! {
        done = does => Ok(done),
        () = interrupted(interrupt) => Err(EarlyEnd::Interrupted),
    }
}

pub(super) fn failed<T>(reason: impl Into<String>) -> Result<T, EarlyEnd> {
    Err(EarlyEnd::Ended(Outcome::Failed, reason.into()))
}
