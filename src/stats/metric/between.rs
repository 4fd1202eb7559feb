//! What reached the server from what stands before it.

use super::usage::Spender;
use super::{Metric, PLAIN, Sample, streams, usage};
use crate::stats::record::Record;
use crate::trial::fact::UsageAt;

/// Connections of the intermediary's that carry a subscription at T.
pub(super) static ORIGIN_CONNECTIONS: Metric = Metric {
    name: "origin-connections",
    unit: "connections",
    definition: "Connections of the intermediary's that carry a subscription at T.",
    phrase: "had {} connections to the server",
    compute: |record| {
        if !record.is_between {
            return Sample::absent(NOTHING);
        }
        streams::carried(record, |loads| loads.len())
    },
    ..PLAIN
};

/// The version of HTTP in which each subscription reached the server from the intermediary: 1 (HTTP/1.0), 1.1, 2 or 3.
pub(super) static ORIGIN_HTTP: Metric = Metric {
    name: "origin-http",
    unit: "version",
    definition: "The version of HTTP in which each subscription reached the server from the intermediary: 1 (HTTP/1.0), \
                 1.1, 2 or 3.",
    phrase: "reached the server by HTTP {}",
    compute: |record| {
        if !record.is_between {
            return Sample::absent(NOTHING);
        }
        let versions = record.attachments.iter().filter_map(|attachment| attachment.http).collect();
        Sample::values(versions, || "no subscription reached the server".to_owned())
    },
    ..PLAIN
};

/// The CPU time of all of the intermediary's processes, user and system, from just before the first event was due to the end
/// ÷ `events-received`. Absent below 200 ms of it, as the kernel tells it in steps of 10 ms, and where one subscription in
/// twenty opened later than that.
pub(super) static PROXY_CPU_PER_DELIVERY: Metric = Metric {
    name: "proxy-cpu-per-delivery",
    unit: "µs",
    definition: "The CPU time of all of the intermediary's processes, user and system, from just before the first event \
                 was due to the end ÷ `events-received`. Absent below 200 ms of it, as the kernel tells it in steps of \
                 10 ms, and where one subscription in twenty or more opened later than that.",
    phrase: "cost the intermediary {} of CPU a delivery",
    compute: cpu_per_delivery,
    ..PLAIN
};

/// (Memory of all of the intermediary's processes at T − before `go`) ÷ `server-open-streams`. What it takes once, for
/// whoever comes first, is in it.
pub(super) static PROXY_MEMORY_PER_STREAM: Metric = Metric {
    name: "proxy-memory-per-stream",
    unit: "B",
    definition: "(Memory of all of the intermediary's processes, what they share counted once, at T − before `go`) ÷ \
                 `server-open-streams`. It is as uncertain as 2 MB are when divided so: that much it may take once, for \
                 whoever comes first.",
    phrase: "cost the intermediary {} of memory a stream",
    uncertainty: |record| Some(usage::TAKEN_ONCE_BYTES / record.server_open_count().max(1) as f64),
    compute: memory_per_stream,
    ..PLAIN
};

const PROXY: Spender = Spender {
    name: "intermediary",
    fell: "processes of its ended",
    usage: |record, at| record.between_usage[at as usize],
};

fn cpu_per_delivery(record: &Record<'_>) -> Sample {
    if !record.is_between {
        return Sample::absent(NOTHING);
    }
    match usage::opened_late(record) {
        Some(late) => Sample::absent(late),
        None => PROXY.cpu(record, UsageAt::First, usage::LEAST_CPU_MICROS),
    }
}

fn memory_per_stream(record: &Record<'_>) -> Sample {
    if record.is_between { PROXY.memory_per_stream(record) } else { Sample::absent(NOTHING) }
}

