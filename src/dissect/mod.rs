//! Recorded packets to what they carry: decrypted with the server's secrets, put together, and searched for events.
//!
//! Enters: packets in the order in which their senders sent them, an NSS key log, the events that were published. Leaves:
//! which packets carried each event. What must never happen here: a guess. What can't be decrypted or isn't found whole
//! is counted as that.

mod contents;
mod frames;
mod http2;
mod http3;
mod protection;
mod quic;
mod search;
mod secrets;
mod stream;
mod tcp;

pub use contents::PacketContent;
pub use search::KnownEvents;
pub use secrets::Secrets;

use std::borrow::Cow;

use contents::PacketContents;
use etherparse::{SlicedPacket, TransportSlice};

/// The places of both ends, where there is something of each.
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// A packet as its sender sent it, IP header included.
#[derive(Debug, Clone, Copy)]
pub struct DissectedPacket<'p> {
    pub from_server: bool,
    pub bytes: &'p [u8],
}

/// One event on one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Which of the known events, in their order.
    pub event: usize,
    /// Which connection, from 0 in the order in which their first packets came.
    pub connection: usize,
    /// The packets that carried a part of it, by their places, in order.
    pub packets: Vec<Carrier>,
}

/// A packet that carried a part of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrier {
    /// Its place among the packets.
    pub packet: usize,
    /// Whether an earlier one had carried the same part.
    pub again: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dissection {
    /// Every event on every stream of the server's, by connection and in the order of the stream.
    pub occurrences: Vec<Occurrence>,
    /// How many of the server's records and QUIC packets could not be decrypted.
    pub opaque: u64,
    /// What each packet carries, in the order of packets; `None`: what isn't decrypted, or neither TCP's nor UDP's.
    pub contents: Vec<Option<PacketContent>>,
}

/// Finds what the server's packets carry.
pub fn dissect(packets: &[DissectedPacket<'_>], secrets: &Secrets, events: &KnownEvents) -> Dissection {
    let mut tcp = tcp::TcpConnections::default();
    let mut quic = quic::QuicConnections::new(secrets);
    let (mut connections, mut contents) = (0, PacketContents::of(packets.len()));
    for (place, packet) in packets.iter().enumerate() {
        let Ok(sliced) = SlicedPacket::from_ip(packet.bytes) else { continue };
        let client = |source, destination| if packet.from_server { destination } else { source };
        let number = || {
            connections += 1;
            connections - 1
        };
        match sliced.transport {
            Some(TransportSlice::Tcp(segment)) => {
                let client = client(segment.source_port(), segment.destination_port());
                tcp.take(place, packet.from_server, client, &segment, number);
            }
            Some(TransportSlice::Udp(datagram)) => {
                let client = client(datagram.source_port(), datagram.destination_port());
                quic.take(place, packet.from_server, client, datagram.payload(), number, &mut contents);
            }
            _ => {}
        }
    }
    let (decrypted, broken) = tcp.decrypt(secrets, SERVER, &mut contents);
    // What clients send is counted, and not looked into.
    tcp.decrypt(secrets, CLIENT, &mut contents);
    let mut occurrences = Vec::new();
    let over_tcp = decrypted.into_iter().flat_map(|sent| http2::streams_of(&sent).unwrap_or_else(|| vec![sent]));
    let over_quic = quic.streams().map(|sent| http3::content_of(sent).map_or(Cow::Borrowed(sent), Cow::Owned));
    for stream in over_tcp.map(Cow::Owned).chain(over_quic) {
        for found in search::events_of(&stream, events) {
            for (bytes, packet) in stream.held(found.data.clone()) {
                contents.known(packet).payload += bytes.len();
            }
            occurrences.push(found.occurrence(&stream));
        }
    }
    occurrences.sort_by_key(|occurrence| (occurrence.connection, occurrence.packets.first().map(|it| it.packet)));
    Dissection { occurrences, opaque: broken + quic.opaque, contents: contents.told() }
}
