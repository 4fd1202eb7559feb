//! The server's end of one subscription: a place in a feed, and the guard that the ledger sees.

use std::sync::Arc;

use super::rigged::Lie;
use crate::feed::{After, Cursor, EventId, Feed, Next};
use crate::trial::rig::Rig;
use crate::wire::{Attaching, Attachment};

/// Reads a feed for one subscription. What it gives out counts as written to the subscription's stream; dropping it
/// ends the subscription for the ledger.
#[derive(Debug)]
pub struct FeedReader {
    cursor: Cursor,
    attachment: Attachment,
    lie: Option<Box<Lie>>,
}

/// A reader that hasn't begun.
#[derive(Debug)]
pub struct Beginning {
    /// The feed.
    pub feed: Arc<Feed>,
    /// What the ledger is to see.
    pub attaching: Attaching,
    /// How the server lies, if it does.
    pub rig: Option<Rig>,
}

impl Beginning {
    /// Begins there: the cursor first, so that every event that is published once the ledger knows of the
    /// subscription is the subscription's.
    pub fn after(self, after: After) -> FeedReader {
        let cursor = Cursor::new(&self.feed, after);
        FeedReader { cursor, attachment: self.attaching.begin(), lie: Lie::of(self.rig) }
    }
}

impl FeedReader {
    /// What is next; waits for it. Cancelling loses nothing.
    pub async fn next(&mut self) -> Next {
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
    pub fn ready(&mut self) -> Option<Next> {
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
    pub async fn next_to_answer(&mut self) -> Next {
        loop {
            if let Some(next) = self.left() {
                return next;
            }
            let next = tokio::select! {
                biased;
                next = self.cursor.next() => next,
                () = self.attachment.half_closed() => Next::End,
            };
            if let Some(next) = self.told(next) {
                return next;
            }
        }
    }

    fn left(&mut self) -> Option<Next> {
        let event = self.lie.as_mut()?.left()?;
        self.attachment.written(&event);
        Some(Next::Event(event))
    }

    fn told(&mut self, next: Next) -> Option<Next> {
        let next = match &mut self.lie {
            Some(lie) => lie.tell(next)?,
            None => next,
        };
        if let Next::Event(event) = &next {
            self.attachment.written(event);
        }
        Some(next)
    }
}
