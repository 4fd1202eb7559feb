//! What the server's process spent.

use super::{Metric, PLAIN, Sample, delivery};
use crate::stats::record::Record;
use crate::trial::fact::UsageAt;

/// The server's CPU time, user and system, from `go` to the end ÷ `events-received`; absent below 200 ms of it.
pub(super) static CPU_PER_EVENT: Metric = Metric {
    name: "server-cpu-per-event",
    unit: "µs",
    definition: "The server's CPU time, user and system, from `go` to the end ÷ `events-received`; absent below \
                 200 ms of it.",
    phrase: "cost the server {} of CPU an event",
    compute: |record| cpu(record, UsageAt::Go, LEAST_CPU_MICROS),
    ..PLAIN
};

/// The server's CPU time, user and system, from just before the first event was due to the end ÷ `events-received`:
/// without what connecting cost. Absent below 20 ms of it.
pub(super) static CPU_PER_DELIVERY: Metric = Metric {
    name: "server-cpu-per-delivery",
    unit: "µs",
    definition: "The server's CPU time, user and system, from just before the first event was due to the end ÷ \
                 `events-received`: without what connecting cost. Absent below 20 ms of it.",
    phrase: "cost the server {} of CPU a delivery",
    compute: |record| cpu(record, UsageAt::First, LEAST_STEADY_MICROS),
    ..PLAIN
};

/// (Resident at T − before `go`) ÷ `server-open-streams`.
pub(super) static MEMORY_PER_STREAM: Metric = Metric {
    name: "server-memory-per-stream",
    unit: "B",
    definition: "(Resident at T − before `go`) ÷ `server-open-streams`.",
    phrase: "cost the server {} of memory a stream",
    compute: memory_per_stream,
    ..PLAIN
};

/// Bytes of TCP or UDP payload, TLS and QUIC included, that the server sent and received from just before the first
/// event was due to the end ÷ `events-received`.
pub(super) static BYTES_PER_EVENT: Metric = Metric {
    name: "server-bytes-per-event",
    unit: "B",
    definition: "Bytes of TCP or UDP payload, TLS and QUIC included, that the server sent and received from just \
                 before the first event was due to the end ÷ `events-received`.",
    phrase: "moved {} an event",
    compute: bytes_per_event,
    ..PLAIN
};

/// Less CPU than this is mostly start-up and the clock's step.
const LEAST_CPU_MICROS: u64 = 200_000;
/// Once everybody is connected, less than this is mostly what the process does without being asked.
const LEAST_STEADY_MICROS: u64 = 20_000;

/// CPU from then to the end, for each event received.
fn cpu(record: &Record<'_>, from: UsageAt, least: u64) -> Sample {
    let (Some(go), Some(end)) = (record.usage(from), record.usage(UsageAt::End)) else {
        return Sample::absent("the server's CPU time was not read at both ends");
    };
    let Some(micros) = end.cpu.checked_sub(go.cpu) else {
        return Sample::absent("the server's CPU time fell: it was restarted");
    };
    if micros < least {
        let (used, least) = (micros / 1000, least / 1000);
        return Sample::absent(format!("the server used {used} ms of CPU, too little to divide ({least} ms)"));
    }
    match delivery::received(record) {
        0 => Sample::absent("no event was received"),
        events => Sample::Values(vec![micros as f64 / events as f64]),
    }
}

fn memory_per_stream(record: &Record<'_>) -> Sample {
    let (Some(go), Some(census)) = (record.usage(UsageAt::Go), record.usage(UsageAt::Census)) else {
        return Sample::absent("the server's memory was not read before `go` and at T");
    };
    let Some(bytes) = census.resident.checked_sub(go.resident) else {
        return Sample::absent(format!("the server's memory fell by {} B", go.resident - census.resident));
    };
    match record.server_open_count() {
        0 => Sample::absent("no stream was open"),
        streams => Sample::Values(vec![bytes as f64 / streams as f64]),
    }
}

