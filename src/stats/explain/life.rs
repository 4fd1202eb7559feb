//! What happened to one event, put together.

use std::collections::BTreeMap;

use super::told::{LifePlace, LifeStep};
use crate::stats::record::{Publication, Record, Step, millis};
use crate::trial::fact::EventPacket;

/// How many steps a life has at most; the first are told.
const MAX_STEPS: usize = 200;

/// The event that is told of.
pub(super) struct Chosen<'a> {
    pub(super) id: &'a str,
    pub(super) publication: Publication<'a>,
    pub(super) sub: u32,
    pub(super) received: Option<u64>,
    pub(super) which: String,
}

/// Where an event was found on the link: on which connection, and in which packets.
pub(super) type OnLink<'a> = (u64, &'a [EventPacket]);

/// A life as it is put together.
pub(super) struct Life<'r, 'a> {
    record: &'r Record<'a>,
    chosen: &'r Chosen<'a>,
    steps: Vec<LifeStep>,
}

impl<'r, 'a> Life<'r, 'a> {
    pub(super) fn new(record: &'r Record<'a>, chosen: &'r Chosen<'a>) -> Self {
        Self { record, chosen, steps: Vec::new() }
    }

    /// What happened, in the order of time.
    pub(super) fn told(mut self) -> Vec<LifeStep> {
        self.steps.sort_by(|a, b| a.at.total_cmp(&b.at).then(a.place.cmp(&b.place)));
        self.steps.truncate(MAX_STEPS);
        self.steps
    }

    fn at(&self, t: u64) -> f64 {
        millis(self.chosen.publication.scheduled, t)
    }

