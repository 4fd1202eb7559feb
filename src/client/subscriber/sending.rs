//! What the clients of a trial publish, when it is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::feed::payload;
use crate::trial::clock::monotonic_nanos;
use crate::trial::{Fact, SubscriptionPlan};
use crate::wire::Sink;

/// Events that wait to be sent, of one subscription; one more is not sent, and so lost.
const WAITING: usize = 1024;
/// The longest sleep, after which the sender looks whether it should stop.
const NAP: Duration = Duration::from_millis(50);

/// Hands each event to the subscription that sends it, when it is due. A thread of its own, as tokio's timers are a
/// millisecond coarse, which would count as latency.
#[derive(Debug)]
pub(super) struct Sender {
    seed: u64,
    /// How long the data of each event is, in bytes.
    size: u64,
    go: u64,
    sink: Sink,
    /// What is due: when, in nanoseconds of `CLOCK_MONOTONIC`, which event, and by whom.
    due: Vec<(u64, u32, u32, mpsc::Sender<String>)>,
}

/// The thread while it runs. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct SendTask {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Nothing to send yet.
    pub(super) fn new(seed: u64, size: u64, go: u64, sink: Sink) -> Self {
        Self { seed, size, go, sink, due: Vec::new() }
    }

    /// Where the data of what this subscription sends will come.
    pub(super) fn of(&mut self, plan: &SubscriptionPlan) -> mpsc::Receiver<String> {
        let (to, sent) = mpsc::channel(WAITING);
        self.due.extend(plan.sends.iter().map(|send| (self.go + send.at, send.event, plan.sub, to.clone())));
        sent
    }

    /// Begins, unless there is nothing to send.
    pub(super) fn start(mut self) -> Option<SendTask> {
        self.due.sort_by_key(|(at, event, ..)| (*at, *event));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = (!self.due.is_empty()).then(|| thread::spawn(move || self.run(&stopped)))?;
        Some(SendTask { stop, thread: Some(thread) })
    }

    fn run(self, stopped: &AtomicBool) {
        let Self { seed, size, sink, due, .. } = self;
        for (scheduled, event, sub, to) in due {
            let data = payload::text(seed, u64::from(event) + 1, size);
            loop {
                let now = monotonic_nanos();
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if now >= scheduled {
                    break;
                }
                thread::sleep(Duration::from_nanos(scheduled - now).min(NAP));
            }
            let t = monotonic_nanos();
            // Full, or its subscription is over: it was to be sent all the same, and whoever counts misses it.
            let _ = to.try_send(data);
            sink.record(Fact::Sent { t, sub, event, scheduled });
        }
    }
}

impl Drop for SendTask {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
