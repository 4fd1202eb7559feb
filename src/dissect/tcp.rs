//! TCP segments to what their TLS 1.3 records hold (RFC 9293 section 3.4, RFC 8446 section 5).

use std::collections::BTreeMap;

use etherparse::TcpSlice;

use super::Secrets;
use super::protection::{SUITES, Suite, TLS, TrafficKeys};
use super::secrets::{SERVER_HANDSHAKE, SERVER_TRAFFIC};
use super::stream::Stream;

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
    server: Half,
    client: Half,
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
            connection.server.sent = Stream::of(number());
            self.all.push(connection);
        }
        let Some(connection) = self.by_port.get(&client).and_then(|index| self.all.get_mut(*index)) else { return };
        let half = if from_server { &mut connection.server } else { &mut connection.client };
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
        newest.is_some_and(|newest| newest.client.first == Some(sequence.wrapping_add(1)))
    }

    /// What each server sent within TLS, and how many of its records could not be decrypted.
    pub(super) fn decrypt(&self, secrets: &Secrets) -> (Vec<Stream>, u64) {
        let mut opaque = 0;
        let streams = self.all.iter().map(|connection| {
            let (stream, missed) = connection.decrypt(secrets);
            opaque += missed;
            stream
        });
        (streams.collect(), opaque)
    }
}

impl Connection {
    fn decrypt(&self, secrets: &Secrets) -> (Stream, u64) {
        let sent = &self.server.sent;
        let mut plain = Stream::of(sent.connection);
        let mut keys = self.keys(secrets);
        let (mut start, mut opaque) = (0, 0);
        while let Some(header) = sent.bytes.get(start..start + RECORD_HEADER) {
            let end = start + RECORD_HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
            let Some(sealed) = sent.bytes.get(start + RECORD_HEADER..end) else { break };
            if header[0] == APPLICATION_DATA {
                match keys.as_mut().and_then(|keys| keys.open(header, sealed)) {
                    Some((APPLICATION_DATA, data)) => plain.push(&data, &sent.carriers(&(start..end))),
                    Some(_) => {}
                    None => opaque += 1,
                }
            }
            start = end;
        }
        (plain, opaque)
    }

    fn keys(&self, secrets: &Secrets) -> Option<ServerKeys> {
        let random = self.client.sent.bytes.get(RANDOM)?;
        let suite = suite(&self.server.sent.bytes)?;
        let under = |label| TrafficKeys::new(suite, &TLS, secrets.of(random, label)?);
        Some(ServerKeys { handshake: under(SERVER_HANDSHAKE)?, read: 0, traffic: under(SERVER_TRAFFIC)?, came: 0 })
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

/// What opens a server's records: under one key until its handshake ends, then under another. Each counts its own.
#[derive(Debug)]
struct ServerKeys {
    handshake: TrafficKeys,
    read: u64,
    traffic: TrafficKeys,
    came: u64,
}

impl ServerKeys {
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
