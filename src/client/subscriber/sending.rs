//! What the clients of a trial publish, when it is due.

use tokio::sync::mpsc;

use crate::feed::payload;
use crate::trial::clock::monotonic_nanos;
use crate::trial::pace::{Pace, PacedThread, Woken};
use crate::trial::{ClientFact, SubscriptionPlan};
use crate::wire::Sink;

/// Events that wait to be sent, of one subscription; one more is not sent, and so lost.
const WAITING: usize = 1024;

/// Hands each event to the subscription that sends it, when it is due.
#[derive(Debug)]
pub(super) struct Sender {
    seed: u64,
    /// How long the data of each event is, in bytes.
    size: u64,
    go: u64,
    sink: Sink<ClientFact>,
    /// What is due: when, in nanoseconds of `CLOCK_MONOTONIC`, which event, and by whom.
    due: Vec<(u64, u32, u32, mpsc::Sender<String>)>,
}

impl Sender {
    /// Nothing to send yet.
    pub(super) fn new(seed: u64, size: u64, go: u64, sink: Sink<ClientFact>) -> Self {
        Self { seed, size, go, sink, due: Vec::new() }
    }

    /// Where the data of what this subscription sends will come.
    pub(super) fn of(&mut self, plan: &SubscriptionPlan) -> mpsc::Receiver<String> {
        let (to, sent) = mpsc::channel(WAITING);
        self.due.extend(plan.sends.iter().map(|send| (self.go + send.at, send.event, plan.sub, to.clone())));
        sent
    }

    /// Begins, unless there is nothing to send.
    pub(super) fn start(mut self) -> Option<PacedThread> {
        self.due.sort_by_key(|(at, event, ..)| (*at, *event));
        (!self.due.is_empty()).then(|| PacedThread::spawn(move |pace| self.run(pace)))
    }

    fn run(self, pace: &Pace) {
        let Self { seed, size, sink, due, .. } = self;
        for (scheduled, event, sub, to) in due {
            let data = payload::text(seed, u64::from(event) + 1, size);
            if pace.sleep_until(scheduled) == Woken::Stopped {
                return;
            }
            let t = monotonic_nanos();
            // Full, or its subscription is over: it was to be sent all the same, and whoever counts misses it.
            let _ = to.try_send(data);
            sink.record_at(t, ClientFact::Sent { sub, event, scheduled });
        }
    }
}
