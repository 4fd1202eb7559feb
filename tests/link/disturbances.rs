//! What happens on a link while real sockets are on it: whom the server sees then, and what the ends are told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use transport_lab::link::{CLIENT, Conditions, Disturbance, Link, LinkReport, MappingLifetimes, SERVER};
use transport_lab::units::Span;

use crate::can_link;

/// How long an end waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn link(conditions: &Conditions) -> Link {
    Link::start(conditions, conditions, 1, &[]).unwrap()
}

/// A socket of UDP at each end; the client's is bound to no address, as those of QUIC are.
fn datagrams(link: &Link) -> (UdpSocket, UdpSocket) {
    let server = link.server.within(|| UdpSocket::bind((SERVER, 0)).unwrap()).unwrap();
    let client = link.client.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap()).unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (server, client)
}

/// A connection of TCP that both ends have used.
fn connection(link: &Link) -> (TcpListener, TcpStream, TcpStream) {
    let listener = link.server.within(|| TcpListener::bind((SERVER, 0)).unwrap()).unwrap();
    let to = listener.local_addr().unwrap();
    let mut client = link.client.within(|| TcpStream::connect(to).unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    say(&mut client, &mut server);
    say(&mut server, &mut client);
    (listener, server, client)
}

/// One word from one end to the other.
fn say(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"word").unwrap();
    let mut word = [0; 4];
    to.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"word");
}

/// Waits until a read fails, and says how.
fn broken(stream: &mut TcpStream) -> ErrorKind {
    loop {
        match stream.read(&mut [0; 4]) {
            Ok(0) => panic!("it ended in peace"),
            Ok(_) => {}
            Err(error) => return error.kind(),
        }
    }
}

fn ask(client: &UdpSocket, server: &UdpSocket) -> SocketAddr {
    client.send_to(b"ask", server.local_addr().unwrap()).unwrap();
    let (_, from) = server.recv_from(&mut [0; 9]).unwrap();
    from
}

fn counted(report: &LinkReport) -> [(u64, u64); 2] {
    let all = report.marks.last().unwrap();
    [&all.up, &all.down].map(|way| (way.dropped.values().sum(), way.told))
}

#[test]
fn in_a_blackout_nothing_passes_and_afterwards_tcp_goes_on_where_it_was() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions::default());
    let (_listener, mut server, mut client) = connection(&link);
    link.disturb(Disturbance::Blackout);
    server.write_all(b"word").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(client.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
    link.disturb(Disturbance::BlackoutOver);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    say(&mut client, &mut server);
    let [_, (dropped, told)] = counted(&link.finish().unwrap());
    assert!(dropped >= 1 && told == 0);
}

#[test]
fn where_udp_is_blocked_datagrams_are_lost_and_tcp_goes_on() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions::default());
    let (_listener, mut server, mut client) = connection(&link);
    let (of_server, of_client) = datagrams(&link);
    let from = ask(&of_client, &of_server);
    link.disturb(Disturbance::UdpBlocked);
    of_server.send_to(b"lost", from).unwrap();
    say(&mut server, &mut client);
    say(&mut client, &mut server);
    link.disturb(Disturbance::UdpBlockedOver);
    assert_eq!(ask(&of_client, &of_server), from);
    assert_eq!(counted(&link.finish().unwrap()), [(0, 0), (1, 0)]);
}

#[test]
fn a_nat_that_forgets_by_itself_gives_a_client_that_was_silent_another_port_and_one_of_tcp_not() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions::default());
    let kept = std::time::Duration::from_millis(300);
    link.place_nat(MappingLifetimes { udp: Some(Span::from_millis(300)), tcp: None });
    let (_listener, mut server, mut client) = connection(&link);
    let (of_server, of_client) = datagrams(&link);
    let before = ask(&of_client, &of_server);
    std::thread::sleep(2 * kept);
    of_server.send_to(b"lost", before).unwrap();
    say(&mut server, &mut client);
    let after = ask(&of_client, &of_server);
    assert_ne!(after.port(), before.port());
    assert_eq!(counted(&link.finish().unwrap()), [(0, 0), (1, 0)]);
}

#[test]
fn after_a_nat_forgot_the_server_sees_a_client_at_another_port_and_can_answer_it() {
    if !can_link() {
        return;
    }
    for forgets in [Disturbance::NatRebind, Disturbance::NatReset] {
        let link = link(&Conditions::default());
        let (server, client) = datagrams(&link);
        let before = ask(&client, &server);
        link.disturb(forgets);
        // For the old port nobody is there any more.
        server.send_to(b"lost", before).unwrap();
        let after = ask(&client, &server);
        assert_eq!(before.ip(), after.ip());
        assert_ne!(before.port(), after.port());
        server.send_to(b"found", after).unwrap();
        let mut answer = [0; 9];
        let (bytes, _) = client.recv_from(&mut answer).unwrap();
        assert_eq!(&answer[..bytes], b"found");
        assert_eq!(counted(&link.finish().unwrap()), [(0, 0), (1, 0)], "{forgets:?}");
    }
}

