//! IPv4 packets as those see and write them that stand between two ends: whose one is, another port in it, and what is said
//! to who sent it.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::checksum::Sum16BitWords;
use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{Icmpv4Type, IpNumber, Ipv4Slice, PacketBuilder, TcpSlice, UdpSlice, ip_number};

/// How many hops a packet of the link's own may take.
const TTL: u8 = 64;
/// How much a receiver of an RST may send: nothing is to come.
const NO_WINDOW: u16 = 0;
/// How much of a packet goes back in an ICMP error: with both headers no more than 576 bytes (RFC 1812 section 4.3.2.3).
const QUOTED: usize = 576 - 28;

/// Where a packet of TCP or UDP comes from, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) protocol: IpNumber,
    pub(super) source: SocketAddrV4,
    pub(super) destination: SocketAddrV4,
}

impl Flow {
    /// That of a packet; `None`: it is of neither, or a fragment, or none at all.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let ip = Ipv4Slice::from_slice(packet).ok().filter(|ip| !ip.is_payload_fragmented())?;
        let (protocol, payload) = (ip.payload_ip_number(), ip.payload().payload);
        let (from, to) = match protocol {
            ip_number::TCP => {
                TcpSlice::from_slice(payload).map(|tcp| (tcp.source_port(), tcp.destination_port())).ok()?
            }
            ip_number::UDP => {
                UdpSlice::from_slice(payload).map(|udp| (udp.source_port(), udp.destination_port())).ok()?
            }
            _ => return None,
        };
        let source = SocketAddrV4::new(ip.header().source_addr(), from);
        let destination = SocketAddrV4::new(ip.header().destination_addr(), to);
        Some(Self { protocol, source, destination })
    }

    pub(super) fn is_tcp(self) -> bool {
        self.protocol == ip_number::TCP
    }
}

/// A segment of TCP, as far as whoever forges an answer reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) flow: Flow,
    sequence: u32,
    /// What its sender expects next, where it says so.
    acknowledges: Option<u32>,
    /// How much further it takes the sequence: its data, and one each for SYN and FIN.
    length: u32,
    pub(super) syn: bool,
    pub(super) rst: bool,
}

impl Segment {
    /// That of a packet; `None`: it is of something else.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let flow = Flow::of(packet).filter(|flow| flow.is_tcp())?;
        let ip = Ipv4Slice::from_slice(packet).ok()?;
        let tcp = TcpSlice::from_slice(ip.payload().payload).ok()?;
        let data = u32::try_from(tcp.payload().len()).unwrap_or(0);
        Some(Self {
            flow,
            sequence: tcp.sequence_number(),
            acknowledges: tcp.ack().then(|| tcp.acknowledgment_number()),
            length: data + u32::from(tcp.syn()) + u32::from(tcp.fin()),
            syn: tcp.syn(),
            rst: tcp.rst(),
        })
    }

    /// What its sender is told by somebody who knows no such connection (RFC 9293 section 3.10.7.1); an RST is never
    /// answered.
    pub(super) fn refusal(self) -> Option<Vec<u8>> {
        let Flow { source, destination, .. } = self.flow;
        let (sequence, acknowledges) = match self.acknowledges {
            Some(expected) => (expected, None),
            None => (0, Some(self.sequence.wrapping_add(self.length))),
        };
        if self.rst { None } else { rst(destination, source, sequence, acknowledges) }
    }

    /// An RST in its place, as if its sender had ended the connection with it. One counts that says the very next number
    /// (RFC 5961 section 3.2).
    pub(super) fn reset(self) -> Option<Vec<u8>> {
        let Flow { source, destination, .. } = self.flow;
        rst(source, destination, self.sequence, self.acknowledges)
    }
}

fn rst(source: SocketAddrV4, destination: SocketAddrV4, sequence: u32, acknowledges: Option<u32>) -> Option<Vec<u8>> {
    let (from, to) = (source.ip().octets(), destination.ip().octets());
    let ip = PacketBuilder::ipv4(from, to, TTL);
    let tcp = ip.tcp(source.port(), destination.port(), sequence, NO_WINDOW).rst();
    let tcp = match acknowledges {
        Some(next) => tcp.ack(next),
        None => tcp,
    };
    let mut packet = Vec::new();
    tcp.write_to_vec(&mut packet, &[]).ok()?;
    Some(packet)
}

/// What a router with this address tells the sender of a packet that is longer than its next hop takes (RFC 1191 section
/// 4). `None`: the packet may be cut into fragments, and no sender is told of that.
pub(super) fn too_long(packet: &[u8], mtu: u16, router: Ipv4Addr) -> Option<Vec<u8>> {
    let ip = Ipv4Slice::from_slice(packet).ok().filter(|ip| ip.header().dont_fragment())?;
    let unreachable = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
    let told = PacketBuilder::ipv4(router.octets(), ip.header().source(), TTL)
        .icmpv4(Icmpv4Type::DestinationUnreachable(unreachable));
    let mut answer = Vec::new();
    told.write_to_vec(&mut answer, packet.get(..QUOTED).unwrap_or(packet)).ok()?;
    Some(answer)
}

/// Which of a packet's two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Source,
    Destination,
}

/// Puts another port into a packet of this flow, and into its checksum what that changes (RFC 1624 section 3).
pub(super) fn set_port(packet: &mut [u8], flow: Flow, which: Port, port: u16) {
    let header = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    let (ports, checksum) = (header, header + if flow.is_tcp() { 16 } else { 6 });
    let (at, old) = match which {
        Port::Source => (ports, flow.source.port()),
        Port::Destination => (ports + 2, flow.destination.port()),
    };
    let Some(sum) = packet.get(checksum..checksum + 2).and_then(|sum| <[u8; 2]>::try_from(sum).ok()) else { return };
    packet[at..at + 2].copy_from_slice(&port.to_be_bytes());
    // A datagram of UDP may have none (RFC 768).
    if !flow.is_tcp() && sum == [0, 0] {
        return;
    }
    let changed = Sum16BitWords::new()
        .add_2bytes((!u16::from_be_bytes(sum)).to_be_bytes())
        .add_2bytes((!old).to_be_bytes())
        .add_2bytes(port.to_be_bytes());
    let sum = if flow.is_tcp() { changed.ones_complement() } else { changed.to_ones_complement_with_no_zero() };
    packet[checksum..checksum + 2].copy_from_slice(&sum.to_be().to_be_bytes());
}

#[cfg(test)]
pub(super) mod tests;
