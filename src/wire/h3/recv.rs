//! What the peer writes on a stream, for `h3`.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId};
use quinn::{ConnectionError, ReadError, VarInt};

use crate::wire::h3::codec::filter::FilterError;
use crate::wire::h3::stream_start::Guard;

/// How much is read from a stream at once, in bytes.
const CHUNK_BYTES: usize = 4096;

/// A stream that is `h3`'s to read.
pub(in crate::wire) struct RecvStream {
    /// Boxed, since it is soon over, and a stream may be idle for long.
    ahead: Option<Box<Ahead>>,
    recv: quinn::RecvStream,
}

/// What comes before what is yet to be read.
struct Ahead {
    /// What was read already.
    front: Bytes,
    guard: Option<Guard>,
}

impl Guard {
    fn pass(&mut self, chunk: Bytes) -> Result<Bytes, StreamErrorIncoming> {
        let passed = self.filter.pass(chunk).map_err(|refused| self.refuse(refused))?;
        if let Some(settings) = self.filter.take_settings() {
            self.router.sessions.peer_says(&settings);
        }
        if let Some(id) = self.filter.take_goaway() {
            self.router.sessions.peer_leaves(id);
        }
        Ok(passed)
    }

    fn end(&self) -> Result<(), StreamErrorIncoming> {
        self.filter.end().map_err(|refused| self.refuse(refused))
    }

    fn refuse(&self, refused: FilterError) -> StreamErrorIncoming {
        match refused {
            // Whose request it is resets it.
            FilterError::Stream(_) => StreamErrorIncoming::Unknown(Box::new(refused)),
            FilterError::Connection(code) => {
                self.router.quic.close(code, refused.to_string().as_bytes());
                let error_code = code.into_inner();
                lost_to(ConnectionErrorIncoming::ApplicationClose { error_code })
            }
        }
    }
}

fn lost_to(connection_error: ConnectionErrorIncoming) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error }
}

impl RecvStream {
    /// `front` was read of it already, and looked at; the guard looks at the rest.
    pub(in crate::wire) fn new(front: Bytes, recv: quinn::RecvStream, guard: Option<Guard>) -> Self {
        let ahead = (!front.is_empty() || guard.is_some()).then(|| Box::new(Ahead { front, guard }));
        Self { ahead, recv }
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        loop {
            if let Some(ahead) = &mut self.ahead {
                let front = std::mem::take(&mut ahead.front);
                if ahead.guard.is_none() {
                    self.ahead = None;
                }
                if !front.is_empty() {
                    return Poll::Ready(Ok(Some(front)));
                }
            }
            let mut chunk = [0; CHUNK_BYTES];
            let length = ready!(self.recv.poll_read(cx, &mut chunk)).map_err(read_error)?;
            let guard = self.ahead.as_mut().and_then(|ahead| ahead.guard.as_mut());
            if length == 0 {
                guard.map_or(Ok(()), |guard| guard.end())?;
                self.ahead = None;
                return Poll::Ready(Ok(None));
            }
            let chunk = Bytes::copy_from_slice(&chunk[..length]);
            let Some(guard) = guard else { return Poll::Ready(Ok(Some(chunk))) };
            let passed = guard.pass(chunk)?;
            if !passed.is_empty() {
                return Poll::Ready(Ok(Some(passed)));
            }
        }
    }

    fn stop_sending(&mut self, code: u64) {
        let _ = self.recv.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.recv.id())
    }
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(error.into()),
    }
}

pub(in crate::wire) fn stream_id(id: quinn::StreamId) -> StreamId {
    let id = VarInt::from(id).into_inner();
    // Both hold what QUIC's variable-length integers do.
    StreamId::from(h3::proto::varint::VarInt::from_u64(id).unwrap_or(h3::proto::varint::VarInt::MAX))
}

pub(in crate::wire) fn lost(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
}

pub(in crate::wire) fn connection_error(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}
