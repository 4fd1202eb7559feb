//! What happens to packets between two ends, one by one.

use etherparse::TcpHeader;

use super::super::packet::tests::{CLIENT, SERVER, datagram, is_sound, segment};
use super::super::packet::{Flow, Segment};
use super::*;
use crate::units::Span;

/// What becomes of a packet that an end has sent: what goes on, if anything, and what its sender is told.
fn sent(middlebox: &mut Middlebox, way: Way, mut packet: Vec<u8>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    match middlebox.enters(way, &mut packet, 0) {
        Ok(Passed { bytes, told }) => {
            packet.truncate(bytes);
            assert!(is_sound(&packet));
            (Some(packet), told)
        }
        Err(Stopped { told, .. }) => (None, told),
    }
}

fn arrives(middlebox: &mut Middlebox, mut packet: Vec<u8>) -> Result<Vec<u8>, Stopped> {
    middlebox.arrives(&mut packet, 0).map(|()| packet)
}

/// The port that the server sees.
fn seen(packet: &[u8]) -> u16 {
    Flow::of(packet).unwrap().source.port()
}

fn up(header: TcpHeader) -> Vec<u8> {
    segment(CLIENT, SERVER, header, b"")
}

fn ack(sequence: u32, acknowledges: u32) -> TcpHeader {
    TcpHeader { ack: true, acknowledgment_number: acknowledges, ..TcpHeader::new(0, 0, sequence, 9) }
}

fn syn() -> TcpHeader {
    TcpHeader { syn: true, ..TcpHeader::new(0, 0, 1, 9) }
}

#[test]
fn without_a_disturbance_every_packet_passes_as_it_is() {
    let mut middlebox = Middlebox::default();
    for packet in [datagram(CLIENT, SERVER, b"x"), up(ack(1, 1)), vec![0; 3]] {
        for way in [Way::Up, Way::Down] {
            let mut same = packet.clone();
            assert_eq!(middlebox.enters(way, &mut same, 0), Ok(Passed { bytes: packet.len(), told: None }));
            assert_eq!(same, packet);
        }
        assert_eq!(arrives(&mut middlebox, packet.clone()), Ok(packet));
    }
}

#[test]
fn in_a_blackout_nothing_enters_and_what_is_under_way_arrives() {
    let mut middlebox = Middlebox::default();
    middlebox.disturb(Disturbance::Blackout);
    for way in [Way::Up, Way::Down] {
        let stopped = Err(Stopped { by: "blackout", told: None });
        assert_eq!(middlebox.enters(way, &mut datagram(CLIENT, SERVER, b"x"), 0), stopped);
    }
    assert!(arrives(&mut middlebox, datagram(SERVER, CLIENT, b"x")).is_ok());
    middlebox.disturb(Disturbance::BlackoutOver);
    assert!(sent(&mut middlebox, Way::Up, datagram(CLIENT, SERVER, b"x")).0.is_some());
}

#[test]
fn a_nat_that_forgets_drops_what_comes_and_gives_the_next_packet_another_port() {
    let mut middlebox = Middlebox::default();
    middlebox.disturb(Disturbance::NatRebind);
    let dropped = Err(Stopped { by: "nat", told: None });
    assert_eq!(arrives(&mut middlebox, datagram(SERVER, CLIENT, b"x")), dropped, "the old mapping is silently dead");
    assert_eq!(arrives(&mut middlebox, segment(SERVER, CLIENT, ack(1, 1), b"x")), dropped);
    let out = sent(&mut middlebox, Way::Up, datagram(CLIENT, SERVER, b"x")).0.unwrap();
    let port = seen(&out);
    assert_ne!(port, CLIENT.port());
    // The same for as long as it isn't forgotten, whoever it goes to; of TCP another one, though the place is the same.
    let other = std::net::SocketAddrV4::new(*SERVER.ip(), 444);
    assert_eq!(seen(&sent(&mut middlebox, Way::Up, datagram(CLIENT, other, b"y")).0.unwrap()), port);
    let of_tcp = seen(&sent(&mut middlebox, Way::Up, up(ack(1, 1))).0.unwrap());
    assert!(of_tcp != port && of_tcp != CLIENT.port());
    // What is answered finds back.
    let outside = std::net::SocketAddrV4::new(*CLIENT.ip(), port);
    let back = arrives(&mut middlebox, datagram(SERVER, outside, b"z")).unwrap();
    assert_eq!(back, datagram(SERVER, CLIENT, b"z"));
    // Forgotten once more, it is dead like the first.
    middlebox.disturb(Disturbance::NatRebind);
    assert_eq!(arrives(&mut middlebox, datagram(SERVER, outside, b"z")), dropped);
    let again = seen(&sent(&mut middlebox, Way::Up, datagram(CLIENT, SERVER, b"x")).0.unwrap());
    assert!(![port, of_tcp, CLIENT.port()].contains(&again));
}

