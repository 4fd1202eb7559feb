//! Which events reached whom, and how often. An event of a subscription is a pair: (subscription, id).

use std::collections::{BTreeMap, BTreeSet};

use super::{Metric, PLAIN, Sample};
use crate::stats::record::Record;

/// Distinct (subscription, id) received, the census event included.
pub(super) static RECEIVED: Metric = Metric {
    name: "events-received",
    unit: "events",
    definition: "Distinct (subscription, id) received, the census event included.",
    phrase: "received {} events",
    compute: |record| Sample::count(received(record)),
    ..PLAIN
};

/// Distinct (subscription, id) received of events that have a schedule, at all subscriptions together, ÷ the time from when
/// the first of these events was due to the last of these receipts.
pub(super) static RATE: Metric = Metric {
    name: "delivery-rate",
    unit: "/s",
    definition: "Distinct (subscription, id) received, the census event left out, at all subscriptions together, ÷ the time \
                 from when the first of these events was due to the last of these receipts.",
    phrase: "received {} events a second",
    from_schedule: true,
    compute: rate,
    ..PLAIN
};

/// Events published from a subscription's first attachment to T that it never received, of those that opened: whether
/// it was away for a while or for good, unless a fault ended it on purpose (204, "don't come back"); and events that a
/// client sent and that were never published. How many were away for good, `never-back` says.
pub(super) static LOST: Metric = Metric {
    name: "lost",
    unit: "events",
    definition: "Events published from a subscription's first attachment to T that it never received, of those that \
                 opened: whether it was away for a while or for good, unless a fault ended it on purpose (204, “don't \
                 come back”); and events that a client sent and that were never published.",
    phrase: "lost {} events",
    compute: |record| {
        if record.client_killed() {
            return Sample::absent("the client was killed, and with it what it had received");
        }
        Sample::count(lost(record).values().map(Vec::len).sum::<usize>() + unpublished(record).len())
    },
    ..PLAIN
};

/// Events that servers said to subscriptions that they will never get: what a gap tells, or 1 where it knows no number.
pub(super) static TOLD_GONE: Metric = Metric {
    name: "told-gone",
    unit: "events",
    definition: "Events that servers said to subscriptions that they will never get: what a gap tells, or 1 where it knows \
                 no number.",
    phrase: "was told that {} are gone",
    compute: |record| Sample::Values(vec![record.told_gone as f64]),
    ..PLAIN
};

/// Receipts of an event that the same subscription had received before.
pub(super) static DUPLICATED: Metric = Metric {
    name: "duplicated",
    unit: "events",
    definition: "Receipts of an event that the same subscription had received before.",
    phrase: "received {} events again",
    compute: |record| Sample::count(duplicated(record).values().map(Vec::len).sum()),
    ..PLAIN
};

/// First receipts of an event after a later one in the same subscription.
pub(super) static REORDERED: Metric = Metric {
    name: "reordered",
    unit: "events",
    definition: "First receipts of an event after a later one in the same subscription.",
    phrase: "received {} events out of order",
    compute: |record| Sample::count(reordered(record).values().map(Vec::len).sum()),
    ..PLAIN
};

fn rate(record: &Record<'_>) -> Sample {
    let scheduled = |id: &str| {
        let census = record.census.values().any(|census| census.id == id);
        record.published.get(id).filter(|_| !census).map(|publication| publication.scheduled)
    };
    let mut distinct = BTreeSet::new();
    let (mut first, mut last) = (u64::MAX, 0);
    for (sub, receipts) in &record.received {
        for receipt in receipts {
            let Some(due) = scheduled(receipt.id) else { continue };
            if distinct.insert((sub, receipt.id)) {
                (first, last) = (due.min(first), receipt.t.max(last));
            }
        }
    }
    match last.checked_sub(first).filter(|nanos| *nanos > 0) {
        Some(nanos) => Sample::Values(vec![distinct.len() as f64 * 1e9 / nanos as f64]),
        None => Sample::absent("no event was received"),
    }
}

/// The ids by subscription; one that has none is not there.
type Ids<'a> = BTreeMap<u32, Vec<&'a str>>;

