//! A NAT at the client's end that has forgotten all that it knew, once or more often. Its mappings are of TCP and UDP, one
//! for each address and port of the client's, whoever it sends to (RFC 4787 section 4.1, "endpoint-independent"), and
//! outside it has the client's own address. ICMP passes as it is.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::IpNumber;

use crate::link::packet::{Flow, Port, Segment, set_port};

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

/// Its mappings.
#[derive(Debug, Default)]
pub(super) struct Nat {
    outside: Outside,
    /// By protocol and place at the client: the port outside.
    ports: HashMap<(IpNumber, SocketAddrV4), u16>,
    /// The other way round.
    places: HashMap<(IpNumber, Ipv4Addr, u16), u16>,
    /// How many it has given out.
    given: u16,
}

impl Nat {
    /// Forgets them all.
    pub(super) fn forget(&mut self, outside: Outside) {
        self.outside = outside;
        self.ports.clear();
        self.places.clear();
    }

    /// A packet from the client. An error says what it is told.
    pub(super) fn leaves(&mut self, packet: &mut [u8]) -> Result<(), Option<Vec<u8>>> {
        let Some(flow) = Flow::of(packet) else { return Ok(()) };
        let key = (flow.protocol, flow.source);
        let port = if let Some(port) = self.ports.get(&key) {
            *port
        } else {
            let segment = Segment::of(packet).filter(|_| self.outside == Outside::Refuses);
            if let Some(segment) = segment.filter(|segment| !segment.syn) {
                return Err(segment.refusal());
            }
            self.map(flow)
        };
        set_port(packet, flow, Port::Source, port);
        Ok(())
    }

    /// A packet for the client, from outside. An error says what the server is told.
    pub(super) fn enters(&self, packet: &mut [u8]) -> Result<(), Option<Vec<u8>>> {
        let Some(flow) = Flow::of(packet) else { return Ok(()) };
        let key = (flow.protocol, *flow.destination.ip(), flow.destination.port());
        let Some(port) = self.places.get(&key) else {
            let segment = Segment::of(packet).filter(|_| self.outside == Outside::Refuses);
            return Err(segment.and_then(Segment::refusal));
        };
        set_port(packet, flow, Port::Destination, *port);
        Ok(())
    }

    fn map(&mut self, flow: Flow) -> u16 {
        let Flow { protocol, source, .. } = flow;
        let port = FIRST + self.given % (LAST - FIRST + 1);
        self.given = self.given.wrapping_add(1);
        // It has come round: whoever had this one has lost it.
        if let Some(before) = self.places.insert((protocol, *source.ip(), port), source.port()) {
            self.ports.remove(&(protocol, SocketAddrV4::new(*source.ip(), before)));
        }
        self.ports.insert((protocol, source), port);
        port
    }
}
