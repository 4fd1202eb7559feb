//! What a link carried, counted.

use std::collections::BTreeMap;

use super::Recording;

/// How many numbers of dropped packets are kept, the first of each way.
const MAX_DROPPED: usize = 4096;

/// What one way carried so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets that an end gave to the link, dropped ones included.
    pub packets: u64,
    /// Their bytes, IP headers included.
    pub bytes: u64,
    /// How many did not arrive, by what dropped them.
    pub dropped: BTreeMap<&'static str, u64>,
    /// To how many of them the link itself said so: by ICMP, or by an RST of TCP.
    pub told: u64,
}

impl Carried {
    pub(super) fn came(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }

    pub(super) fn dropped(&mut self, by: &'static str) {
        *self.dropped.entry(by).or_default() += 1;
    }
}

/// What both ways had carried at an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    pub up: Carried,
    pub down: Carried,
}

/// What a link did while it was up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkReport {
    /// What it had carried by each instant that was asked for and came, in the order of time; at its end, last.
    pub marks: Vec<Snapshot>,
    /// The numbers of packets that didn't arrive, by way (`up` first), in their order; the first 4096 of each.
    pub dropped: [Vec<u64>; 2],
    /// By how many nanoseconds packets arrived later than they were to, at the median; `None` where none arrived.
    pub late_median: Option<u64>,
    /// At most.
    pub late_most: Option<u64>,
    /// The packets themselves, where they were to be kept.
    pub recording: Option<Recording>,
}

impl LinkReport {
    pub(super) fn note_dropped(&mut self, way: usize, number: u64) {
        let numbers = &mut self.dropped[way];
        if numbers.len() < MAX_DROPPED {
            numbers.push(number);
        }
    }
}

/// How late packets arrived: the first of them, and the latest.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// In nanoseconds.
    first: Vec<u64>,
    most: Option<u64>,
}

impl Lag {
    /// How many are kept: enough for a median that no more would move.
    const KEPT: usize = 1 << 16;

    pub(super) fn note(&mut self, late: u64) {
        self.most = self.most.max(Some(late));
        if self.first.len() < Self::KEPT {
            self.first.push(late);
        }
    }

    /// The median of those kept, and the most of all.
    pub(super) fn told(mut self) -> (Option<u64>, Option<u64>) {
        self.first.sort_unstable();
        (self.first.get(self.first.len() / 2).copied(), self.most)
    }
}