/// The distinct events received.
pub(in crate::stats) fn received(record: &Record<'_>) -> usize {
    let distinct = |receipts: &[crate::stats::record::Receipt<'_>]| {
        receipts.iter().map(|receipt| receipt.id).collect::<BTreeSet<_>>().len()
    };
    record.received.values().map(|receipts| distinct(receipts)).sum()
}

/// What was lost, in the order of publishing.
pub(in crate::stats) fn lost<'a>(record: &Record<'a>) -> Ids<'a> {
    let begun = record.begun();
    let mut feeds: BTreeMap<&str, Vec<(u64, &'a str)>> = BTreeMap::new();
    for (id, publication) in &record.published {
        feeds.entry(publication.feed).or_default().push((publication.t, id));
    }
    for events in feeds.values_mut() {
        events.sort_unstable();
    }
    let mut lost = Ids::new();
    for sub in record.opened.keys() {
        let Some(begun) = begun.get(sub) else { continue };
        // Up to the census and with it: what comes later, nobody waits for.
        let census = record.census.get(begun.feed).map_or(u64::MAX, |census| census.t.saturating_add(1));
        let until = record.ended_on_purpose(*sub).unwrap_or(u64::MAX).min(census);
        let got: BTreeSet<&str> = record.received.get(sub).into_iter().flatten().map(|receipt| receipt.id).collect();
        let missing = feeds
            .get(begun.feed)
            .into_iter()
            .flatten()
            .filter(|&&(t, id)| t > begun.t && t < until && !got.contains(id));
        let missing: Vec<&str> = missing.map(|&(_, id)| id).collect();
        if !missing.is_empty() {
            lost.insert(*sub, missing);
        }
    }
    lost
}

/// What clients sent and was never published: number from 0 and subscription, in the order of numbers.
pub(in crate::stats) fn unpublished(record: &Record<'_>) -> Vec<(u32, u32)> {
    let published: BTreeSet<u32> =
        record.published.values().filter(|publication| publication.by.is_some()).map(|p| p.event).collect();
    let missing = record.sent.iter().filter(|(event, _)| !published.contains(event));
    missing.map(|(event, sent)| (*event, sent.sub)).collect()
}

/// What was received again, once for each time.
pub(in crate::stats) fn duplicated<'a>(record: &Record<'a>) -> Ids<'a> {
    let again = |receipts: &[crate::stats::record::Receipt<'a>]| -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        receipts.iter().map(|receipt| receipt.id).filter(|id| !seen.insert(*id)).collect()
    };
    some(record.received.iter().map(|(sub, receipts)| (*sub, again(receipts))))
}

/// What came after a later event of its feed, for the first time.
pub(in crate::stats) fn reordered<'a>(record: &Record<'a>) -> Ids<'a> {
    // A feed's order is that of its ids; the epoch of a server that was started anew comes after that of the one before.
    let mut epochs: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, publication) in &record.published {
        if let Some((epoch, _)) = id.rsplit_once('-') {
            let first = epochs.entry(epoch).or_insert(publication.t);
            *first = publication.t.min(*first);
        }
    }
    let place = |id: &str| {
        let (epoch, seq) = id.rsplit_once('-')?;
        Some((*epochs.get(epoch)?, seq.parse::<u64>().ok()?))
    };
    let late = |receipts: &[crate::stats::record::Receipt<'a>]| -> Vec<&'a str> {
        let (mut seen, mut latest) = (BTreeSet::new(), BTreeMap::new());
        let mut late = Vec::new();
        for receipt in receipts.iter().filter(|receipt| seen.insert(receipt.id)) {
            let Some(publication) = record.published.get(receipt.id) else { continue };
            let Some(place) = place(receipt.id) else { continue };
            let latest = latest.entry(publication.feed).or_insert(place);
            if place < *latest {
                late.push(receipt.id);
            }
            *latest = place.max(*latest);
        }
        late
    };
    some(record.received.iter().map(|(sub, receipts)| (*sub, late(receipts))))
}

