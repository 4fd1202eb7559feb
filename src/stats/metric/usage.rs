//! What the server's process spent.

use super::{Metric, PLAIN, Sample, delivery};
use crate::stats::number;
use crate::stats::record::{Record, Usage};
use crate::trial::fact::UsageAt;

/// The CPU time of all servers, user and system, from `go` to the end ÷ `events-received`; absent below 200 ms of it.
pub(super) static CPU_PER_EVENT: Metric = Metric {
    name: "server-cpu-per-event",
    unit: "µs",
    definition: "The CPU time of all servers, user and system, from `go` to the end ÷ `events-received`; absent below \
                 200 ms of it.",
    phrase: "cost the server {} of CPU an event",
    compute: |record| SERVER.cpu(record, UsageAt::Go, LEAST_CPU_MICROS),
    ..PLAIN
};

/// The CPU time of all servers, user and system, from just before the first event was due to the end ÷ `events-received`:
/// without what connecting cost. Absent below 20 ms of it, and where one subscription in twenty opened later than that.
pub(super) static CPU_PER_DELIVERY: Metric = Metric {
    name: "server-cpu-per-delivery",
    unit: "µs",
    definition: "The CPU time of all servers, user and system, from just before the first event was due to the end ÷ \
                 `events-received`: without what connecting cost. Absent below 20 ms of it, and where one \
                 subscription in twenty or more opened later than that.",
    phrase: "cost the server {} of CPU a delivery",
    compute: |record| match opened_late(record) {
        Some(late) => Sample::absent(late),
        None => SERVER.cpu(record, UsageAt::First, LEAST_STEADY_MICROS),
    },
    ..PLAIN
};

/// (Resident at T − before `go`) ÷ `server-open-streams`, of all servers together. What each takes once, for whoever comes
/// first, is in it.
pub(super) static MEMORY_PER_STREAM: Metric = Metric {
    name: "server-memory-per-stream",
    unit: "B",
    definition: "(Resident at T − before `go`) ÷ `server-open-streams`, of all servers together. It is as uncertain as 2 MB \
                 for each of them are when divided so: that much it takes once, for whoever comes first. Measure with a \
                 thousand streams.",
    phrase: "cost the server {} of memory a stream",
    uncertainty: |record| {
        Some(TAKEN_ONCE_BYTES * f64::from(record.servers.max(1)) / record.server_open_count().max(1) as f64)
    },
    compute: |record| SERVER.memory_per_stream(record),
    ..PLAIN
};

/// Bytes of TCP or UDP payload, TLS and QUIC included, that the server sent and received from just before the first
/// event was due to the end ÷ `events-received`. Absent where one subscription in twenty or more opened later
/// than that.
pub(super) static BYTES_PER_EVENT: Metric = Metric {
    name: "server-bytes-per-event",
    unit: "B",
    definition: "Bytes of TCP or UDP payload, TLS and QUIC included, that the server sent and received from just \
                 before the first event was due to the end ÷ `events-received`. Absent where one subscription in twenty \
                 or more opened later than that.",
    phrase: "moved {} an event",
    compute: bytes_per_event,
    ..PLAIN
};

/// Less CPU than this is mostly start-up, and told too coarsely: in steps of 10 ms for user and system each.
pub(super) const LEAST_CPU_MICROS: u64 = 200_000;
/// Once everybody is connected, less than this is mostly what the process does without being asked.
const LEAST_STEADY_MICROS: u64 = 20_000;

/// What a server's memory grows by when the first few streams come, however many follow: with 10 streams on a connection
/// 2.1 MB, with 150 2.3 MB, with 600 3.8 MB, of which 2.9 kB a stream are theirs.
pub(super) const TAKEN_ONCE_BYTES: f64 = 2_000_000.0;
/// Of how many subscriptions one may open after the first event was due, and what connecting costs is no part still.
const LATE_OF: usize = 20;

/// Why connecting is part of what comes after the first event was due, where it is.
pub(super) fn opened_late(record: &Record<'_>) -> Option<String> {
    let census = |id: &str| record.census.values().any(|census| census.id == id);
    let due = record.published.iter().filter(|(id, _)| !census(id)).map(|(_, event)| event.scheduled).min()?;
    let (late, all) = (record.opened.values().filter(|opened| **opened > due).count(), record.opened.len());
    let text =
        || format!("{late} of {all} subscriptions opened after the first event was due, so that connecting is in it");
    (late > 0 && late * LATE_OF >= all).then(text)
}

