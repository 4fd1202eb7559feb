//! A next hop that takes no longer packets than so, and a router before it that says so to who sent one, or doesn't.

use super::{Impairment, Node, Packet, Treatment};
use crate::link::ROUTER;
use crate::link::packet::too_long;

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "mtu",
    stream: 9,
    node: |conditions, _| {
        let (mtu, silent) = (conditions.mtu?, conditions.mtu_silent);
        Some(Box::new(NextHop { mtu, silent }))
    },
};

#[derive(Debug)]
struct NextHop {
    /// In bytes, IP header included.
    mtu: u16,
    silent: bool,
}

impl Node for NextHop {
    fn treat(&mut self, packet: &mut Packet<'_>, now: u64) -> Treatment {
        if packet.bytes.len() <= usize::from(self.mtu) {
            return Treatment::Leaves(now);
        }
        if !self.silent {
            *packet.told = too_long(packet.bytes, self.mtu, ROUTER);
        }
        Treatment::Dropped
    }
}
