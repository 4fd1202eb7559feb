//! A thread that acts when something is due. Its own, as tokio's timers are a millisecond coarse, which would count as
//! latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock::monotonic_nanos;

/// The longest sleep, after which the thread looks whether it should stop.
const NAP: Duration = Duration::from_millis(50);

/// The thread while it runs. It ends when this is dropped.
#[derive(Debug)]
pub struct PacedThread {
    pace: Pace,
    thread: Option<JoinHandle<()>>,
}

/// What the thread sleeps by.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    stop: Arc<AtomicBool>,
    hurry: Arc<AtomicBool>,
}

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    Due,
    /// The thread is to end.
    Stopped,
    /// What comes last is wanted now.
    Hurried,
}

impl PacedThread {
    /// Runs this in a thread of its own.
    pub fn spawn(run: impl FnOnce(&Pace) + Send + 'static) -> Self {
        let pace = Pace::default();
        let own = pace.clone();
        Self { pace, thread: Some(thread::spawn(move || run(&own))) }
    }

    /// Ends every sleep from now on.
    pub fn hurry(&self) {
        self.pace.hurry.store(true, Ordering::Relaxed);
    }
}

impl Drop for PacedThread {
    fn drop(&mut self) {
        self.pace.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Pace {
    /// Sleeps until this instant, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn sleep_until(&self, at: u64) -> Woken {
        loop {
            let now = monotonic_nanos();
            if self.stop.load(Ordering::Relaxed) {
                return Woken::Stopped;
            }
            if now >= at {
                return Woken::Due;
            }
            if self.hurry.load(Ordering::Relaxed) {
                return Woken::Hurried;
            }
            thread::sleep(Duration::from_nanos(at - now).min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_wakes_when_something_is_due_when_it_is_hurried_and_when_it_is_to_end() {
        let (told, woken) = mpsc::channel();
        let thread = PacedThread::spawn(move |pace| {
            let due = monotonic_nanos() + 5_000_000;
            told.send((pace.sleep_until(due), monotonic_nanos() >= due)).unwrap();
            told.send((pace.sleep_until(u64::MAX), true)).unwrap();
            while pace.sleep_until(u64::MAX) != Woken::Stopped {}
            told.send((Woken::Stopped, true)).unwrap();
        });
        assert_eq!(woken.recv(), Ok((Woken::Due, true)));
        thread.hurry();
        assert_eq!(woken.recv(), Ok((Woken::Hurried, true)));
        drop(thread);
        assert_eq!(woken.recv(), Ok((Woken::Stopped, true)), "dropping it waits for its end");
    }
}
