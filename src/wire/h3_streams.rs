//! QUIC's streams for the `h3` crate, server side.
//!
//! `h3-quinn` keeps to itself when a client stops a stream. Without knowing, a response that has nothing to write
//! would stay open until its next event or heartbeat: its reader counted as there, its stream's credit not given back.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, stream};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

type Accepted = Result<(quinn::SendStream, quinn::RecvStream), ConnectionError>;

/// How much is read from a stream at once, in bytes.
const CHUNK_BYTES: usize = 4096;

/// A connection's streams as they are opened. HTTP/3 servers open none in both directions themselves
/// (RFC 9114 section 6.1); those in one direction are left to `h3-quinn`.
pub(super) struct Arrivals {
    quic: h3_quinn::Connection,
    accepted: Pin<Box<dyn Stream<Item = Accepted> + Send + Sync>>,
    gone: Gone,
}

impl Arrivals {
    pub(super) fn new(quic: &quinn::Connection) -> Self {
        let accepted = stream::unfold(quic.clone(), |quic| async { Some((quic.accept_bi().await, quic)) });
        Self { quic: h3_quinn::Connection::new(quic.clone()), accepted: Box::pin(accepted), gone: Gone::default() }
    }

    /// Tells of this connection's streams when their clients go.
    pub(super) fn gone(&self) -> Gone {
        self.gone.clone()
    }
}

/// Ends when the client has stopped the stream, or the connection has ended.
type Going = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One entry per open stream until it is asked for.
#[derive(Clone, Default)]
pub(super) struct Gone(Arc<Mutex<HashMap<StreamId, Going>>>);

impl Gone {
    /// Ends when this stream's client is gone.
    pub(super) fn of(&self, stream: StreamId) -> Going {
        // A stream is asked for once, while it is open: there is an entry.
        self.forget(stream).unwrap_or_else(|| Box::pin(std::future::pending()))
    }

    fn expect(&self, stream: StreamId, going: Going) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stream, going);
    }

    fn forget(&self, stream: StreamId) -> Option<Going> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream)
    }
}

impl quic::Connection<Bytes> for Arrivals {
    type RecvStream = h3_quinn::RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        quic::Connection::<Bytes>::poll_accept_recv(&mut self.quic, cx)
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        let Some(accepted) = ready!(self.accepted.poll_next_unpin(cx)) else { return Poll::Pending };
        let (send, recv) = accepted.map_err(connection_error)?;
        let id = StreamId::try_from(u64::from(send.id()))
            .map_err(|error| ConnectionErrorIncoming::InternalError(error.to_string()))?;
        let stopped = send.stopped();
        self.gone.expect(id, Box::pin(async move { drop(stopped.await) }));
        Poll::Ready(Ok(BidiStream { id, send, writing: None, recv, gone: self.gone.clone() }))
    }

    fn opener(&self) -> Opener {
        Opener(quic::Connection::<Bytes>::opener(&self.quic))
    }
}

impl quic::OpenStreams<Bytes> for Arrivals {
    type BidiStream = BidiStream;
    type SendStream = h3_quinn::SendStream<Bytes>;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        Poll::Pending
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        quic::OpenStreams::<Bytes>::poll_open_send(&mut self.quic, cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<Bytes>::close(&mut self.quic, code, reason);
    }
}

/// Opens the server's own streams.
pub(super) struct Opener(h3_quinn::OpenStreams);

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = BidiStream;
    type SendStream = h3_quinn::SendStream<Bytes>;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        Poll::Pending
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        quic::OpenStreams::<Bytes>::poll_open_send(&mut self.0, cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<Bytes>::close(&mut self.0, code, reason);
    }
}

/// A request's stream.
pub(super) struct BidiStream {
    id: StreamId,
    send: quinn::SendStream,
    /// What was handed over and isn't written yet.
    writing: Option<WriteBuf<Bytes>>,
    recv: quinn::RecvStream,
    gone: Gone,
}

impl Drop for BidiStream {
    fn drop(&mut self) {
        self.gone.forget(self.id);
    }
}

impl quic::SendStream<Bytes> for BidiStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(writing) = &mut self.writing {
            while writing.has_remaining() {
                let written = ready!(Pin::new(&mut self.send).poll_write(cx, writing.chunk())).map_err(write_error)?;
                writing.advance(written);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            // `h3` waits for `poll_ready` first.
            return Err(StreamErrorIncoming::Unknown("data while there is still some to write".into()));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(self.send.finish().map_err(|error| StreamErrorIncoming::Unknown(error.into())))
    }

    fn reset(&mut self, code: u64) {
        // One that is closed already needs none.
        let _ = self.send.reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn send_id(&self) -> StreamId {
        self.id
    }
}

impl quic::RecvStream for BidiStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let mut chunk = [0; CHUNK_BYTES];
        let length = ready!(self.recv.poll_read(cx, &mut chunk)).map_err(read_error)?;
        Poll::Ready(Ok((length > 0).then(|| Bytes::copy_from_slice(&chunk[..length]))))
    }

    fn stop_sending(&mut self, code: u64) {
        let _ = self.recv.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}

fn connection_error(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
        }
        error => StreamErrorIncoming::Unknown(error.into()),
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
        }
        error => StreamErrorIncoming::Unknown(error.into()),
    }
}
