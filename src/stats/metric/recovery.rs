//! How long coming back took.

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Record, Step, millis};

/// Per end of a subscription, to when its client asked for it again; where a browser does that by itself and unseen,
/// to when it was open again. One that never came back has none: `never-back` counts it.
pub(super) static RECONNECT_INTERVAL: Metric = Metric {
    name: "reconnect-interval",
    unit: "ms",
    definition: "Per end of a subscription, to when its client asked for it again; where a browser does that by itself \
                 and unseen, to when it was open again. One that never came back has none: `never-back` counts it.",
    phrase: "came back after {}",
    compute: reconnect_interval,
    ..PLAIN
};

/// Per subscription that was asked for before it, from a fault's end to the first receipt of an event that was
/// published after it; where none received any: above what was waited until T. One of several that received none has
/// no value: `never-back` counts it.
pub(super) static RECOVERY_TIME: Metric = Metric {
    name: "recovery-time",
    unit: "ms",
    definition: "Per subscription that was asked for before it, from a fault's end to the first receipt of an event \
                 that was published after it; where none received any: above what was waited until T. One of several \
                 that received none has no value: `never-back` counts it.",
    phrase: "recovered in {}",
    uncertainty: super::clocks,
    on_network: true,
    compute: recovery_time,
    ..PLAIN
};

/// Subscriptions that were open, were cut, and were not open again at T. One that a fault ended on purpose (204, "don't
/// come back") is none.
pub(super) static NEVER_BACK: Metric = Metric {
    name: "never-back",
    unit: "streams",
    definition: "Subscriptions that were open, were cut, and were not open again at T. One that a fault ended on purpose \
                 (204, “don't come back”) is none.",
    phrase: "had {} that never came back",
    compute: never_back,
    ..PLAIN
};

/// Per subscription that was open when a fault began, from then to when its client was told that it had ended; where none
/// was by T: above what was waited until then. One of several that was told nothing has no value: `client-unaware` counts
/// it.
pub(super) static CLIENT_NOTICES: Metric = Metric {
    name: "client-notices",
    unit: "ms",
    definition: "Per subscription that was open when a fault began, from then to when its client was told that it had \
                 ended; where none was by T: above what was waited until then. One of several that was told nothing has no \
                 value: `client-unaware` counts it.",
    phrase: "was told after {}",
    uncertainty: super::clocks,
    compute: |record| notices(record, client_told),
    ..PLAIN
};

/// The same of the server: to when it let go of the subscription's stream.
pub(super) static SERVER_NOTICES: Metric = Metric {
    name: "server-notices",
    unit: "ms",
    definition: "Per subscription that was open when a fault began, from then to when the server let go of its stream; \
                 where none was by T: above what was waited until then.",
    phrase: "left the server to notice after {}",
    compute: |record| notices(record, server_told),
    ..PLAIN
};

/// Subscriptions that were open when a fault began and of which the client was told nothing by T, though no event that was
/// published after the fault's beginning had reached it by then.
pub(super) static CLIENT_UNAWARE: Metric = Metric {
    name: "client-unaware",
    unit: "streams",
    definition: "Subscriptions that were open when a fault began and of which the client was told nothing by T, though no \
                 event that was published after the fault's beginning had reached it by then.",
    phrase: "took {} for open that were cut",
    compute: unaware,
    ..PLAIN
};

/// Subscriptions that were open when the first fault began and of which the client was told by T that they had ended.
pub(super) static STREAMS_CUT: Metric = Metric {
    name: "streams-cut",
    unit: "streams",
    definition: "Subscriptions that were open when the first fault began and of which the client was told by T that they \
                 had ended.",
    phrase: "had {} cut",
    compute: |record| match struck(record) {
        Ok((begun, census, subs)) => {
            let cut = |sub: &u32| client_told(record, *sub, begun).is_some_and(|t| t <= census);
            Sample::count(subs.into_iter().filter(cut).count())
        }
        Err(none) => none,
    },
    ..PLAIN
};

/// When the client was told, after this instant, that a subscription had ended.
fn client_told(record: &Record<'_>, sub: u32, begun: u64) -> Option<u64> {
    let steps = record.steps.get(&sub).into_iter().flatten();
    steps.filter(|(t, step)| *step == Step::Closed && *t >= begun).map(|(t, _)| *t).min()
}

/// When the server let go of the stream that it had for a subscription at this instant.
fn server_told(record: &Record<'_>, sub: u32, begun: u64) -> Option<u64> {
    let of = record.attachments.iter().filter(|attachment| attachment.sub == Some(sub) && attachment.t <= begun);
    of.max_by_key(|attachment| attachment.t)?.until.filter(|until| *until >= begun)
}

