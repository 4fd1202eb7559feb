//! Packets that are dropped by their numbers.

use std::collections::BTreeSet;

use super::{Impairment, Node, Packet, Treatment};

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "drop",
    stream: 0,
    node: |conditions, _| {
        let numbers: BTreeSet<u64> = conditions.drop.iter().map(|&number| number.into()).collect();
        (!numbers.is_empty()).then(|| Box::new(Drop { numbers }) as Box<dyn Node>)
    },
};

#[derive(Debug)]
struct Drop {
    numbers: BTreeSet<u64>,
}

impl Node for Drop {
    fn treat(&mut self, packet: &mut Packet<'_>, now: u64) -> Treatment {
        if self.numbers.contains(&packet.number) { Treatment::Dropped } else { Treatment::Leaves(now) }
    }
}
