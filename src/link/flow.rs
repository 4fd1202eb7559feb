//! What a packet is on the outside: whose it is, and how much of it is headers.

use etherparse::{SlicedPacket, TransportSlice};

use super::Way;

/// All packets between two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordedFlow {
    pub over: FlowTransport,
    /// The client's port.
    pub client: u16,
    /// The server's.
    pub server: u16,
}

/// What goes over IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowTransport {
    Tcp,
    Udp,
}

impl FlowTransport {
    /// The word of files and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A packet as it can be told without secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketOutside {
    pub flow: RecordedFlow,
    /// How many bytes are headers of IP and what goes over it, options included.
    pub headers: usize,
    /// What they are the headers of, in bytes.
    pub carries: usize,
    /// Whether it is a segment of TCP that does nothing but acknowledge (or tell of room), which takes no sequence number.
    pub acknowledges: bool,
}

impl PacketOutside {
    /// Of an IP packet that went this way; `None`: it is neither TCP's nor UDP's, or not whole.
    pub fn of(packet: &[u8], way: Way) -> Option<Self> {
        let (over, ports, carries, acknowledges) = match SlicedPacket::from_ip(packet).ok()?.transport? {
            TransportSlice::Tcp(tcp) => {
                let carries = tcp.payload().len();
                let acknowledges = carries == 0 && tcp.ack() && !(tcp.syn() || tcp.fin() || tcp.rst());
                (FlowTransport::Tcp, (tcp.source_port(), tcp.destination_port()), carries, acknowledges)
            }
            TransportSlice::Udp(udp) => {
                (FlowTransport::Udp, (udp.source_port(), udp.destination_port()), udp.payload().len(), false)
            }
            _ => return None,
        };
        let (client, server) = match way {
            Way::Up => ports,
            Way::Down => (ports.1, ports.0),
        };
        let headers = packet.len().checked_sub(carries)?;
        Some(Self { flow: RecordedFlow { over, client, server }, headers, carries, acknowledges })
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn a_segment_without_content_acknowledges_unless_it_takes_a_sequence_number() {
        let segment = |payload: &[u8], fin: bool| {
            let builder = PacketBuilder::ipv4([198, 18, 0, 2], [198, 18, 0, 1], 64).tcp(40_000, 443, 7, 1000).ack(9);
            let builder = if fin { builder.fin() } else { builder };
            let mut packet = Vec::new();
            builder.write(&mut packet, payload).unwrap();
            PacketOutside::of(&packet, Way::Up).unwrap()
        };
        let flow = RecordedFlow { over: FlowTransport::Tcp, client: 40_000, server: 443 };
        assert_eq!(segment(b"", false), PacketOutside { flow, headers: 40, carries: 0, acknowledges: true });
        assert_eq!(segment(b"", true), PacketOutside { flow, headers: 40, carries: 0, acknowledges: false });
        assert_eq!(segment(b"abc", false), PacketOutside { flow, headers: 40, carries: 3, acknowledges: false });
    }

    #[test]
    fn a_flow_is_the_same_both_ways() {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([198, 18, 0, 1], [198, 18, 0, 2], 64).udp(443, 40_000);
        builder.write(&mut packet, b"quic").unwrap();
        let flow = RecordedFlow { over: FlowTransport::Udp, client: 40_000, server: 443 };
        assert_eq!(
            PacketOutside::of(&packet, Way::Down),
            Some(PacketOutside { flow, headers: 28, carries: 4, acknowledges: false })
        );
    }

    #[test]
    fn what_is_cut_short_or_of_another_kind_is_no_flow_s() {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([198, 18, 0, 1], [198, 18, 0, 2], 64).icmpv4_echo_request(1, 1);
        builder.write(&mut packet, b"ping").unwrap();
        assert_eq!(PacketOutside::of(&packet, Way::Down), None);
        assert_eq!(PacketOutside::of(&packet[..10], Way::Down), None);
        assert_eq!(PacketOutside::of(&[], Way::Up), None);
    }
}