/// The first fault, and the subscriptions that were open when it began; an error says why there is none.
fn struck(record: &Record<'_>) -> Result<(u64, u64, Vec<u32>), Sample> {
    let Some(&(begun, _)) = record.faults_begun.iter().min_by_key(|(t, _)| *t) else {
        return Err(Sample::absent("nothing went wrong on purpose"));
    };
    let Some(census) = record.last_census().filter(|census| *census > begun) else {
        return Err(Sample::absent("the census was never taken, or before the fault"));
    };
    let open = |sub: &&u32| {
        let steps = record.steps.get(sub).into_iter().flatten();
        let last = steps.take_while(|(t, _)| *t <= begun).filter(|(_, step)| *step != Step::Requested).last();
        last.is_some_and(|(_, step)| *step == Step::Opened)
    };
    let subs: Vec<u32> = record.opened.keys().filter(open).copied().collect();
    if subs.is_empty() {
        Err(Sample::absent("no subscription was open when the fault began"))
    } else {
        Ok((begun, census, subs))
    }
}

fn notices(record: &Record<'_>, told: fn(&Record<'_>, u32, u64) -> Option<u64>) -> Sample {
    let (begun, census, subs) = match struck(record) {
        Ok(struck) => struck,
        Err(none) => return none,
    };
    let at = subs.into_iter().filter_map(|sub| told(record, sub, begun)).filter(|t| *t <= census);
    let times: Vec<f64> = at.map(|t| millis(begun, t)).collect();
    if times.is_empty() { Sample::Above(millis(begun, census)) } else { Sample::values(times, String::new) }
}

fn unaware(record: &Record<'_>) -> Sample {
    if record.client_killed() {
        return Sample::absent("the client was killed, and with it what it had received");
    }
    let (begun, census, subs) = match struck(record) {
        Ok(struck) => struck,
        Err(none) => return none,
    };
    let reached = |sub: u32| {
        let mut receipts = record.received.get(&sub).into_iter().flatten().filter(|receipt| receipt.t <= census);
        receipts.any(|receipt| record.published.get(receipt.id).is_some_and(|published| published.t > begun))
    };
    let unaware = |sub: &u32| client_told(record, *sub, begun).is_none_or(|t| t > census) && !reached(*sub);
    Sample::count(subs.into_iter().filter(unaware).count())
}

/// The most connections that were made within 100 ms, from the first fault on.
pub(super) static HANDSHAKES: Metric = Metric {
    name: "handshakes-at-once",
    unit: "connections",
    definition: "The most connections that were made within 100 ms, from the first fault on.",
    phrase: "made {} connections within 100 ms",
    compute: handshakes,
    ..PLAIN
};

/// Within how long handshakes come at once, in nanoseconds.
const AT_ONCE: u64 = 100_000_000;

fn handshakes(record: &Record<'_>) -> Sample {
    let Some(fault) = record.faults_begun.iter().map(|(t, _)| *t).min() else {
        return Sample::absent("there was no fault");
    };
    let mut times: Vec<u64> =
        record.connections.values().map(|connection| connection.t).filter(|t| *t > fault).collect();
    times.sort_unstable();
    let within = |(at, t): (usize, &u64)| times.partition_point(|other| *other < t + AT_ONCE) - at;
    Sample::count(times.iter().enumerate().map(within).max().unwrap_or(0))
}

