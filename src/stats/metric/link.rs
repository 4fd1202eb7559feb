//! What went over the link.

use super::usage::opened_late;
use super::{Metric, PLAIN, Sample, delivery};
use crate::stats::record::{LinkTotal, Record};
use crate::trial::fact::UsageAt;

/// Bytes of IP packets, headers included, sent both ways on the link from just before the first event was due to the end of
/// the drain ÷ `events-received`; lost and repeated ones count. Absent where one subscription in twenty or more opened later
/// than that, so that connecting is in it.
pub(super) static WIRE_BYTES_PER_EVENT: Metric = Metric {
    name: "wire-bytes-per-event",
    unit: "B",
    definition: "Bytes of IP packets, headers included, sent both ways on the link from just before the first event was \
                 due to the end of the drain ÷ `events-received`; lost and repeated ones count. Absent where one \
                 subscription in twenty or more opened later than that, so that connecting is in it.",
    phrase: "put {} on the wire for an event",
    compute: |record| per_event(record, |total| total.bytes),
    ..PLAIN
};

/// IP packets sent both ways on the link from just before the first event was due to the end of the drain ÷
/// `events-received`. Absent where one subscription in twenty or more opened later than that.
pub(super) static PACKETS_PER_EVENT: Metric = Metric {
    name: "packets-per-event",
    unit: "packets",
    definition: "IP packets sent both ways on the link from just before the first event was due to the end of the drain \
                 ÷ `events-received`. Absent where one subscription in twenty or more opened later than that.",
    phrase: "took {} packets for an event",
    compute: |record| per_event(record, |total| total.packets),
    ..PLAIN
};

/// Packets that the link dropped, both ways, from the trial's beginning to its end.
pub(super) static PACKETS_DROPPED: Metric = Metric {
    name: "packets-dropped",
    unit: "packets",
    definition: "Packets that the link dropped, both ways, from the trial's beginning to its end.",
    phrase: "had {} packets dropped",
    compute: |record| match record.link.dropped {
        Some(packets) => Sample::Values(vec![packets as f64]),
        None => Sample::absent(NO_LINK),
    },
    ..PLAIN
};

/// Packets that the link dropped and told their sender of: by ICMP, that one was too long, or by an RST of TCP.
pub(super) static PACKETS_TOLD: Metric = Metric {
    name: "packets-told",
    unit: "packets",
    definition: "Packets that the link dropped and told their sender of: by ICMP, that one was too long, or by an RST of \
                 TCP.",
    phrase: "was told of {} dropped packets",
    compute: |record| match record.link.told {
        Some(packets) => Sample::Values(vec![packets as f64]),
        None => Sample::absent(NO_LINK),
    },
    ..PLAIN
};

/// Per subscription that received an event, `time-to-first-event` ÷ the time that an answer takes over the link at least;
/// only where that is 20 ms or more, as below the ends' own time counts for too much.
pub(super) static ROUND_TRIPS: Metric = Metric {
    name: "round-trips-to-first-event",
    unit: "round trips",
    definition: "Per subscription that received an event, `time-to-first-event` ÷ the time that an answer takes over the \
                 link at least; only where that is 20 ms or more, as below the ends' own time counts for too much.",
    phrase: "had its first event after {} round trips",
    on_network: true,
    compute: round_trips,
    ..PLAIN
};

/// Why there is nothing to count.
pub(super) const NO_LINK: &str = "the trial had no link";
/// The shortest round trip that others are counted in, in nanoseconds.
const LEAST_ROUND_TRIP: u64 = 20_000_000;

fn per_event(record: &Record<'_>, count: fn(&LinkTotal) -> u64) -> Sample {
    let at = |at: UsageAt| record.link.carried[at as usize].as_ref().map(count);
    let (Some(first), Some(end)) = (at(UsageAt::First), at(UsageAt::End)) else { return Sample::absent(NO_LINK) };
    if let Some(late) = opened_late(record) {
        return Sample::absent(late);
    }
    match delivery::received(record) {
        0 => Sample::absent("no event was received"),
        events => Sample::Values(vec![end.saturating_sub(first) as f64 / events as f64]),
    }
}

