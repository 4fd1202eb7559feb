//! UDP datagrams to what a server's QUIC packets hold (RFC 9000 section 17, RFC 9001 section 5).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ring::aead::quic::HeaderProtectionKey;

use super::contents::PacketContents;
use super::frames::{Content, FrameReader, contents, only_acknowledges};
use super::protection::{QUIC, SUITES, TrafficKeys, header_key};
use super::secrets::ENDS;
use super::stream::Stream;
use super::{CLIENT, SERVER, Secrets};

/// How many bytes are looked at to take off what protects a header, and how far behind its number's beginning.
const SAMPLE: usize = 16;
const SAMPLE_AT: usize = 4;

/// Every connection, in the order in which they began.
#[derive(Debug)]
pub(super) struct QuicConnections<'s> {
    secrets: &'s Secrets,
    all: Vec<Connection>,
    /// The one that a client's port has now.
    by_port: BTreeMap<u16, usize>,
    /// Secrets whose connections are known.
    taken: BTreeSet<&'s [u8]>,
    /// How many packets of servers could not be decrypted.
    pub(super) opaque: u64,
}

#[derive(Debug)]
struct Connection {
    number: usize,
    /// What the server goes by: what the client called it at first, and what it calls itself.
    ids: BTreeSet<Vec<u8>>,
    /// What the client sends, and the server.
    ends: [End; 2],
    /// What the server sent.
    streams: BTreeMap<u64, Stream>,
    datagrams: Vec<Stream>,
}

/// What one end sends.
#[derive(Debug, Default)]
struct End {
    /// How long the id is that the other goes by: packets with short headers don't say.
    id_length: usize,
    keys: Option<Keys>,
}

/// A packet that was opened.
struct OpenedPacket {
    /// How many bytes it carries for the other end's user.
    application: usize,
    acknowledges: bool,
}

/// What opens packets with short headers.
struct Keys {
    header: HeaderProtectionKey,
    traffic: TrafficKeys,
    /// The number of the next packet, if none is skipped.
    expected: u64,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("traffic", &self.traffic).field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// What a long header says.
struct LongHeader<'p> {
    is_initial: bool,
    /// Whether it is one of 0-RTT, under keys that are not known here.
    is_early: bool,
    /// The ids of the receiver and of the sender.
    destination: &'p [u8],
    source: &'p [u8],
    /// Where its packet ends; `None`: with the datagram.
    end: Option<usize>,
}

impl<'s> QuicConnections<'s> {
    pub(super) fn new(secrets: &'s Secrets) -> Self {
        let (all, by_port, taken) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Self { secrets, all, by_port, taken, opaque: 0 }
    }

    /// Takes a datagram. Its connection's number is told when it begins.
    pub(super) fn take(
        &mut self,
        place: usize,
        from_server: bool,
        client: u16,
        datagram: &[u8],
        number: impl FnOnce() -> usize,
        told: &mut PacketContents,
    ) {
        let (mut rest, mut number) = (datagram, Some(number));
        while let Some(first) = rest.first() {
            // Firefox fills datagrams up behind their packets, which never begin like that (RFC 9000 section 17).
            if rest.iter().all(|byte| *byte == 0) {
                return;
            }
            if first & 0x80 == 0 {
                if let Some(opened) = self.short(place, usize::from(from_server), client, rest) {
                    let content = told.known(place);
                    content.application += opened.application;
                    content.acknowledges = opened.acknowledges && rest.len() == datagram.len();
                } else {
                    told.opaque(place);
                    self.opaque += u64::from(from_server);
                }
                return;
            }
            let Some(header) = long_header(rest) else { return told.opaque(place) };
            if header.is_early {
                told.opaque(place);
            }
            // A handshake's: there is nothing for anybody's user in it.
            told.known(place);
            let known = self.by_port.get(&client).map(|index| &mut self.all[*index]);
            if from_server {
                if let Some(connection) = known {
                    connection.ends[SERVER].id_length = header.destination.len();
                    connection.ends[CLIENT].id_length = header.source.len();
                    connection.ids.insert(header.source.to_vec());
                }
            } else if header.is_initial
                && known.is_none_or(|connection| !connection.ids.contains(header.destination))
                && let Some(number) = number.take()
            {
                self.by_port.insert(client, self.all.len());
                self.all.push(Connection::new(number(), header.destination));
            }
            let Some(end) = header.end else { return };
            rest = rest.get(end..).unwrap_or_default();
        }
    }

    /// Takes a packet with a short header; `None`: it could not be decrypted, or isn't what is known here.
    fn short(&mut self, place: usize, end: usize, client: u16, packet: &[u8]) -> Option<OpenedPacket> {
        let Some(index) = self.by_port.get(&client).copied() else {
            // The client came to have another port: whoever's keys fit.
            let mut all = self.all.iter_mut().enumerate();
            let (index, opened) = all.find_map(|(index, it)| Some((index, it.open(place, end, packet)?)))?;
            self.by_port.insert(client, index);
            return Some(opened);
        };
        let connection = &mut self.all[index];
        if connection.ends[end].keys.is_some() {
            return connection.open(place, end, packet);
        }
        for secret in self.secrets.all(ENDS[end].traffic) {
            if self.taken.contains(secret) {
                continue;
            }
            for suite in &SUITES {
                let keys = header_key(suite, secret).zip(TrafficKeys::new(suite, &QUIC, secret));
                connection.ends[end].keys = keys.map(|(header, traffic)| Keys { header, traffic, expected: 0 });
                if let Some(opened) = connection.open(place, end, packet) {
                    self.taken.insert(secret);
                    return Some(opened);
                }
            }
        }
        connection.ends[end].keys = None;
        None
    }

