//! What was put on a link whose packets were kept, by what it was.

use super::{Metric, PLAIN, Sample, delivery};
use crate::stats::record::Record;
use crate::trial::fact::WayParts;
use crate::trial::phase::TrialPhase;
use crate::trial::settings::Direction;

/// Per flow, bytes of IP packets, headers included, both ways, before the first event was due or before the flow carried
/// its first: connecting, TLS, asking.
pub(super) static HANDSHAKE_BYTES: Metric = Metric {
    name: "handshake-bytes",
    unit: "B",
    definition: "Per flow, bytes of IP packets, headers included, both ways, before the first event was due or before the \
                 flow carried its first: connecting, TLS, asking.",
    phrase: "took {} to begin",
    compute: |record| {
        let bytes = record.link.handshakes.iter().map(|bytes| *bytes as f64).collect();
        Sample::values(bytes, || NOT_KEPT.to_owned())
    },
    ..PLAIN
};

/// Bytes of IP packets, headers included, both ways, while no event had been due for a second (or four round trips, if
/// that is longer), for each minute of that; only where there were ten seconds of it.
pub(super) static IDLE_BYTES: Metric = Metric {
    name: "idle-bytes-per-minute",
    unit: "B",
    definition: "Bytes of IP packets, headers included, both ways, while no event had been due for a second (or four round \
                 trips, if that is longer), for each minute of that; only where there were ten seconds of it.",
    phrase: "sent {} a minute with nothing to say",
    compute: idle,
    ..PLAIN
};

/// Bytes of IP packets, both ways, that are not events' data, while events were due, ÷ `events-received`.
pub(super) static OVERHEAD_PER_EVENT: Metric = Metric {
    name: "overhead-per-event",
    unit: "B",
    definition: "Bytes of IP packets, both ways, that are not events' data, while events were due, ÷ `events-received`.",
    phrase: "added {} to an event",
    compute: |record| match record.direction {
        Direction::Down if !are_found(record) => Sample::absent("some events were not found whole in packets"),
        Direction::Down => per_event(record, |parts| parts.bytes - parts.payload),
        Direction::Up | Direction::Echo => Sample::absent("what clients publish is not looked for in packets"),
    },
    ..PLAIN
};

/// Bytes of packets that do nothing but acknowledge, both ways, while events were due, ÷ `events-received`.
pub(super) static ACKNOWLEDGEMENTS_PER_EVENT: Metric = Metric {
    name: "acknowledgements-per-event",
    unit: "B",
    definition: "Bytes of packets that do nothing but acknowledge, both ways, while events were due, ÷ `events-received`.",
    phrase: "acknowledged an event with {}",
    compute: |record| per_event(record, |parts| parts.acknowledgements),
    ..PLAIN
};

/// Why there is nothing to count.
const NOT_KEPT: &str = "the packets of the trial were not kept; `run --capture` keeps them";
/// How long nothing is due at least, in nanoseconds.
const LEAST_IDLE: u64 = 10_000_000_000;

fn both(record: &Record<'_>, phase: TrialPhase) -> Option<WayParts> {
    let parts = record.link.parts.get(&phase)?;
    let mut sum = parts[0];
    sum += parts[1];
    Some(sum)
}

fn per_event(record: &Record<'_>, count: fn(&WayParts) -> u64) -> Sample {
    let Some(parts) = both(record, TrialPhase::Events) else { return Sample::absent(NOT_KEPT) };
    if parts.unknown > 0 {
        return Sample::absent("some of what was sent could not be decrypted");
    }
    match delivery::received(record) {
        0 => Sample::absent("no event was received"),
        events => Sample::Values(vec![count(&parts) as f64 / events as f64]),
    }
}

/// Whether every event that was received is known to have been in some packets, so that its data is known for what it is.
fn are_found(record: &Record<'_>) -> bool {
    record.received.values().flatten().all(|receipt| record.link.events.contains_key(receipt.id))
}

fn idle(record: &Record<'_>) -> Sample {
    if record.link.parts.is_empty() {
        return Sample::absent(NOT_KEPT);
    }
    if record.link.idle < LEAST_IDLE {
        return Sample::absent("nothing was due for less than ten seconds");
    }
    let bytes = both(record, TrialPhase::Idle).unwrap_or_default().bytes;
    Sample::Values(vec![bytes as f64 * 6e10 / record.link.idle as f64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::LabFact;
    use crate::units::Span;

    fn flow(phase: TrialPhase, client: u16, up: WayParts, down: WayParts) -> LabFact {
        LabFact::LinkFlow { over: "tcp".to_owned(), client, server: 443, phase, up, down }
    }

    fn parts(bytes: u64) -> WayParts {
        WayParts { packets: 1, bytes, headers: 40, protection: bytes - 40, ..WayParts::default() }
    }

    #[test]
    fn each_flow_begins_with_so_many_bytes() {
        let mut rig = RecordedTrial::new();
        assert_eq!(rig.metric(&HANDSHAKE_BYTES).absent.as_deref(), Some(NOT_KEPT));
        rig.fact(flow(TrialPhase::Handshake, 1, parts(100), parts(400))).fact(flow(
            TrialPhase::Handshake,
            2,
            parts(60),
            parts(40),
        ));
        rig.fact(flow(TrialPhase::Events, 1, parts(1000), parts(1000)));
        let entry = rig.metric(&HANDSHAKE_BYTES);
        assert_eq!((entry.n, entry.min, entry.max), (2, Some(100.0), Some(500.0)));
    }

    #[test]
    fn what_is_no_data_of_events_is_overhead_where_it_can_be_told() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0).publish(0).receive(0, 0).publish(1).receive(0, 1);
        let down = WayParts { payload: 200, framing: 60, acknowledgements: 80, ..parts(540) };
        rig.fact(flow(TrialPhase::Events, 1, parts(100), down));
        for id in ["k3f0-1", "k3f0-2"] {
            assert!(rig.metric(&OVERHEAD_PER_EVENT).absent.unwrap().contains("not found whole"));
            rig.fact(LabFact::EventOnLink { id: id.to_owned(), conn: 0, packets: Vec::new() });
        }
        assert_eq!(rig.metric(&OVERHEAD_PER_EVENT).median, Some(220.0));
        assert_eq!(rig.metric(&ACKNOWLEDGEMENTS_PER_EVENT).median, Some(40.0));
        let mut echo = rig.clone();
        echo.planned.settings.workload.direction = Direction::Echo;
        assert!(echo.metric(&OVERHEAD_PER_EVENT).absent.unwrap().contains("not looked for"));
        rig.fact(flow(TrialPhase::Events, 2, WayParts { unknown: 1, ..parts(41) }, parts(40)));
        assert!(rig.metric(&OVERHEAD_PER_EVENT).absent.unwrap().contains("decrypted"));
    }

    #[test]
    fn what_an_idle_connection_sends_is_counted_for_a_minute() {
        let mut rig = RecordedTrial::new();
        rig.fact(flow(TrialPhase::Idle, 1, parts(100), parts(200)));
        assert!(rig.metric(&IDLE_BYTES).absent.unwrap().contains("less than ten seconds"));
        // One event at the beginning, and the census at 21 s: of these the 20 s between are idle.
        let workload = &mut rig.planned.settings.workload;
        (workload.settle, workload.hold, workload.drain) = (Span::default(), Span::from_secs(21), Span::from_secs(1));
        workload.events.count = 1.into();
        assert_eq!(rig.metric(&IDLE_BYTES).median, Some(900.0));
    }
}
