//! How long things took.

use super::{Metric, PLAIN, Sample};
use crate::stats::number;
use crate::stats::record::{Publication, Receipt, Record, millis};
use crate::trial::settings::Direction;

/// A plain GET to the same host and port in the trial's credentials mode, sent at mid-hold, to its answer;
/// unanswered at T: above what it had waited by then.
pub(super) static BLOCKED_REQUEST: Metric = Metric {
    name: "blocked-request",
    unit: "ms",
    definition: "A plain GET to the same host and port in the trial's credentials mode, sent at mid-hold, to its \
                 answer; unanswered at T: above what it had waited by then.",
    phrase: "answered a plain GET in {}",
    only_longer: true,
    on_network: true,
    compute: blocked_request,
    ..PLAIN
};

/// Per subscription that opened, first opened − requested; where none opened: above the least that one had waited at T.
pub(super) static TIME_TO_OPEN: Metric = Metric {
    name: "time-to-open",
    unit: "ms",
    definition: "Per subscription that opened, first opened − requested; where none opened: above the least that one \
                 had waited at T.",
    phrase: "opened in {}",
    only_longer: true,
    on_network: true,
    compute: time_to_open,
    ..PLAIN
};

/// Per subscription that received an event, its first receipt − requested; on HTTP/1.1 and HTTP/2 that is TCP's handshake,
/// TLS's, and the request, on QUIC one handshake and the request.
pub(super) static FIRST_EVENT: Metric = Metric {
    name: "time-to-first-event",
    unit: "ms",
    definition: "Per subscription that received an event, its first receipt − requested; on HTTP/1.1 and HTTP/2 that is \
                 TCP's handshake, TLS's, and the request, on QUIC one handshake and the request.",
    phrase: "had its first event after {}",
    only_longer: true,
    on_network: true,
    compute: first_events,
    ..PLAIN
};

/// Per (subscription, id) published after the subscription was attached and received, first receipt − scheduled; of
/// events that clients echo, only where each was sent. What was never received has none: `lost` counts it.
pub(super) static LATENCY: Metric = Metric {
    name: "latency",
    unit: "ms",
    definition: "Per (subscription, id) published after the subscription was attached and received, first receipt − \
                 scheduled; of events that clients echo, only where each was sent. What was never received has none: \
                 `lost` counts it.",
    phrase: "received events after {}",
    // An echo is a round trip: the clock that it was due by is the clock that it came back by.
    uncertainty: |record| super::clocks(record).filter(|_| record.direction != Direction::Echo),
    from_schedule: true,
    of_those_asked: false,
    only_longer: true,
    on_network: true,
    compute: latency,
};

/// Per subscription, the most, over neighbours in it, of receipt gap − scheduled gap, and 0 where no gap was longer
/// than scheduled, as where all receipts came at once; of those that received two events or more.
pub(super) static STALL: Metric = Metric {
    name: "stall",
    unit: "ms",
    definition: "Per subscription, the most, over neighbours in it, of receipt gap − scheduled gap, and 0 where no gap \
                 was longer than scheduled, as where all receipts came at once; of those that received two events or \
                 more.",
    phrase: "stalled for {}",
    from_schedule: true,
    on_network: true,
    compute: stall,
    ..PLAIN
};

/// Per event that a subscription sent and received, its own first receipt of it − when it was sent: one clock, and
/// however late it was sent. What never came back has none: `lost` counts it.
pub(super) static ROUND_TRIP: Metric = Metric {
    name: "round-trip",
    unit: "ms",
    definition: "Per event that a subscription sent and received, its own first receipt of it − when it was sent: one \
                 clock, and however late it was sent. What never came back has none: `lost` counts it.",
    phrase: "had what it sent back after {}",
    only_longer: true,
    on_network: true,
    compute: round_trip,
    ..PLAIN
};

