//! The WebTransport sessions of one connection: which stream and which datagram belongs to whom, at either end.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, SetOnce, mpsc};

use crate::trial::{Dialects, ServerFact};
use crate::wire::h3::codec::settings::{self, MAX_SESSIONS};
use crate::wire::h3::frames::{BI, UNI};
use crate::wire::h3::frames::{H3_ID_ERROR, varint};
use crate::wire::quic::session::{Prefixes, put_varint};
use crate::wire::{Bound, Sink};

/// How many streams, and how many datagrams, of a connection wait for sessions that aren't open yet; more are refused
/// and counted.
pub(in crate::wire) const MAX_PARKED_STREAMS: usize = 16;
/// The same at a client, which asked for them: a server's first stream may overtake its answer, in each session.
const MAX_PARKED_AT_CLIENT: usize = MAX_SESSIONS;
pub(in crate::wire) const MAX_PARKED_DATAGRAMS: usize = 64;
/// A stream that can't wait for its session; one whose session is gone; a datagram that can't be read (section 8 of
/// the draft, RFC 9297 section 5.2).
const BUFFERED_STREAM_REJECTED: VarInt = VarInt::from_u32(0x3994_bd84);
const SESSION_GONE: VarInt = VarInt::from_u32(0x170d_7b68);
const H3_DATAGRAM_ERROR: VarInt = VarInt::from_u32(0x33);

/// A stream of a session.
pub(in crate::wire) enum SessionStream {
    Uni(RecvStream),
    Bi(SendStream, RecvStream),
}

impl SessionStream {
    fn refuse(self, code: VarInt) {
        // What is closed already needs none.
        match self {
            Self::Uni(mut recv) => drop(recv.stop(code)),
            Self::Bi(mut send, mut recv) => {
                let _ = send.reset(code);
                let _ = recv.stop(code);
            }
        }
    }
}

/// Where a session takes what comes for it.
#[derive(Debug)]
pub(in crate::wire) struct SessionQueues {
    pub(in crate::wire) uni: mpsc::Sender<RecvStream>,
    pub(in crate::wire) bi: mpsc::Sender<(SendStream, RecvStream)>,
    pub(in crate::wire) datagrams: mpsc::Sender<Bytes>,
}

/// All sessions of a connection.
pub(in crate::wire) struct Sessions {
    table: Mutex<Table>,
    /// Says that there is a session, and so datagrams.
    begun: Notify,
    /// How many streams may wait for sessions that aren't open yet.
    parking: usize,
    /// How many requests' streams QUIC lets a client have at once.
    streams: u64,
    /// What the peer's SETTINGS say, once they have come.
    peer: SetOnce<PeerSettings>,
    /// The stream that the peer's GOAWAY names; the largest number that there is: none has come.
    leaving: AtomicU64,
    /// A server's: where bounds that are reached are told of.
    sink: Option<Sink<ServerFact>>,
    bounds: [Bound; 5],
}

struct PeerSettings {
    /// The dialects that they name.
    dialects: Dialects,
    /// At a client, all of them as ids and values.
    all: Box<[(u64, u64)]>,
}

struct Table {
    /// One entry per stream of a request from when it begins until it is known to open no session, or the session
    /// ends; and per session that streams came for before its request.
    slots: HashMap<u64, Slot>,
    /// The id of the next request's stream; those below without an entry are gone.
    next: u64,
    sessions: usize,
    parked_streams: usize,
    parked_datagrams: usize,
}

enum Slot {
    Waiting { streams: Vec<SessionStream>, datagrams: Vec<Bytes> },
    Open(SessionQueues),
}