#[test]
fn where_udp_is_blocked_tcp_passes() {
    let mut middlebox = Middlebox::default();
    middlebox.disturb(Disturbance::UdpBlocked);
    for (way, from, to) in [(Way::Up, CLIENT, SERVER), (Way::Down, SERVER, CLIENT)] {
        let stopped = Err(Stopped { by: "block", told: None });
        assert_eq!(middlebox.enters(way, &mut datagram(from, to, b"x"), 0), stopped);
        assert!(sent(&mut middlebox, way, segment(from, to, ack(1, 1), b"x")).0.is_some());
    }
    assert!(arrives(&mut middlebox, datagram(SERVER, CLIENT, b"under way")).is_ok());
    middlebox.disturb(Disturbance::UdpBlockedOver);
    assert!(sent(&mut middlebox, Way::Up, datagram(CLIENT, SERVER, b"x")).0.is_some());
}

/// A client behind a NAT that keeps UDP's mappings for 30 s and TCP's for an hour. What it sends, and what is sent to it, at
/// a second.
struct Kept(Middlebox);

impl Kept {
    fn new() -> Self {
        let mut middlebox = Middlebox::default();
        let [udp, tcp] = [30, 3600].map(|seconds| Some(Span::from_secs(seconds)));
        middlebox.place_nat(MappingLifetimes { udp, tcp });
        Self(middlebox)
    }

    /// The port that the server sees.
    fn speaks(&mut self, mut packet: Vec<u8>, second: u64) -> u16 {
        self.0.enters(Way::Up, &mut packet, second * SECOND).unwrap();
        assert!(is_sound(&packet));
        seen(&packet)
    }

