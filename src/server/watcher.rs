//! What a server that publishes nothing has used, read when the one that publishes reads its own.

use super::publisher::BEFORE;
use crate::trial::fact::UsageAt;
use crate::trial::pace::{PacedThread, Woken};
use crate::trial::schedule;
use crate::trial::settings::Workload;

/// Reads just before the first event is due and at the census, counted from `go`, until it is dropped.
pub(super) fn watch(workload: Workload, seed: u64, go: u64, read: impl Fn(UsageAt) + Send + 'static) -> PacedThread {
    PacedThread::spawn(move |pace| {
        let census = workload.census_nanos();
        let first = schedule(&workload, seed).first().map_or(census, |due| due.at);
        for (at, when) in [((go + first).saturating_sub(BEFORE), UsageAt::First), (go + census, UsageAt::Census)] {
            if pace.sleep_until(at) == Woken::Stopped {
                return;
            }
            read(when);
        }
    })
}
