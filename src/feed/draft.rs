//! An event that has no number yet.

use std::fmt;

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
