//! A bottleneck: one packet after another at a rate, and a queue of bounded length before it, at whose end packets are
//! dropped that find no room (drop-tail).

use std::collections::VecDeque;

use super::{Impairment, Node, Packet, Treatment};

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "rate",
    stream: 5,
    node: |conditions, _| {
        let bits = conditions.rate?.bits().max(1);
        let room = conditions.queue.bytes();
        Some(Box::new(Bottleneck { bits, room, waiting: VecDeque::new(), waits: 0, free: 0 }))
    },
};

#[derive(Debug)]
struct Bottleneck {
    /// Per second.
    bits: u64,
    /// How many bytes may wait.
    room: u64,
    /// Those whose turn has not come, in their order: when it does, in nanoseconds, and how many bytes they are.
    waiting: VecDeque<(u64, u64)>,
    /// All of their bytes.
    waits: u64,
    /// When the last of them is through, in nanoseconds.
    free: u64,
}

impl Node for Bottleneck {
    fn treat(&mut self, packet: &mut Packet<'_>, now: u64) -> Treatment {
        while let Some((_, bytes)) = self.waiting.front().copied().filter(|(turn, _)| *turn <= now) {
            self.waiting.pop_front();
            self.waits -= bytes;
        }
        let bytes = packet.bytes.len() as u64;
        let turn = self.free.max(now);
        if turn > now {
            if self.waits + bytes > self.room {
                return Treatment::Dropped;
            }
            self.waiting.push_back((turn, bytes));
            self.waits += bytes;
        }
        // Rounded up: it must not be faster than it says.
        let takes = (u128::from(bytes) * 8 * 1_000_000_000).div_ceil(self.bits.into());
        self.free = turn.saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
        Treatment::Leaves(self.free)
    }
}
