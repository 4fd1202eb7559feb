//! Where a reader begins.

use super::event::{EventId, EventIdError};

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// With the next event to be published.
    Now,
    /// With all that the log holds.
    Beginning,
    /// After this event.
    Id(EventId),
    /// After this event of a shared log, which this server is about to have.
    Ahead(EventId),
    /// After an event that this feed never had: everything held, and a gap of unknown size first.
    Unknown,
}

/// Why a text says no place to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`after` is 0 for all that the log holds, or an event's id such as k3f9-18")]
pub struct AfterError;

impl From<EventIdError> for AfterError {
    fn from(_: EventIdError) -> Self {
        Self
    }
}

impl After {
    /// Reads a query's `after`: nothing, `0`, or an id.
    pub fn parse(text: Option<&str>) -> Result<Self, AfterError> {
        match text {
            None | Some("") => Ok(Self::Now),
            Some("0") => Ok(Self::Beginning),
            Some(id) => Ok(Self::Id(id.parse()?)),
        }
    }
}
