//! A NAT at the client's end that forgets: all that it knew, when it is told to, or what nothing has passed by for a while.
//! Its mappings are of TCP and UDP, one for each address and port of the client's, whoever it sends to (RFC 4787 section
//! 4.1, "endpoint-independent"), and outside it has the client's own address. ICMP passes as it is.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::IpNumber;

use crate::link::packet::{Flow, Port, Segment, set_port};
use crate::units::Span;

/// The ports that it gives out: those below Linux's own for clients (`ip_local_port_range`), so that none was in use before
/// it forgot.
const FIRST: u16 = 1024;
const LAST: u16 = 32_767;

/// What the NAT does with a segment of TCP that it has no mapping for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Outside {
    /// One from outside it drops, one from inside gets a mapping.
    #[default]
    Silent,
    /// It refuses both, unless it is the first of a connection.
    Refuses,
}

/// For how long a NAT keeps a mapping that nothing passes by; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MappingLifetimes {
    pub udp: Option<Span>,
    pub tcp: Option<Span>,
}

/// What it knows of one place at the client.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    /// The port outside.
    port: u16,
    /// When a packet last passed by it, in nanoseconds: from inside (RFC 4787 section 4.3, REQ-6) or from outside, as with
    /// Linux.
    used: u64,
}

/// Its mappings.
#[derive(Debug, Default)]
pub(super) struct Nat {
    outside: Outside,
    lifetimes: MappingLifetimes,
    /// By protocol and place at the client.
    mappings: HashMap<(IpNumber, SocketAddrV4), Mapping>,
    /// The other way round.
    places: HashMap<(IpNumber, Ipv4Addr, u16), u16>,
    /// How many it has given out.
    given: u16,
}

impl Nat {
    /// Forgets by itself from now on what is older than this.
    pub(super) fn keep_for(&mut self, lifetimes: MappingLifetimes) {
        self.lifetimes = lifetimes;
    }

    /// Forgets them all.
    pub(super) fn forget(&mut self, outside: Outside) {
        self.outside = outside;
        self.mappings.clear();
        self.places.clear();
    }

    /// A packet from the client. An error says what it is told.
    pub(super) fn leaves(&mut self, packet: &mut [u8], now: u64) -> Result<(), Option<Vec<u8>>> {
        let Some(flow) = Flow::of(packet) else { return Ok(()) };
        let port = if let Some(port) = self.used((flow.protocol, flow.source), now) {
            port
        } else {
            let segment = Segment::of(packet).filter(|_| self.outside == Outside::Refuses);
            if let Some(segment) = segment.filter(|segment| !segment.syn) {
                return Err(segment.refusal());
            }
            self.map(flow, now)
        };
        set_port(packet, flow, Port::Source, port);
        Ok(())
    }

    /// A packet for the client, from outside. An error says what the server is told.
    pub(super) fn enters(&mut self, packet: &mut [u8], now: u64) -> Result<(), Option<Vec<u8>>> {
        let Some(flow) = Flow::of(packet) else { return Ok(()) };
        let ip = *flow.destination.ip();
        let place = self.places.get(&(flow.protocol, ip, flow.destination.port())).copied();
        let known = place.filter(|port| self.used((flow.protocol, SocketAddrV4::new(ip, *port)), now).is_some());
        let Some(port) = known else {
            let segment = Segment::of(packet).filter(|_| self.outside == Outside::Refuses);
            return Err(segment.and_then(Segment::refusal));
        };
        set_port(packet, flow, Port::Destination, port);
        Ok(())
    }

    /// The port outside of a place at the client, if it is still known, which a packet passes by at this time.
    fn used(&mut self, key: (IpNumber, SocketAddrV4), now: u64) -> Option<u16> {
        let lifetime = match key.0 {
            IpNumber::UDP => self.lifetimes.udp,
            _ => self.lifetimes.tcp,
        };
        let mapping = self.mappings.get_mut(&key)?;
        if lifetime.is_none_or(|lifetime| now.saturating_sub(mapping.used) <= lifetime.nanos()) {
            mapping.used = now;
            return Some(mapping.port);
        }
        let port = mapping.port;
        self.mappings.remove(&key);
        self.places.remove(&(key.0, *key.1.ip(), port));
        None
    }

    fn map(&mut self, flow: Flow, now: u64) -> u16 {
        let Flow { protocol, source, .. } = flow;
        let port = FIRST + self.given % (LAST - FIRST + 1);
        self.given = self.given.wrapping_add(1);
        // It has come round: whoever had this one has lost it.
        if let Some(before) = self.places.insert((protocol, *source.ip(), port), source.port()) {
            self.mappings.remove(&(protocol, SocketAddrV4::new(*source.ip(), before)));
        }
        self.mappings.insert((protocol, source), Mapping { port, used: now });
        port
    }
}