fn round_trips(record: &Record<'_>) -> Sample {
    let Some([up, down]) = record.link.delays else { return Sample::absent(NO_LINK) };
    let round_trip = up + down;
    if round_trip < LEAST_ROUND_TRIP {
        return Sample::absent("a round trip over the link takes less than 20 ms");
    }
    match super::timing::first_events(record) {
        Sample::Values(millis) => {
            Sample::Values(millis.into_iter().map(|millis| millis * 1e6 / round_trip as f64).collect())
        }
        none => none,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::LabFact;
    use crate::trial::fact::WayCarried;
    use crate::trial::settings::LinkSettings;
    use crate::units::Span;

    fn way(packets: u64, bytes: u64, dropped: u64) -> WayCarried {
        WayCarried { packets, bytes, dropped: [("loss".to_owned(), dropped)].into(), told: dropped }
    }

    #[test]
    fn what_the_link_carried_is_divided_by_events_from_the_first_one_to_the_end_of_the_drain() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0).publish(0).receive(0, 0).publish(1).receive(0, 1);
        assert_eq!(rig.metric(&WIRE_BYTES_PER_EVENT).absent.as_deref(), Some(NO_LINK));
        let mut late = RecordedTrial::new();
        late.attach(0, 1).publish(0).wait(1).open(0).receive(0, 0).publish(1).receive(0, 1);
        for (at, packets) in [(UsageAt::First, 10), (UsageAt::Census, 13), (UsageAt::End, 14)] {
            let (up, down) = (way(packets, 40 * packets, 0), way(packets, 100 * packets, 0));
            let fact = LabFact::LinkCarried { at, up, down };
            late.fact(fact.clone());
            rig.fact(fact);
        }
        let why = late.metric(&WIRE_BYTES_PER_EVENT).absent.unwrap();
        assert!(why.contains("opened after the first event was due, so that connecting is in it"), "{why}");
        assert_eq!(rig.metric(&WIRE_BYTES_PER_EVENT).median, Some(280.0));
        assert_eq!(rig.metric(&PACKETS_PER_EVENT).median, Some(4.0));
    }

    #[test]
    fn what_was_dropped_is_counted_both_ways() {
        let mut rig = RecordedTrial::new();
        assert_eq!(rig.metric(&PACKETS_DROPPED).absent.as_deref(), Some(NO_LINK));
        rig.fact(LabFact::LinkEnded {
            up: way(9, 900, 2),
            down: way(9, 900, 1),
            up_dropped: vec![3, 4],
            down_dropped: vec![8],
            late_median: None,
            late_most: None,
        });
        assert_eq!(rig.metric(&PACKETS_DROPPED).median, Some(3.0));
        assert_eq!(rig.metric(&PACKETS_TOLD).median, Some(3.0));
    }

    #[test]
    fn a_link_that_is_late_by_more_than_a_tenth_of_a_time_limits_it() {
        let limited = |late: u64| {
            let mut rig = RecordedTrial::new();
            rig.request(0).attach(0, 1).open(0).publish(0).wait(10).receive(0, 0);
            rig.fact(LabFact::LinkEnded {
                up: way(1, 1, 0),
                down: way(1, 1, 0),
                up_dropped: Vec::new(),
                down_dropped: Vec::new(),
                late_median: Some(late),
                late_most: Some(9_000_000),
            });
            rig.metric(&super::super::timing::LATENCY).machine_limited
        };
        assert_eq!(limited(900_000), None);
        assert!(limited(1_100_000).unwrap().contains("ms late (median), more than a tenth of 10"));
    }

    #[test]
    fn a_first_event_is_counted_in_round_trips_of_the_link() {
        let mut rig = RecordedTrial::new();
        rig.request(0).wait(300).attach(0, 1).open(0).publish(0).receive(0, 0);
        assert_eq!(rig.metric(&ROUND_TRIPS).absent.as_deref(), Some(NO_LINK));
        let mut delayed = |ms| {
            rig.planned.settings.link = Some(LinkSettings { delay: Span::from_millis(ms), ..LinkSettings::default() });
            rig.metric(&ROUND_TRIPS)
        };
        assert!(delayed(9).absent.unwrap().contains("less than 20 ms"));
        assert!((delayed(50).median.unwrap() - 3.0).abs() < 1e-3);
    }
}
