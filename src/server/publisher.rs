//! Publishes a trial's schedule, and the census at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::feed::{Feed, payload};
use crate::trial::Fact;
use crate::trial::clock::{monotonic_nanos, unix_micros};
use crate::trial::observation::UsageAt;
use crate::trial::schedule;
use crate::trial::settings::{Direction, Workload};
use crate::wire::Sink;

/// The longest sleep, after which the publisher looks whether it should stop.
const NAP: Duration = Duration::from_millis(50);
/// How long before the first event is due what the server used is read, in nanoseconds: reading takes some time.
const BEFORE: u64 = 2_000_000;

/// A thread of its own: tokio's timers are a millisecond coarse, which would count as latency. It ends when this is
/// dropped.
#[derive(Debug)]
pub struct Publisher {
    stop: Arc<AtomicBool>,
    census_now: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Publishes everything of the workload to each feed that is the server's to publish, counted from `go`, then the
    /// census at T; has what the server used read just before the first event is due and right after the census. What
    /// was due before `since`, in nanoseconds of `CLOCK_MONOTONIC`, is passed over.
    pub fn start(
        workload: Workload,
        seed: u64,
        go: u64,
        feeds: Vec<Arc<Feed>>,
        sink: Sink,
        since: u64,
        read: impl Fn(UsageAt) + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let census_now = Arc::new(AtomicBool::new(false));
        let hurried = Arc::clone(&census_now);
        let thread = thread::spawn(move || {
            let events = match workload.direction {
                Direction::Down => schedule(&workload, seed),
                Direction::Up | Direction::Echo => Vec::new(),
            };
            let mut dues: Vec<_> = events.iter().map(|due| (due.at, due.event, false)).collect();
            dues.push((workload.census_nanos(), workload.events.count, true));
            dues.retain(|due| go + due.0 >= since);
            let size = workload.events.size.bytes();
            let first = dues.first().map_or(0, |due| due.0);
            if matches!(sleep_until((go + first).saturating_sub(BEFORE), &stopped, &hurried), Woken::Stopped) {
                return;
            }
            read(UsageAt::First);
            for (at, event, census) in dues {
                let mut scheduled = go + at;
                match sleep_until(scheduled, &stopped, &hurried) {
                    Woken::Due => {}
                    Woken::Stopped => return,
                    Woken::Hurried if !census => continue,
                    Woken::Hurried => scheduled = monotonic_nanos(),
                }
                for feed in &feeds {
                    let data = |seq| payload::text(seed, seq, size);
                    let t = monotonic_nanos();
                    let published = feed.publish_with("message", data, unix_micros(), census);
                    let (feed, id) = (feed.name().to_owned(), published.id.to_string());
                    sink.record(Fact::Published { t, feed, id, event, scheduled, census });
                }
            }
            read(UsageAt::Census);
        });
        Self { stop, census_now, thread: Some(thread) }
    }

    /// Publishes the census now, in place of everything that isn't due yet; after the census it changes nothing.
    pub fn census_now(&self) {
        self.census_now.store(true, Ordering::Relaxed);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Why a sleep ended.
enum Woken {
    Due,
    /// The publisher was told to end.
    Stopped,
    /// The census is wanted now.
    Hurried,
}

fn sleep_until(at: u64, stop: &AtomicBool, hurry: &AtomicBool) -> Woken {
    loop {
        let now = monotonic_nanos();
        if stop.load(Ordering::Relaxed) {
            return Woken::Stopped;
        }
        if now >= at {
            return Woken::Due;
        }
        if hurry.load(Ordering::Relaxed) {
            return Woken::Hurried;
        }
        thread::sleep(Duration::from_nanos(at - now).min(NAP));
    }
}