/// Who uses CPU and memory.
pub(super) struct Spender {
    /// Its name in reasons why there is no value.
    pub(super) name: &'static str,
    /// Why its CPU time may fall.
    pub(super) fell: &'static str,
    pub(super) usage: fn(&Record<'_>, UsageAt) -> Option<Usage>,
}

const SERVER: Spender = Spender { name: "server", fell: "it was restarted", usage: |record, at| record.usage(at) };

impl Spender {
    /// CPU from then to the end, for each event received.
    pub(super) fn cpu(&self, record: &Record<'_>, from: UsageAt, least: u64) -> Sample {
        let Self { name, fell, usage } = self;
        let (Some(from), Some(end)) = (usage(record, from), usage(record, UsageAt::End)) else {
            return Sample::absent(format!("the {name}'s CPU time was not read at both ends"));
        };
        let Some(micros) = end.cpu.checked_sub(from.cpu) else {
            return Sample::absent(format!("the {name}'s CPU time fell: {fell}"));
        };
        if micros < least {
            let (used, least) = (micros / 1000, least / 1000);
            return Sample::absent(format!("the {name} used {used} ms of CPU, too little to divide ({least} ms)"));
        }
        match delivery::received(record) {
            0 => Sample::absent("no event was received"),
            events => Sample::Values(vec![micros as f64 / events as f64]),
        }
    }

    /// Memory from before `go` to T, for each stream that is open then.
    pub(super) fn memory_per_stream(&self, record: &Record<'_>) -> Sample {
        let Self { name, usage, .. } = self;
        let (Some(go), Some(census)) = (usage(record, UsageAt::Go), usage(record, UsageAt::Census)) else {
            return Sample::absent(format!("the {name}'s memory was not read before `go` and at T"));
        };
        let Some(bytes) = census.resident.checked_sub(go.resident) else {
            let fell = number::with_unit((go.resident - census.resident) as f64, "B");
            return Sample::absent(format!("the {name}'s memory fell by {fell} from before `go` to T"));
        };
        match record.server_open_count() {
            0 => Sample::absent("no stream was open"),
            streams => Sample::Values(vec![bytes as f64 / streams as f64]),
        }
    }
}

fn bytes_per_event(record: &Record<'_>) -> Sample {
    let (Some(first), Some(end)) = (record.usage(UsageAt::First), record.usage(UsageAt::End)) else {
        return Sample::absent("the server's traffic was not read before the first event and at the end");
    };
    let Some(bytes) = end.bytes.checked_sub(first.bytes) else {
        return Sample::absent("the server's traffic fell: it was restarted");
    };
    if let Some(late) = opened_late(record) {
        return Sample::absent(late);
    }
    match delivery::received(record) {
        0 => Sample::absent("no event was received"),
        events => Sample::Values(vec![bytes as f64 / events as f64]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::ServerFact;

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
    fn what_several_servers_used_is_told_of_all_together_or_not_at_all() {
        let used = |rig: &mut RecordedTrial, server, at, cpu| {
            let usage = ServerFact::Usage { at, cpu, resident: 0, requests: 0, sent: 0, received: 0, server: 0 }
                .of_server(server, 0);
            rig.fact(usage);
        };
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0);
        for server in 0..2 {
            used(&mut rig, server, UsageAt::Go, 100_000);
        }
        rig.publish(0).receive(0, 0).publish(1).receive(0, 1);
        used(&mut rig, 0, UsageAt::End, 400_000);
        assert!(rig.metric(&CPU_PER_EVENT).absent.unwrap().contains("not read"), "the second was killed, say");
        used(&mut rig, 1, UsageAt::End, 200_000);
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
    fn a_delivery_has_no_cost_of_its_own_while_subscriptions_still_open() {
        let of = |late: u32| {
            let mut rig = RecordedTrial::new();
            rig.usage(UsageAt::Go, 0, 0).usage(UsageAt::First, 0, 0);
            for sub in late..40 {
                rig.attach(sub, 1).open(sub);
            }
            rig.wait(1).publish(0).wait(1);
            for sub in 0..late {
                rig.attach(sub, 1).open(sub);
            }
            rig.publish(1).receive(39, 1).usage(UsageAt::End, 900_000, 0);
            rig.metric(&CPU_PER_DELIVERY)
        };
        assert_eq!([of(0), of(1)].map(|entry| entry.n), [1, 1], "one in forty is no matter");
        assert_eq!(of(2).absent.as_deref().map(|reason| &reason[..30]), Some("2 of 40 subscriptions opened a"));
    }

    #[test]
    fn what_is_taken_once_leaves_little_to_say_of_few_streams() {
        let of = |streams: u32, resident: u64| {
            let subs: Vec<u32> = (0..streams).collect();
            let mut rig = RecordedTrial::new();
            rig.usage(UsageAt::Go, 0, 0);
            for sub in &subs {
                rig.attach(*sub, 1);
            }
            rig.census().write(&subs).usage(UsageAt::Census, 0, resident);
            rig.metric(&MEMORY_PER_STREAM).text()
        };
        assert_eq!(of(150, 2_300_000), "< 40\u{202f}000\u{a0}B");
        assert_eq!(of(1000, 38_000_000), "38\u{202f}000\u{a0}B");
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
        assert!(rig.metric(&MEMORY_PER_STREAM).absent.unwrap().contains("fell by 100\u{202f}000\u{a0}B"));
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
