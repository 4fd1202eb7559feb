//! Sessions: QUIC streams and datagrams between a client and a server, at either end. A WebTransport session on
//! HTTP/3 (draft-ietf-webtrans-http3) shares its connection with other exchanges; a raw QUIC session is its
//! connection.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::{Mutex, mpsc, watch};

/// How many streams, and how many datagrams, wait for whoever reads the session; more are refused and counted.
pub const MAX_WAITING: usize = 256;
/// How long the words may be that a session ends with, in bytes.
pub const MAX_REASON_BYTES: usize = 1024;

/// The first of the codes that a WebTransport application gives a stream.
const WEBTRANSPORT_CODES: u64 = 0x52e4_a40f_a8db;

/// Why something in a session failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The session, or its connection, has ended.
    #[error("the session has ended: {0}")]
    Ended(Ended),
    /// A datagram is longer than the path takes.
    #[error("a datagram of {length} bytes is longer than the {most} that the path takes")]
    TooLong {
        length: usize,
        /// The most there can be.
        most: usize,
    },
    #[error("the peer takes no datagrams")]
    NoDatagrams,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// The application's code; 0 where nobody gave one.
    pub code: u32,
    /// The application's words, at most [`MAX_REASON_BYTES`].
    pub reason: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reason.as_str() {
            "" => write!(f, "code {}", self.code),
            reason => write!(f, "code {}, {reason}", self.code),
        }
    }
}

/// One end of a session; clones share it. The session ends when the last of them is dropped.
#[derive(Debug, Clone)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    quic: quinn::Connection,
    /// What every stream of ours begins with, by kind: the stream type (or signal value) and the session's id;
    /// empty on raw QUIC.
    uni_prefix: Bytes,
    bi_prefix: Bytes,
    /// What every datagram begins with: the quarter stream id (RFC 9297 section 2.1); empty on raw QUIC.
    datagram_prefix: Bytes,
    incoming: Mutex<mpsc::Receiver<RecvStream>>,
    incoming_bi: Mutex<mpsc::Receiver<(SendStream, RecvStream)>>,
    datagrams: Mutex<mpsc::Receiver<Bytes>>,
    /// Says how this end wants it ended.
    ending: watch::Sender<Option<Ended>>,
    ended: watch::Receiver<Option<Ended>>,
}

/// What the wire keeps of a session that it made: it feeds it, and sees it end.
#[derive(Debug)]
pub(in crate::wire) struct SessionDriver {
    pub(in crate::wire) uni: mpsc::Sender<RecvStream>,
    pub(in crate::wire) bi: mpsc::Sender<(SendStream, RecvStream)>,
    pub(in crate::wire) datagrams: mpsc::Sender<Bytes>,
    /// How the session's user wants it ended; its sender is gone when the last user is.
    pub(in crate::wire) ending: watch::Receiver<Option<Ended>>,
    /// To say that it has ended.
    pub(in crate::wire) ended: watch::Sender<Option<Ended>>,
}

/// What every stream and datagram of a session begins with; all empty on raw QUIC.
#[derive(Debug, Clone, Default)]
pub(in crate::wire) struct Prefixes {
    pub(in crate::wire) uni: Bytes,
    pub(in crate::wire) bi: Bytes,
    pub(in crate::wire) datagram: Bytes,
}

impl Session {
    /// A session on this connection, and what drives it.
    pub(in crate::wire) fn new(quic: quinn::Connection, prefixes: Prefixes) -> (Self, SessionDriver) {
        let (uni, incoming) = mpsc::channel(MAX_WAITING);
        let (bi, incoming_bi) = mpsc::channel(MAX_WAITING);
        let (datagrams_sender, datagrams) = mpsc::channel(MAX_WAITING);
        let (ending_sender, ending) = watch::channel(None);
        let (ended, ended_receiver) = watch::channel(None);
        let inner = Inner {
            quic,
            uni_prefix: prefixes.uni,
            bi_prefix: prefixes.bi,
            datagram_prefix: prefixes.datagram,
            incoming: Mutex::new(incoming),
            incoming_bi: Mutex::new(incoming_bi),
            datagrams: Mutex::new(datagrams),
            ending: ending_sender,
            ended: ended_receiver,
        };
        (Self(Arc::new(inner)), SessionDriver { uni, bi, datagrams: datagrams_sender, ending, ended })
    }

    /// Opens a stream that only this end writes; waits for the peer's credit.
    pub async fn open_uni(&self) -> Result<SendStream, SessionError> {
        let opened = async {
            let mut stream = self.0.quic.open_uni().await.ok()?;
            stream.write_all(&self.0.uni_prefix).await.ok()?;
            Some(stream)
        };
        self.unless_ended(opened).await
    }