fn blocked_request(record: &Record<'_>) -> Sample {
    if record.probes_sent.is_empty() {
        return Sample::absent("no plain GET was sent");
    }
    if let Some((_, status)) = record.probes_answered.iter().find(|(_, status)| !(200..300).contains(status)) {
        return Sample::absent(format!("the plain GET was answered with status {status}"));
    }
    // An answer after T came because streams were closed, not because there was room.
    let end = record.last_census().unwrap_or(u64::MAX);
    let in_time: Vec<u64> = record.probes_answered.iter().map(|&(t, _)| t).filter(|&t| t <= end).collect();
    // Pages send one each at the same instant, so which answer belongs to which doesn't matter.
    let answered: Vec<f64> = record.probes_sent.iter().zip(&in_time).map(|(&sent, &t)| millis(sent, t)).collect();
    if answered.len() == record.probes_sent.len() {
        return in_domain(answered, "a plain GET was answered before it was sent");
    }
    match record.last_census() {
        Some(end) => {
            let waiting = &record.probes_sent[answered.len()..];
            let least = waiting.iter().map(|&sent| millis(sent, end)).fold(f64::INFINITY, f64::min);
            if least > 0.0 { Sample::Above(least) } else { Sample::absent("the plain GET was sent after T") }
        }
        None => Sample::absent("the plain GET was not answered, and the census was never taken"),
    }
}

fn time_to_open(record: &Record<'_>) -> Sample {
    let opened = record.opened.iter().filter_map(|(sub, &t)| Some(millis(*record.requested.get(sub)?, t)));
    let opened: Vec<f64> = opened.collect();
    if !opened.is_empty() {
        return in_domain(opened, "a subscription opened before it was asked for");
    }
    let waiting = record.requested.iter().filter(|(sub, _)| !record.closed.contains_key(sub));
    let Some(latest) = waiting.map(|(_, &t)| t).max() else {
        let reason = record.closed.values().next().map_or("none was asked for", |&(_, reason)| reason);
        return Sample::absent(format!("no subscription opened: {reason}"));
    };
    match record.last_census() {
        Some(end) if end > latest => Sample::Above(millis(latest, end)),
        _ => Sample::absent("no subscription opened, and the census was never taken"),
    }
}

/// In milliseconds.
pub(super) fn first_events(record: &Record<'_>) -> Sample {
    let first = |(sub, receipts): (&u32, &Vec<Receipt<'_>>)| {
        let first = receipts.iter().map(|receipt| receipt.t).min()?;
        Some(millis(*record.requested.get(sub)?, first))
    };
    Sample::values(record.received.iter().filter_map(first).collect(), || "no event was received".to_owned())
}

/// Each live receipt, with its subscription.
fn live<'a>(record: &Record<'a>) -> impl Iterator<Item = (u32, (Receipt<'a>, Publication<'a>))> {
    record.live_receipts().flat_map(|(sub, receipts)| receipts.into_iter().map(move |receipt| (sub, receipt)))
}

/// Per event that a subscription sent, its own first receipt of it − when it was sent.
fn round_trip(record: &Record<'_>) -> Sample {
    let all = live(record);
    let own = all.filter(|(sub, (_, publication))| publication.by == Some(*sub));
    let values = own.filter_map(|(_, (receipt, event))| Some(millis(record.sent.get(&event.event)?.t, receipt.t)));
    Sample::values(values.collect(), || "nobody received what it sent".to_owned())
}

fn latency(record: &Record<'_>) -> Sample {
    let echo = record.direction == Direction::Echo;
    let values: Vec<f64> = live(record)
        .filter(|(sub, (_, publication))| !echo || publication.by == Some(*sub))
        .map(|(_, (receipt, publication))| millis(publication.scheduled, receipt.t))
        .collect();
    // The comparison of clocks may be off by its uncertainty; beyond three times that something is wrong.
    let allowed = record.uncertainty.unwrap_or(0) as f64 * 3.0 / 1e6;
    if let Some(least) = values.iter().copied().reduce(f64::min).filter(|&least| least < -allowed) {
        return Sample::absent(format!(
            "an event was received {} before it was due: the clocks don't agree",
            number::with_unit(-least, "ms")
        ));
    }
    Sample::values(values, || "no event was received".to_owned())
}

