//! How long coming back took.

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Record, Step, millis};

/// Per end of a subscription, to when its client asked for it again; where a browser does that by itself and unseen,
/// to when it was open again.
pub(super) static RECONNECT_INTERVAL: Metric = Metric {
    name: "reconnect-interval",
    unit: "ms",
    definition: "Per end of a subscription, to when its client asked for it again; where a browser does that by itself \
                 and unseen, to when it was open again.",
    phrase: "came back after {}",
    compute: reconnect_interval,
    ..PLAIN
};

/// Per subscription that was asked for before it, from a fault's end to the first receipt of an event that was
/// published after it; where none was received: above what was waited until T.
pub(super) static RECOVERY_TIME: Metric = Metric {
    name: "recovery-time",
    unit: "ms",
    definition: "Per subscription that was asked for before it, from a fault's end to the first receipt of an event \
                 that was published after it; where none was received: above what was waited until T.",
    phrase: "recovered in {}",
    by_client_clock: |_| true,
    on_network: true,
    compute: recovery_time,
    ..PLAIN
};

fn reconnect_interval(record: &Record<'_>) -> Sample {
    let mut waits = Vec::new();
    for steps in record.steps.values() {
        for pair in steps.windows(2) {
            if let [(closed, Step::Closed), (back, Step::Requested | Step::Opened)] = *pair {
                waits.push(millis(closed, back));
            }
        }
    }
    Sample::values(waits, || "no subscription came back".to_owned())
}

fn recovery_time(record: &Record<'_>) -> Sample {
    if record.faults_ended.is_empty() {
        return Sample::absent("no fault came to an end");
    }
    let mut times = Vec::new();
    for &over in &record.faults_ended {
        for (sub, _) in record.requested.iter().filter(|(_, asked)| **asked < over) {
            let receipts = record.received.get(sub).into_iter().flatten();
            let after = receipts.filter(|receipt| record.published.get(receipt.id).is_some_and(|p| p.t > over));
            times.extend(after.map(|receipt| receipt.t).min().map(|t| millis(over, t)));
        }
    }
    let waited = record.faults_ended.iter().max().zip(record.last_census());
    match waited {
        Some((&over, end)) if times.is_empty() && end > over => Sample::Above(millis(over, end)),
        _ => Sample::values(times, || "no event was received that was published after the fault".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::Rig;
    use crate::trial::Fact;

    fn fault_ends(rig: &mut Rig) -> &mut Rig {
        let t = rig.now();
        rig.fact(Fact::FaultEnded { t, fault: "refuse".to_owned() })
    }

    #[test]
    fn a_wait_runs_from_an_end_to_the_next_asking() {
        let mut rig = Rig::new();
        rig.request(0).wait(1).open(0).wait(5).close(0).wait(7).request(0).wait(1).close(0).wait(9).request(0);
        rig.request(1).wait(1).open(1).wait(5).close(1).wait(11).open(1);
        let entry = rig.metric(&RECONNECT_INTERVAL);
        assert_eq!((entry.n, entry.min, entry.median, entry.max), (3, Some(7.0), Some(9.0), Some(11.0)));
        let mut none = Rig::new();
        none.request(0).open(0).close(0);
        assert_eq!(none.metric(&RECONNECT_INTERVAL).absent.as_deref(), Some("no subscription came back"));
    }

    #[test]
    fn recovery_is_the_first_receipt_of_what_came_after_the_fault() {
        let mut rig = Rig::new();
        rig.request(0).attach(0, 1).open(0).publish(0).wait(1);
        fault_ends(&mut rig).wait(4).receive(0, 0).publish(1).wait(6).receive(0, 1).census().receive_last(0);
        assert_eq!(rig.metric(&RECOVERY_TIME).median, Some(10.0), "what was published before doesn't count");
        let mut never = Rig::new();
        never.request(0).attach(0, 1).open(0).wait(1);
        fault_ends(&mut never).wait(25).census();
        assert_eq!(never.metric(&RECOVERY_TIME).above, Some(25.0));
        let mut whole = Rig::new();
        whole.request(0).census();
        assert!(whole.metric(&RECOVERY_TIME).absent.unwrap().contains("no fault"));
    }
}
