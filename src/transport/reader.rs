//! The server's end of one subscription: a place in a feed, and the guard that the ledger sees.

use std::sync::Arc;

use super::misbehaviour::ServerMisbehaviour;
use crate::feed::{After, Cursor, CursorItem, EventId, Feed};
use crate::trial::rig::Rig;
use crate::wire::{SubscriptionGuard, SubscriptionRecord};

/// Reads a feed for one subscription. What it gives out counts as written to the subscription's stream; dropping it
/// ends the subscription for the ledger.
#[derive(Debug)]
pub struct FeedReader {
    cursor: Cursor,
    attachment: SubscriptionGuard,
    misbehaviour: Option<Box<ServerMisbehaviour>>,
}

/// A reader that hasn't begun.
#[derive(Debug)]
pub struct PendingSubscription {
    pub feed: Arc<Feed>,
    /// What the ledger is to see.
    pub record: SubscriptionRecord,
    /// How the server lies, if it does.
    pub rig: Option<Rig>,
}

impl PendingSubscription {
    /// Begins there: the cursor first, so that every event that is published once the ledger knows of the
    /// subscription is the subscription's.
    pub fn after(self, after: After) -> FeedReader {
        let cursor = Cursor::new(&self.feed, after);
        FeedReader { cursor, attachment: self.record.begin(), misbehaviour: ServerMisbehaviour::of(self.rig) }
    }
}

impl FeedReader {
    /// What is next; waits for it. Cancelling loses nothing.
    pub async fn next(&mut self) -> CursorItem {
        loop {
            if let Some(next) = self.left() {
                return next;
            }
            let next = self.cursor.next().await;
            if let Some(next) = self.told(next) {
                return next;
            }
        }
    }

    /// What is next, if it is there already: an event or a gap.
    pub fn ready(&mut self) -> Option<CursorItem> {
        loop {
            if let Some(next) = self.left() {
                return Some(next);
            }
            let next = self.cursor.try_next()?;
            if let Some(next) = self.told(next) {
                return Some(next);
            }
        }
    }

    /// The id after which it goes on: that of the last event given out, or of the feed's newest when it began.
    pub fn last(&self) -> EventId {
        self.cursor.last()
    }

    /// The same for an answer that waits for it: the end as well when the client has closed its side meanwhile.
    pub async fn next_to_answer(&mut self) -> CursorItem {
        loop {
            if let Some(next) = self.left() {
                return next;
            }
            let next = tokio::select! {
                biased;
                next = self.cursor.next() => next,
                () = self.attachment.half_closed() => CursorItem::End,
            };
            if let Some(next) = self.told(next) {
                return next;
            }
        }
    }

    fn left(&mut self) -> Option<CursorItem> {
        let event = self.misbehaviour.as_mut()?.left()?;
        self.attachment.written(&event);
        Some(CursorItem::Event(event))
    }

    fn told(&mut self, next: CursorItem) -> Option<CursorItem> {
        let next = match &mut self.misbehaviour {
            Some(misbehaviour) => misbehaviour.tell(next)?,
            None => next,
        };
        if let CursorItem::Event(event) = &next {
            self.attachment.written(event);
        }
        Some(next)
    }
}
