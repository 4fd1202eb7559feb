//! A feed's log: the last events in a ring, read by any number of cursors without a lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::draft::Draft;
use super::event::{Epoch, Event, EventId};
use super::shared::SharedLog;

/// How long the data of one event may be.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;
/// How much all events of a log may hold together; older ones go first.
pub const MAX_LOG_BYTES: usize = 8 * 1024 * 1024;

/// In how many shards readers wait: each has a lock, which only those who enter or are woken take.
const SHARDS: usize = 8;
/// How many readers in a row wait in the same shard. They are woken in the order in which they began to wait: what
/// lies side by side in memory, here and in their clients, is then used side by side.
const NEIGHBOURS: usize = 64;

/// A named, bounded log of events.
///
/// Readers look at `head` and at one slot each; the slot's event says by its own id whether it is still the one
/// that was wanted. To read takes no lock: publishers take one that only they wait for, and who waits takes its shard's.
#[derive(Debug)]
pub struct Feed {
    name: Arc<str>,
    /// What events come from and go to, where other servers have the same feed; `None`: this one numbers them itself.
    shared: Option<Arc<dyn SharedLog>>,
    /// Of a shared log, it changes when the log is made anew.
    epoch: AtomicU64,
    /// The event with sequence number `seq` is in slot `seq % slots.len()` while the log holds it.
    slots: Box<[ArcSwapOption<Event>]>,
    /// The newest sequence number; 0 before the first event.
    head: AtomicU64,
    /// The oldest that the log still holds; `head + 1` when it holds none.
    first: AtomicU64,
    /// The bytes that the log holds.
    publishing: Mutex<usize>,
    /// Wakes the readers.
    news: [Notify; SHARDS],
    /// How many cursors were made, and how many there are.
    drawn: AtomicUsize,
    readers: AtomicUsize,
    /// Heartbeats so far.
    beats: AtomicU64,
    /// How often all readers were ended.
    ends: AtomicU64,
}

impl Feed {
    /// A feed whose log holds at most `capacity` events (at least 1).
    pub fn new(name: &str, capacity: usize) -> Arc<Self> {
        Self::of_epoch(name, capacity, Epoch::draw())
    }

    /// The same, of this epoch.
    pub fn of_epoch(name: &str, capacity: usize, epoch: Epoch) -> Arc<Self> {
        Arc::new(Self::made(name, capacity, epoch, None))
    }

    /// A feed whose log is shared, and which holds as many of its events. Whoever has made the log fills the feed.
    pub fn of_shared(name: &str, capacity: usize, log: Arc<dyn SharedLog>) -> Arc<Self> {
        Arc::new(Self::made(name, capacity, Epoch::NEW, Some(log)))
    }