fn never_back(record: &Record<'_>) -> Sample {
    if record.client_killed() {
        return Sample::absent("the client was killed, and with it what it had received");
    }
    if record.census.is_empty() {
        return Sample::absent("the census was never taken");
    }
    let open = record.open();
    let away =
        |sub: &&u32| !open.contains(sub) && record.cut_for_good(**sub) && record.ended_on_purpose(**sub).is_none();
    Sample::count(record.opened.keys().filter(away).count())
}

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
    use crate::stats::rig::RecordedTrial;
    use crate::trial::LabFact;

    fn fault_ends(rig: &mut RecordedTrial) -> &mut RecordedTrial {
        let t = rig.now();
        rig.fact_at(t, LabFact::FaultEnded { fault: "refuse".to_owned() })
    }

    #[test]
    fn handshakes_are_counted_where_most_come_at_once_after_the_fault() {
        let mut rig = RecordedTrial::new();
        rig.connect(1).connect(2).connect(3);
        assert_eq!(rig.metric(&HANDSHAKES).absent.as_deref(), Some("there was no fault"));
        let t = rig.now();
        rig.fact_at(t, LabFact::Fault { fault: "restart-server".to_owned() });
        assert_eq!(rig.metric(&HANDSHAKES).median, Some(0.0));
        rig.wait(10).connect(4).wait(90).connect(5).wait(5).connect(6).wait(10).connect(7).wait(500).connect(8);
        assert_eq!(rig.metric(&HANDSHAKES).median, Some(3.0), "4, 5 and 6; and 5, 6 and 7");
    }

    #[test]
    fn a_wait_runs_from_an_end_to_the_next_asking() {
        let mut rig = RecordedTrial::new();
        rig.request(0).wait(1).open(0).wait(5).close(0).wait(7).request(0).wait(1).close(0).wait(9).request(0);
        rig.request(1).wait(1).open(1).wait(5).close(1).wait(11).open(1);
        let entry = rig.metric(&RECONNECT_INTERVAL);
        assert_eq!((entry.n, entry.min, entry.median, entry.max), (3, Some(7.0), Some(9.0), Some(11.0)));
        let mut none = RecordedTrial::new();
        none.request(0).open(0).close(0);
        assert_eq!(none.metric(&RECONNECT_INTERVAL).absent.as_deref(), Some("no subscription came back"));
    }

    #[test]
    fn who_was_cut_and_is_not_open_at_the_census_never_came_back() {
        let fault = |rig: &mut RecordedTrial| {
            let t = rig.now();
            rig.fact_at(t, LabFact::Fault { fault: "restart-server".to_owned() });
        };
        let mut rig = RecordedTrial::new();
        for sub in 0..5 {
            rig.request(sub).attach(sub, 1).open(sub);
        }
        rig.request(5).close(5); // never opened
        fault(rig.wait(1));
        rig.wait(1).close(0).close(1).close(2); // 3 and 4 are not told
        rig.request(0).attach(0, 2).open(0).request(1).close(1).attach(3, 2).open(3);
        let mut none = rig.clone();
        assert!(none.metric(&NEVER_BACK).absent.is_some(), "without a census nobody knows");
        rig.census().receive_all_census(&[0, 3]);
        assert_eq!(rig.metric(&NEVER_BACK).median, Some(3.0), "1, 2 and 4");
        // One that is back and only misses the census is back.
        none.census().receive_all_census(&[0]);
        assert_eq!(none.metric(&NEVER_BACK).median, Some(3.0));
        let mut whole = RecordedTrial::new();
        whole.request(0).attach(0, 1).open(0).census();
        assert_eq!(whole.metric(&NEVER_BACK).median, Some(0.0), "nothing cut it");
    }

    #[test]
    fn recovery_is_the_first_receipt_of_what_came_after_the_fault() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0).publish(0).wait(1);
        fault_ends(&mut rig).wait(4).receive(0, 0).publish(1).wait(6).receive(0, 1).census().receive_last(0);
        assert_eq!(rig.metric(&RECOVERY_TIME).median, Some(10.0), "what was published before doesn't count");
        let mut never = RecordedTrial::new();
        never.request(0).attach(0, 1).open(0).wait(1);
        fault_ends(&mut never).wait(25).census();
        assert_eq!(never.metric(&RECOVERY_TIME).above, Some(25.0));
        let mut whole = RecordedTrial::new();
        whole.request(0).census();
        assert!(whole.metric(&RECOVERY_TIME).absent.unwrap().contains("no fault"));
    }

    #[test]
    fn a_server_that_is_killed_ends_what_is_its_own_and_nothing_of_the_others() {
        let mut rig = RecordedTrial::new();
        rig.planned.settings.server.count = 2;
        rig.request(0).attach(0, 1).open(0).request(1).attach(1, (1 << 50) + 1).open(1).wait(1);
        let t = rig.now();
        rig.fact_at(t, LabFact::Fault { fault: "kill-last-server".to_owned() });
        rig.wait(20).census();
        let entry = rig.metric(&SERVER_NOTICES);
        assert_eq!((entry.n, entry.median), (1, Some(0.0)), "the second one's, at once");
    }

    #[test]
    fn each_end_notices_in_its_own_time_or_not_by_the_census() {
        let fault = |rig: &mut RecordedTrial| {
            let t = rig.now();
            rig.fact_at(t, LabFact::Fault { fault: "blackout".to_owned() });
        };
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0).request(1).attach(1, 1).open(1).request(2).close(2);
        fault(rig.wait(1));
        rig.wait(20).close(0).wait(5).detach(1, 1).wait(10);
        let mut none = rig.clone();
        rig.publish(0).census();
        let about = |metric| rig.metric(metric).median.map(f64::round);
        assert_eq!([about(&CLIENT_NOTICES), about(&SERVER_NOTICES)], [Some(20.0), Some(25.0)]);
        assert_eq!(rig.metric(&STREAMS_CUT).median, Some(1.0));
        assert_eq!(rig.metric(&CLIENT_UNAWARE).median, Some(1.0), "2 was never open");
        // What was published after the fault has come to 1 after all.
        none.publish(0).receive(1, 0).census();
        assert_eq!(none.metric(&CLIENT_UNAWARE).median, Some(0.0));
        let mut deaf = RecordedTrial::new();
        deaf.request(0).attach(0, 1).open(0);
        fault(deaf.wait(1));
        deaf.wait(30).census().wait(5).close(0).detach(0, 1);
        assert_eq!(deaf.metric(&STREAMS_CUT).median, Some(0.0), "what ends after T was asked to");
        for metric in [&CLIENT_NOTICES, &SERVER_NOTICES] {
            assert_eq!(deaf.metric(metric).above.map(f64::round), Some(30.0));
        }
        let mut whole = RecordedTrial::new();
        whole.request(0).attach(0, 1).open(0).census();
        assert!(whole.metric(&CLIENT_NOTICES).absent.unwrap().contains("nothing went wrong"));
    }
}