fn bytes_per_event(record: &Record<'_>) -> Sample {
    let (Some(first), Some(end)) = (record.usage(UsageAt::First), record.usage(UsageAt::End)) else {
        return Sample::absent("the server's traffic was not read before the first event and at the end");
    };
    let Some(bytes) = end.bytes.checked_sub(first.bytes) else {
        return Sample::absent("the server's traffic fell: it was restarted");
    };
    match delivery::received(record) {
        0 => Sample::absent("no event was received"),
        events => Sample::Values(vec![bytes as f64 / events as f64]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;

    #[test]
    fn cpu_is_divided_by_events_where_there_is_enough_of_it() {
        let mut rig = RecordedTrial::new();
        rig.usage(UsageAt::Go, 50_000, 0).attach(0, 1).open(0).publish(0).receive(0, 0).publish(1).receive(0, 1);
        assert!(rig.metric(&CPU_PER_EVENT).absent.unwrap().contains("not read"));
        let mut little = rig.clone();
        little.usage(UsageAt::End, 249_000, 0);
        assert!(little.metric(&CPU_PER_EVENT).absent.unwrap().contains("199 ms"));
        rig.usage(UsageAt::End, 450_000, 0);
        assert_eq!(rig.metric(&CPU_PER_EVENT).median, Some(200_000.0));
    }

    #[test]
    fn what_connecting_cost_is_no_part_of_a_delivery() {
        let mut rig = RecordedTrial::new();
        rig.usage(UsageAt::Go, 0, 0).attach(0, 1).open(0).usage(UsageAt::First, 900_000, 0).publish(0).receive(0, 0);
        let mut little = rig.clone();
        little.usage(UsageAt::End, 919_000, 0);
        assert!(little.metric(&CPU_PER_DELIVERY).absent.unwrap().contains("19 ms"));
        rig.usage(UsageAt::End, 930_000, 0);
        assert_eq!(rig.metric(&CPU_PER_DELIVERY).median, Some(30_000.0));
    }

    #[test]
    fn cpu_for_no_event_is_absent() {
        let mut rig = RecordedTrial::new();
        rig.usage(UsageAt::Go, 0, 0).usage(UsageAt::End, 900_000, 0);
        assert_eq!(rig.metric(&CPU_PER_EVENT).absent.as_deref(), Some("no event was received"));
    }

    #[test]
    fn memory_is_divided_by_the_streams_that_the_server_had_open() {
        let mut rig = RecordedTrial::new();
        rig.usage(UsageAt::Go, 0, 1_000_000).attach(0, 1).attach(1, 1).census().write(&[0, 1]);
        rig.usage(UsageAt::Census, 0, 1_048_000);
        assert_eq!(rig.metric(&MEMORY_PER_STREAM).median, Some(24_000.0));
        rig.usage(UsageAt::Census, 0, 900_000);
        assert!(rig.metric(&MEMORY_PER_STREAM).absent.unwrap().contains("fell by 100000 B"));
    }

    #[test]
    fn traffic_is_divided_by_events_from_the_first_one_on() {
        let mut rig = RecordedTrial::new();
        rig.traffic(UsageAt::Go, 0, 0).traffic(UsageAt::First, 5_000, 500);
        rig.attach(0, 1).open(0).publish(0).receive(0, 0).publish(1).receive(0, 1);
        assert!(rig.metric(&BYTES_PER_EVENT).absent.unwrap().contains("not read"));
        rig.traffic(UsageAt::End, 5_900, 600);
        assert_eq!(rig.metric(&BYTES_PER_EVENT).median, Some(500.0));
    }

    #[test]
    fn memory_for_no_stream_is_absent() {
        let mut rig = RecordedTrial::new();
        rig.usage(UsageAt::Go, 0, 1).census().usage(UsageAt::Census, 0, 9);
        assert_eq!(rig.metric(&MEMORY_PER_STREAM).absent.as_deref(), Some("no stream was open"));
    }
}
