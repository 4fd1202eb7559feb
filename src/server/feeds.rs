//! The feeds of a server, made on first use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::feed::Feed;

/// How many feeds a server has at most.
pub const MAX_FEEDS: usize = 64;

/// Feeds by name.
#[derive(Debug)]
pub(super) struct Feeds {
    capacity: usize,
    /// How many the server made for itself.
    reserved: AtomicUsize,
    by_name: RwLock<HashMap<String, Arc<Feed>>>,
}

impl Feeds {
    /// No feeds yet; each will hold this many events.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, reserved: AtomicUsize::new(0), by_name: RwLock::default() }
    }

    /// Whether a text may name a feed: `[a-z0-9-]{1,64}`.
    pub(super) fn is_name(name: &str) -> bool {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }

    /// The feed of this name, made if it is new; `None` when there are too many already.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Feed>> {
        if let Some(feed) = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(Arc::clone(feed));
        }
        let mut feeds = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let most = MAX_FEEDS + self.reserved.load(Ordering::Relaxed);
        if feeds.len() >= most && !feeds.contains_key(name) {
            return None;
        }
        let feed = feeds.entry(name.to_owned()).or_insert_with(|| Feed::new(name, self.capacity));
        Some(Arc::clone(feed))
    }

    /// A feed for the server's own use, beside the [`MAX_FEEDS`] of everyone; to be called before anyone can ask.
    pub(super) fn reserve(&self, name: &str) -> Arc<Feed> {
        let mut feeds = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let feed = feeds.entry(name.to_owned()).or_insert_with(|| {
            self.reserved.fetch_add(1, Ordering::Relaxed);
            Feed::new(name, self.capacity)
        });
        Arc::clone(feed)
    }

    /// Does something with each.
    pub(super) fn each(&self, each: impl Fn(&Feed)) {
        for feed in self.by_name.read().unwrap_or_else(PoisonError::into_inner).values() {
            each(feed);
        }
    }
}
