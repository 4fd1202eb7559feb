//! Waiting for what must happen: never for a time, and never for ever.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything that must happen is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