    fn made(name: &str, capacity: usize, epoch: Epoch, shared: Option<Arc<dyn SharedLog>>) -> Self {
        Self {
            name: name.into(),
            shared,
            epoch: AtomicU64::new(epoch.to_bits()),
            slots: (0..capacity.max(1)).map(|_| ArcSwapOption::empty()).collect(),
            head: AtomicU64::new(0),
            first: AtomicU64::new(1),
            publishing: Mutex::new(0),
            news: std::array::from_fn(|_| Notify::new()),
            drawn: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            beats: AtomicU64::new(0),
            ends: AtomicU64::new(0),
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What its events' ids begin with.
    pub fn epoch(&self) -> Epoch {
        Epoch::from_bits(self.epoch.load(Ordering::Acquire))
    }

    /// The log that it shares with other servers: what is published goes there instead.
    pub fn shared(&self) -> Option<&dyn SharedLog> {
        self.shared.as_deref()
    }

    /// Puts an event into the log and wakes the readers. The data is at most [`MAX_EVENT_BYTES`] long; that is
    /// the caller's to check. Where the log is shared it is not to be called: what is published there has its number from
    /// there ([`Feed::shared`]).
    pub fn publish(&self, name: &str, data: String, time: u64, census: bool) -> Arc<Event> {
        self.publish_with(name, |_| data, time, census)
    }

    /// The same, with data that depends on the event's sequence number.
    pub fn publish_with(&self, name: &str, data: impl FnOnce(u64) -> String, time: u64, census: bool) -> Arc<Event> {
        self.put(|id| Event::new(id, name.to_owned(), data(id.seq), time, census))
    }

    /// The same, of an event whose data is bytes to its readers.
    pub fn publish_bytes_with(
        &self,
        name: &str,
        data: impl FnOnce(u64) -> String,
        time: u64,
        census: bool,
    ) -> Arc<Event> {
        self.put(|id| Event::new(id, name.to_owned(), data(id.seq), time, census).of_bytes())
    }

    fn put(&self, event: impl FnOnce(EventId) -> Event) -> Arc<Event> {
        debug_assert!(self.shared.is_none(), "a shared log numbers its own events");
        let mut held = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = self.head.load(Ordering::Relaxed) + 1;
        let event = Arc::new(event(EventId { epoch: self.epoch(), seq }));
        self.hold(&mut held, &event);
        drop(held);
        self.wake();
        event
    }

    /// Takes in an event of the shared log, which is later than all that it has; numbers that were passed over are gone,
    /// which readers are told. `false`: it isn't later, or of another epoch, and nothing was done.
    pub fn take_in(&self, id: EventId, draft: Draft) -> bool {
        let mut held = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        if id.epoch != self.epoch() || id.seq <= self.head.load(Ordering::Relaxed) {
            return false;
        }
        self.pass_over(&mut held, id.seq - 1);
        self.hold(&mut held, &Arc::new(Event::of_draft(id, draft)));
        drop(held);
        self.wake();
        true
    }

    /// Says that the shared log is as far as this, though what is missing here is gone there too.
    pub fn advance(&self, seq: u64) {
        let mut held = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        if seq > self.head.load(Ordering::Relaxed) {
            self.pass_over(&mut held, seq);
            drop(held);
            self.wake();
        }
    }

    /// Begins with a shared log of this epoch. Whoever reads one of another epoch is ended, as its events are gone.
    pub fn begin(&self, epoch: Epoch) {
        let mut held = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let was_new = self.epoch() == Epoch::NEW;
        // First, so that a reader that finds a slot empty sees that its epoch is over.
        self.epoch.store(epoch.to_bits(), Ordering::Release);
        self.head.store(0, Ordering::Release);
        self.first.store(1, Ordering::Release);
        self.slots.iter().for_each(|slot| slot.store(None));
        *held = 0;
        drop(held);
        if was_new {
            self.wake();
        } else {
            self.end_readers();
        }
    }

    /// Whether it has got as far as this event, in its epoch.
    pub fn has(&self, id: EventId) -> bool {
        self.epoch() == id.epoch && self.head() >= id.seq
    }

    /// Waits until it has this event, whichever epochs begin before.
    pub async fn until_has(&self, id: EventId) {
        loop {
            // Whatever begins an epoch or puts an event into the log tells of it, to those who wait by then.
            let news = self.news(0);
            if self.has(id) {
                return;
            }
            news.await;
        }
    }

    /// Waits until it has got as far as this number, or another epoch has begun.
    pub async fn reached(&self, id: EventId) {
        loop {
            let news = self.news(0);
            if self.epoch() != id.epoch || self.head() >= id.seq {
                return;
            }
            news.await;
        }
    }

    /// Goes on behind this number. A jump over more than there is room for leaves nothing that is held.
    fn pass_over(&self, held: &mut usize, seq: u64) {
        let newest = self.head.load(Ordering::Relaxed);
        if seq.saturating_sub(newest) >= self.slots.len() as u64 || self.first.load(Ordering::Relaxed) > newest {
            self.first.store(seq + 1, Ordering::Release);
            self.slots.iter().for_each(|slot| slot.store(None));
            *held = 0;
        }
        if seq > newest {
            self.head.store(seq, Ordering::Release);
        }
    }

    /// Puts the next event into its slot, and lets go of what has no place beside it.
    fn hold(&self, held: &mut usize, event: &Arc<Event>) {
        let seq = event.id.seq;
        *held += event.weight();
        let slots = self.slots.len() as u64;
        let mut first = self.first.load(Ordering::Relaxed);
        while first < seq && (seq - first >= slots || *held > MAX_LOG_BYTES) {
            first += 1;
            // Told before it is gone, so that a reader that finds the slot empty knows where to go on.
            self.first.store(first, Ordering::Release);
            if let Some(gone) = self.slot(first - 1).swap(None) {
                *held -= gone.weight();
            }
        }
        self.slot(seq).store(Some(Arc::clone(event)));
        self.head.store(seq, Ordering::Release);
    }

    /// Wakes the readers for a sign of life.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Release);
        self.wake();
    }

    /// Ends every cursor that there is now.
    pub fn end_readers(&self) {
        self.ends.fetch_add(1, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        for shard in &self.news {
            shard.notify_waiters();
        }
    }

    pub(super) fn ends(&self) -> u64 {
        self.ends.load(Ordering::Acquire)
    }

    /// How many cursors there are.
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Relaxed)
    }

    /// Whether nothing is lost with it: nothing was ever published to it, or others have it as well.
    pub fn is_unused(&self) -> bool {
        self.shared.is_some() || self.head() == 0
    }

    /// The newest sequence number that it has.
    pub fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    /// The event of this number, while the log holds it.
    pub(super) fn event(&self, seq: u64) -> Option<Arc<Event>> {
        self.slot(seq).load_full().filter(|event| event.id.seq == seq)
    }

    pub(super) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Acquire)
    }

    /// Lets a cursor in; gives back the shard that it is to wait in.
    pub(super) fn enter(&self) -> u8 {
        self.readers.fetch_add(1, Ordering::Relaxed);
        let shard = self.drawn.fetch_add(1, Ordering::Relaxed) / NEIGHBOURS % SHARDS;
        u8::try_from(shard).unwrap_or(0)
    }

    /// A cursor is gone.
    pub(super) fn leave(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// What wakes a shard's readers. Whoever looks for news after this was called, and finds none, may wait for it.
    pub(super) fn news(&self, shard: u8) -> Notified<'_> {
        self.news[usize::from(shard)].notified()
    }

    fn slot(&self, seq: u64) -> &ArcSwapOption<Event> {
        let slot = seq % self.slots.len() as u64;
        &self.slots[usize::try_from(slot).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests;
