//! TCP segments to what their TLS 1.3 records hold (RFC 9293 section 3.4, RFC 8446 section 5).

use std::collections::BTreeMap;

use etherparse::TcpSlice;

use super::contents::PacketContents;
use super::protection::{SUITES, Suite, TLS, TrafficKeys};
use super::secrets::ENDS;
use super::stream::Stream;
use super::{CLIENT, SERVER, Secrets};

/// Bytes before what a record holds: its type, a version, its length.
const RECORD_HEADER: usize = 5;
/// Types of records and of what is within (RFC 8446 appendix B.1).
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Where a hello's random bytes are, counted from the beginning of its record, and where what follows them begins.
const RANDOM: std::ops::Range<usize> = 11..43;

/// Every connection, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct TcpConnections {
    all: Vec<Connection>,
    /// The one that a client's port has now.
    by_port: BTreeMap<u16, usize>,
}

#[derive(Debug, Default)]
struct Connection {
    /// What the client sent, and the server.
    halves: [Half; 2],
}

/// What one end sent.
#[derive(Debug, Default)]
struct Half {
    /// The sequence number of its first byte.
    first: Option<u32>,
    sent: Stream,
}

impl TcpConnections {
    /// Takes a segment. Its connection's number is told when it begins.
    pub(super) fn take(
        &mut self,
        place: usize,
        from_server: bool,
        client: u16,
        segment: &TcpSlice<'_>,
        number: impl FnOnce() -> usize,
    ) {
        let sequence = segment.sequence_number();
        let began = segment.syn() && !from_server && !self.is_of_newest(client, sequence);
        if began {
            self.by_port.insert(client, self.all.len());
            let mut connection = Connection::default();
            connection.halves[SERVER].sent = Stream::of(number());
            self.all.push(connection);
        }
        let Some(connection) = self.by_port.get(&client).and_then(|index| self.all.get_mut(*index)) else { return };
        let half = &mut connection.halves[usize::from(from_server)];
        if segment.syn() {
            half.first.get_or_insert(sequence.wrapping_add(1));
            return;
        }
        let Some(first) = half.first else { return };
        half.sent.take(sequence.wrapping_sub(first) as usize, segment.payload(), place);
    }

    /// Whether a SYN is that of the port's connection, sent once more.
    fn is_of_newest(&self, client: u16, sequence: u32) -> bool {
        let newest = self.by_port.get(&client).map(|index| &self.all[*index]);
        newest.is_some_and(|newest| newest.halves[CLIENT].first == Some(sequence.wrapping_add(1)))
    }

    /// What each client or server sent within TLS, and how many of its records could not be decrypted.
    pub(super) fn decrypt(&self, secrets: &Secrets, end: usize, contents: &mut PacketContents) -> (Vec<Stream>, u64) {
        let mut opaque = 0;
        let streams = self.all.iter().map(|connection| {
            let (stream, missed) = connection.decrypt(secrets, end, contents);
            opaque += missed;
            stream
        });
        (streams.collect(), opaque)
    }
}

impl Connection {
    fn decrypt(&self, secrets: &Secrets, whose: usize, contents: &mut PacketContents) -> (Stream, u64) {
        let sent = &self.halves[whose].sent;
        let mut plain = Stream::of(sent.connection);
        let mut keys = self.keys(secrets, whose);
        let (mut start, mut opaque) = (0, 0);
        while let Some(header) = sent.bytes.get(start..start + RECORD_HEADER) {
            let end = start + RECORD_HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
            let Some(sealed) = sent.bytes.get(start + RECORD_HEADER..end) else { break };
            let opened = match header[0] {
                APPLICATION_DATA => keys.as_mut().and_then(|keys| keys.open(header, sealed)),
                kind => Some((kind, Vec::new())),
            };
            for (_, packet) in sent.held(start..end) {
                match opened {
                    Some(_) => _ = contents.known(packet),
                    None => contents.opaque(packet),
                }
            }
            match opened {
                Some((APPLICATION_DATA, data)) => {
                    // What is sealed is as long as it was, and what proves that it is whole comes behind it.
                    let body = start + RECORD_HEADER;
                    let held = sent.held(body..body + data.len());
                    let held: Vec<_> = held.map(|(of, packet)| (of.start - body..of.end - body, packet)).collect();
                    for (of, packet) in &held {
                        contents.known(*packet).application += of.len();
                    }
                    plain.push(&data, &sent.carriers(&(start..end)), held.into_iter());
                }
                Some(_) => {}
                None => opaque += 1,
            }
            start = end;
        }
        (plain, opaque)
    }

    fn keys(&self, secrets: &Secrets, whose: usize) -> Option<EndKeys> {
        let random = self.halves[CLIENT].sent.bytes.get(RANDOM)?;
        let suite = suite(&self.halves[SERVER].sent.bytes)?;
        let under = |label| TrafficKeys::new(suite, &TLS, secrets.of(random, label)?);
        let labels = &ENDS[whose];
        Some(EndKeys { handshake: under(labels.handshake)?, read: 0, traffic: under(labels.traffic)?, came: 0 })
    }
}

/// The suite that a server's hello chose (RFC 8446 section 4.1.3).
fn suite(sent: &[u8]) -> Option<&'static Suite> {
    if *sent.first()? != HANDSHAKE {
        return None;
    }
    let session = usize::from(*sent.get(RANDOM.end)?);
    let number = sent.get(RANDOM.end + 1 + session..)?.first_chunk()?;
    SUITES.iter().find(|suite| suite.number == u16::from_be_bytes(*number))
}

/// What opens one end's records: under one key until its handshake ends, then under another. Each counts its own.
#[derive(Debug)]
struct EndKeys {
    handshake: TrafficKeys,
    read: u64,
    traffic: TrafficKeys,
    came: u64,
}

impl EndKeys {
    /// The type of what a record holds, and that.
    fn open(&mut self, header: &[u8], sealed: &[u8]) -> Option<(u8, Vec<u8>)> {
        let mut inner = if let Some(inner) = self.traffic.open(self.came, header, sealed) {
            self.came += 1;
            inner
        } else if let Some(inner) = self.handshake.open(self.read, header, sealed) {
            self.read += 1;
            inner
        } else {
            let next = self.traffic.next()?;
            let inner = next.open(0, header, sealed)?;
            (self.traffic, self.came) = (next, 1);
            inner
        };
        // Behind what it holds are its type and any number of zeros (section 5.2).
        let last = inner.iter().rposition(|byte| *byte != 0)?;
        let kind = inner[last];
        inner.truncate(last);
        Some((kind, inner))
    }
}