impl Default for Slot {
    fn default() -> Self {
        Self::Waiting { streams: Vec::new(), datagrams: Vec::new() }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

/// What a connection may be too much of.
fn bounds() -> [Bound; 5] {
    ["sessions", "parked-streams", "session-streams", "parked-datagrams", "session-datagrams"].map(Bound::of_floods)
}

impl Sessions {
    /// Of a server's connection, which lets its client have so many streams at once.
    pub(in crate::wire) fn of_server(sink: Sink<ServerFact>, streams: u32) -> Arc<Self> {
        let (table, parking, streams) = (Table::from(0), MAX_PARKED_STREAMS, streams.into());
        Arc::new(Self {
            table,
            begun: Notify::new(),
            parking,
            streams,
            peer: SetOnce::new(),
            leaving: AtomicU64::new(u64::MAX),
            sink: Some(sink),
            bounds: bounds(),
        })
    }

    /// Of a client's connection, which knows all its own requests.
    pub(in crate::wire) fn of_client() -> Arc<Self> {
        let (table, parking, streams) = (Table::from(u64::MAX), MAX_PARKED_AT_CLIENT, u64::MAX);
        Arc::new(Self {
            table,
            begun: Notify::new(),
            parking,
            streams,
            peer: SetOnce::new(),
            leaving: AtomicU64::new(u64::MAX),
            sink: None,
            bounds: bounds(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer's SETTINGS have come.
    pub(in crate::wire) fn peer_says(&self, payload: &[u8]) {
        let all = if self.sink.is_none() { settings::pairs(payload) } else { Vec::new() };
        // They come once.
        let _ = self.peer.set(PeerSettings { dialects: settings::dialects(payload), all: all.into() });
    }

    /// The peer has said GOAWAY, and named this stream.
    pub(in crate::wire) fn peer_leaves(&self, id: u64) {
        self.leaving.store(id, Ordering::Release);
    }

    /// The stream that a server's GOAWAY names, if there was any (RFC 9114 section 5.2).
    pub(in crate::wire) fn leaving(&self) -> Option<u64> {
        Some(self.leaving.load(Ordering::Acquire)).filter(|id| *id != u64::MAX)
    }

    /// The id of the next request's stream.
    pub(in crate::wire) fn next(&self) -> u64 {
        self.table().next
    }

    /// The dialects that the peer's SETTINGS name; waits for them.
    pub(in crate::wire) async fn peer(&self) -> Dialects {
        self.peer.wait().await.dialects
    }

    /// All that a server's SETTINGS say, as ids and values; waits for them.
    pub(in crate::wire) async fn settings(&self) -> Vec<(u64, u64)> {
        self.peer.wait().await.all.to_vec()
    }

    /// A request's stream has begun; it may open a session.
    pub(in crate::wire) fn begins(&self, id: u64) {
        let mut table = self.table();
        table.slots.entry(id).or_default();
        table.next = table.next.max(id.saturating_add(4));
    }

    /// It opens none, or the session has ended.
    pub(in crate::wire) fn ends(&self, id: u64) {
        let slot = self.table().remove(id);
        if let Some(Slot::Waiting { streams, .. }) = slot {
            for stream in streams {
                stream.refuse(BUFFERED_STREAM_REJECTED);
            }
        }
    }

    /// Counts another session, if there is room for it; that there is none is counted too.
    pub(in crate::wire) fn count(&self) -> bool {
        let room = {
            let mut table = self.table();
            let room = table.sessions < MAX_SESSIONS;
            table.sessions += usize::from(room);
            room
        };
        if !room {
            self.refused("sessions");
        }
        room
    }

    /// A session that was counted is over.
    pub(in crate::wire) fn discount(&self) {
        self.table().sessions -= 1;
    }

    /// The session is open: it is given what waits for it, and all that comes.
    pub(in crate::wire) fn opens(&self, id: u64, feeds: SessionQueues) {
        let waiting = {
            let mut table = self.table();
            let waiting = table.remove(id);
            table.slots.insert(id, Slot::Open(feeds));
            waiting
        };
        self.begun.notify_one();
        if let Some(Slot::Waiting { streams, datagrams }) = waiting {
            for stream in streams {
                self.stream(id, stream);
            }
            for datagram in datagrams {
                self.deliver(id, datagram);
            }
        }
    }

    /// Gives a stream to its session, or lets it wait for it. An id that can't be one's: the code to close with.
    pub(in crate::wire) fn arrives(&self, id: u64, stream: SessionStream) -> Result<(), VarInt> {
        // Sessions are numbered by clients' bidirectional streams (RFC 9000 section 2.1).
        if !id.is_multiple_of(4) || !self.can_be(id) {
            return Err(H3_ID_ERROR);
        }
        self.stream(id, stream);
        Ok(())
    }

    /// Whether a client can have opened this request's stream, of which it may not have told yet: credit is given for
    /// as many as have begun, and so many more.
    fn can_be(&self, id: u64) -> bool {
        id / 4 < (self.table().next / 4).saturating_add(self.streams)
    }

    fn stream(&self, id: u64, stream: SessionStream) {
        let mut table = self.table();
        let mut parked = table.parked_streams;
        let Some(slot) = table.slot(id) else {
            drop(table);
            return stream.refuse(SESSION_GONE);
        };
        let back = match slot {
            Slot::Waiting { .. } if parked >= self.parking => Some((stream, "parked-streams")),
            Slot::Waiting { streams, .. } => {
                streams.push(stream);
                parked += 1;
                None
            }
            Slot::Open(feeds) => match stream {
                SessionStream::Uni(recv) => {
                    feeds.uni.try_send(recv).err().map(|error| SessionStream::Uni(error.into_inner()))
                }
                SessionStream::Bi(send, recv) => feeds.bi.try_send((send, recv)).err().map(|error| {
                    let (send, recv) = error.into_inner();
                    SessionStream::Bi(send, recv)
                }),
            }
            .map(|stream| (stream, "session-streams")),
        };
        table.parked_streams = parked;
        table.forget_if_empty(id);
        drop(table);
        if let Some((stream, bound)) = back {
            stream.refuse(BUFFERED_STREAM_REJECTED);
            self.refused(bound);
        }
    }

    fn deliver(&self, id: u64, data: Bytes) {
        let mut table = self.table();
        // For a session that is gone: it came too late, as datagrams may.
        let mut parked = table.parked_datagrams;
        let Some(slot) = table.slot(id) else { return };
        let bound = match slot {
            Slot::Waiting { .. } if parked >= MAX_PARKED_DATAGRAMS => Some("parked-datagrams"),
            Slot::Waiting { datagrams, .. } => {
                datagrams.push(data);
                parked += 1;
                None
            }
            Slot::Open(feeds) => {
                let full = matches!(feeds.datagrams.try_send(data), Err(TrySendError::Full(_)));
                full.then_some("session-datagrams")
            }
        };
        table.parked_datagrams = parked;
        table.forget_if_empty(id);
        drop(table);
        if let Some(bound) = bound {
            self.refused(bound);
        }
    }

    /// Reads the connection's datagrams for as long as it lives, from the first session on. Before that QUIC keeps
    /// them, and drops the oldest.
    pub(in crate::wire) async fn read_datagrams(&self, quic: &quinn::Connection) {
        self.begun.notified().await;
        while let Ok(mut datagram) = quic.read_datagram().await {
            // RFC 9297 section 2.1: the quarter stream id comes first.
            let Some((quarter, length)) = varint(&datagram).filter(|(quarter, _)| *quarter < 1 << 60) else {
                quic.close(H3_DATAGRAM_ERROR, b"no quarter stream id");
                return;
            };
            if !self.can_be(quarter * 4) {
                quic.close(H3_ID_ERROR, b"no stream has such an id");
                return;
            }
            self.deliver(quarter * 4, datagram.split_off(length));
        }
    }

    /// Counts what was refused.
    fn refused(&self, bound: &str) {
        if let Some(sink) = &self.sink {
            Bound::reached_of(&self.bounds, bound, sink);
        }
    }
}

impl Table {
    fn from(next: u64) -> Mutex<Self> {
        let slots = HashMap::new();
        Mutex::new(Self { slots, next, sessions: 0, parked_streams: 0, parked_datagrams: 0 })
    }

    /// The entry of a session that is, or may yet be.
    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        if id >= self.next {
            return Some(self.slots.entry(id).or_default());
        }
        self.slots.get_mut(&id)
    }

    fn remove(&mut self, id: u64) -> Option<Slot> {
        let slot = self.slots.remove(&id)?;
        if let Slot::Waiting { streams, datagrams } = &slot {
            self.parked_streams -= streams.len();
            self.parked_datagrams -= datagrams.len();
        }
        Some(slot)
    }

    /// Keeps no entry for a session that may yet be when nothing waits for it.
    fn forget_if_empty(&mut self, id: u64) {
        let empty = matches!(
            self.slots.get(&id),
            Some(Slot::Waiting { streams, datagrams }) if streams.is_empty() && datagrams.is_empty()
        );
        if empty && id >= self.next {
            self.slots.remove(&id);
        }
    }
}

/// What the streams and datagrams of this session begin with.
pub(in crate::wire) fn prefixes(id: VarInt) -> Prefixes {
    let begin = |kind: u64| {
        let mut bytes = BytesMut::new();
        put_varint(&mut bytes, VarInt::from_u64(kind).unwrap_or(VarInt::MAX));
        put_varint(&mut bytes, id);
        bytes.freeze()
    };
    let mut datagram = BytesMut::new();
    put_varint(&mut datagram, VarInt::from_u64(id.into_inner() / 4).unwrap_or(VarInt::MAX));
    Prefixes { uni: begin(UNI), bi: begin(BI), datagram: datagram.freeze() }
}
