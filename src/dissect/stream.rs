//! What one end sent on one stream, and in which packets.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Carrier;

/// Bytes in order, and who carried them.
#[derive(Debug, Default, Clone)]
pub(super) struct Stream {
    pub(super) connection: usize,
    pub(super) bytes: Vec<u8>,
    chunks: Parts<Carrier>,
    /// Which bytes each packet had in it, whether or not others were needed to decrypt them.
    held: Parts<usize>,
}

/// Parts of a stream that came in one piece each, and what is known of them, by where they begin.
#[derive(Debug, Clone)]
struct Parts<T> {
    /// By beginning, and for those that begin alike in the order in which they were sent, to the end.
    all: BTreeMap<(usize, usize), (usize, T)>,
    /// How many bytes the longest has.
    longest: usize,
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), longest: 0 }
    }
}

impl<T: Copy> Parts<T> {
    fn insert(&mut self, range: Range<usize>, what: T) {
        self.longest = self.longest.max(range.len());
        self.all.insert((range.start, self.all.len()), (range.end, what));
    }

    /// Those that have something of a part, and what they have of it.
    fn of(&self, part: Range<usize>) -> impl Iterator<Item = (Range<usize>, T)> {
        let near = self.all.range((part.start.saturating_sub(self.longest), 0)..(part.end, 0));
        near.filter_map(move |((start, _), (end, what))| {
            let (start, end) = (part.start.max(*start), part.end.min(*end));
            (start < end).then_some((start..end, *what))
        })
    }
}

impl Stream {
    pub(super) fn of(connection: usize) -> Self {
        Self { connection, ..Self::default() }
    }

    /// Takes a part that was sent in this packet; `false`: something before it is missing. Whoever sends, sends in order
    /// and again what was lost, so nothing is missing where all was recorded.
    pub(super) fn take(&mut self, offset: usize, part: &[u8], packet: usize) -> bool {
        let Some(known) = self.bytes.len().checked_sub(offset) else { return false };
        let range = offset..offset + part.len();
        if range.is_empty() {
            return true;
        }
        let again = part.len() <= known;
        if !again {
            self.bytes.extend_from_slice(&part[known..]);
        }
        self.held.insert(range.clone(), packet);
        self.chunks.insert(range, Carrier { packet, again });
        true
    }

    /// Takes what comes next, for those who have it in order. `held` is which bytes of it each packet had in it.
    pub(super) fn push(
        &mut self,
        part: &[u8],
        carriers: &[Carrier],
        held: impl Iterator<Item = (Range<usize>, usize)>,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(part);
        let range = start..self.bytes.len();
        for (of, packet) in held {
            self.held.insert(start + of.start..start + of.end, packet);
        }
        for carrier in carriers {
            self.chunks.insert(range.clone(), *carrier);
        }
    }

    /// Takes what is in this part of another, which is what came next.
    pub(super) fn push_part(&mut self, whole: &Self, part: Range<usize>) {
        let held = whole.held(part.clone());
        let held = held.map(|(of, packet)| (of.start - part.start..of.end - part.start, packet));
        self.push(&whole.bytes[part.clone()], &whole.carriers(&part), held);
    }

    /// Which bytes of a part each packet had in it; one that was sent again is there again.
    pub(super) fn held(&self, part: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> {
        self.held.of(part)
    }

    /// The packets that carried something of a part, in order, each once.
    pub(super) fn carriers(&self, part: &Range<usize>) -> Vec<Carrier> {
        let mut carriers: Vec<_> = self.chunks.of(part.clone()).map(|(_, carrier)| carrier).collect();
        // What a packet carried for the first time counts, whatever it repeats beside.
        carriers.sort_by_key(|carrier| (carrier.packet, carrier.again));
        carriers.dedup_by_key(|carrier| carrier.packet);
        carriers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_told_from_what_is_new() {
        let mut stream = Stream::of(0);
        assert!(stream.take(0, b"abc", 1));
        assert!(stream.take(3, b"def", 2));
        assert!(stream.take(0, b"abc", 3));
        assert!(stream.take(3, b"defghi", 4));
        assert!(!stream.take(10, b"k", 5), "j is missing");
        assert_eq!(stream.bytes, b"abcdefghi");
        let carried = |part: Range<usize>| {
            stream.carriers(&part).iter().map(|carrier| (carrier.packet, carrier.again)).collect::<Vec<_>>()
        };
        assert_eq!(carried(0..2), [(1, false), (3, true)]);
        assert_eq!(carried(2..4), [(1, false), (2, false), (3, true), (4, false)]);
        assert_eq!(carried(8..9), [(4, false)]);
        let held: Vec<_> = stream.held(2..4).collect();
        assert_eq!(held, [(2..3, 1), (2..3, 3), (3..4, 2), (3..4, 4)]);
    }
}