/// Per subscription that sends on what it reads from, the most bytes that waited to be sent at once, right after a
/// send; known of a page's WebSocket (`bufferedAmount`).
pub(super) static BUFFERED: Metric = Metric {
    name: "buffered-amount",
    unit: "B",
    definition: "Per subscription that sends on what it reads from, the most bytes that waited to be sent at once, \
                 right after a send; known of a page's WebSocket (`bufferedAmount`).",
    phrase: "had {} waiting to be sent",
    compute: |record| {
        let values = record.buffered.values().map(|&most| most as f64).collect();
        Sample::values(values, || "nobody sent on a page's WebSocket".to_owned())
    },
    ..PLAIN
};

fn some<'a>(all: impl Iterator<Item = (u32, Vec<&'a str>)>) -> Ids<'a> {
    all.filter(|(_, ids)| !ids.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::{ClientFact, LabFact};

    /// Two open subscriptions, two events and the census, all received once and in order.
    fn whole() -> RecordedTrial {
        let mut rig = RecordedTrial::new();
        for sub in 0..2 {
            rig.request(sub).attach(sub, 1).open(sub);
        }
        rig.publish(0).receive_all(0, &[0, 1]).publish(1).receive_all(1, &[0, 1]);
        rig.census().write(&[0, 1]).receive_all_census(&[0, 1]);
        rig
    }

    fn counts(rig: &RecordedTrial) -> [Option<f64>; 4] {
        [&RECEIVED, &LOST, &DUPLICATED, &REORDERED].map(|metric| rig.metric(metric).median)
    }

    #[test]
    fn what_waited_to_be_sent_is_known_of_those_who_sent() {
        let mut rig = RecordedTrial::new();
        rig.request(0);
        assert!(rig.metric(&BUFFERED).absent.unwrap().contains("nobody sent"));
        rig.buffered(0, 10).buffered(0, 4).buffered(1, 0);
        let entry = rig.metric(&BUFFERED);
        assert_eq!((entry.n, entry.min, entry.max), (2, Some(0.0), Some(10.0)));
    }

    #[test]
    fn a_whole_delivery_has_nothing_lost_repeated_or_out_of_order() {
        assert_eq!(counts(&whole()), [Some(6.0), Some(0.0), Some(0.0), Some(0.0)]);
    }

    #[test]
    fn deliveries_are_counted_over_the_time_that_they_took() {
        let mut rig = RecordedTrial::new();
        assert!(rig.metric(&RATE).absent.unwrap().contains("no event"));
        for sub in 0..2 {
            rig.request(sub).attach(sub, 1).open(sub);
        }
        let due = rig.publish(0).now();
        rig.receive(0, 0).wait(100).receive(1, 0).receive(1, 0);
        let took = (rig.now() - due) as f64 / 1e9;
        rig.wait(900).census().receive_all_census(&[0, 1]);
        let rate = rig.metric(&RATE).median.unwrap();
        assert!((rate * took - 2.0).abs() < 0.5, "{rate} in {took} s");
    }

    #[test]
    fn an_event_is_lost_only_to_who_was_open_when_it_was_published() {
        let mut rig = RecordedTrial::new();
        rig.publish(0);
        rig.request(0).attach(0, 1).open(0); // too late for event 0
        rig.request(1).attach(1, 1); // never opened
        rig.publish(1).census().receive_last(0);
        assert_eq!(rig.metric(&LOST).median, Some(1.0), "event 1, to subscription 0");
        rig.wait(1).publish(2);
        assert_eq!(rig.metric(&LOST).median, Some(1.0), "nothing is lost that comes after the census");
    }

    #[test]
    fn who_is_away_for_good_loses_what_is_published_until_the_census() {
        let mut rig = RecordedTrial::new();
        for sub in 0..20 {
            rig.request(sub).attach(sub, 1).open(sub);
        }
        let t = rig.wait(1).now();
        rig.fact_at(t, LabFact::Fault { fault: "close-streams".to_owned() });
        for sub in 0..20 {
            rig.detach(sub, 1).close(sub);
        }
        for sub in 0..18 {
            rig.request(sub).attach(sub, 1).open(sub);
        }
        let there: Vec<u32> = (0..18).collect();
        rig.publish(0).receive_all(0, &there).publish(1).receive_all(1, &there);
        rig.census().write(&there).receive_all_census(&there);
        assert_eq!(rig.metric(&LOST).median, Some(6.0), "two events and the census, to two readers");
        assert_eq!(rig.metric(&crate::stats::metric::recovery::NEVER_BACK).median, Some(2.0));
        rig.planned.settings.expect.counts = crate::trial::settings::CountsRule::Equal;
        let said = crate::stats::judge(&rig.planned, &rig.journal).unwrap_err().to_string();
        assert_eq!(said, "6 events lost at 2 subscriptions, the first k3f0-1 at subscription 18");
        for tolerant in
            [crate::trial::settings::DeliveryRule::AtMostOnce, crate::trial::settings::DeliveryRule::Observe]
        {
            rig.planned.settings.expect.delivery = tolerant;
            assert_eq!(crate::stats::judge(&rig.planned, &rig.journal), Ok(()));
        }
    }

    #[test]
    fn what_a_killed_client_lost_is_not_known() {
        let mut rig = whole();
        let t = rig.now();
        rig.fact_at(t, LabFact::Fault { fault: "kill-client".to_owned() });
        for metric in [&LOST, &crate::stats::metric::recovery::NEVER_BACK] {
            assert!(rig.metric(metric).absent.unwrap().contains("was killed"), "{}", metric.name);
        }
    }

    #[test]
    fn what_a_server_says_is_gone_is_counted_as_it_says_it() {
        let mut rig = whole();
        for missed in [Some(12), None] {
            rig.fact(ClientFact::Gap { sub: 0, missed, first: None });
        }
        assert_eq!(rig.metric(&TOLD_GONE).median, Some(13.0));
    }

    #[test]
    fn a_second_receipt_is_a_duplicate_and_not_out_of_order() {
        let mut rig = whole();
        rig.receive(0, 0);
        assert_eq!(counts(&rig), [Some(6.0), Some(0.0), Some(1.0), Some(0.0)]);
    }

    #[test]
    fn an_event_after_a_later_one_is_out_of_order_once() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0).publish(0).publish(1).publish(2).census();
        rig.receive(0, 2).receive(0, 0).receive(0, 1).receive_last(0);
        assert_eq!(counts(&rig), [Some(4.0), Some(0.0), Some(0.0), Some(2.0)]);
    }

    #[test]
    fn who_comes_back_misses_what_was_published_meanwhile_and_who_is_turned_away_does_not() {
        let mut back = RecordedTrial::new();
        back.request(0).attach(0, 1).open(0).wait(1).close(0).publish(0).wait(1).request(0).close(0).publish(1);
        back.request(0).attach(0, 1).open(0).census().receive_last(0);
        assert_eq!(back.metric(&LOST).median, Some(2.0));
        let mut away = RecordedTrial::new();
        away.request(0).attach(0, 1).open(0).wait(1);
        let t = away.now();
        away.fact_at(t, LabFact::Fault { fault: "no-content".to_owned() });
        away.wait(1).publish(0).detach(0, 1).wait(1).publish(1).close(0).census();
        assert_eq!(away.metric(&LOST).median, Some(0.0));
        assert_eq!(away.metric(&crate::stats::metric::recovery::NEVER_BACK).median, Some(0.0), "it was told so");
        // One that is back once the fault is over, and cut again by something else, is a reader still.
        let (t, fault) = (away.wait(1).now(), "no-content".to_owned());
        let mut again = RecordedTrial::new();
        again.request(0).attach(0, 1).open(0).wait(1).fact_at(t, LabFact::Fault { fault: fault.clone() });
        again.wait(1).close(0).wait(100).fact_at(t + 1, LabFact::FaultEnded { fault });
        again.request(0).attach(0, 1).open(0).wait(1).close(0).wait(1).publish(0).census();
        assert_eq!(again.metric(&LOST).median, Some(2.0));
    }

    #[test]
    fn the_epoch_of_a_server_that_was_started_anew_comes_after_that_of_the_one_before() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0).publish(0).publish(1).receive(0, 0).receive(0, 1);
        rig.publish_as("a000-1", 2).receive_id(0, "a000-1").publish_as("a000-2", 3).receive_id(0, "a000-2");
        assert_eq!(rig.metric(&REORDERED).median, Some(0.0));
        rig.publish(4).publish_as("a000-3", 5).receive_id(0, "a000-3").receive(0, 4);
        assert_eq!(rig.metric(&REORDERED).median, Some(1.0));
    }
}
