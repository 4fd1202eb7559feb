//! What is bounded, and how often its bound was reached.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Sink;
use crate::trial::Fact;
use crate::trial::clock::monotonic_nanos;

/// How often a bound was reached. It is told each time that the number has doubled: each in a flood would be one itself.
#[derive(Debug)]
pub struct Bound {
    name: &'static str,
    times: AtomicU64,
}

impl Bound {
    /// One that goes by this name in facts: `subscriptions`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, times: AtomicU64::new(0) }
    }

    /// Counts what of some bounds goes by this name.
    pub fn reached_of(all: &[Self], name: &str, sink: &Sink) {
        if let Some(bound) = all.iter().find(|bound| bound.name == name) {
            bound.reached(sink);
        }
    }

    /// It was reached once more.
    pub fn reached(&self, sink: &Sink) {
        let times = self.times.fetch_add(1, Ordering::Relaxed) + 1;
        if times.is_power_of_two() {
            sink.record(Fact::BoundReached { t: monotonic_nanos(), bound: self.name.to_owned(), times });
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
        let sink = Sink::new(move |fact| {
            if let Fact::BoundReached { times, .. } = fact {
                into.lock().unwrap().push(times);
            }
        });
        let bound = Bound::new("subscriptions");
        (0..1000).for_each(|_| bound.reached(&sink));
        assert_eq!(*told.lock().unwrap(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
    }
}
