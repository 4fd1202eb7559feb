//! Places for connections. Whoever was let in has one and keeps it; whoever wasn't yet is soon gone, and makes way for
//! others before that.
//!
//! Other machines may reach the control origin, so to be connected gives no right to stay: that takes a request which
//! the door lets in, from another machine with the token.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many connections that were let in are open at most.
const PLACES: usize = 256;
/// How many that weren't yet; the oldest makes way for one more.
const NEWCOMERS: usize = 256;
/// How long one waits for a place before it is answered 503.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// The oldest first; those that are gone or were let in meanwhile are forgotten when the next comes.
    newcomers: Mutex<VecDeque<Weak<Visitor>>>,
}

/// Who is at the other end of one connection. Its place is free again when the last of it is dropped.
#[derive(Debug)]
pub(super) struct Visitor {
    places: Arc<Places>,
    place: OnceCell<OwnedSemaphorePermit>,
    sent_away: Notify,
}

/// No place was free in time.
#[derive(Debug)]
pub(super) struct Full;

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(PLACES)), newcomers: Mutex::default() })
    }

    /// A connection has come.
    pub(super) fn arrives(self: &Arc<Self>) -> Arc<Visitor> {
        let visitor = Arc::new(Visitor { places: Arc::clone(self), place: OnceCell::new(), sent_away: Notify::new() });
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        newcomers.retain(|newcomer| newcomer.upgrade().is_some_and(|newcomer| !newcomer.has_place()));
        if newcomers.len() >= NEWCOMERS
            && let Some(oldest) = newcomers.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.sent_away.notify_one();
        }
        newcomers.push_back(Arc::downgrade(&visitor));
        visitor
    }
}

impl Visitor {
    /// Gives it a place, if it has none: it was let in.
    pub(super) async fn stay(&self) -> Result<(), Full> {
        let place = || async {
            let place = timeout(WAIT, Arc::clone(&self.places.free).acquire_owned()).await;
            place.map_err(|_| Full)?.map_err(|_| Full)
        };
        self.place.get_or_try_init(place).await.map(drop)
    }

    pub(super) fn has_place(&self) -> bool {
        self.place.initialized()
    }

    /// Ends when it has to make way, which one that has a place never does.
    pub(super) async fn sent_away(&self) {
        self.sent_away.notified().await;
        if self.has_place() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_oldest_that_was_not_let_in_makes_way_and_who_was_stays() {
        let places = Places::new();
        let let_in = places.arrives();
        let_in.stay().await.unwrap();
        let newcomers: Vec<_> = (0..NEWCOMERS).map(|_| places.arrives()).collect();
        assert!(newcomers.iter().all(|newcomer| newcomer.sent_away().now_or_never().is_none()), "there is room");
        let _one_more = places.arrives();
        assert!(newcomers[0].sent_away().now_or_never().is_some());
        assert!(newcomers[1].sent_away().now_or_never().is_none());
        assert!(let_in.sent_away().now_or_never().is_none());
        drop(newcomers);
        assert_eq!(places.free.available_permits(), PLACES - 1);
        drop(let_in);
        assert_eq!(places.free.available_permits(), PLACES);
    }
}
