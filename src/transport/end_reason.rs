//! Why a subscription ended, native client's side.

use std::error::Error;

use http::StatusCode;

use crate::text::chain;
use crate::wire::WireError;

/// Why a subscription ended, or could not begin: the reason that the fact `closed` gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndReason(String);

impl EndReason {
    /// Something failed: what, and what caused it.
    pub(super) fn failure(error: &dyn Error) -> Self {
        Self(chain(error))
    }

    /// The server refused, or has nothing to read from.
    pub(super) fn answered(status: StatusCode) -> Self {
        Self(format!("the server answered {status}"))
    }

    /// All that there was has been read.
    pub(super) fn stream_ended() -> Self {
        Self("the server ended the stream".to_owned())
    }
}

impl From<String> for EndReason {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<WireError> for EndReason {
    fn from(error: WireError) -> Self {
        Self::failure(&error)
    }
}
