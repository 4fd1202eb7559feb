//! A HTTP/1.1 connection whose client closes its side together with its request, and is answered.
//!
//! hyper takes the end of what it reads for the client's going, whatever is being answered, or (`half_close`) looks for
//! no end at all, and then never notices that somebody who reads a stream has gone. Nobody can tell the two apart: both
//! are a FIN. So who is to get one answer gets it, and whoever reads a stream and closes their side has gone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::Connection;

/// How far the answer on a HTTP/1.1 connection is, and whether the client has closed its side meanwhile.
#[derive(Debug, Default)]
pub(in crate::wire) struct AnswerState(AtomicU8);

/// The request is there, and nothing of the answer was written.
const WAITED_FOR: u8 = 1;
/// Some of it was written, and not all of that was flushed.
const WRITTEN: u8 = 2;
/// The same while it was waited for, and the client has closed its side.
const HALF_CLOSED: u8 = 3;

impl AnswerState {
    /// A request's header is there, and its answer begins.
    pub(in crate::wire) fn begins(&self) {
        self.0.store(WAITED_FOR, Ordering::Relaxed);
    }

    /// Ends when the client has closed its side while it waits: nothing more will come, and one that reads a body has
    /// read all there is. To be polled in the connection's own task, which that wakes.
    pub(in crate::wire) async fn half_closed(&self) {
        let is_half_closed = || self.0.load(Ordering::Relaxed) == HALF_CLOSED;
        std::future::poll_fn(|_| if is_half_closed() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Keeps the end of what a client sends from hyper until the client is answered.
#[derive(Debug)]
pub(in crate::wire) struct HalfClose<T> {
    io: T,
    connection: Arc<Connection>,
    /// The end has come.
    ended: bool,
}

impl<T> HalfClose<T> {
    pub(in crate::wire) fn new(io: T, connection: Arc<Connection>) -> Self {
        Self { io, connection, ended: false }
    }

    fn answer(&self) -> &AtomicU8 {
        &self.connection.answer.0
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HalfClose<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            let (before, room) = (buf.filled().len(), buf.remaining());
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
            self.ended = match &read {
                Ok(()) => room > 0 && buf.filled().len() == before,
                // TLS calls an end without `close_notify` so.
                Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
            };
            if !self.ended {
                return Poll::Ready(read);
            }
        }
        match self.answer().load(Ordering::Relaxed) {
            WAITED_FOR => self.answer().store(HALF_CLOSED, Ordering::Relaxed),
            WRITTEN | HALF_CLOSED => {}
            _ => return Poll::Ready(Ok(())),
        }
        // `poll_flush` wakes whoever waits for this.
        Poll::Pending
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HalfClose<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.answer().load(Ordering::Relaxed) != 0 {
            self.answer().store(WRITTEN, Ordering::Relaxed);
        }
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.answer().load(Ordering::Relaxed) != 0 {
            self.answer().store(WRITTEN, Ordering::Relaxed);
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes what is below once it has nothing left to write itself.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        if self.answer().load(Ordering::Relaxed) == WRITTEN {
            self.answer().store(0, Ordering::Relaxed);
            if self.ended {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
