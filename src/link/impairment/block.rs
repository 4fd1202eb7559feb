//! A protocol that nothing passes of, as at a firewall that drops what it doesn't know and tells nobody.

use etherparse::{IpNumber, Ipv4Slice};

use super::{Impairment, Node, Packet, Treatment};

pub(in crate::link) static IMPAIRMENT: Impairment = Impairment {
    name: "block",
    stream: 8,
    node: |conditions, _| conditions.block.map(|protocol| Box::new(Block { protocol }) as Box<dyn Node>),
};

#[derive(Debug)]
struct Block {
    protocol: IpNumber,
}

impl Node for Block {
    fn treat(&mut self, packet: &mut Packet<'_>, now: u64) -> Treatment {
        let is = Ipv4Slice::from_slice(packet.bytes).is_ok_and(|ip| ip.header().protocol() == self.protocol);
        if is { Treatment::Dropped } else { Treatment::Leaves(now) }
    }
}
