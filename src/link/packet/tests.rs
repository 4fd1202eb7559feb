//! Packets as other code makes them: `etherparse` says whether a checksum is right.

use etherparse::{Icmpv4Header, Icmpv4Slice, TcpHeader};

use super::*;

pub(in crate::link) const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 2), 40_000);
pub(in crate::link) const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 443);

/// A datagram with this content.
pub(in crate::link) fn datagram(from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let ip = PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), TTL);
    ip.udp(from.port(), to.port()).write_to_vec(&mut packet, data).unwrap();
    packet
}

/// A segment with this header, whose ports are put in, and content.
pub(in crate::link) fn segment(from: SocketAddrV4, to: SocketAddrV4, header: TcpHeader, data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let ip = PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), TTL);
    let header = TcpHeader { source_port: from.port(), destination_port: to.port(), ..header };
    ip.tcp_header(header).write_to_vec(&mut packet, data).unwrap();
    packet
}

/// Whether all checksums of a packet are right.
pub(in crate::link) fn is_sound(packet: &[u8]) -> bool {
    let ip = Ipv4Slice::from_slice(packet).unwrap();
    let (header, payload) = (ip.header(), ip.payload().payload);
    let of_ip = header.to_header().calc_header_checksum() == header.header_checksum();
    of_ip
        && match ip.payload_ip_number() {
            ip_number::TCP => {
                let tcp = TcpSlice::from_slice(payload).unwrap();
                tcp.calc_checksum_ipv4(header.source(), header.destination()).unwrap() == tcp.checksum()
            }
            ip_number::UDP => {
                let udp = UdpSlice::from_slice(payload).unwrap();
                let wanted =
                    udp.to_header().calc_checksum_ipv4_raw(header.source(), header.destination(), udp.payload());
                udp.checksum() == 0 || wanted.unwrap() == udp.checksum()
            }
            _ => {
                let icmp = Icmpv4Slice::from_slice(payload).unwrap();
                Icmpv4Header::with_checksum(icmp.icmp_type(), icmp.payload()).checksum == icmp.checksum()
            }
        }
}

fn data(sequence: u32, acknowledges: u32) -> TcpHeader {
    TcpHeader { ack: true, acknowledgment_number: acknowledges, window_size: 9, ..TcpHeader::new(0, 0, sequence, 9) }
}

#[test]
fn a_flow_is_told_by_both_ends_and_the_protocol() {
    let packet = datagram(CLIENT, SERVER, b"x");
    let flow = Flow::of(&packet).unwrap();
    assert_eq!((flow.source, flow.destination, flow.is_tcp()), (CLIENT, SERVER, false));
    assert!(Flow::of(&segment(SERVER, CLIENT, data(1, 1), b"x")).unwrap().is_tcp());
    // Cut short, of neither, none at all, and with options in its header.
    assert_eq!(Flow::of(&packet[..27]), None);
    assert_eq!(Flow::of(&too_long(&[0x45; 20], 576, *SERVER.ip()).unwrap_or_default()), None);
    assert_eq!(Flow::of(&[]), None);
}

#[test]
fn another_port_leaves_the_checksum_right_whatever_it_is() {
    for port in [0, 1, 443, 0x7fff, 0x8000, 0xfffe, 0xffff] {
        for content in [&b""[..], b"odd", b"even"] {
            for which in [Port::Source, Port::Destination] {
                let mut packets =
                    [datagram(CLIENT, SERVER, content), segment(CLIENT, SERVER, data(7, u32::MAX), content)];
                for packet in &mut packets {
                    let flow = Flow::of(packet).unwrap();
                    set_port(packet, flow, which, port);
                    assert!(is_sound(packet), "{port} {which:?} {content:?}");
                    let changed = Flow::of(packet).unwrap();
                    let ports = match which {
                        Port::Source => (port, 443),
                        Port::Destination => (40_000, port),
                    };
                    assert_eq!((changed.source.port(), changed.destination.port()), ports);
                }
            }
        }
    }
}

#[test]
fn a_datagram_without_a_checksum_keeps_none() {
    let mut packet = datagram(CLIENT, SERVER, b"x");
    packet[26..28].fill(0);
    let flow = Flow::of(&packet).unwrap();
    set_port(&mut packet, flow, Port::Source, 9);
    assert_eq!(&packet[26..28], [0, 0]);
}

#[test]
fn who_sent_a_segment_is_refused_with_the_number_that_it_expects() {
    let refused = Segment::of(&segment(CLIENT, SERVER, data(100, 700), b"hello")).unwrap().refusal().unwrap();
    assert!(is_sound(&refused));
    let told = Segment::of(&refused).unwrap();
    assert_eq!((told.flow.source, told.flow.destination), (SERVER, CLIENT));
    assert_eq!((told.sequence, told.acknowledges, told.rst), (700, None, true));
    // A SYN expects nothing yet: it is told by its own number (RFC 9293 section 3.10.7.1).
    let syn = TcpHeader { syn: true, ..TcpHeader::new(0, 0, u32::MAX, 9) };
    let told = Segment::of(&Segment::of(&segment(CLIENT, SERVER, syn, b"")).unwrap().refusal().unwrap()).unwrap();
    assert_eq!((told.sequence, told.acknowledges, told.rst), (0, Some(0), true));
    assert_eq!(Segment::of(&refused).unwrap().refusal(), None, "two who refuse each other would never end");
}

#[test]
fn a_reset_stands_where_the_segment_would_have() {
    let reset = Segment::of(&segment(SERVER, CLIENT, data(5000, 60), b"event")).unwrap().reset().unwrap();
    assert!(is_sound(&reset) && reset.len() == 40);
    let told = Segment::of(&reset).unwrap();
    assert_eq!((told.flow.source, told.flow.destination), (SERVER, CLIENT));
    assert_eq!((told.sequence, told.acknowledges, told.rst, told.length), (5000, Some(60), true, 0));
}

#[test]
fn a_router_says_how_long_a_packet_may_be_and_quotes_it() {
    let router = Ipv4Addr::new(198, 18, 0, 6);
    let packet = datagram(CLIENT, SERVER, &[7; 1400]);
    let told = too_long(&packet, 1280, router).unwrap();
    assert!(is_sound(&told) && told.len() == 576);
    let ip = Ipv4Slice::from_slice(&told).unwrap();
    assert_eq!((ip.header().source_addr(), ip.header().destination_addr()), (router, *CLIENT.ip()));
    // Type 3, code 4, and the MTU in the last two bytes (RFC 1191 section 4).
    assert_eq!((&told[20..22], &told[26..28]), (&[3, 4][..], &1280u16.to_be_bytes()[..]));
    assert_eq!(told[28..], packet[..QUOTED]);
    let mut may_be_cut = packet;
    may_be_cut[6] &= !0x40;
    assert_eq!(too_long(&may_be_cut, 1280, router), None);
}
