//! What came to a link, packet by packet, kept in memory while it is up.

use super::{Fate, Wait, Way};

/// How many bytes of packets are kept, and of what is known of them: minutes of a fast link, and less than a small machine
/// has.
const MAX_BYTES: usize = 512 << 20;
/// How much room is taken at once. Growing one piece would copy all of it while packets wait.
const PIECE: usize = 1 << 20;
/// How many waits of a packet are kept.
const WAITS: usize = 3;

/// A packet as it came to the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedPacket<'r> {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    pub way: Way,
    /// Which of its way, from 0.
    pub number: u64,
    /// What became of it; of both, where the link made two of it.
    pub fates: [Option<Fate>; 2],
    /// What it had to wait for on the way, and how long, in the order in which it met it; of two, the second.
    pub waits: &'r [Wait],
    /// Whether what arrives is not what came.
    pub corrupted: bool,
    /// All of it, IP header included, before anything befell it.
    pub bytes: &'r [u8],
}

/// The packets of a link, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    entries: Vec<Entry>,
    pieces: Vec<Vec<u8>>,
    bytes: usize,
    /// How many came after it was full.
    pub missed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    at: u64,
    way: Way,
    number: u64,
    fates: [Option<Fate>; 2],
    waits: [Wait; WAITS],
    waited: usize,
    corrupted: bool,
    piece: usize,
    start: usize,
    length: usize,
}

impl Recording {
    /// Keeps a packet whose fate is not known yet.
    pub(super) fn came(&mut self, at: u64, way: Way, packet: &[u8]) {
        // Once one is missing, so is all that follows: what is kept has no holes.
        if self.missed > 0 || self.bytes + packet.len() + size_of::<Entry>() > MAX_BYTES {
            self.missed += 1;
            return;
        }
        let has_room = |piece: &Vec<u8>| piece.len() + packet.len() <= PIECE;
        if !self.pieces.last().is_some_and(has_room) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let piece = self.pieces.len() - 1;
        let Some(last) = self.pieces.last_mut() else { return };
        let (start, length) = (last.len(), packet.len());
        last.extend_from_slice(packet);
        self.bytes += length + size_of::<Entry>();
        let waits = [Wait { by: "", nanos: 0 }; WAITS];
        let (fates, waited, corrupted) = ([None; 2], 0, false);
        self.entries.push(Entry { at, way, number: 0, fates, waits, waited, corrupted, piece, start, length });
    }

    /// Notes the number and the fate of the packet that came last, if it was kept, what it has to wait for, and what became
    /// of its bytes.
    pub(super) fn became(
        &mut self,
        number: u64,
        fates: [Option<Fate>; 2],
        waits: impl Iterator<Item = Wait>,
        packet: &[u8],
    ) {
        if self.missed == 0
            && let Some(last) = self.entries.last_mut()
        {
            (last.number, last.fates) = (number, fates);
            last.corrupted = self.pieces[last.piece][last.start..] != *packet;
            for (slot, wait) in last.waits.iter_mut().zip(waits) {
                *slot = wait;
                last.waited += 1;
            }
        }
    }

    /// Notes that a packet, which was to arrive then, did not.
    pub(super) fn refused(&mut self, way: Way, number: u64, at: u64, by: &'static str) {
        // It came not long ago.
        let of = self.entries.iter_mut().rev().find(|entry| entry.way == way && entry.number == number);
        let fate = of.and_then(|entry| entry.fates.iter_mut().find(|fate| **fate == Some(Fate::Arrives(at))));
        if let Some(fate) = fate {
            *fate = Some(Fate::Dropped(by));
        }
    }

    /// The packets, in the order in which they came.
    pub fn packets(&self) -> impl Iterator<Item = RecordedPacket<'_>> {
        self.entries.iter().map(|entry| {
            let Entry { at, way, number, fates, corrupted, piece, start, length, .. } = *entry;
            let (waits, bytes) = (&entry.waits[..entry.waited], &self.pieces[piece][start..start + length]);
            RecordedPacket { at, way, number, fates, waits, corrupted, bytes }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_given_back_as_they_came_with_what_became_of_them() {
        let mut recording = Recording::default();
        let packets: Vec<Vec<u8>> = (0..2000_u32).map(|k| vec![k.to_le_bytes()[0]; 1500]).collect();
        for (k, packet) in (0..).zip(&packets) {
            recording.came(10 * k, Way::Down, packet);
            let waits = [Wait { by: "rate", nanos: 2 }, Wait { by: "delay", nanos: 3 }];
            let mut arrives = packet.clone();
            arrives[9] ^= u8::from(k == 1500);
            recording.became(k, [Some(Fate::Arrives(10 * k + 5)), None], waits.into_iter(), &arrives);
        }
        let kept: Vec<_> = recording.packets().collect();
        assert_eq!(kept.len(), packets.len());
        for (k, (kept, packet)) in (0..).zip(kept.iter().zip(&packets)) {
            assert_eq!((kept.at, kept.number, kept.bytes), (10 * k, k, packet.as_slice()));
            assert_eq!(kept.fates, [Some(Fate::Arrives(10 * k + 5)), None]);
            assert_eq!(kept.corrupted, k == 1500);
            assert_eq!(kept.waits.iter().map(|wait| wait.nanos).collect::<Vec<_>>(), [2, 3]);
        }
        assert_eq!(recording.missed, 0);
        recording.refused(Way::Down, 1990, 19_905, "device");
        let refused: Vec<_> =
            recording.packets().filter(|packet| packet.fates[0] == Some(Fate::Dropped("device"))).collect();
        assert_eq!(refused.iter().map(|packet| packet.number).collect::<Vec<_>>(), [1990]);
    }
}
