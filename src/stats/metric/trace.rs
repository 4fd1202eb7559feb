//! What a link that was traced says of single events.

use std::collections::{BTreeMap, BTreeSet};

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Record, millis};
use crate::trial::fact::EventPacket;

/// Per event that came although none of the packets that first carried it was dropped, first receipt − when the last of
/// these came out of the link: it had arrived, and waited for others. Of feeds with one reader each.
pub(super) static HOL_DELAY: Metric = Metric {
    name: "hol-delay",
    unit: "ms",
    definition: "Per event that came although none of the packets that first carried it was dropped, first receipt − when \
                 the last of these came out of the link: it had arrived, and waited for others. Of feeds with one reader \
                 each.",
    phrase: "received events {} after they had arrived",
    uncertainty: super::clocks,
    on_network: true,
    compute: |record| delays(record, hol_delay, "of no event all packets arrived"),
    ..PLAIN
};

/// Per event of which the link dropped a packet that carried it first, first receipt − when the first of these would have
/// come out of the link without delay in queues. Of feeds with one reader each.
pub(super) static OWN_LOSS_DELAY: Metric = Metric {
    name: "own-loss-delay",
    unit: "ms",
    definition: "Per event of which the link dropped a packet that carried it first, first receipt − when the first of \
                 these would have come out of the link without delay in queues. Of feeds with one reader each.",
    phrase: "received events whose own packet was dropped {} late",
    uncertainty: super::clocks,
    on_network: true,
    compute: |record| delays(record, own_loss_delay, "no packet that first carried an event was dropped"),
    ..PLAIN
};

/// Packets that the link dropped and that carried an event or a part of one, whether for the first time or again.
pub(super) static EVENT_PACKETS_DROPPED: Metric = Metric {
    name: "event-packets-dropped",
    unit: "packets",
    definition: "Packets that the link dropped and that carried an event or a part of one, whether for the first time or \
                 again.",
    phrase: "had {} packets with events dropped",
    compute: |record| {
        if !record.link.traced {
            return Sample::absent(NOT_TRACED);
        }
        let all = record.link.events.values().copied().flatten();
        let dropped = all.filter(|packet| packet.arrives.is_none()).map(|packet| packet.number);
        Sample::count(dropped.collect::<BTreeSet<_>>().len())
    },
    ..PLAIN
};

/// Why there is nothing to tell.
const NOT_TRACED: &str = "packets were not looked into: set link.trace";

/// In milliseconds, of an event with these packets that was received then; `None`: it is none of those asked for.
type Delay = fn(&Record<'_>, &[EventPacket], u64) -> Option<f64>;

fn delays(record: &Record<'_>, delay: Delay, none: &str) -> Sample {
    if !record.link.traced {
        return Sample::absent(NOT_TRACED);
    }
    let mut readers: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (receipt, _) in record.live_receipts().flat_map(|(_, receipts)| receipts) {
        readers.entry(receipt.id).or_default().push(receipt.t);
    }
    let census = |id: &str| record.census.values().any(|census| census.id == id);
    readers.retain(|id, _| !census(id));
    if readers.values().any(|receipts| receipts.len() > 1) {
        return Sample::absent("several subscriptions read a feed, and packets don't say whose an event is");
    }
    let found = readers.iter().filter_map(|(id, receipts)| Some((*record.link.events.get(id)?, *receipts.first()?)));
    let delays = found.filter_map(|(packets, received)| delay(record, packets, received));
    Sample::values(delays.collect(), || none.to_owned())
}

fn first_ones(packets: &[EventPacket]) -> impl Iterator<Item = &EventPacket> {
    packets.iter().filter(|packet| !packet.again)
}

fn hol_delay(_: &Record<'_>, packets: &[EventPacket], received: u64) -> Option<f64> {
    let arrived: Option<Vec<u64>> = first_ones(packets).map(|packet| packet.arrives).collect();
    Some(millis(arrived?.into_iter().max()?, received))
}

fn own_loss_delay(record: &Record<'_>, packets: &[EventPacket], received: u64) -> Option<f64> {
    let dropped = first_ones(packets).find(|packet| packet.arrives.is_none())?;
    Some(millis(dropped.came + record.link.delays.map_or(0, |[_, down]| down), received))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::{MS, RecordedTrial};
    use crate::trial::LabFact;
    use crate::trial::settings::LinkSettings;
    use crate::units::Span;

    fn packet(number: u64, came: u64, arrives: Option<u64>, again: bool) -> EventPacket {
        let dropped = arrives.is_none().then(|| "loss".to_owned());
        EventPacket { number, came, arrives, dropped, waits: BTreeMap::new(), again }
    }

    /// An event that waits for another, and one that is lost at first, over 20 ms one way.
    #[test]
    fn an_event_that_waits_for_anothers_packet_is_told_from_one_that_lost_its_own() {
        let mut rig = RecordedTrial::new();
        let delay = Span::from_millis(20);
        rig.planned.settings.link = Some(LinkSettings { delay, trace: true, ..LinkSettings::default() });
        rig.attach(0, 1).open(0).publish(0).publish(1);
        assert_eq!(rig.metric(&HOL_DELAY).absent.as_deref(), Some(NOT_TRACED));
        let start = rig.now();
        rig.wait(75).receive(0, 0).receive(0, 1);
        let on_link = |id: &str, packets| LabFact::EventOnLink { id: id.to_owned(), conn: 0, packets };
        let lost = [packet(3, start, None, false), packet(5, start + 50 * MS, Some(start + 70 * MS), true)];
        rig.fact(on_link("k3f0-1", lost.into()));
        rig.fact(on_link("k3f0-2", vec![packet(4, start + 10 * MS, Some(start + 30 * MS), false)]));
        rig.fact(LabFact::LinkTraced { packets: 6, missed: 0, opaque: 0 });
        let median = |metric| rig.metric(metric).median.unwrap();
        assert!((median(&HOL_DELAY) - 45.0).abs() < 0.1, "{}", median(&HOL_DELAY));
        assert!((median(&OWN_LOSS_DELAY) - 55.0).abs() < 0.1, "{}", median(&OWN_LOSS_DELAY));
        assert!((median(&EVENT_PACKETS_DROPPED) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn where_a_feed_has_two_readers_nothing_is_said_of_either() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0).attach(1, 1).open(1).publish(0).receive(0, 0).receive(1, 0);
        rig.fact(LabFact::LinkTraced { packets: 0, missed: 0, opaque: 0 });
        assert!(rig.metric(&HOL_DELAY).absent.unwrap().contains("several subscriptions"));
    }
}
