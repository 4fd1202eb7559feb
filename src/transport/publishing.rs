//! What clients publish, whichever way it came: a POST, a message, a stream, a datagram.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::feed::{
    Draft, DraftData, EventId, Feed, LogError, MAX_EVENT_BYTES, Patience, is_event_name, is_plain, payload,
};
use crate::trial::ServerFact;
use crate::trial::clock::{monotonic_nanos, unix_micros};
use crate::wire::Sink;

/// How long who published waits for its own event to come back from a shared log. It is there all the same.
const OWN: Duration = Duration::from_secs(1);

/// Publishes to one feed what one client sends.
#[derive(Debug, Clone)]
pub struct Publishing {
    pub feed: Arc<Feed>,
    /// Where the facts of a trial go.
    pub sink: Sink<ServerFact>,
    /// The trial that the client says it is of.
    pub tag: Option<u32>,
}

/// What was published, or is about to be.
#[derive(Debug)]
pub enum Published {
    /// It is in the log.
    Done(EventId),
    /// It was handed to a log that other servers share.
    UnderWay(oneshot::Receiver<Result<EventId, LogError>>),
}

/// Why something can't be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("an event's name is 1 to 64 of A-Z a-z 0-9 - _ . and not \"gap\", which the server says itself")]
    Name,
    #[error("an event's message id is 1 to 64 of A-Z a-z 0-9 - _ .")]
    MessageId,
    #[error("an event holds at most {MAX_EVENT_BYTES} bytes")]
    TooLong,
    #[error("an event's data must be UTF-8")]
    NotText,
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Publishing {
    /// Publishes it now. Where the log is shared, one with the same message id isn't there twice.
    pub fn publish(&self, name: &str, data: &[u8], message_id: Option<&str>) -> Result<Published, PublishError> {
        if !is_event_name(name) {
            return Err(PublishError::Name);
        }
        if !message_id.is_none_or(is_plain) {
            return Err(PublishError::MessageId);
        }
        if data.len() > MAX_EVENT_BYTES {
            return Err(PublishError::TooLong);
        }
        let data = std::str::from_utf8(data).map_err(|_| PublishError::NotText)?;
        let t = monotonic_nanos();
        // A trial's client says in the data which of its events it is.
        let event = self.tag.map(|_| payload::number(data).unwrap_or(0));
        let Some(log) = self.feed.shared() else {
            let id = self.feed.publish(name, data.to_owned(), unix_micros(), false).id;
            self.published(t, event, id);
            return Ok(Published::Done(id));
        };
        let draft = Draft {
            name: name.to_owned(),
            data: DraftData::Text(data.to_owned()),
            time: unix_micros(),
            census: false,
            binary: false,
            message_id: message_id.map(str::to_owned),
            patience: Patience::Refuse,
        };
        let (told, answer) = oneshot::channel();
        let publishing = self.clone();
        log.append(
            draft,
            Box::new(move |taken| {
                if let Ok(id) = taken {
                    publishing.published(t, event, id);
                }
                // Who published it may be gone.
                let _ = told.send(taken);
            }),
        );
        Ok(Published::UnderWay(answer))
    }

    /// The same, and waits until it is in the log, and if possible until it is among the events that this server has.
    pub async fn publish_and_see(
        &self,
        name: &str,
        data: &[u8],
        message_id: Option<&str>,
    ) -> Result<EventId, PublishError> {
        let publication = self.publish(name, data, message_id)?;
        let id = publication.taken().await?;
        self.see(id).await;
        Ok(id)
    }

    /// Waits for a moment until an event is among those that this server has.
    pub async fn see(&self, id: EventId) {
        let _ = tokio::time::timeout(OWN, self.feed.reached(id)).await;
    }

    fn published(&self, t: u64, event: Option<u32>, id: EventId) {
        if let Some(event) = event {
            let (feed, id) = (Arc::clone(self.feed.name()), id.to_string());
            self.sink.record_at(t, ServerFact::Published { feed, id, event, scheduled: t, census: false });
        }
    }
}

impl Published {
    /// Waits until it is in the log.
    pub async fn taken(self) -> Result<EventId, LogError> {
        match self {
            Self::Done(id) => Ok(id),
            // Who was to answer is gone, as its feed is.
            Self::UnderWay(answer) => answer.await.unwrap_or(Err(LogError::Unanswered)),
        }
    }
}
