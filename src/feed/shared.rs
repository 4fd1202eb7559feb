//! The log behind a feed, where several servers share it.
//!
//! A feed of one server numbers its own events. A shared one has them numbered elsewhere, once for all servers: what is
//! published goes there, and comes back to each of them, which holds the newest in a ring of its own. Readers read that
//! ring either way.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{After, EventId, Feed};

/// A log that several servers share.
pub trait SharedLog: fmt::Debug + Send + Sync {
    /// Makes the log if there is none yet, and waits until its readers can be served here.
    fn open(&self) -> BoxFuture<'static, Result<(), LogError>>;

    /// Hands an event to the log, after whatever was handed to it before. `done` is told once the log has it for good,
    /// or why it hasn't.
    fn append(&self, draft: Draft, done: Done);

    /// Where a reader of this feed begins, if that can't be said at once: because the log wasn't looked at yet, or
    /// because the reader was at another server that is further than this one.
    fn settle(&self, feed: &Arc<Feed>, after: After) -> Option<BoxFuture<'static, Result<After, LogError>>>;
}

/// Is told what became of an event.
pub type Done = Box<dyn FnOnce(Result<EventId, LogError>) + Send>;

/// An event that has no number yet.
#[derive(Debug)]
pub struct Draft {
    /// Its name: `message` unless the publisher said otherwise.
    pub name: String,
    /// Its data.
    pub data: DraftData,
    /// When it was published, in microseconds since 1970.
    pub time: u64,
    /// Whether it is a trial's census.
    pub census: bool,
    /// Whether its data is bytes to its readers.
    pub binary: bool,
    /// What the publisher calls it, so that the same one sent again isn't there twice.
    pub message_id: Option<String>,
    /// What is done when the log doesn't answer.
    pub patience: Patience,
}

/// What is done when the log doesn't answer, or is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Who publishes is told at once, and may try again.
    Refuse,
    /// The event waits, and all that come after it, until the log has it.
    Wait,
}

/// The data of a draft.
pub enum DraftData {
    /// This text.
    Text(String),
    /// What depends on the event's sequence number.
    Numbered(Box<dyn Fn(u64) -> String + Send + Sync>),
}

impl DraftData {
    /// The data of the event with this sequence number.
    pub fn text(self, seq: u64) -> String {
        match self {
            Self::Text(text) => text,
            Self::Numbered(text) => text(seq),
        }
    }
}

impl fmt::Debug for DraftData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(&text.len()).finish(),
            Self::Numbered(_) => f.write_str("Numbered"),
        }
    }
}

/// Why a shared log doesn't take an event, or can't say where a reader is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Nothing was handed to it.
    #[error("the log of this feed is away; try again")]
    Away,
    /// It was handed to the log, which may have it or not.
    #[error("the log of this feed did not answer in time; try again with the same `id`, so that it isn't there twice")]
    Unanswered,
    #[error("as much is on its way to the log of this feed as may be; try again")]
    Busy,
    /// It has no room, and won't have any before somebody makes some.
    #[error("the log of this feed is full: {0}")]
    Full(String),
    /// What is there under this feed's name isn't a log of this cluster.
    #[error("{0}")]
    Foreign(String),
    /// It is there, and doesn't do what it was asked for.
    #[error("the log of this feed refused: {0}")]
    Refused(String),
}

impl LogError {
    /// Whether the same may be taken if it is tried again.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Away | Self::Unanswered | Self::Busy)
    }
}
