//! How many subscriptions and connections there were.

use std::collections::BTreeMap;

use super::{Metric, PLAIN, Sample};
use crate::stats::record::Record;
use crate::trial::Exchanges;

const NO_CENSUS: &str = "the census was never taken";

pub(super) static REQUESTED: Metric = Metric {
    name: "requested-streams",
    unit: "streams",
    definition: "Subscriptions asked for.",
    phrase: "asked for {}",
    compute: |record| Sample::count(record.requested.len()),
    ..PLAIN
};

/// Subscriptions that received the census event of their feed.
pub(super) static OPEN: Metric = Metric {
    name: "open-streams",
    unit: "streams",
    definition: "Subscriptions that received the census event of their feed.",
    phrase: "held {}",
    compute: |record| at_census(record, |record| record.open().len()),
    of_those_asked: true,
    ..PLAIN
};

/// Subscriptions that the census event of their feed was written to.
pub(super) static SERVER_OPEN: Metric = Metric {
    name: "server-open-streams",
    unit: "streams",
    definition: "Subscriptions that the census event of their feed was written to.",
    phrase: "was written {}",
    compute: |record| at_census(record, server_open),
    of_those_asked: true,
    ..PLAIN
};

/// Most subscriptions attached at once by the server's count, up to T: when a client closes, requests that it
/// had queued may reach the server for a moment.
pub(super) static PEAK: Metric = Metric {
    name: "peak-streams",
    unit: "streams",
    definition: "Most subscriptions attached at once by the server's count, up to T (when a client closes, requests \
                 that it had queued may reach the server for a moment).",
    phrase: "had at most {} at once",
    compute: |record| Sample::count(peak(record)),
    of_those_asked: true,
    ..PLAIN
};

/// Connections carrying a subscription at T.
pub(super) static CONNECTIONS: Metric = Metric {
    name: "connections",
    unit: "connections",
    definition: "Connections carrying a subscription at T.",
    phrase: "used {} connections",
    compute: |record| of_clients(record, |record| carried(record, |loads| loads.len())),
    ..PLAIN
};

/// Most subscriptions on one connection at T.
pub(super) static STREAMS_PER_CONNECTION: Metric = Metric {
    name: "streams-per-connection",
    unit: "streams",
    definition: "Most subscriptions on one connection at T.",
    phrase: "put up to {} on one connection",
    compute: |record| of_clients(record, |record| carried(record, |loads| loads.into_values().max().unwrap_or(0))),
    ..PLAIN
};

/// All connections that the server accepted, those of probes included.
pub(super) static CONNECTIONS_OPENED: Metric = Metric {
    name: "connections-opened",
    unit: "connections",
    definition: "All connections that the server accepted, those of probes included.",
    phrase: "opened {} connections",
    compute: |record| of_clients(record, |record| Sample::count(record.connections.len())),
    ..PLAIN
};

/// Connections that ended without having carried a request.
pub(super) static CONNECTIONS_UNUSED: Metric = Metric {
    name: "connections-unused",
    unit: "connections",
    definition: "Connections that ended without having carried a request.",
    phrase: "left {} connections unused",
    compute: |record| of_clients(record, unused),
    ..PLAIN
};

fn at_census(record: &Record<'_>, count: fn(&Record<'_>) -> usize) -> Sample {
    if record.census.is_empty() { Sample::absent(NO_CENSUS) } else { Sample::count(count(record)) }
}

/// What the server sees of connections is not the clients' where an intermediary stands between.
fn of_clients(record: &Record<'_>, sample: fn(&Record<'_>) -> Sample) -> Sample {
    if record.is_between {
        return Sample::absent("the server sees the intermediary's connections: `origin-connections`");
    }
    sample(record)
}

/// Polls come and go: what happens to be under way at T says nothing of subscriptions.
pub(super) fn carried(record: &Record<'_>, count: fn(BTreeMap<u64, usize>) -> usize) -> Sample {
    if record.exchanges == Exchanges::Periodic {
        return Sample::absent("between two polls no connection carries a subscription");
    }
    if record.census.is_empty() { Sample::absent(NO_CENSUS) } else { Sample::count(count(loads(record))) }
}

fn server_open(record: &Record<'_>) -> usize {
    record.server_open_count()
}

