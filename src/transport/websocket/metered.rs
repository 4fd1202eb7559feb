//! What a WebSocket is spoken on: a tunnel whose bytes are counted as they are read, and written in small pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::Tunnel;

/// How much is handed to the tunnel at once, in bytes: what is on its way below a tunnel counts by pieces, whatever
/// their length.
const PIECE_BYTES: usize = 16 * 1024;

/// A tunnel that counts.
pub(super) struct Metered {
    tunnel: Tunnel,
    /// Bytes read so far.
    pub(super) read: u64,
}

impl Metered {
    pub(super) fn new(tunnel: Tunnel) -> Self {
        Self { tunnel, read: 0 }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tunnel).poll_read(cx, buf))?;
        self.read += (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let piece = &buf[..buf.len().min(PIECE_BYTES)];
        Pin::new(&mut self.tunnel).poll_write(cx, piece)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tunnel).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tunnel).poll_shutdown(cx)
    }
}
