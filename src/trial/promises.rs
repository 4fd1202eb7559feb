//! What a transport promises with a trial's settings: what the trial may expect, and how it is counted.

use serde::{Deserialize, Serialize};

/// What a transport promises with a trial's settings. The transport says it once, when the trial is planned; whoever
/// judges or counts reads it here and asks for no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Promises {
    /// Events arrive in the order in which they were published.
    pub in_order: bool,
    /// No event is lost on its way while the subscription is open.
    pub without_loss: bool,
    /// What a subscription has under way.
    pub exchanges: Exchanges,
}

impl Default for Promises {
    fn default() -> Self {
        Self { in_order: true, without_loss: true, exchanges: Exchanges::Persistent }
    }
}

/// What a subscription has under way between its beginning and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exchanges {
    /// One that stays open: a stream, a tunnel, a session.
    #[default]
    Persistent,
    /// One after another, each of which waits for its answer (RFC 6202 section 2): there is almost always one.
    Hanging,
    /// One now and then, answered at once: between two there is none.
    Periodic,
}
