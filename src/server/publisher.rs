//! Publishes a trial's schedule, and the census at its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::feed::{Draft, DraftData, EventId, Feed, LogError, Patience};
use crate::trial::ServerFact;
use crate::trial::clock::{monotonic_nanos, unix_micros};
use crate::trial::fact::UsageAt;
use crate::trial::pace::{PacedThread, Woken};
use crate::trial::schedule;
use crate::trial::settings::{Direction, EventFeeds, Events, Payload, Workload};
use crate::wire::Sink;

/// How long before the first event is due what the server used is read, in nanoseconds: reading takes some time.
pub(super) const BEFORE: u64 = 2_000_000;

/// How long what a shared log hasn't acknowledged yet is waited for in the end.
const FINISH: Duration = Duration::from_secs(2);

/// Publishes until this is dropped.
#[derive(Debug)]
pub struct Publisher {
    thread: PacedThread,
    /// Ends with the last event that a shared log has to acknowledge.
    under_way: mpsc::Receiver<()>,
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
        sink: Sink<ServerFact>,
        since: u64,
        read: impl Fn(UsageAt) + Send + 'static,
    ) -> Self {
        let (asked, under_way) = mpsc::channel(1);
        let thread = PacedThread::spawn(move |pace| {
            let events = match workload.direction {
                Direction::Down => schedule(&workload, seed),
                Direction::Up | Direction::Echo => Vec::new(),
            };
            let mut dues: Vec<_> = events.iter().map(|due| (due.at, due.event, false)).collect();
            dues.push((workload.census_nanos(), workload.event_count(), true));
            dues.retain(|due| go + due.0 >= since);
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
                    let t = monotonic_nanos();
                    let told = Told { t, event, scheduled, census };
                    match feed.shared() {
                        None => told.published(feed, own(feed, &workload, seed, census), &sink),
                        Some(log) => {
                            let (feed, sink, asked) = (Arc::clone(feed), sink.clone(), asked.clone());
                            let done = move |taken: Result<EventId, LogError>| {
                                match taken {
                                    Ok(id) => told.published(&feed, id, &sink),
                                    Err(error) => tracing::error!(%error, event, "an event was not published"),
                                }
                                drop(asked);
                            };
                            log.append(draft(&workload, seed, census), Box::new(done));
                        }
                    }
                }
            }
            read(UsageAt::Census);
        });
        Self { thread, under_way }
    }

    /// Ends, once a shared log has acknowledged what was handed to it, or has had its time.
    pub async fn finish(self) {
        let Self { thread, mut under_way } = self;
        drop(thread);
        if tokio::time::timeout(FINISH, under_way.recv()).await.is_err() {
            tracing::error!("some events were not acknowledged in time");
        }
    }

    /// Publishes the census now, in place of everything that isn't due yet; after the census it changes nothing.
    pub fn census_now(&self) {
        self.thread.hurry();
    }
}

/// What is told of an event once it is published.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// When it was handed to the log.
    t: u64,
    event: u32,
    scheduled: u64,
    census: bool,
}

impl Told {
    fn published(self, feed: &Feed, id: EventId, sink: &Sink<ServerFact>) {
        let Self { t, event, scheduled, census } = self;
        let (feed, id) = (feed.name().to_owned(), id.to_string());
        sink.record_at(t, ServerFact::Published { feed, id, event, scheduled, census });
    }
}

/// Publishes to a log in memory.
fn own(feed: &Feed, workload: &Workload, seed: u64, census: bool) -> EventId {
    let Events { payload, size, .. } = &workload.events;
    let data = |seq| payload.data(seed, seq, size.bytes());
    match payload {
        Payload::Text | Payload::Json => feed.publish_with("message", data, unix_micros(), census),
        Payload::Binary => feed.publish_bytes_with("message", data, unix_micros(), census),
    }
    .id
}

/// The same for a log that numbers it.
fn draft(workload: &Workload, seed: u64, census: bool) -> Draft {
    let (payload, size) = (workload.events.payload, workload.events.size.bytes());
    Draft {
        name: "message".to_owned(),
        data: DraftData::Numbered(Box::new(move |seq| payload.data(seed, seq, size))),
        time: unix_micros(),
        census,
        binary: payload == Payload::Binary,
        message_id: None,
        patience: Patience::Wait,
    }
}
