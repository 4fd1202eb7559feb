//! The two clocks of a trial: `CLOCK_MONOTONIC` for everything that is compared, and the wall clock for people.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: one clock for all processes of this machine.
///
/// # Panics
/// Never on Linux, where this clock always exists (`clock_gettime(2)`).
pub fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux always has CLOCK_MONOTONIC");
    u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

/// Microseconds since 1970 of the wall clock. Below 2^53 until the year 2255, so safe in JavaScript.
pub fn unix_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(0))
}

/// How many microseconds the wall clock is ahead of `CLOCK_MONOTONIC`: what is to be added to this one's times for those
/// since 1970.
pub fn wall_micros() -> u64 {
    unix_micros().saturating_sub(monotonic_nanos() / 1000)
}

/// Sleeps until `at` of `CLOCK_MONOTONIC`; returns at once when that has passed.
pub async fn sleep_until(at: u64) {
    let now = monotonic_nanos();
    if at > now {
        tokio::time::sleep(std::time::Duration::from_nanos(at - now)).await;
    }
}