    /// Opens a stream that both ends write; waits for the peer's credit.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), SessionError> {
        let opened = async {
            let (mut send, recv) = self.0.quic.open_bi().await.ok()?;
            send.write_all(&self.0.bi_prefix).await.ok()?;
            Some((send, recv))
        };
        self.unless_ended(opened).await
    }

    /// The next stream that only the peer writes.
    pub async fn accept_uni(&self) -> Result<RecvStream, SessionError> {
        let mut incoming = self.0.incoming.lock().await;
        self.unless_ended(incoming.recv()).await
    }

    /// The next stream that the peer opened for both.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), SessionError> {
        let mut incoming = self.0.incoming_bi.lock().await;
        self.unless_ended(incoming.recv()).await
    }

    /// The next datagram.
    pub async fn datagram(&self) -> Result<Bytes, SessionError> {
        let mut datagrams = self.0.datagrams.lock().await;
        self.unless_ended(datagrams.recv()).await
    }

    /// How long a datagram may be now; none where the peer takes none.
    pub fn max_datagram(&self) -> Option<usize> {
        self.0.quic.max_datagram_size()?.checked_sub(self.0.datagram_prefix.len())
    }

    /// Sends a datagram. Where the connection can't send as fast, the oldest that wait are dropped.
    pub fn send_datagram(&self, data: &[u8]) -> Result<(), SessionError> {
        self.0.quic.send_datagram(self.whole(data)).map_err(|error| self.not_sent(&error, data.len()))
    }

    /// Sends a datagram once there is room for it, so that none is dropped at this end.
    pub async fn send_datagram_in_turn(&self, data: &[u8]) -> Result<(), SessionError> {
        let sent = self.0.quic.send_datagram_wait(self.whole(data)).await;
        sent.map_err(|error| self.not_sent(&error, data.len()))
    }

    fn whole(&self, data: &[u8]) -> Bytes {
        let mut whole = BytesMut::with_capacity(self.0.datagram_prefix.len() + data.len());
        whole.extend_from_slice(&self.0.datagram_prefix);
        whole.extend_from_slice(data);
        whole.freeze()
    }

    fn not_sent(&self, error: &quinn::SendDatagramError, length: usize) -> SessionError {
        match error {
            quinn::SendDatagramError::TooLarge => {
                SessionError::TooLong { length, most: self.max_datagram().unwrap_or(0) }
            }
            quinn::SendDatagramError::ConnectionLost(_) => SessionError::Ended(self.how()),
            quinn::SendDatagramError::UnsupportedByPeer | quinn::SendDatagramError::Disabled => {
                SessionError::NoDatagrams
            }
        }
    }

    /// The code that a stream of this session is reset or stopped with, for an application's code. On WebTransport
    /// those have a range of their own among HTTP/3's (draft-ietf-webtrans-http3, "resetting data streams").
    pub fn stream_code(&self, code: u32) -> VarInt {
        if self.0.uni_prefix.is_empty() {
            return VarInt::from_u32(code);
        }
        let code = u64::from(code);
        // Every 0x1f-th code is reserved (RFC 9114 section 8.1).
        VarInt::from_u64(WEBTRANSPORT_CODES + code + code / 0x1e).unwrap_or(VarInt::MAX)
    }

    /// Ends the session, and waits until it has.
    pub async fn close(&self, code: u32, reason: &str) {
        let ended = Ended { code, reason: reason.to_owned() };
        self.0.ending.send_if_modified(|ending| {
            let first = ending.is_none();
            ending.get_or_insert(ended);
            first
        });
        self.ended().await;
    }

    /// Waits until it has ended, and says how.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.0.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_default(),
            // Its driver is gone, and with it the connection.
            Err(_) => self.lost(),
        }
    }

    async fn unless_ended<T>(&self, wanted: impl Future<Output = Option<T>>) -> Result<T, SessionError> {
        tokio::select! {
            biased;
            Some(got) = wanted => Ok(got),
            ended = self.ended() => Err(SessionError::Ended(ended)),
        }
    }

    fn how(&self) -> Ended {
        self.0.ended.borrow().clone().unwrap_or_else(|| self.lost())
    }

    fn lost(&self) -> Ended {
        let reason = self.0.quic.close_reason().map_or_else(|| "the connection is gone".to_owned(), |e| e.to_string());
        Ended { code: 0, reason }
    }
}

/// A QUIC variable-length integer (RFC 9000 section 16), written after what is there.
pub(in crate::wire) fn put_varint(out: &mut BytesMut, value: VarInt) {
    let value = value.into_inner();
    let (length, mark) = match value {
        0..=0x3f => (1, 0),
        0x40..=0x3fff => (2, 0x40),
        0x4000..=0x3fff_ffff => (4, 0x80),
        _ => (8, 0xc0),
    };
    let mut bytes = value.to_be_bytes();
    let start = bytes.len() - length;
    bytes[start] |= mark;
    out.extend_from_slice(&bytes[start..]);
}
