//! The beginning of a stream that the peer opens: it says whose the stream is before `h3` sees it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;

use super::h3_frames::{
    Fault, H3_EXCESSIVE_LOAD, H3_REQUEST_CANCELLED, H3_REQUEST_INCOMPLETE, HEADERS, Head, is_known, read_head,
    read_more, read_varint,
};
use super::h3_qpack::{Protocol, take_protocol};
use super::h3_sessions::{BI, Sessions, Stream, UNI};
use super::{HANDSHAKE_TIMEOUT, MAX_HEADER_BYTES};

/// How long a HEADERS frame may be; one that is longer than a header may be and no longer than this is left to `h3`
/// to be answered 431.
const MAX_HEADERS_FRAME_BYTES: u64 = 8 * MAX_HEADER_BYTES as u64;
/// How much of frames that mean nothing may come before a request, in bytes.
const MAX_SKIPPED_BYTES: u64 = 4096;

/// An extended CONNECT (RFC 9220), taken out of `h3`'s hands.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    pub(super) protocol: Protocol,
    /// The field section without its `:protocol`.
    pub(super) section: Bytes,
}

/// Who takes streams that aren't `h3`'s.
#[derive(Clone)]
pub(super) struct Takers {
    pub(super) quic: quinn::Connection,
    pub(super) sessions: Arc<Sessions>,
    /// A server's: as many as QUIC's limit of streams lets there be.
    pub(super) connects: Option<mpsc::UnboundedSender<Connect>>,
}

/// What is `h3`'s: the streams, and what was read of them already.
pub(super) type BidiBegun = (SendStream, Bytes, RecvStream);
pub(super) type UniBegun = (Bytes, RecvStream);

/// Reads the beginning of a bidirectional stream; `None`: it is somebody else's, or nobody's any more.
pub(super) fn bidi(
    takers: Takers,
    send: SendStream,
    recv: RecvStream,
) -> impl Future<Output = Option<BidiBegun>> + Send {
    let id = VarInt::from(recv.id()).into_inner();
    if takers.connects.is_some() {
        // At once, in the order in which they are accepted: what is for a session tells by it what is yet to come.
        takers.sessions.begins(id);
    }
    sort(takers, id, send, recv)
}

async fn sort(takers: Takers, id: u64, mut send: SendStream, mut recv: RecvStream) -> Option<BidiBegun> {
    let mut front = BytesMut::new();
    let begun = tokio::time::timeout(HANDSHAKE_TIMEOUT, beginning(&mut recv, &mut front)).await;
    let begun = begun.unwrap_or(Err(Unfit::Stream(H3_REQUEST_INCOMPLETE)));
    if !matches!(begun, Ok(Beginning::Connect(Protocol::WebTransport, _))) {
        takers.sessions.ends(id);
    }
    match begun {
        Ok(Beginning::Session(session)) => {
            if let Err(code) = takers.sessions.arrives(session, Stream::Bi(send, recv)) {
                takers.quic.close(code, b"no session has such an id");
            }
            None
        }
        Ok(Beginning::Connect(protocol, section)) => {
            // Nobody takes it: the connection is at its end.
            let _ = takers.connects?.send(Connect { send, recv, protocol, section });
            None
        }
        Ok(Beginning::Other) => Some((send, front.freeze(), recv)),
        Err(Unfit::Stream(code)) => {
            let _ = send.reset(code);
            let _ = recv.stop(code);
            None
        }
        Err(Unfit::Gone) => None,
    }
}

enum Beginning {
    Session(u64),
    Connect(Protocol, Bytes),
    Other,
}

enum Unfit {
    Stream(VarInt),
    Gone,
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Reset(_) => Self::Stream(H3_REQUEST_CANCELLED),
            Fault::Frames(code) => Self::Stream(code),
            Fault::Gone => Self::Gone,
        }
    }
}

/// Reads into `front` what `h3` needs to see.
async fn beginning(recv: &mut RecvStream, front: &mut BytesMut) -> Result<Beginning, Unfit> {
    let mut skipped = 0;
    loop {
        let Some(Head { kind, value }) = read_head(recv, front).await? else { return Ok(Beginning::Other) };
        match kind {
            // Only as the very first thing (draft-ietf-webtrans-http3 section 4.3).
            BI if skipped == 0 => return Ok(Beginning::Session(value)),
            HEADERS if value > MAX_HEADERS_FRAME_BYTES => return Err(Unfit::Stream(H3_EXCESSIVE_LOAD)),
            HEADERS if value > u64::from(MAX_HEADER_BYTES) => return Ok(Beginning::Other),
            HEADERS => {
                let start = front.len();
                let length = usize::try_from(value).unwrap_or(usize::MAX);
                if !read_more(recv, front, length).await? {
                    return Ok(Beginning::Other);
                }
                return match take_protocol(&front[start..]) {
                    None => Ok(Beginning::Other),
                    Some(Ok((protocol, section))) => Ok(Beginning::Connect(protocol, section)),
                    Some(Err(code)) => Err(Unfit::Stream(code)),
                };
            }
            BI => return Ok(Beginning::Other),
            known if is_known(known) => return Ok(Beginning::Other),
            _ => {
                // RFC 9114 section 9: skipped, wherever it comes.
                skipped += front.len() as u64 + value;
                if skipped > MAX_SKIPPED_BYTES {
                    return Err(Unfit::Stream(H3_EXCESSIVE_LOAD));
                }
                if !read_more(recv, front, usize::try_from(value).unwrap_or(usize::MAX)).await? {
                    return Ok(Beginning::Other);
                }
                front.clear();
            }
        }
    }
}

/// Reads the type of a unidirectional stream; `None`: it is somebody else's, or nobody's any more.
pub(super) async fn uni(takers: Takers, mut recv: RecvStream) -> Option<UniBegun> {
    let mut front = BytesMut::new();
    let kind = async {
        let kind = read_varint(&mut recv, &mut front).await?;
        let session = if kind == Some(UNI) { read_varint(&mut recv, &mut front).await? } else { None };
        Ok::<_, Fault>((kind, session))
    };
    let kind = tokio::time::timeout(HANDSHAKE_TIMEOUT, kind).await;
    match kind {
        Ok(Ok((Some(UNI), Some(session)))) => {
            if let Err(code) = takers.sessions.arrives(session, Stream::Uni(recv)) {
                takers.quic.close(code, b"no session has such an id");
            }
            None
        }
        // Of a session, and it ended before it said of which; or reset, which it may be (RFC 9114 section 6.2).
        Ok(Ok((Some(UNI), None)) | Err(_)) => None,
        Ok(Ok(_)) => Some((front.freeze(), recv)),
        Err(_) => {
            let _ = recv.stop(H3_REQUEST_INCOMPLETE);
            None
        }
    }
}
