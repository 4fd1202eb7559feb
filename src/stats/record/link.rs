//! What is known of a trial's link.

use std::collections::{BTreeMap, HashMap};

use crate::trial::fact::{EventPacket, WayParts};
use crate::trial::phase::{Phases, TrialPhase};
use crate::trial::{LabFact, PlannedTrial};

/// A link's conditions, and what was observed on it. There may be none.
#[derive(Debug, Default)]
pub(in crate::stats) struct LinkRecord<'a> {
    /// How long a packet is under way to the server and back at least, in nanoseconds; `None`: there is no link.
    pub(in crate::stats) delays: Option<[u64; 2]>,
    /// What it had carried, both ways together, before `go`, at T, at the end, and just before the first event was due.
    pub(in crate::stats) carried: [Option<LinkTotal>; 4],
    /// How many packets it dropped, from its beginning to its end.
    pub(in crate::stats) dropped: Option<u64>,
    /// To how many of their senders it said so.
    pub(in crate::stats) told: Option<u64>,
    /// How late it handed packets on, at the median and at most, in nanoseconds.
    pub(in crate::stats) late: Option<[u64; 2]>,
    /// The packets that carried each event the first time that it was sent, by its id, where the link was traced.
    pub(in crate::stats) events: HashMap<&'a str, &'a [EventPacket]>,
    /// Whether it was.
    pub(in crate::stats) traced: bool,
    /// What was put on it in each part of the timeline, up and down, where its packets were kept.
    pub(in crate::stats) parts: BTreeMap<TrialPhase, [WayParts; 2]>,
    /// For how long no event had been due for a while, in nanoseconds.
    pub(in crate::stats) idle: u64,
    /// The bytes of each flow before the first event.
    pub(in crate::stats) handshakes: Vec<u64>,
    /// Whether what it carried was written to a file, with all that takes of the machine meanwhile.
    pub(in crate::stats) captured: bool,
}

/// What a link had carried, both ways together.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct LinkTotal {
    pub(in crate::stats) packets: u64,
    /// Their bytes, IP headers included.
    pub(in crate::stats) bytes: u64,
}

impl<'a> LinkRecord<'a> {
    pub(super) fn of(planned: &PlannedTrial) -> Self {
        let delays = planned.settings.link.as_ref().map(|link| link.ways().map(|way| way.delay.nanos()));
        let idle = Phases::of(&planned.settings, planned.seed).idle();
        Self { delays, idle, ..Self::default() }
    }

    /// Takes a fact about the link; others say nothing of it.
    pub(super) fn take(&mut self, fact: &'a LabFact) {
        match fact {
            LabFact::LinkCarried { at, up, down } => {
                let (packets, bytes) = (up.packets + down.packets, up.bytes + down.bytes);
                self.carried[*at as usize] = Some(LinkTotal { packets, bytes });
            }
            LabFact::LinkEnded { up, down, late_median, late_most, .. } => {
                self.dropped = Some([up, down].iter().flat_map(|way| way.dropped.values()).sum());
                self.told = Some(up.told + down.told);
                self.late = late_median.map(|median| [median, late_most.unwrap_or(median)]);
            }
            LabFact::EventOnLink { id, packets, .. } => _ = self.events.entry(id).or_insert(packets),
            LabFact::LinkTraced { .. } => self.traced = true,
            LabFact::LinkFlow { phase, up, down, .. } => {
                let parts = self.parts.entry(*phase).or_default();
                parts[0] += *up;
                parts[1] += *down;
                if *phase == TrialPhase::Handshake {
                    self.handshakes.push(up.bytes + down.bytes);
                }
            }
            LabFact::Captured { .. } => self.captured = true,
            _ => {}
        }
    }
}
