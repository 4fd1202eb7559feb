//! Publishes a trial's schedule, and the census at its end.

use std::sync::Arc;

use crate::feed::Feed;
use crate::trial::ServerFact;
use crate::trial::clock::{monotonic_nanos, unix_micros};
use crate::trial::fact::UsageAt;
use crate::trial::pace::{PacedThread, Woken};
use crate::trial::schedule;
use crate::trial::settings::{Direction, EventFeeds, Payload, Workload};
use crate::wire::Sink;

/// How long before the first event is due what the server used is read, in nanoseconds: reading takes some time.
const BEFORE: u64 = 2_000_000;

/// Publishes until this is dropped.
#[derive(Debug)]
pub struct Publisher(PacedThread);

impl Publisher {
    /// Publishes everything of the workload to each feed that is the server's to publish, counted from `go`, then the
    /// census at T; has what the server used read just before the first event is due and right after the census. What
    /// was due before `since`, in nanoseconds of `CLOCK_MONOTONIC`, is passed over.
    pub fn start(
        workload: Workload,
        seed: u64,
        go: u64,
        feeds: Vec<Arc<Feed>>,
        sink: Sink<ServerFact>,
        since: u64,
        read: impl Fn(UsageAt) + Send + 'static,
    ) -> Self {
        Self(PacedThread::spawn(move |pace| {
            let events = match workload.direction {
                Direction::Down => schedule(&workload, seed),
                Direction::Up | Direction::Echo => Vec::new(),
            };
            let mut dues: Vec<_> = events.iter().map(|due| (due.at, due.event, false)).collect();
            dues.push((workload.census_nanos(), workload.event_count(), true));
            dues.retain(|due| go + due.0 >= since);
            let size = workload.events.size.bytes();
            let whose = workload.events.feeds;
            let first = dues.first().map_or(0, |due| due.0);
            if pace.sleep_until((go + first).saturating_sub(BEFORE)) == Woken::Stopped {
                return;
            }
            read(UsageAt::First);
            for (at, event, census) in dues {
                let mut scheduled = go + at;
                match pace.sleep_until(scheduled) {
                    Woken::Due => {}
                    Woken::Stopped => return,
                    Woken::Hurried if !census => continue,
                    Woken::Hurried => scheduled = monotonic_nanos(),
                }
                let (from, step) = match whose {
                    EventFeeds::InTurn if !census => (event as usize % feeds.len().max(1), feeds.len().max(1)),
                    EventFeeds::InTurn | EventFeeds::All => (0, 1),
                };
                for feed in feeds.iter().skip(from).step_by(step) {
                    let data = |seq| workload.events.payload.data(seed, seq, size);
                    let t = monotonic_nanos();
                    let published = match workload.events.payload {
                        Payload::Text | Payload::Json => feed.publish_with("message", data, unix_micros(), census),
                        Payload::Binary => feed.publish_bytes_with("message", data, unix_micros(), census),
                    };
                    let (feed, id) = (feed.name().to_owned(), published.id.to_string());
                    sink.record_at(t, ServerFact::Published { feed, id, event, scheduled, census });
                }
            }
            read(UsageAt::Census);
        }))
    }

    /// Publishes the census now, in place of everything that isn't due yet; after the census it changes nothing.
    pub fn census_now(&self) {
        self.0.hurry();
    }
}