    fn step(&mut self, t: u64, place: LifePlace, what: impl Into<String>) -> &mut LifeStep {
        let uncertainty = match place {
            LifePlace::Client => self.record.uncertainty.map(|nanos| nanos as f64 / 1e6),
            _ => None,
        };
        let (at, what) = (self.at(t), what.into());
        self.steps.push(LifeStep { at, place, what, uncertainty, until: None, dropped: false });
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// When it was due, sent by who publishes, and put into the feed's log.
    pub(super) fn publication(&mut self) {
        let publication = self.chosen.publication;
        self.step(publication.scheduled, LifePlace::Schedule, "due");
        if let Some(by) = publication.by
            && let Some(sent) = self.record.sent.get(&publication.event).copied()
        {
            self.step(sent.t, LifePlace::Client, format!("sent by subscription {by}"));
        }
        self.step(publication.t, LifePlace::Server, "published: in the feed's log");
    }

    /// What the subscription did meanwhile: whoever isn't there gets nothing.
    pub(super) fn subscription(&mut self) {
        let end = self.end();
        let steps = self.record.steps.get(&self.chosen.sub).cloned().unwrap_or_default();
        let due = self.chosen.publication.scheduled;
        for (t, step) in steps.into_iter().filter(|(t, _)| *t > due && *t <= end) {
            let what = match step {
                Step::Requested => "subscription asked for",
                Step::Opened => "subscription open",
                Step::Closed => "subscription ended",
            };
            self.step(t, LifePlace::Client, what);
        }
    }

    /// When it is over: at its receipt, or else with the census.
    fn end(&self) -> u64 {
        let publication = &self.chosen.publication;
        let over = self.chosen.received.or_else(|| self.record.last_census());
        over.unwrap_or(publication.t).max(publication.scheduled)
    }

    /// What carried it over the link; says whether that is known.
    pub(super) fn packets(&mut self, links: &BTreeMap<&str, Vec<OnLink<'_>>>, late: Option<u64>) -> bool {
        let Some(copies) = links.get(self.chosen.id) else { return false };
        let Some((conn, packets)) = self.own(copies) else { return false };
        if copies.len() > 1 {
            let t = packets.first().map_or(self.chosen.publication.t, |packet| packet.came);
            self.step(t, LifePlace::Link, format!("{} copies were sent; by its times this is the one", copies.len()));
        }
        for packet in packets {
            self.packet(packet, "", late);
        }
        self.held_up(links, conn, packets, late);
        true
    }

    /// The copy that was received: the last that had arrived by then.
    fn own<'p>(&self, copies: &[OnLink<'p>]) -> Option<OnLink<'p>> {
        let in_time = copies.iter().filter(|(_, packets)| arrived(packets).is_some_and(|at| self.by_then(at)));
        in_time.max_by_key(|(_, packets)| arrived(packets)).or(copies.first()).copied()
    }

    /// Whether something at this time can be what was received, by clocks that may differ.
    fn by_then(&self, t: u64) -> bool {
        self.chosen.received.is_some_and(|received| t <= received + self.record.uncertainty.unwrap_or(0))
    }

    fn packet(&mut self, packet: &EventPacket, of: &str, late: Option<u64>) {
        let again = if packet.again { " again" } else { "" };
        let comes = format!("packet {}{of} comes to the link{again}", packet.number);
        let arrives = packet.arrives.map(|arrives| self.at(arrives));
        match (&packet.dropped, packet.arrives) {
            (None, Some(at)) => {
                let waits: Vec<String> =
                    packet.waits.iter().map(|(by, nanos)| format!("{by} {}", ms(*nanos))).collect();
                let waits = if waits.is_empty() { String::new() } else { format!(" ({})", waits.join(", ")) };
                let under_way = ms(at.saturating_sub(packet.came));
                self.step(packet.came, LifePlace::Link, format!("{comes}, {under_way} under way{waits}")).until =
                    arrives;
                let step = self.step(at, LifePlace::Link, format!("packet {} arrives", packet.number));
                step.uncertainty = late.map(|nanos| nanos as f64 / 1e6);
            }
            (dropped, _) => {
                let by = dropped.as_deref().unwrap_or("the link");
                self.step(packet.came, LifePlace::Link, format!("{comes}, and is dropped by {by}")).dropped = true;
            }
        }
    }

    /// What was sent before it on its connection, was lost, and came only after it: where a stream is read in order, it
    /// waited for that.
    fn held_up(&mut self, links: &BTreeMap<&str, Vec<OnLink<'_>>>, conn: u64, own: &[EventPacket], late: Option<u64>) {
        let Some(first) = own.first().map(|packet| packet.came) else { return };
        let Some(arrived) = arrived(own) else { return };
        for (id, copies) in links.iter().filter(|(id, _)| **id != self.chosen.id) {
            for (_, packets) in copies.iter().filter(|(of, _)| *of == conn) {
                let lost = packets.iter().find(|packet| packet.arrives.is_none() && packet.came <= first);
                let again = packets
                    .iter()
                    .find(|packet| packet.again && packet.arrives.is_some_and(|at| arrived < at && self.by_then(at)));
                if let (Some(lost), Some(again)) = (lost, again) {
                    let of = format!(", of {id} before it,");
                    self.packet(lost, &of, late);
                    self.packet(again, &of, late);
                }
            }
        }
    }

    pub(super) fn receipts(&mut self) {
        let id = self.chosen.id;
        let receipts = self.record.received.get(&self.chosen.sub).into_iter().flatten();
        let times: Vec<u64> = receipts.filter(|receipt| receipt.id == id).map(|receipt| receipt.t).collect();
        for (at, t) in times.into_iter().enumerate() {
            self.step(t, LifePlace::Client, if at == 0 { "received" } else { "received again" });
        }
    }

    pub(super) fn faults(&mut self) {
        let (due, end) = (self.chosen.publication.scheduled, self.end());
        let begun: Vec<_> = self.record.faults_begun.iter().filter(|(t, _)| (due..=end).contains(t)).copied().collect();
        for (t, kind) in begun {
            self.step(t, LifePlace::Fault, format!("{} begins", kind.row().name));
        }
        let ended: Vec<_> = self.record.faults_ended.iter().filter(|t| (due..=end).contains(t)).copied().collect();
        for t in ended {
            self.step(t, LifePlace::Fault, "the fault is over");
        }
    }
}

/// When all of an event had come out of the link: with the packets that first carried it, or where one of these was
/// dropped with the first that brought something again.
fn arrived(packets: &[EventPacket]) -> Option<u64> {
    let (again, first): (Vec<&EventPacket>, Vec<&EventPacket>) = packets.iter().partition(|packet| packet.again);
    let last = first.iter().filter_map(|packet| packet.arrives).max();
    if first.iter().all(|packet| packet.arrives.is_some()) {
        return last;
    }
    let brought = again.iter().filter_map(|packet| packet.arrives).min()?;
    Some(brought.max(last.unwrap_or(0)))
}

fn ms(nanos: u64) -> String {
    format!("{:.3} ms", nanos as f64 / 1e6)
}
