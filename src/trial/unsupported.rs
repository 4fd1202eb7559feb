//! Why something can't be had.

use std::borrow::Cow;

/// Why something can't be had: a client on this machine, a protocol in a page, a trial with these settings. A trial that
/// ends `unsupported` has this text as its reason, so it says what to do where that can be said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(Cow<'static, str>);

impl From<&'static str> for Unsupported {
    fn from(reason: &'static str) -> Self {
        Self(reason.into())
    }
}

impl From<String> for Unsupported {
    fn from(reason: String) -> Self {
        Self(reason.into())
    }
}