#[test]
fn a_tcp_client_is_told_by_the_servers_kernel_once_it_speaks_through_a_nat_that_forgot() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions::default());
    let (_listener, mut server, mut client) = connection(&link);
    link.disturb(Disturbance::NatRebind);
    client.write_all(b"word").unwrap();
    assert_eq!(broken(&mut client), ErrorKind::ConnectionReset);
    // The server isn't: what it sends is dropped in silence.
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    server.write_all(b"word").unwrap();
    assert_eq!(server.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let [up, (dropped, told)] = counted(&link.finish().unwrap());
    assert_eq!((up, told), ((0, 0), 0));
    assert!(dropped >= 1);
}

#[test]
fn a_nat_that_refuses_resets_whichever_end_speaks() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions::default());
    let (listener, mut server, mut client) = connection(&link);
    link.disturb(Disturbance::NatReset);
    server.write_all(b"word").unwrap();
    assert_eq!(broken(&mut server), ErrorKind::ConnectionReset);
    client.write_all(b"word").unwrap();
    assert_eq!(broken(&mut client), ErrorKind::ConnectionReset);
    // A new connection is let through.
    let to = listener.local_addr().unwrap();
    let mut again = link.client.within(|| TcpStream::connect(to).unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    say(&mut again, &mut accepted);
    say(&mut accepted, &mut again);
    assert!(counted(&link.finish().unwrap()).iter().all(|(_, told)| *told >= 1));
}

#[test]
fn a_forged_reset_ends_a_connection_at_both_ends_and_not_the_next_one() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions::default());
    let (listener, mut server, mut client) = connection(&link);
    let (at_server, at_client) = datagrams(&link);
    link.disturb(Disturbance::Reset);
    server.write_all(b"word").unwrap();
    assert_eq!(broken(&mut client), ErrorKind::ConnectionReset);
    assert_eq!(broken(&mut server), ErrorKind::ConnectionReset);
    let to = listener.local_addr().unwrap();
    let mut again = link.client.within(|| TcpStream::connect(to).unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    say(&mut accepted, &mut again);
    ask(&at_client, &at_server);
}

#[test]
fn a_client_that_moved_is_at_another_address_and_its_connections_find_nobody() {
    if !can_link() {
        return;
    }
    let mut link = link(&Conditions::default());
    let (_listener, mut server, mut client) = connection(&link);
    let (at_server, at_client) = datagrams(&link);
    assert_eq!(ask(&at_client, &at_server).ip(), CLIENT);
    for times in 1..=4 {
        link.move_client().unwrap();
        // By the way that loopback takes too, which is how browsers come.
        let from = ask(&at_client, &at_server);
        assert_eq!(from.ip() == CLIENT, times == 4, "{from}: of four addresses it has the first again");
        let local = link.server.within(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).unwrap();
        local.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(ask(&at_client, &local).ip(), from.ip());
        if times == 1 {
            server.write_all(b"word").unwrap();
            client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            assert_eq!(client.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    }
}

#[test]
fn nothing_of_udp_passes_where_it_is_blocked() {
    if !can_link() {
        return;
    }
    let conditions = Conditions { block: Some(etherparse::ip_number::UDP), ..Conditions::default() };
    let link = link(&conditions);
    let (server, client) = datagrams(&link);
    client.send_to(b"ask", server.local_addr().unwrap()).unwrap();
    let _ = connection(&link);
    let report = link.finish().unwrap();
    assert_eq!(report.marks.last().unwrap().up.dropped, [("block", 1)].into());
}

#[test]
fn a_kernel_that_is_told_how_long_a_packet_may_be_sends_shorter_ones() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions { mtu: Some(1000), ..Conditions::default() });
    let (_listener, mut server, mut client) = connection(&link);
    let writing = std::thread::spawn(move || server.write_all(&vec![7; 50_000]).map(|()| server));
    client.read_exact(&mut vec![0; 50_000]).unwrap();
    drop((client, writing.join().unwrap().unwrap()));
    let report = link.finish().unwrap();
    let down = &report.marks.last().unwrap().down;
    assert!(down.told >= 1 && down.told == down.dropped["mtu"], "{down:?}");
    // Those that were dropped were longer, and no longer than the device takes.
    assert!(down.bytes - 1500 * down.told <= 1000 * (down.packets - down.told), "{down:?}");
}

#[test]
fn in_a_black_hole_tcp_stands_still_and_a_datagram_that_fits_passes() {
    if !can_link() {
        return;
    }
    let link = link(&Conditions { mtu: Some(1000), mtu_silent: true, ..Conditions::default() });
    let (_listener, mut server, mut client) = connection(&link);
    server.set_nonblocking(true).unwrap();
    server.write_all(&[7; 5000]).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    // What is longer never comes, and so nothing behind it does; a last, shorter one may.
    assert!(client.read_exact(&mut [0; 5000]).is_err());
    let (at_server, at_client) = datagrams(&link);
    at_client.send_to(&[1; 973], at_server.local_addr().unwrap()).unwrap();
    at_client.send_to(&[2; 972], at_server.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 1000];
    let (bytes, _) = at_server.recv_from(&mut buffer).unwrap();
    assert_eq!((bytes, buffer[0]), (972, 2));
    let report = link.finish().unwrap();
    let all = report.marks.last().unwrap();
    assert_eq!((all.up.dropped["mtu"], all.up.told, all.down.told), (1, 0, 0));
}
