//! A reader's place in a feed. It holds a number, not a queue.

use std::sync::Arc;

use super::after::After;
use super::event::{Epoch, Event, EventId};
use super::log::Feed;

/// Events that a reader asked for and that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// How many; unknown when the reader's last id was never this feed's.
    pub missed: Option<u64>,
    /// The first event that the reader gets instead; none in an empty log.
    pub first: Option<EventId>,
}

/// What a reader is told next.
#[derive(Debug, Clone)]
pub enum CursorItem {
    Event(Arc<Event>),
    /// Events are missing here.
    Gap(Gap),
    /// Nothing new; a sign of life is due.
    Beat,
    /// The feed ended its readers.
    End,
}

/// A reader's place in a feed.
#[derive(Debug)]
pub struct Cursor {
    feed: Arc<Feed>,
    /// The epoch of what it reads. When the feed goes on with another, this reader is at its end.
    epoch: Epoch,
    /// The sequence number wanted next.
    next: u64,
    /// A gap to be told first.
    gap: Option<Gap>,
    /// Where it waits.
    shard: u8,
    /// Heartbeats seen.
    beats: u64,
    /// Whether something was given out since the last heartbeat.
    busy: bool,
    /// How often the feed had ended its readers when this one began.
    ends: u64,
}

impl Cursor {
    /// A reader that begins there.
    pub fn new(feed: &Arc<Feed>, after: After) -> Self {
        let shard = feed.enter();
        let (beats, ends) = (feed.beats(), feed.ends());
        let epoch = feed.epoch();
        let (head, first) = (feed.head(), feed.first());
        let oldest = || (first <= head).then_some(EventId { epoch, seq: first });
        let (next, gap) = match after {
            After::Now => (head + 1, None),
            After::Beginning => (first, None),
            After::Ahead(id) if id.epoch == epoch && id.seq > head => (id.seq + 1, None),
            // It was there before the first event.
            After::Id(EventId { epoch: Epoch::NEW, seq: 0 }) => {
                (first, (first > 1).then(|| Gap { missed: Some(first - 1), first: oldest() }))
            }
            After::Id(id) | After::Ahead(id) if id.epoch == epoch && id.seq <= head => {
                let next = id.seq + 1;
                let missed = first.saturating_sub(next);
                (next.max(first), (missed > 0).then(|| Gap { missed: Some(missed), first: oldest() }))
            }
            After::Id(_) | After::Ahead(_) | After::Unknown => (first, Some(Gap { missed: None, first: oldest() })),
        };
        Self { feed: Arc::clone(feed), epoch, next, gap, shard, beats, busy: false, ends }
    }

    /// What is next; waits for it. Cancelling loses nothing.
    pub async fn next(&mut self) -> CursorItem {
        loop {
            if let Some(next) = self.try_next() {
                self.busy = true;
                return next;
            }
            // Listens before it looks: what is published in between wakes it.
            let news = self.feed.news(self.shard);
            let beats = self.feed.beats();
            if beats != self.beats {
                self.beats = beats;
                if !std::mem::take(&mut self.busy) {
                    return CursorItem::Beat;
                }
            }
            if self.feed.ends() != self.ends {
                return CursorItem::End;
            }
            // An event may have come between `try_next` and `news`, which wakes for later ones only.
            if self.next <= self.feed.head() {
                continue;
            }
            news.await;
        }
    }

    /// The id after which it goes on; the number is 0 in a feed that had no event when it began.
    pub fn last(&self) -> EventId {
        EventId { epoch: self.epoch, seq: self.next - 1 }
    }

    /// What is next, if it is there already: an event or a gap.
    pub fn try_next(&mut self) -> Option<CursorItem> {
        if let Some(gap) = self.gap.take() {
            return Some(CursorItem::Gap(gap));
        }
        if self.next > self.feed.head() {
            return None;
        }
        if let Some(event) = self.feed.event(self.next) {
            if event.id.epoch != self.epoch && !self.adopts(event.id.epoch) {
                return Some(CursorItem::End);
            }
            self.next += 1;
            return Some(CursorItem::Event(event));
        }
        Some(self.fell_out())
    }

    /// What a reader is told that finds the event gone that it wanted: it fell out of the log before the reader came to
    /// it, or the shared log never had it.
    fn fell_out(&mut self) -> CursorItem {
        let epoch = self.feed.epoch();
        if epoch != self.epoch && !self.adopts(epoch) {
            return CursorItem::End;
        }
        let head = self.feed.head();
        let mut first = self.feed.first().max(self.next + 1);
        while first <= head && self.feed.event(first).is_none() {
            first = self.feed.first().max(first + 1);
        }
        let missed = first - self.next;
        self.next = first;
        let first = (first <= head).then_some(EventId { epoch: self.epoch, seq: first });
        CursorItem::Gap(Gap { missed: Some(missed), first })
    }

