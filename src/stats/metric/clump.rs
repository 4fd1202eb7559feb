//! Whether events come when they were sent, or together.

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Publication, Receipt, Record};

/// How soon after another an event comes with it, in nanoseconds.
const TOGETHER: u64 = 1_000_000;
/// How far apart two events are due at least that were sent apart, in nanoseconds.
const APART: u64 = 2_000_000;

/// Per subscription that received two events or more, the most that came in one clump: each within 1 ms of the one before,
/// though due more than 2 ms after it. 1: each came by itself.
pub(super) static CLUMP: Metric = Metric {
    name: "clump",
    unit: "events",
    definition: "Per subscription that received two events or more, the most that came in one clump: each within 1 ms of \
                 the one before, though due more than 2 ms after it. 1: each came by itself.",
    phrase: "received up to {} events at once",
    compute: clump,
    ..PLAIN
};

fn clump(record: &Record<'_>) -> Sample {
    let several = record.live_receipts().filter(|(_, receipts)| receipts.len() > 1);
    Sample::values(several.map(|(_, receipts)| most(&receipts) as f64).collect(), || {
        "no subscription received two events".to_owned()
    })
}

/// The most events of one subscription's that came together.
fn most(receipts: &[(Receipt<'_>, Publication<'_>)]) -> usize {
    let (mut most, mut clump) = (1, 1);
    for pair in receipts.windows(2) {
        let [(before, earlier), (after, later)] = [pair[0], pair[1]];
        let together = after.t.saturating_sub(before.t) <= TOGETHER;
        let apart = later.scheduled.saturating_sub(earlier.scheduled) > APART;
        clump = if together && apart { clump + 1 } else { 1 };
        most = most.max(clump);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;

    #[test]
    fn events_that_come_together_and_were_sent_apart_are_a_clump() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).attach(1, 1).open(0).open(1);
        for event in 0..5 {
            rig.publish(event).receive(1, event).wait(20);
        }
        for event in 0..4 {
            rig.receive(0, event);
        }
        rig.wait(20).receive(0, 4);
        let entry = rig.metric(&CLUMP);
        assert_eq!((entry.n, entry.min, entry.max), (2, Some(1.0), Some(4.0)));
    }

    #[test]
    fn events_that_were_sent_together_are_none() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0).publish(0).wait(1).publish(1).receive(0, 0).receive(0, 1);
        assert_eq!(rig.metric(&CLUMP).median, Some(1.0));
        let mut one = RecordedTrial::new();
        one.attach(0, 1).open(0).publish(0).receive(0, 0);
        assert!(one.metric(&CLUMP).absent.unwrap().contains("two events"));
    }
}
