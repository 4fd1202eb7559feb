//! The feeds of a server, made on first use.
//!
//! To read one is no use of it: a feed that nothing was published to may go as soon as nobody holds it, and when it is
//! asked for again it is made anew and is the same, down to its epoch. Else whoever can have a browser load 64 addresses
//! would leave no feed to anybody else. Where feeds are shared, all of them are elsewhere as well: whatever nobody here
//! holds may go.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::broker::SharedFeeds;
use crate::feed::{Epoch, Feed};

/// How many feeds a server has at most.
pub const MAX_FEEDS: usize = 64;

#[derive(Debug)]
pub(super) struct Feeds {
    capacity: usize,
    /// What epochs are drawn from, by a feed's name.
    epochs: RandomState,
    /// Where the logs are that it shares with other servers.
    shared: OnceLock<SharedFeeds>,
    by_name: RwLock<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    feed: Arc<Feed>,
    /// Whether the server made it for itself.
    reserved: bool,
}

impl Entry {
    /// Whether nobody would miss it.
    fn is_idle(&self) -> bool {
        // Whoever reads it or may publish to it holds it.
        !self.reserved && self.feed.is_unused() && Arc::strong_count(&self.feed) == 1
    }
}

impl Feeds {
    /// No feeds yet; each will hold this many events.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, epochs: RandomState::new(), shared: OnceLock::new(), by_name: RwLock::default() }
    }

    /// Has all feeds that are made from now on, but the server's own, share their logs with other servers.
    pub(super) fn share(&self, shared: SharedFeeds) {
        // Whoever came first has made feeds of its own with it.
        let _ = self.shared.set(shared);
    }

    /// Whether a text may name a feed: `[a-z0-9-]{1,64}`.
    pub(super) fn is_name(name: &str) -> bool {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }

    /// The feed of this name, made if it is new; `None` when there are too many already.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Feed>> {
        if let Some(Entry { feed, .. }) = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(Arc::clone(feed));
        }
        let mut feeds = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Entry { feed, .. }) = feeds.get(name) {
            return Some(Arc::clone(feed));
        }
        let is_full = |feeds: &HashMap<_, Entry>| feeds.values().filter(|entry| !entry.reserved).count() >= MAX_FEEDS;
        if is_full(&feeds) {
            feeds.retain(|_, entry| !entry.is_idle());
            if is_full(&feeds) {
                return None;
            }
        }
        Some(self.make(&mut feeds, name, false))
    }

    /// A feed for the server's own use, beside the [`MAX_FEEDS`] of everyone, and no other server's; to be called before
    /// anyone can ask.
    pub(super) fn reserve(&self, name: &str) -> Arc<Feed> {
        let mut feeds = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        match feeds.get(name) {
            Some(Entry { feed, .. }) => Arc::clone(feed),
            None => self.make(&mut feeds, name, true),
        }
    }

    fn make(&self, feeds: &mut HashMap<String, Entry>, name: &str, reserved: bool) -> Arc<Feed> {
        let feed = match self.shared.get().filter(|_| !reserved) {
            Some(shared) => shared.feed(name, self.capacity),
            None => Feed::of_epoch(name, self.capacity, Epoch::of(self.epochs.hash_one(name))),
        };
        feeds.insert(name.to_owned(), Entry { feed: Arc::clone(&feed), reserved });
        feed
    }

    /// Does something with each.
    pub(super) fn each(&self, each: impl Fn(&Feed)) {
        for Entry { feed, .. } in self.by_name.read().unwrap_or_else(PoisonError::into_inner).values() {
            each(feed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{After, Cursor};

    #[test]
    fn only_what_was_published_to_or_is_held_takes_a_place() {
        let feeds = Feeds::new(4);
        let reserved = feeds.reserve("chat").epoch();
        for k in 0..1000 {
            assert!(feeds.get(&format!("read-{k}")).is_some(), "reading takes no place that lasts");
        }
        let read: Vec<_> =
            (0..10).map(|k| Cursor::new(&feeds.get(&format!("read-{k}")).unwrap(), After::Now)).collect();
        for k in 0..MAX_FEEDS - 10 {
            feeds.get(&format!("used-{k}")).unwrap().publish("message", String::new(), 0, false);
        }
        assert!(feeds.get("one-more").is_none());
        assert!(feeds.get("read-9").is_some() && feeds.get("used-0").is_some());
        assert_eq!(feeds.get("chat").map(|feed| feed.epoch()), Some(reserved));
        drop(read);
        assert!(feeds.get("one-more").is_some());
    }

    #[test]
    fn a_feed_that_comes_again_is_the_same() {
        let feeds = Feeds::new(4);
        let epoch = feeds.get("news").unwrap().epoch();
        for k in 0..=MAX_FEEDS {
            feeds.get(&format!("read-{k}")).unwrap();
        }
        assert!(!feeds.by_name.read().unwrap().contains_key("news"), "it has gone meanwhile");
        assert_eq!(feeds.get("news").unwrap().epoch(), epoch);
        assert_ne!(feeds.get("olds").unwrap().epoch(), epoch, "each has its own");
        assert_ne!(Feeds::new(4).get("news").unwrap().epoch(), epoch, "and another server another");
    }
}