    /// Goes on with this epoch, if it waited for the first there is.
    fn adopts(&mut self, epoch: Epoch) -> bool {
        let adopts = self.epoch == Epoch::NEW;
        if adopts {
            self.epoch = epoch;
        }
        adopts
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.feed.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_of(events: u64, capacity: usize) -> Arc<Feed> {
        let feed = Feed::new("f0", capacity);
        for k in 0..events {
            feed.publish("message", k.to_string(), 0, false);
        }
        feed
    }

    /// Everything that is there already: sequence numbers, and a gap as 0.
    fn read(cursor: &mut Cursor) -> Vec<u64> {
        std::iter::from_fn(|| cursor.try_next())
            .map(|next| match next {
                CursorItem::Event(event) => event.id.seq,
                CursorItem::Gap(_) | CursorItem::Beat | CursorItem::End => 0,
            })
            .collect()
    }

    #[test]
    fn a_reader_begins_where_it_says() {
        let feed = feed_of(5, 8);
        let id = |seq| After::Id(EventId { epoch: feed.epoch(), seq });
        assert!(read(&mut Cursor::new(&feed, After::Now)).is_empty());
        assert_eq!(read(&mut Cursor::new(&feed, After::Beginning)), [1, 2, 3, 4, 5]);
        assert_eq!(read(&mut Cursor::new(&feed, id(3))), [4, 5]);
        assert!(read(&mut Cursor::new(&feed, id(5))).is_empty());
    }

    #[test]
    fn an_id_that_is_too_old_foreign_or_from_the_future_is_told_a_gap_first() {
        let feed = feed_of(12, 8);
        let id = |seq| After::Id(EventId { epoch: feed.epoch(), seq });
        let mut old = Cursor::new(&feed, id(2));
        let Some(CursorItem::Gap(gap)) = old.try_next() else { panic!("no gap") };
        assert_eq!(gap, Gap { missed: Some(2), first: Some(EventId { epoch: feed.epoch(), seq: 5 }) });
        assert_eq!(read(&mut old), [5, 6, 7, 8, 9, 10, 11, 12]);
        for after in [id(13), After::Id("zzzzzzz-3".parse().unwrap()), After::Unknown] {
            let mut cursor = Cursor::new(&feed, after);
            let Some(CursorItem::Gap(gap)) = cursor.try_next() else { panic!("no gap") };
            assert_eq!(gap.missed, None);
            assert_eq!(read(&mut cursor).len(), 8, "then all that is held");
        }
    }

    #[test]
    fn a_reader_that_falls_out_of_the_log_is_told_how_much_it_missed() {
        let feed = feed_of(1, 4);
        let mut cursor = Cursor::new(&feed, After::Beginning);
        for k in 0..9 {
            feed.publish("message", k.to_string(), 0, false);
        }
        let Some(CursorItem::Gap(gap)) = cursor.try_next() else { panic!("no gap") };
        assert_eq!(gap.missed, Some(6));
        assert_eq!(read(&mut cursor), [7, 8, 9, 10]);
    }

    #[test]
    fn a_log_is_bounded_in_bytes_as_well() {
        let feed = Feed::new("f0", 1024);
        for _ in 0..300 {
            feed.publish("message", "x".repeat(super::super::MAX_EVENT_BYTES), 0, false);
        }
        let held = read(&mut Cursor::new(&feed, After::Beginning)).len();
        assert!((100..128).contains(&held), "8 MiB hold fewer than 128 events of 64 KiB, held {held}");
    }

    #[tokio::test]
    async fn a_waiting_reader_wakes_for_an_event_and_for_a_heartbeat_after_silence() {
        let feed = feed_of(0, 4);
        let mut cursor = Cursor::new(&feed, After::Now);
        let reader = tokio::spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..3 {
                seen.push(match cursor.next().await {
                    CursorItem::Event(event) => event.data.clone(),
                    CursorItem::Beat => "beat".to_owned(),
                    CursorItem::Gap(_) | CursorItem::End => panic!("neither gap nor end"),
                });
            }
            seen
        });
        tokio::task::yield_now().await;
        feed.beat();
        tokio::task::yield_now().await;
        feed.publish("message", "one".to_owned(), 0, false);
        tokio::task::yield_now().await;
        // Not silent since the last heartbeat: this one is not passed on, the next one is.
        feed.beat();
        tokio::task::yield_now().await;
        feed.beat();
        assert_eq!(reader.await.unwrap(), ["beat", "one", "beat"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_reader_gets_every_event_once_while_they_are_published() {
        let feed = Feed::new("f0", 20_000);
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let mut cursor = Cursor::new(&feed, After::Now);
                tokio::spawn(async move {
                    for seq in 1..=10_000 {
                        let CursorItem::Event(event) = cursor.next().await else { panic!("not an event") };
                        assert_eq!(event.id.seq, seq);
                    }
                })
            })
            .collect();
        let publisher = Arc::clone(&feed);
        tokio::task::spawn_blocking(move || {
            for _ in 0..10_000 {
                publisher.publish("message", String::new(), 0, false);
            }
        })
        .await
        .unwrap();
        for reader in readers {
            reader.await.unwrap();
        }
    }
}