/// Per subscription that nobody reads, bytes of events' data that the server had handed to its stream when it ended: what
/// there is room for on the way, in the kernels' buffers, in what stands between and in flow control's windows.
pub(super) static UNREAD: Metric = Metric {
    name: "unread",
    unit: "B",
    definition: "Per subscription that nobody reads, bytes of events' data that the server had handed to its stream when it \
                 ended: what there is room for on the way, in the kernels' buffers, in what stands between and in flow \
                 control's windows.",
    phrase: "had {} written to it for who reads nothing",
    compute: |record| {
        let bytes = record.unread.iter().map(|bytes| *bytes as f64).collect();
        Sample::values(bytes, || "nothing was left unread".to_owned())
    },
    ..PLAIN
};

/// Why there is nothing to say.
const NOTHING: &str = "nothing stands between";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::metric;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::Alpn;

    #[test]
    fn connections_are_the_intermediarys_where_there_is_one_and_the_clients_where_there_is_none() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).attach(1, 2).open(0).open(1).census();
        let of = |rig: &RecordedTrial, name: &str| rig.metric(metric::find(name).unwrap());
        assert_eq!(of(&rig, "connections").median, Some(2.0));
        for name in ["origin-connections", "origin-http"] {
            assert_eq!(of(&rig, name).absent.as_deref(), Some(NOTHING));
        }
        rig.between(Alpn::H2, 1.1);
        assert_eq!(of(&rig, "origin-connections").median, Some(2.0));
        for name in ["connections", "connections-opened", "connections-unused", "streams-per-connection"] {
            assert!(of(&rig, name).absent.unwrap().contains("`origin-connections`"), "{name}");
        }
    }

    #[test]
    fn what_an_intermediary_used_is_divided_by_what_came_through_it() {
        let mut rig = RecordedTrial::new();
        rig.between_usage(UsageAt::Go, 0, 10_000_000).attach(0, 1).open(0).between_usage(UsageAt::First, 100_000, 0);
        rig.publish(0).receive(0, 0).publish(1).receive(0, 1).census().write(&[0]);
        rig.between_usage(UsageAt::Census, 0, 15_000_000);
        for metric in [&PROXY_CPU_PER_DELIVERY, &PROXY_MEMORY_PER_STREAM] {
            assert_eq!(rig.metric(metric).absent.as_deref(), Some(NOTHING));
        }
        rig.between(Alpn::H1, 1.1);
        assert!(rig.metric(&PROXY_CPU_PER_DELIVERY).absent.unwrap().contains("not read"));
        let mut little = rig.clone();
        little.between_usage(UsageAt::End, 290_000, 0);
        assert!(little.metric(&PROXY_CPU_PER_DELIVERY).absent.unwrap().contains("190 ms"));
        rig.between_usage(UsageAt::End, 700_000, 0);
        assert_eq!(rig.metric(&PROXY_CPU_PER_DELIVERY).median, Some(300_000.0));
        assert_eq!(rig.metric(&PROXY_MEMORY_PER_STREAM).median, Some(5_000_000.0));
        rig.between_usage(UsageAt::Census, 0, 9_000_000);
        assert!(rig.metric(&PROXY_MEMORY_PER_STREAM).absent.unwrap().contains("fell by"));
    }

    #[test]
    fn what_nobody_reads_is_counted_where_the_server_says_so() {
        let mut rig = RecordedTrial::new();
        assert_eq!(rig.metric(&UNREAD).absent.as_deref(), Some("nothing was left unread"));
        for (stream, bytes) in [(7, 100), (8, 0)] {
            rig.fact(crate::trial::ServerFact::Unread { conn: 1, stream, bytes });
        }
        let entry = rig.metric(&UNREAD);
        assert_eq!((entry.n, entry.min, entry.max), (2, Some(0.0), Some(100.0)));
    }

    #[test]
    fn the_version_is_that_of_the_requests_that_came() {
        let mut rig = RecordedTrial::new();
        rig.between(Alpn::H1, 1.0).attach(0, 1).attach(1, 2).census();
        let entry = rig.metric(&ORIGIN_HTTP);
        assert_eq!((entry.n, entry.min, entry.max), (2, Some(1.0), Some(1.0)));
        let mut none = RecordedTrial::new();
        none.between(Alpn::H1, 1.0).census();
        assert_eq!(none.metric(&ORIGIN_HTTP).absent.as_deref(), Some("no subscription reached the server"));
    }
}