    /// What the servers sent, each datagram by itself.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.all.iter().flat_map(|connection| connection.streams.values().chain(&connection.datagrams))
    }
}

impl Connection {
    fn new(number: usize, id: &[u8]) -> Self {
        let (ids, streams, datagrams) = ([id.to_vec()].into(), BTreeMap::new(), Vec::new());
        Self { number, ids, ends: Default::default(), streams, datagrams }
    }

    /// Opens a packet with a short header (RFC 9000 section 17.3.1) and takes what it carries.
    fn open(&mut self, place: usize, end: usize, packet: &[u8]) -> Option<OpenedPacket> {
        let End { id_length, keys } = &mut self.ends[end];
        let keys = keys.as_mut()?;
        let number_at = 1 + *id_length;
        let sample = packet.get(number_at + SAMPLE_AT..number_at + SAMPLE_AT + SAMPLE)?;
        let mask = keys.header.new_mask(sample).ok()?;
        let first = packet[0] ^ mask[0] & 0x1f;
        let length = usize::from(first & 0x03) + 1;
        let mut header = packet[..number_at + length].to_vec();
        header[0] = first;
        for (byte, mask) in header[number_at..].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
        }
        let said = header[number_at..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let number = whole_number(said, length, keys.expected);
        let sealed = &packet[number_at + length..];
        let opened = if let Some(opened) = keys.traffic.open(number, &header, sealed) {
            opened
        } else {
            let next = keys.traffic.next()?;
            let opened = next.open(number, &header, sealed)?;
            keys.traffic = next;
            opened
        };
        keys.expected = keys.expected.max(number + 1);
        let mut application = 0;
        for content in contents(&opened)? {
            let (Content::Stream { data, .. } | Content::Datagram(data)) = content;
            application += data.len();
            if end == CLIENT {
                continue;
            }
            match content {
                Content::Stream { id, offset, data } => {
                    let connection = self.number;
                    let stream = self.streams.entry(id).or_insert_with(|| Stream::of(connection));
                    if !stream.take(usize::try_from(offset).ok()?, data, place) {
                        return None;
                    }
                }
                Content::Datagram(data) => {
                    let mut datagram = Stream::of(self.number);
                    datagram.take(0, data, place);
                    self.datagrams.push(datagram);
                }
            }
        }
        Some(OpenedPacket { application, acknowledges: only_acknowledges(&opened) })
    }
}

/// The number that a packet's last bytes of it stand for, when this one is expected (RFC 9000 appendix A.3).
fn whole_number(said: u64, length: usize, expected: u64) -> u64 {
    let window = 1 << (8 * length);
    let candidate = expected & !(window - 1) | said;
    if candidate + window / 2 <= expected {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// Reads a long header (RFC 9000 section 17.2); `None`: it isn't one of version 1 or 2.
fn long_header(packet: &[u8]) -> Option<LongHeader<'_>> {
    let mut rest = FrameReader(packet);
    let first = *rest.bytes(1)?.first()?;
    let version = u32::from_be_bytes(rest.bytes(4)?.try_into().ok()?);
    // Version 2 (RFC 9369 section 3.2) counts types from another beginning.
    let kind = match version {
        1 => first >> 4 & 3,
        0x6b33_43cf => (first >> 4).wrapping_sub(1) & 3,
        _ => return None,
    };
    let mut id = || {
        let length = usize::from(*rest.bytes(1)?.first()?);
        rest.bytes(length)
    };
    let (destination, source) = (id()?, id()?);
    let (is_initial, is_early) = (kind == 0, kind == 1);
    // A Retry has neither a length nor another packet behind it.
    if kind == 3 {
        return Some(LongHeader { is_initial, is_early, destination, source, end: None });
    }
    if is_initial {
        rest.sized()?;
    }
    let length = usize::try_from(rest.number()?).ok()?;
    let end = Some(packet.len() - rest.0.len() + length);
    Some(LongHeader { is_initial, is_early, destination, source, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000 appendix A.3, and its edges.
    #[test]
    fn a_packets_number_is_the_nearest_to_the_expected_one() {
        assert_eq!(whole_number(0x9b32, 2, 0xa82f_30eb), 0xa82f_9b32);
        assert_eq!(whole_number(0x00, 1, 0xff), 0x100);
        assert_eq!(whole_number(0xff, 1, 0x100), 0xff);
        assert_eq!(whole_number(0x05, 1, 0), 5);
    }

    #[test]
    fn a_long_header_says_where_its_packet_ends() {
        let initial = [&[0xc0, 0, 0, 0, 1, 2, 9, 9, 1, 7, 3, 1, 2, 3, 4][..], &[0; 9]].concat();
        let header = long_header(&initial).unwrap();
        assert!(header.is_initial);
        assert_eq!((header.destination, header.source, header.end), (&[9, 9][..], &[7][..], Some(19)));
        assert!(long_header(&[0xc0, 0, 0, 0, 9, 0, 0]).is_none());
    }
}
