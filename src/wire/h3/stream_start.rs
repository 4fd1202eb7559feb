//! The beginning of a stream that the peer opens: it says whose the stream is before `h3` sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;

use crate::wire::h3::codec::filter::{Filter, FilteredStream};
use crate::wire::h3::codec::section::{self, ConnectProtocol, Header, SectionError};
use crate::wire::h3::critical;
use crate::wire::h3::frames::{BI, UNI};
use crate::wire::h3::frames::{
    CONTROL, FrameError, H3_EXCESSIVE_LOAD, H3_FRAME_ERROR, H3_FRAME_UNEXPECTED, H3_ID_ERROR, H3_REQUEST_CANCELLED,
    H3_REQUEST_INCOMPLETE, H3_STREAM_CREATION_ERROR, HEADERS, Head, PUSH, QPACK_DECODER, QPACK_ENCODER, is_known,
    read_head, read_more, read_varint,
};
use crate::wire::h3::sessions::{SessionStream, Sessions};
use crate::wire::{HANDSHAKE_TIMEOUT, MAX_HEADER_BYTES};

/// How long a HEADERS frame may be; one that is longer than a header may be and no longer than this is left to `h3`
/// to be answered 431.
const MAX_HEADERS_FRAME_BYTES: u64 = 8 * MAX_HEADER_BYTES as u64;
/// How much of frames that mean nothing may come before a request, in bytes.
const MAX_SKIPPED_BYTES: u64 = 4096;

/// An extended CONNECT (RFC 9220), taken out of `h3`'s hands.
#[derive(Debug)]
pub(in crate::wire) struct Connect {
    pub(in crate::wire) send: SendStream,
    pub(in crate::wire) recv: RecvStream,
    pub(in crate::wire) protocol: ConnectProtocol,
    /// The field section without its `:protocol`.
    pub(in crate::wire) section: Bytes,
}

/// Who takes streams that aren't `h3`'s.
#[derive(Clone)]
pub(in crate::wire) struct StreamRouter {
    pub(in crate::wire) quic: quinn::Connection,
    pub(in crate::wire) sessions: Arc<Sessions>,
    /// A server's: as many as QUIC's limit of streams lets there be.
    connects: Option<mpsc::UnboundedSender<Connect>>,
    /// A bit per type of QPACK's streams that has come.
    qpack: Arc<AtomicU8>,
}

impl StreamRouter {
    /// A server's, with where its extended CONNECTs go.
    pub(in crate::wire) fn of_server(
        quic: quinn::Connection,
        sessions: Arc<Sessions>,
        connects: mpsc::UnboundedSender<Connect>,
    ) -> Self {
        Self { quic, sessions, connects: Some(connects), qpack: Arc::default() }
    }

    /// A client's.
    pub(in crate::wire) fn of_client(quic: quinn::Connection, sessions: Arc<Sessions>) -> Self {
        Self { quic, sessions, connects: None, qpack: Arc::default() }
    }

    fn is_server(&self) -> bool {
        self.connects.is_some()
    }
}

/// Looks at what comes, until the stream ends.
pub(in crate::wire) struct Guard {
    pub(in crate::wire) filter: Filter,
    pub(in crate::wire) router: StreamRouter,
}

/// What is `h3`'s: the streams, what was read of them already, and who looks at the rest.
pub(in crate::wire) type BidiBegun = (SendStream, Bytes, RecvStream, Option<Guard>);
pub(in crate::wire) type UniBegun = (Bytes, RecvStream, Option<Guard>);

/// Reads the beginning of a bidirectional stream; `None`: it is somebody else's, or nobody's any more.
pub(in crate::wire) fn bidi(
    router: StreamRouter,
    send: SendStream,
    recv: RecvStream,
) -> impl Future<Output = Option<BidiBegun>> + Send {
    let id = VarInt::from(recv.id()).into_inner();
    if router.is_server() {
        // At once, in the order in which they are accepted: what is for a session tells by it what is yet to come.
        router.sessions.begins(id);
    }
    sort(router, id, send, recv)
}

async fn sort(router: StreamRouter, id: u64, mut send: SendStream, mut recv: RecvStream) -> Option<BidiBegun> {
    let mut front = BytesMut::new();
    let begun = tokio::time::timeout(HANDSHAKE_TIMEOUT, beginning(&mut recv, &mut front)).await;
    let begun = begun.unwrap_or(Err(StreamStartError::SessionStream(H3_REQUEST_INCOMPLETE)));
    if !matches!(&begun, Ok(StreamStart::Connect(protocol, _)) if protocol.is_session()) {
        router.sessions.ends(id);
    }
    match begun {
        Ok(StreamStart::Session(session)) => {
            if let Err(code) = router.sessions.arrives(session, SessionStream::Bi(send, recv)) {
                router.quic.close(code, b"no session has such an id");
            }
            None
        }
        Ok(StreamStart::Connect(protocol, section)) => {
            // Nobody takes it: the connection is at its end.
            let _ = router.connects?.send(Connect { send, recv, protocol, section });
            None
        }
        Ok(StreamStart::Other(left)) => {
            // A server's are answers, which `h3` alone looks at.
            let guard =
                router.is_server().then(|| Guard { filter: Filter::new(FilteredStream::Request, left), router });
            Some((send, front.freeze(), recv, guard))
        }
        Err(StreamStartError::Connection(code)) => {
            router.quic.close(code, b"not the beginning of a request");
            None
        }
        Err(StreamStartError::SessionStream(code)) => {
            let _ = send.reset(code);
            let _ = recv.stop(code);
            None
        }
        Err(StreamStartError::Gone) => None,
    }
}