fn stall(record: &Record<'_>) -> Sample {
    let most = |pairs: &[(Receipt<'_>, Publication<'_>)]| {
        let over = pairs.windows(2).map(|w| millis(w[0].0.t, w[1].0.t) - millis(w[0].1.scheduled, w[1].1.scheduled));
        over.reduce(f64::max).map(|most| most.max(0.0))
    };
    let values = record.live_receipts().filter_map(|(_, pairs)| most(&pairs)).collect();
    Sample::values(values, || "no subscription received two events".to_owned())
}

fn in_domain(values: Vec<f64>, otherwise: &str) -> Sample {
    if values.iter().any(|&value| value < 0.0) { Sample::absent(otherwise) } else { Sample::Values(values) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::{MS, RecordedTrial};
    use crate::trial::ClientFact;

    #[test]
    fn a_probe_without_an_answer_by_the_census_is_above_what_it_waited() {
        let mut rig = RecordedTrial::new();
        rig.probe_sent().wait(5).probe_answered(204).wait(10).census();
        assert_eq!(rig.metric(&BLOCKED_REQUEST).median, Some(5.0));

        let mut rig = RecordedTrial::new();
        rig.probe_sent().wait(1500).census().wait(3).probe_answered(204);
        let entry = rig.metric(&BLOCKED_REQUEST);
        assert_eq!((entry.n, entry.median, entry.above), (0, None, Some(1500.0)), "an answer after T is none");
        assert_eq!(entry.text(), "> 1500\u{a0}ms");
    }

    #[test]
    fn a_probe_that_was_never_sent_or_was_refused_is_absent() {
        let mut rig = RecordedTrial::new();
        rig.census();
        assert_eq!(rig.metric(&BLOCKED_REQUEST).absent.as_deref(), Some("no plain GET was sent"));
        rig.probe_sent().probe_answered(503);
        assert!(rig.metric(&BLOCKED_REQUEST).absent.unwrap().contains("503"));
    }

    #[test]
    fn opening_is_timed_for_those_that_opened() {
        let mut rig = RecordedTrial::new();
        rig.request(0).request(1).request(2).wait(4).open(0).wait(2).open(1).census();
        let entry = rig.metric(&TIME_TO_OPEN);
        assert_eq!((entry.n, entry.min, entry.median, entry.max), (2, Some(4.0), Some(5.0), Some(6.0)));
    }

    #[test]
    fn a_first_event_is_timed_from_when_its_subscription_was_asked_for() {
        let mut rig = RecordedTrial::new();
        assert_eq!(rig.metric(&FIRST_EVENT).absent.as_deref(), Some("no event was received"));
        rig.request(0).request(1).publish(0).wait(4).receive(0, 0).wait(2).receive(1, 0).publish(1).receive(0, 1);
        let entry = rig.metric(&FIRST_EVENT);
        assert_eq!((entry.n, entry.min, entry.max), (2, Some(4.0), Some(6.0)));
    }

    #[test]
    fn where_none_opened_the_time_is_above_or_absent() {
        let mut rig = RecordedTrial::new();
        rig.request(0).wait(1).request(1).wait(9).census();
        assert_eq!(rig.metric(&TIME_TO_OPEN).above, Some(9.0));
        let mut rig = RecordedTrial::new();
        rig.request(0).close(0).census();
        assert!(rig.metric(&TIME_TO_OPEN).absent.unwrap().contains("closed by the rig"));
    }

    #[test]
    fn latency_runs_from_the_scheduled_time() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0).publish_late(0, 2 * MS).wait(3).receive(0, 0).receive(0, 0);
        let entry = rig.metric(&LATENCY);
        assert_eq!((entry.n, entry.median), (1, Some(5.0)), "2 ms late and 3 ms under way; the duplicate is no value");
        assert!(entry.machine_limited.unwrap().contains("2\u{a0}ms late"));
        assert_eq!(rig.result().publisher_lateness.median, Some(2.0));
    }

    #[test]
    fn what_was_caught_up_from_the_log_has_no_latency() {
        let mut rig = RecordedTrial::new();
        rig.publish(0).wait(50).attach(0, 1).open(0).receive(0, 0);
        assert_eq!(rig.metric(&LATENCY).absent.as_deref(), Some("no event was received"));
    }

    #[test]
    fn a_latency_below_three_uncertainties_is_only_less_than_that() {
        let mut rig = RecordedTrial::new();
        rig.clock(200_000).attach(0, 1).open(0).publish(0).receive_at(0, 0, -100_000);
        let entry = rig.metric(&LATENCY);
        assert_eq!(entry.uncertainty, Some(0.2));
        assert_eq!(entry.text(), "< 0.600\u{a0}ms");
        rig.publish(1).receive_at(0, 1, -700_000);
        assert!(rig.metric(&LATENCY).absent.unwrap().contains("the clocks don't agree"));
    }

    #[test]
    fn a_stall_is_the_longest_silence_beyond_the_schedule() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0);
        rig.publish(0).receive(0, 0).wait(10).publish(1).wait(25).receive(0, 1).publish(2).receive(0, 2);
        let entry = rig.metric(&STALL);
        assert_eq!((entry.n, entry.median), (1, Some(25.0)));
        let mut at_once = RecordedTrial::new();
        at_once.attach(0, 1).open(0).publish(0).wait(200).publish(1).wait(5).receive(0, 0).receive(0, 1);
        assert_eq!(at_once.metric(&STALL).median, Some(0.0), "nothing stalls for less than no time");
        let mut one = RecordedTrial::new();
        one.attach(0, 1).open(0).publish(0).receive(0, 0);
        assert!(one.metric(&STALL).absent.is_some());
    }

    /// Two clients; each sends an event that comes to both, the other's 2 ms later.
    fn sent_by_clients(direction: Direction) -> RecordedTrial {
        let mut rig = RecordedTrial::new();
        rig.planned.settings.workload.direction = direction;
        rig.clock(200_000).request(0).attach(0, 1).open(0).request(1).attach(1, 1).open(1);
        // The number in an event's data is one more than the event's.
        rig.send(0, 0).wait(4).publish(1).wait(3).receive(0, 1).wait(2).receive(1, 1);
        rig.send(1, 1).wait(4).publish(2).wait(3).receive(1, 2).wait(2).receive(0, 2);
        rig.census().write(&[0, 1]).receive_all_census(&[0, 1]);
        rig
    }

    #[test]
    fn a_round_trip_runs_from_when_an_event_was_sent_to_where_it_was_sent() {
        let mut rig = sent_by_clients(Direction::Echo);
        let entry = rig.metric(&ROUND_TRIP);
        assert_eq!((entry.n, entry.min, entry.max, entry.uncertainty), (2, Some(7.0), Some(7.0), None));
        // One that was due 5 ms before it was sent.
        let (t, now) = (rig.now(), 5 * MS);
        rig.fact_at(t, ClientFact::Sent { sub: 0, event: 7, scheduled: t - now }).wait(1).publish(8).receive(0, 8);
        assert_eq!((rig.metric(&ROUND_TRIP).min, rig.metric(&LATENCY).min), (Some(1.0), Some(6.0)));
        let mut none = RecordedTrial::new();
        none.attach(0, 1).open(0).publish(0).receive(0, 0);
        assert_eq!(none.metric(&ROUND_TRIP).absent.as_deref(), Some("nobody received what it sent"));
    }

    #[test]
    fn an_echo_is_timed_where_it_was_sent_by_one_clock_and_what_clients_send_from_when_it_was_due() {
        let echo = sent_by_clients(Direction::Echo).metric(&LATENCY);
        assert_eq!((echo.n, echo.min, echo.max, echo.uncertainty), (2, Some(7.0), Some(7.0), None));
        let up = sent_by_clients(Direction::Up).metric(&LATENCY);
        assert_eq!((up.n, up.max, up.uncertainty), (6, Some(9.0), Some(0.2)), "the census is the server's");
    }

    #[test]
    fn what_was_sent_and_never_published_is_lost() {
        let mut rig = sent_by_clients(Direction::Up);
        rig.send(1, 3);
        assert_eq!(rig.metric(&crate::stats::metric::delivery::LOST).median, Some(1.0));
        let said = crate::stats::judge(&rig.planned, &rig.journal).unwrap_err().to_string();
        assert_eq!(said, "1 event sent and never published, the first number 3 by subscription 1");
    }
}
