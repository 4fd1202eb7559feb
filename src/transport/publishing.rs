//! What clients publish, whichever way it came: a POST, a message, a stream, a datagram.

use std::sync::Arc;

use crate::feed::{EventId, Feed, MAX_EVENT_BYTES, payload};
use crate::trial::ServerFact;
use crate::trial::clock::{monotonic_nanos, unix_micros};
use crate::wire::Sink;

/// Publishes to one feed what one client sends.
#[derive(Debug, Clone)]
pub struct Publishing {
    pub feed: Arc<Feed>,
    /// Where the facts of a trial go.
    pub sink: Sink<ServerFact>,
    /// The trial that the client says it is of.
    pub tag: Option<u32>,
}

/// Why something can't be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("an event's name is 1 to 64 of A-Z a-z 0-9 - _ . and not \"gap\", which the server says itself")]
    Name,
    #[error("an event holds at most {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("an event's data must be UTF-8")]
    NotText,
}

impl Publishing {
    /// Publishes it now.
    pub fn publish(&self, name: &str, data: &[u8]) -> Result<EventId, PublishError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name == "gap" || !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(PublishError::Name);
        }
        if data.len() > MAX_EVENT_BYTES {
            return Err(PublishError::TooLong);
        }
        let data = std::str::from_utf8(data).map_err(|_| PublishError::NotText)?;
        let t = monotonic_nanos();
        // A trial's client says in the data which of its events it is.
        let event = self.tag.map(|_| payload::number(data).unwrap_or(0));
        let id = self.feed.publish(name, data.to_owned(), unix_micros(), false).id;
        if let Some(event) = event {
            let (feed, id) = (Arc::clone(self.feed.name()), id.to_string());
            self.sink.record_at(t, ServerFact::Published { feed, id, event, scheduled: t, census: false });
        }
        Ok(id)
    }
}