fn peak(record: &Record<'_>) -> usize {
    let end = record.last_census().unwrap_or(u64::MAX);
    // (time, attached?): `false` sorts first, so that a place given up and taken at one instant counts once.
    let mut steps: Vec<(u64, bool)> = Vec::new();
    for attachment in record.attachments.iter().filter(|attachment| attachment.t <= end) {
        steps.push((attachment.t, true));
        // One that ended within the clock's step would otherwise end before it began.
        steps.extend(attachment.until.map(|until| (until.max(attachment.t + 1), false)));
    }
    steps.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, attached) in steps {
        now = if attached { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

/// How many subscriptions each connection carries at T; one that carries none is left out.
fn loads(record: &Record<'_>) -> BTreeMap<u64, usize> {
    let carries = record.attachments.iter().filter(|attachment| {
        record
            .census
            .get(attachment.feed)
            .is_some_and(|census| attachment.t <= census.t && attachment.until.is_none_or(|until| until > census.t))
    });
    let mut loads = BTreeMap::new();
    for attachment in carries {
        *loads.entry(attachment.conn).or_default() += 1;
    }
    loads
}

fn unused(record: &Record<'_>) -> Sample {
    let carried = |conn: u64| record.attachments.iter().any(|attachment| attachment.conn == conn);
    let unknown = record
        .connections
        .iter()
        .filter(|(conn, connection)| connection.requests.is_none() && !carried(**conn))
        .count();
    if unknown > 0 {
        return Sample::absent(format!("the server never said what {unknown} connections carried"));
    }
    Sample::count(record.connections.values().filter(|connection| connection.requests == Some(0)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;

    #[test]
    fn a_stream_is_open_when_the_census_reached_it_and_only_then() {
        let mut rig = RecordedTrial::new();
        for sub in 0..5 {
            rig.request(sub);
        }
        for sub in 0..3 {
            rig.attach(sub, 1).open(sub);
        }
        rig.publish(0).receive_all(0, &[0, 1, 2]);
        rig.census().write(&[0, 1, 2]).receive_all_census(&[0, 1]);
        let value = |metric: &Metric| rig.metric(metric).median;
        assert_eq!(value(&REQUESTED), Some(5.0));
        assert_eq!(value(&OPEN), Some(2.0));
        assert_eq!(value(&SERVER_OPEN), Some(3.0));
    }

    #[test]
    fn without_a_census_nobody_is_counted_as_not_open() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0);
        for metric in [&OPEN, &SERVER_OPEN, &CONNECTIONS, &STREAMS_PER_CONNECTION] {
            let entry = rig.metric(metric);
            assert_eq!((entry.n, entry.absent.as_deref()), (0, Some(NO_CENSUS)), "{}", metric.name);
        }
        assert_eq!(rig.metric(&PEAK).median, Some(1.0));
    }

    #[test]
    fn each_feed_has_its_own_census() {
        let mut rig = RecordedTrial::new();
        rig.attach_to("f0", 0, 1).attach_to("f1", 1, 1);
        rig.census_of("f0").receive_last(0);
        rig.census_of("f1").receive_last(1);
        assert_eq!(rig.metric(&OPEN).median, Some(2.0));
        assert_eq!(rig.metric(&CONNECTIONS).median, Some(1.0));
    }

    #[test]
    fn requests_let_go_by_a_closing_client_are_no_peak() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).attach(1, 2).detach(1, 2).attach(2, 3).census();
        rig.attach(3, 4).attach(4, 5).attach(5, 6);
        assert_eq!(rig.metric(&PEAK).median, Some(2.0));
    }

    #[test]
    fn streams_of_another_trial_are_not_ours() {
        let mut rig = RecordedTrial::new();
        rig.attach_tagged(Some(99), 0, 1).attach_tagged(None, 1, 2).attach(2, 3).census();
        assert_eq!(rig.metric(&PEAK).median, Some(1.0));
        assert_eq!(rig.metric(&CONNECTIONS).median, Some(1.0));
    }

    #[test]
    fn a_connection_counts_while_it_carries_a_subscription() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).attach(1, 1).attach(2, 2).detach(2, 2).attach(3, 3).census();
        assert_eq!(rig.metric(&CONNECTIONS).median, Some(2.0));
        assert_eq!(rig.metric(&STREAMS_PER_CONNECTION).median, Some(2.0));
    }

    #[test]
    fn polls_have_no_connection_between_two() {
        let mut rig = RecordedTrial::new();
        rig.planned.promises.exchanges = crate::trial::Exchanges::Periodic;
        rig.request(0).attach(0, 1).open(0).detach(0, 1).census();
        for metric in [&CONNECTIONS, &STREAMS_PER_CONNECTION] {
            let entry = rig.metric(metric);
            assert!(entry.n == 0 && entry.absent.unwrap().contains("between two polls"), "{}", metric.name);
        }
        assert_eq!(rig.metric(&PEAK).median, Some(1.0));
    }

    #[test]
    fn a_connection_without_requests_is_unused_once_the_server_says_so() {
        let mut rig = RecordedTrial::new();
        rig.connect(1).attach(0, 1).connect(2).disconnect(2, 0).connect(3).disconnect(3, 1);
        assert_eq!(rig.metric(&CONNECTIONS_UNUSED).median, Some(1.0));
        rig.connect(4);
        assert_eq!(rig.metric(&CONNECTIONS_OPENED).median, Some(4.0));
        let entry = rig.metric(&CONNECTIONS_UNUSED);
        assert_eq!(entry.n, 0);
        assert!(entry.absent.unwrap().contains("1 connections"));
    }
}
