//! What came to a link, packet by packet, kept in memory while it is up.

use super::{Fate, Way};

/// How many bytes of packets are kept: minutes of a fast link, and less than a small machine has.
const MAX_BYTES: usize = 512 << 20;
/// How much room is taken at once. Growing one piece would copy all of it while packets wait.
const PIECE: usize = 1 << 20;

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
    piece: usize,
    start: usize,
    length: usize,
}

impl Recording {
    /// Keeps a packet whose fate is not known yet.
    pub(super) fn came(&mut self, at: u64, way: Way, packet: &[u8]) {
        if self.bytes + packet.len() > MAX_BYTES {
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
        self.bytes += length;
        self.entries.push(Entry { at, way, number: 0, fates: [None; 2], piece, start, length });
    }

    /// Notes the number and the fate of the packet that came last, if it was kept.
    pub(super) fn became(&mut self, number: u64, fates: [Option<Fate>; 2]) {
        if self.missed == 0
            && let Some(last) = self.entries.last_mut()
        {
            (last.number, last.fates) = (number, fates);
        }
    }

    /// The packets, in the order in which they came.
    pub fn packets(&self) -> impl Iterator<Item = RecordedPacket<'_>> {
        self.entries.iter().map(|entry| {
            let Entry { at, way, number, fates, piece, start, length } = *entry;
            RecordedPacket { at, way, number, fates, bytes: &self.pieces[piece][start..start + length] }
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
            recording.became(k, [Some(Fate::Arrives(10 * k + 5)), None]);
        }
        let kept: Vec<_> = recording.packets().collect();
        assert_eq!(kept.len(), packets.len());
        for (k, (kept, packet)) in (0..).zip(kept.iter().zip(&packets)) {
            assert_eq!((kept.at, kept.number, kept.bytes), (10 * k, k, packet.as_slice()));
            assert_eq!(kept.fates, [Some(Fate::Arrives(10 * k + 5)), None]);
        }
        assert_eq!(recording.missed, 0);
    }
}
