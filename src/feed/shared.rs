//! The log behind a feed, where several servers share it.
//!
//! A feed of one server numbers its own events. A shared one has them numbered elsewhere, once for all servers: what is
//! published goes there, and comes back to each of them, which holds the newest in a ring of its own. Readers read that
//! ring either way.

use std::fmt;

use futures_util::future::BoxFuture;

use super::after::After;
use super::draft::Draft;
use super::event::EventId;

/// A log that several servers share.
pub trait SharedLog: fmt::Debug + Send + Sync {
    /// Makes the log if there is none yet, and waits until its readers can be served here.
    fn open(&self) -> BoxFuture<'static, Result<(), LogError>>;

    /// Hands an event to the log, after whatever was handed to it before. `done` is told once the log has it for good,
    /// or why it hasn't.
    fn append(&self, draft: Draft, done: Done);

    /// Where a reader of its feed begins, if that can't be said at once: because the log wasn't looked at yet, or
    /// because the reader was at another server that is further than this one.
    fn settle(&self, after: After) -> Option<BoxFuture<'static, Result<After, LogError>>>;
}

/// Is told what became of an event.
pub type Done = Box<dyn FnOnce(Result<EventId, LogError>) + Send>;

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
