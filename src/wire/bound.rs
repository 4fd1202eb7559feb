//! What is bounded, and how often its bound was reached.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Sink;
use crate::trial::ServerFact;

/// How many times of what hardly ever happens are told one by one.
const EACH: u64 = 100;

/// How often a bound was reached. Some are told one by one at first, and all each time that the number has doubled: every
/// one of a flood would be a flood itself.
#[derive(Debug)]
pub struct Bound {
    name: &'static str,
    /// Up to this many times each is told.
    each: u64,
    times: AtomicU64,
}

impl Bound {
    /// One that goes by this name in facts, of which each of the first hundred times is told: `subscriptions`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, each: EACH, times: AtomicU64::new(0) }
    }

    /// The same where a flood is what reaches it, or many connections have one each.
    pub const fn of_floods(name: &'static str) -> Self {
        Self { name, each: 0, times: AtomicU64::new(0) }
    }

    /// Counts what of some bounds goes by this name.
    pub fn reached_of(all: &[Self], name: &str, sink: &Sink<ServerFact>) {
        if let Some(bound) = all.iter().find(|bound| bound.name == name) {
            bound.reached(sink);
        }
    }

    /// It was reached once more.
    pub fn reached(&self, sink: &Sink<ServerFact>) {
        let times = self.times.fetch_add(1, Ordering::Relaxed) + 1;
        if times <= self.each || times.is_power_of_two() {
            sink.record(ServerFact::BoundReached { bound: self.name.to_owned(), times });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_flood_is_told_in_few_words() {
        let told: Arc<Mutex<Vec<u64>>> = Arc::default();
        let into = Arc::clone(&told);
        let sink = Sink::new(move |observation| {
            if let ServerFact::BoundReached { times, .. } = observation.fact {
                into.lock().unwrap().push(times);
            }
        });
        let doubled = |from: u32| (from..17).map(|power| 1_u64 << power);
        for (bound, few) in [
            (Bound::new("subscriptions"), (1..=EACH).chain(doubled(7)).collect::<Vec<_>>()),
            (Bound::of_floods("handshakes"), doubled(0).collect()),
        ] {
            (0..100_000).for_each(|_| bound.reached(&sink));
            assert_eq!(std::mem::take(&mut *told.lock().unwrap()), few);
        }
    }
}
