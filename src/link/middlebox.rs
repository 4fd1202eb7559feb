//! What stands between two ends and is no network: it may let nothing pass, be a NAT that forgets, or forge packets. It
//! stands at the client's end but for what it forges, which it does wherever a packet enters the link. Pure: a packet in,
//! what is left of it out, and what its sender is told.

mod nat;
mod reset;

use etherparse::IpNumber;

use super::Way;
use super::impairment::block;
use super::packet::{Flow, Segment};
pub use nat::MappingLifetimes;
use nat::{Nat, Outside};
use reset::Resets;

/// What happens on a link from one packet to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// No packet passes that is sent from now on.
    Blackout,
    /// They do again.
    BlackoutOver,
    /// No datagram of UDP passes that is sent from now on.
    UdpBlocked,
    /// They do again.
    UdpBlockedOver,
    /// The NAT forgets its mappings, and drops what comes for those. What the client sends gets new ones.
    NatRebind,
    /// The same, but TCP's segments without a mapping are refused, whoever sends them, and only a SYN gets a new one.
    NatReset,
    /// Every connection of TCP that began before is ended by forged segments, at both ends, when it next has a packet.
    Reset,
}

/// What drops packets while nothing passes.
const BLACKOUT: &str = "blackout";
/// What drops those of UDP while none of those does: what it would be from the beginning.
const BLOCK: &str = block::IMPAIRMENT.name;
/// What drops those that the NAT has no mapping for.
const NAT: &str = "nat";
/// What drops those of connections that are ended.
const RESET: &str = "reset";

/// Why a packet goes no further, and what its sender is told of that at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stopped {
    pub(super) by: &'static str,
    pub(super) told: Option<Vec<u8>>,
}

/// How long a packet is that goes on, in bytes from its beginning, and what its sender is told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) bytes: usize,
    pub(super) told: Option<Vec<u8>>,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Middlebox {
    blackout: bool,
    udp_blocked: bool,
    /// `None`: there is none, which is as if it kept every port as it is (RFC 4787 section 4.2.1, "port preservation").
    nat: Option<Nat>,
    resets: Option<Resets>,
}

impl Middlebox {
    pub(super) fn disturb(&mut self, disturbance: Disturbance) {
        match disturbance {
            Disturbance::Blackout => self.blackout = true,
            Disturbance::BlackoutOver => self.blackout = false,
            Disturbance::UdpBlocked => self.udp_blocked = true,
            Disturbance::UdpBlockedOver => self.udp_blocked = false,
            Disturbance::NatRebind => self.nat.get_or_insert_default().forget(Outside::Silent),
            Disturbance::NatReset => self.nat.get_or_insert_default().forget(Outside::Refuses),
            Disturbance::Reset => self.resets = Some(Resets::default()),
        }
    }

    /// Puts a NAT there that forgets by itself.
    pub(super) fn place_nat(&mut self, lifetimes: MappingLifetimes) {
        self.nat.get_or_insert_default().keep_for(lifetimes);
    }

    /// A packet that an end has sent, before it is treated, and what it may have become. `now` is in nanoseconds, and never
    /// goes back.
    pub(super) fn enters(&mut self, way: Way, packet: &mut [u8], now: u64) -> Result<Passed, Stopped> {
        if self.blackout {
            return Err(Stopped { by: BLACKOUT, told: None });
        }
        if self.udp_blocked && Flow::of(packet).is_some_and(|flow| flow.protocol == IpNumber::UDP) {
            return Err(Stopped { by: BLOCK, told: None });
        }
        if let (Way::Up, Some(nat)) = (way, &mut self.nat) {
            nat.leaves(packet, now).map_err(|told| Stopped { by: NAT, told })?;
        }
        let passed = Passed { bytes: packet.len(), told: None };
        let Some((resets, segment)) = self.resets.as_mut().zip(Segment::of(packet)) else { return Ok(passed) };
        if resets.spares(way, segment) {
            return Ok(passed);
        }
        let mut told = segment.refusal();
        if let (Way::Up, Some(nat), Some(told)) = (way, &mut self.nat, &mut told) {
            // It knows the mapping: the segment has just left by it.
            let _ = nat.enters(told, now);
        }
        let forged = segment.reset().unwrap_or_default();
        // No segment is shorter than one without options or data.
        match packet.get_mut(..forged.len()) {
            Some(place) if !forged.is_empty() => place.copy_from_slice(&forged),
            _ => return Err(Stopped { by: RESET, told }),
        }
        Ok(Passed { bytes: forged.len(), told })
    }

    /// A packet that arrives at the client's end. What is told then goes to the server, over the link.
    pub(super) fn arrives(&mut self, packet: &mut [u8], now: u64) -> Result<(), Stopped> {
        match &mut self.nat {
            Some(nat) => nat.enters(packet, now).map_err(|told| Stopped { by: NAT, told }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
