//! A tunnel on a stream of extended CONNECT: what DATA frames carry, either way (RFC 9220).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use quinn::{SendStream, VarInt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::h3::frames::{DATA, DataReader, FrameError, H3_NO_ERROR, H3_REQUEST_CANCELLED, put_head};

/// How much is written in one frame, and waits for the peer to take it, in bytes.
const FRAME_BYTES: usize = 16 * 1024;

type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A two-way byte stream, and what keeps its connection (`K`).
pub(in crate::wire) struct H3Tunnel<K> {
    quic: quinn::Connection,
    send: SendStream,
    /// A frame that isn't written yet.
    writing: BytesMut,
    reader: DataReader,
    /// What was received and isn't read yet.
    received: BytesMut,
    /// Ends when the peer takes no more.
    stopped: Stopped,
    _keep: K,
}

impl<K> H3Tunnel<K> {
    pub(in crate::wire) fn new(quic: quinn::Connection, send: SendStream, reader: DataReader, keep: K) -> Self {
        let stopped = send.stopped();
        let stopped = Box::pin(async move {
            // Its end, acknowledged, stops nothing.
            if let Ok(None) = stopped.await {
                std::future::pending::<()>().await;
            }
        });
        Self { quic, send, writing: BytesMut::new(), reader, received: BytesMut::new(), stopped, _keep: keep }
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.writing.has_remaining() {
            let written = ready!(Pin::new(&mut self.send).poll_write(cx, &self.writing)).map_err(io::Error::from)?;
            self.writing.advance(written);
        }
        // An idle tunnel holds no memory for what it once wrote.
        self.writing = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl<K: Unpin> AsyncRead for H3Tunnel<K> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.received.is_empty() {
            match self.reader.poll_data(cx) {
                Poll::Ready(Ok(Some(data))) => self.received = data,
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(fault)) => {
                    if let FrameError::DataFrames(code) = fault {
                        self.quic.close(code, b"malformed frames");
                    }
                    return Poll::Ready(Err(fault.into()));
                }
                Poll::Pending => {
                    ready!(self.stopped.as_mut().poll(cx));
                    // RFC 9220 section 3: what a TCP connection's reset is.
                    return Poll::Ready(Err(FrameError::Reset(H3_REQUEST_CANCELLED).into()));
                }
            }
        }
        let length = self.received.len().min(buf.remaining());
        buf.put_slice(&self.received[..length]);
        self.received.advance(length);
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<K: Unpin> AsyncWrite for H3Tunnel<K> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(cx))?;
        let data = &data[..data.len().min(FRAME_BYTES)];
        if !data.is_empty() {
            put_head(&mut self.writing, DATA, data.len());
            self.writing.extend_from_slice(data);
            // The rest is written with what comes next, or when it is flushed.
            if let Poll::Ready(Err(error)) = self.poll_written(cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx))?;
        // One that is finished already stays so.
        let _ = self.send.finish();
        Poll::Ready(Ok(()))
    }
}

impl<K> Drop for H3Tunnel<K> {
    fn drop(&mut self) {
        if self.writing.has_remaining() {
            // A frame is cut short: that is no end to be taken for a good one.
            let _ = self.send.reset(H3_REQUEST_CANCELLED);
        }
        self.reader.stop(H3_NO_ERROR);
    }
}

/// Ends a stream that isn't wanted.
pub(in crate::wire) fn give_up(send: &mut SendStream, reader: &mut DataReader, code: VarInt) {
    let _ = send.reset(code);
    reader.stop(code);
}