enum StreamStart {
    Session(u64),
    Connect(ConnectProtocol, Bytes),
    /// So many bytes of a header, which is too long, are yet to come.
    Other(u64),
}

enum StreamStartError {
    SessionStream(VarInt),
    Connection(VarInt),
    Gone,
}

impl From<FrameError> for StreamStartError {
    fn from(fault: FrameError) -> Self {
        match fault {
            FrameError::Reset(_) => Self::SessionStream(H3_REQUEST_CANCELLED),
            FrameError::DataFrames(code) => Self::SessionStream(code),
            FrameError::Gone => Self::Gone,
        }
    }
}

impl From<SectionError> for StreamStartError {
    fn from(wrong: SectionError) -> Self {
        match wrong {
            SectionError::Message(code) => Self::SessionStream(code),
            SectionError::Section(code) => Self::Connection(code),
        }
    }
}

/// Reads into `front` what `h3` needs to see.
async fn beginning(recv: &mut RecvStream, front: &mut BytesMut) -> Result<StreamStart, StreamStartError> {
    let mut skipped = 0;
    loop {
        let Some(Head { kind, value }) = read_head(recv, front).await? else { return Ok(StreamStart::Other(0)) };
        match kind {
            // Only as the very first thing (draft-ietf-webtrans-http3 section 4.3).
            BI if skipped == 0 => return Ok(StreamStart::Session(value)),
            HEADERS if value > MAX_HEADERS_FRAME_BYTES => {
                return Err(StreamStartError::SessionStream(H3_EXCESSIVE_LOAD));
            }
            HEADERS if value > u64::from(MAX_HEADER_BYTES) => return Ok(StreamStart::Other(value)),
            HEADERS => {
                let start = front.len();
                let length = usize::try_from(value).unwrap_or(usize::MAX);
                if !read_more(recv, front, length).await? {
                    return Ok(StreamStart::Other(0));
                }
                return Ok(match section::header(&front[start..])? {
                    Header::Plain => StreamStart::Other(0),
                    Header::Extended(protocol, section) => StreamStart::Connect(protocol, section),
                });
            }
            // The same section, and RFC 9114 section 4.1.
            BI => return Err(StreamStartError::Connection(H3_FRAME_ERROR)),
            known if is_known(known) => return Err(StreamStartError::Connection(H3_FRAME_UNEXPECTED)),
            _ => {
                // RFC 9114 section 9: skipped, wherever it comes.
                skipped += front.len() as u64 + value;
                if skipped > MAX_SKIPPED_BYTES {
                    return Err(StreamStartError::SessionStream(H3_EXCESSIVE_LOAD));
                }
                if !read_more(recv, front, usize::try_from(value).unwrap_or(usize::MAX)).await? {
                    return Ok(StreamStart::Other(0));
                }
                front.clear();
            }
        }
    }
}

/// Reads the type of a unidirectional stream; `None`: it is somebody else's, or nobody's any more.
pub(in crate::wire) async fn uni(router: StreamRouter, mut recv: RecvStream) -> Option<UniBegun> {
    let mut front = BytesMut::new();
    let kind = async {
        let kind = read_varint(&mut recv, &mut front).await?;
        let session = if kind == Some(UNI) { read_varint(&mut recv, &mut front).await? } else { None };
        Ok::<_, FrameError>((kind, session))
    };
    let kind = tokio::time::timeout(HANDSHAKE_TIMEOUT, kind).await;
    match kind {
        Ok(Ok((Some(UNI), Some(session)))) => {
            if let Err(code) = router.sessions.arrives(session, SessionStream::Uni(recv)) {
                router.quic.close(code, b"no session has such an id");
            }
            None
        }
        // Of a session, and it ended before it said of which; or reset, which it may be (RFC 9114 section 6.2).
        Ok(Ok((Some(UNI), None)) | Err(_)) => None,
        Ok(Ok((Some(PUSH), _))) => {
            // RFC 9114 sections 6.2.2 and 4.6: a client has nothing to push, and nobody here asked for any.
            let code = if router.is_server() { H3_STREAM_CREATION_ERROR } else { H3_ID_ERROR };
            router.quic.close(code, b"nothing is pushed here");
            None
        }
        Ok(Ok((Some(kind @ (QPACK_ENCODER | QPACK_DECODER)), _))) => {
            let bit = 1 << kind;
            if router.qpack.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
                // RFC 9204 section 4.2: one of each.
                router.quic.close(H3_STREAM_CREATION_ERROR, b"a second stream of QPACK");
            } else {
                critical::read(router.quic, recv, kind).await;
            }
            None
        }
        Ok(Ok((Some(CONTROL), _))) => {
            let place =
                if router.is_server() { FilteredStream::ControlOfClient } else { FilteredStream::ControlOfServer };
            Some((front.freeze(), recv, Some(Guard { filter: Filter::new(place, 0), router })))
        }
        Ok(Ok(_)) => Some((front.freeze(), recv, None)),
        Err(_) => {
            let _ = recv.stop(H3_REQUEST_INCOMPLETE);
            None
        }
    }
}
