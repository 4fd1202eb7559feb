//! UDP datagrams to what a server's QUIC packets hold (RFC 9000 section 17, RFC 9001 section 5).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ring::aead::quic::HeaderProtectionKey;

use super::frames::{Content, Rest, contents};
use super::protection::{Opener, QUIC, SUITES, header_key};
use super::secrets::{SERVER_TRAFFIC, Secrets};
use super::stream::Stream;

/// How many bytes are looked at to take off what protects a header, and how far behind its number's beginning.
const SAMPLE: usize = 16;
const SAMPLE_AT: usize = 4;

/// Every connection, in the order in which they began.
#[derive(Debug)]
pub(super) struct Connections<'s> {
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
    /// How long the id is that the client goes by: packets with short headers don't say.
    id_length: usize,
    keys: Option<Keys>,
    streams: BTreeMap<u64, Stream>,
    datagrams: Vec<Stream>,
}

/// What opens packets with short headers.
struct Keys {
    header: HeaderProtectionKey,
    opener: Opener,
    /// The number of the next packet, if none is skipped.
    expected: u64,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("opener", &self.opener).field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// What a long header says.
struct LongHeader<'p> {
    is_initial: bool,
    /// The ids of the receiver and of the sender.
    destination: &'p [u8],
    source: &'p [u8],
    /// Where its packet ends; `None`: with the datagram.
    end: Option<usize>,
}

impl<'s> Connections<'s> {
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
    ) {
        let (mut rest, mut number) = (datagram, Some(number));
        while let Some(first) = rest.first() {
            if first & 0x80 == 0 {
                if from_server && !self.short(place, client, rest) {
                    self.opaque += 1;
                }
                return;
            }
            let Some(header) = long_header(rest) else { return };
            let known = self.by_port.get(&client).map(|index| &mut self.all[*index]);
            if from_server {
                if let Some(connection) = known {
                    connection.id_length = header.destination.len();
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

    /// Takes a packet with a short header; `false`: it could not be decrypted, or isn't what is known here.
    fn short(&mut self, place: usize, client: u16, packet: &[u8]) -> bool {
        let Some(index) = self.by_port.get(&client).copied() else {
            // The client came to have another port: whoever's keys fit.
            let Some(index) = self.all.iter_mut().position(|it| it.open(place, packet).is_some()) else { return false };
            self.by_port.insert(client, index);
            return true;
        };
        let connection = &mut self.all[index];
        if connection.keys.is_some() {
            return connection.open(place, packet).is_some();
        }
        for secret in self.secrets.all(SERVER_TRAFFIC) {
            if self.taken.contains(secret) {
                continue;
            }
            for suite in &SUITES {
                let keys = header_key(suite, secret).zip(Opener::new(suite, &QUIC, secret));
                connection.keys = keys.map(|(header, opener)| Keys { header, opener, expected: 0 });
                if connection.open(place, packet).is_some() {
                    self.taken.insert(secret);
                    return true;
                }
            }
        }
        connection.keys = None;
        false
    }

    /// What the servers sent, each datagram by itself.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.all.iter().flat_map(|connection| connection.streams.values().chain(&connection.datagrams))
    }
}

impl Connection {
    fn new(number: usize, id: &[u8]) -> Self {
        let (ids, streams, datagrams) = ([id.to_vec()].into(), BTreeMap::new(), Vec::new());
        Self { number, ids, id_length: 0, keys: None, streams, datagrams }
    }

    /// Opens a packet with a short header (RFC 9000 section 17.3.1) and takes what it carries.
    fn open(&mut self, place: usize, packet: &[u8]) -> Option<()> {
        let keys = self.keys.as_mut()?;
        let number_at = 1 + self.id_length;
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
        let opened = match keys.opener.open(number, &header, sealed) {
            Some(opened) => opened,
            None => {
                let next = keys.opener.next()?;
                let opened = next.open(number, &header, sealed)?;
                keys.opener = next;
                opened
            }
        };
        keys.expected = keys.expected.max(number + 1);
        for content in contents(&opened)? {
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
        Some(())
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
    let mut rest = Rest(packet);
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
    let is_initial = kind == 0;
    // A Retry has neither a length nor another packet behind it.
    if kind == 3 {
        return Some(LongHeader { is_initial, destination, source, end: None });
    }
    if is_initial {
        rest.sized()?;
    }
    let length = usize::try_from(rest.number()?).ok()?;
    let end = Some(packet.len() - rest.0.len() + length);
    Some(LongHeader { is_initial, destination, source, end })
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