    /// Whether it is there to be spoken to at that port.
    fn hears(&mut self, port: u16, tcp: bool, second: u64) -> bool {
        let outside = std::net::SocketAddrV4::new(*CLIENT.ip(), port);
        let mut packet = if tcp { segment(SERVER, outside, ack(1, 1), b"x") } else { datagram(SERVER, outside, b"x") };
        let arrived = self.0.arrives(&mut packet, second * SECOND);
        assert!(arrived.is_ok() || arrived == Err(Stopped { by: "nat", told: None }), "nobody is told");
        arrived.is_ok()
    }
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_nat_forgets_what_nothing_has_passed_by_for_so_long_and_nothing_else() {
    let mut kept = Kept::new();
    let quiet = kept.speaks(datagram(CLIENT, SERVER, b"x"), 0);
    assert!(kept.hears(quiet, false, 30), "to the very end");
    // What comes counts as what goes.
    assert!(kept.hears(quiet, false, 60));
    assert_eq!(kept.speaks(datagram(CLIENT, SERVER, b"x"), 90), quiet);
    assert!(!kept.hears(quiet, false, 121));
    // Nobody comes back by being spoken to, and its next word is from somebody else.
    assert!(!kept.hears(quiet, false, 122));
    let after = kept.speaks(datagram(CLIENT, SERVER, b"x"), 123);
    assert_ne!(after, quiet);
    assert!(kept.hears(after, false, 124) && !kept.hears(quiet, false, 124));
    // So it is where the client is the first to speak again.
    assert_ne!(kept.speaks(datagram(CLIENT, SERVER, b"x"), 200), after);
}

#[test]
fn a_nat_keeps_what_is_of_tcp_for_as_long_as_that_is_kept() {
    let mut kept = Kept::new();
    let (of_udp, of_tcp) = (kept.speaks(datagram(CLIENT, SERVER, b"x"), 0), kept.speaks(up(syn()), 0));
    assert!(!kept.hears(of_udp, false, 31));
    assert!(kept.hears(of_tcp, true, 31) && kept.hears(of_tcp, true, 3631) && !kept.hears(of_tcp, true, 7232));
    // In the middle of a connection, too, a word gets a mapping, which is another.
    assert_ne!(kept.speaks(up(ack(1, 1)), 7233), of_tcp);
    // Without a limit of its own nothing is forgotten.
    let mut middlebox = Middlebox::default();
    middlebox.place_nat(MappingLifetimes { udp: Some(Span::from_secs(1)), tcp: None });
    let mut kept = Kept(middlebox);
    let of_tcp = kept.speaks(up(syn()), 0);
    assert!(kept.hears(of_tcp, true, 1_000_000_000));
}

#[test]
fn a_nat_that_forgets_by_itself_forgets_all_when_it_is_told_to() {
    let mut kept = Kept::new();
    let before = kept.speaks(datagram(CLIENT, SERVER, b"x"), 0);
    kept.0.disturb(Disturbance::NatRebind);
    assert!(!kept.hears(before, false, 1));
    let after = kept.speaks(datagram(CLIENT, SERVER, b"x"), 2);
    assert!(after != before && kept.hears(after, false, 32) && !kept.hears(after, false, 63));
}

#[test]
fn a_nat_that_refuses_tells_both_ends_of_tcp_and_none_of_udp() {
    let mut middlebox = Middlebox::default();
    middlebox.disturb(Disturbance::NatReset);
    let told = Segment::of(&up(ack(10, 500))).unwrap().refusal();
    assert_eq!(middlebox.enters(Way::Up, &mut up(ack(10, 500)), 0), Err(Stopped { by: "nat", told }));
    let down = segment(SERVER, CLIENT, ack(500, 10), b"event");
    let refused = arrives(&mut middlebox, down.clone()).unwrap_err();
    assert_eq!(refused, Stopped { by: "nat", told: Segment::of(&down).unwrap().refusal() });
    assert!(is_sound(&refused.told.unwrap()));
    // UDP's next packet has another port, and nobody is told.
    assert_eq!(arrives(&mut middlebox, datagram(SERVER, CLIENT, b"x")).unwrap_err().told, None);
    assert_ne!(seen(&sent(&mut middlebox, Way::Up, datagram(CLIENT, SERVER, b"x")).0.unwrap()), CLIENT.port());
    // A connection may begin, from the very same place, and goes on.
    let begun = sent(&mut middlebox, Way::Up, up(syn())).0.unwrap();
    assert_eq!(seen(&sent(&mut middlebox, Way::Up, up(ack(2, 1))).0.unwrap()), seen(&begun));
}

#[test]
fn ports_come_round_and_whoever_had_one_loses_it() {
    let mut middlebox = Middlebox::default();
    middlebox.disturb(Disturbance::NatRebind);
    let from = |port: u16| std::net::SocketAddrV4::new(*CLIENT.ip(), port);
    let first = seen(&sent(&mut middlebox, Way::Up, datagram(from(1), SERVER, b"")).0.unwrap());
    let mut last = first;
    for port in 2..=31_745 {
        last = seen(&sent(&mut middlebox, Way::Up, datagram(from(port), SERVER, b"")).0.unwrap());
    }
    assert_eq!(last, first);
    let back = arrives(&mut middlebox, datagram(SERVER, from(first), b"")).unwrap();
    assert_eq!(Flow::of(&back).unwrap().destination.port(), 31_745);
    assert_ne!(seen(&sent(&mut middlebox, Way::Up, datagram(from(1), SERVER, b"")).0.unwrap()), first);
}

#[test]
fn a_forged_reset_reaches_both_ends_at_the_next_segment_of_either() {
    for (way, from, to) in [(Way::Up, CLIENT, SERVER), (Way::Down, SERVER, CLIENT)] {
        let mut middlebox = Middlebox::default();
        middlebox.disturb(Disturbance::Reset);
        let packet = segment(from, to, ack(70, 900), b"some data");
        let (left, told) = sent(&mut middlebox, way, packet.clone());
        let of = Segment::of(&packet).unwrap();
        assert_eq!((left, told), (of.reset(), of.refusal()));
        // Whoever has it ends by it, and that is no reason for more.
        let ends = of.reset().unwrap();
        assert_eq!(sent(&mut middlebox, way, ends.clone()), (Some(ends), None));
    }
}

#[test]
fn connections_that_begin_after_a_reset_and_datagrams_are_spared() {
    let mut middlebox = Middlebox::default();
    middlebox.disturb(Disturbance::Reset);
    for packet in [datagram(CLIENT, SERVER, b"x"), up(syn()), up(ack(2, 2))] {
        assert_eq!(sent(&mut middlebox, Way::Up, packet.clone()), (Some(packet), None));
    }
    let down = segment(SERVER, CLIENT, ack(2, 2), b"x");
    assert_eq!(sent(&mut middlebox, Way::Down, down.clone()), (Some(down), None));
}

#[test]
fn behind_a_nat_the_client_is_told_at_its_own_port() {
    let mut middlebox = Middlebox::default();
    middlebox.disturb(Disturbance::NatRebind);
    middlebox.disturb(Disturbance::Reset);
    let (left, told) = sent(&mut middlebox, Way::Up, up(ack(10, 500)));
    assert_ne!(seen(&left.unwrap()), CLIENT.port());
    let told = told.unwrap();
    assert!(is_sound(&told));
    assert_eq!(Flow::of(&told).unwrap().destination, CLIENT);
}
