//! TLS of a server that takes early data (RFC 8446 section 2.3), and answers it before its client has ended the handshake.
//!
//! tokio-rustls gives a server its stream once the handshake has ended, and hides what came before. This one is for
//! listeners that take early data; on all others tokio-rustls does it.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::early::MaybeReplay;

/// A stream of TLS at a server.
#[derive(Debug)]
pub(in crate::wire) struct EarlyStream<T> {
    io: T,
    tls: ServerConnection,
    replay: MaybeReplay,
}

impl<T: AsyncRead + AsyncWrite + Unpin> EarlyStream<T> {
    /// Goes on with the handshake until there is early data that is taken, or else to its end.
    pub(in crate::wire) async fn accept(io: T, config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = Self { io, tls, replay: MaybeReplay::default() };
        std::future::poll_fn(|cx| {
            while stream.tls.is_handshaking() && stream.tls.early_data().is_none() {
                // Nothing more is read before what answers it is written: the peer may wait for it.
                ready!(stream.poll_send(cx))?;
                if stream.tls.is_handshaking() && ready!(stream.poll_receive(cx))? == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            stream.poll_send(cx)
        })
        .await?;
        stream.replay.set(stream.tls.is_handshaking());
        Ok(stream)
    }

    /// Whether what is read may be a replay, now and later.
    pub(in crate::wire) fn replay(&self) -> MaybeReplay {
        self.replay.clone()
    }

    /// What TLS agreed on.
    pub(in crate::wire) fn session(&self) -> &ServerConnection {
        &self.tls
    }

    pub(in crate::wire) fn socket(&mut self) -> &mut T {
        &mut self.io
    }

    /// Writes what TLS has to say.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Blocking { io: &mut self.io, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Takes in what has come; gives back how much, 0 at the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = match self.tls.read_tls(&mut Blocking { io: &mut self.io, cx }) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if let Err(error) = self.tls.process_new_packets() {
            // The alert says why, if there is room for it.
            let _ = self.poll_send(cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        if !self.tls.is_handshaking() {
            self.replay.set(false);
        }
        Poll::Ready(Ok(read))
    }

    /// What has been understood and not been read: early data first. `WouldBlock`: nothing yet.
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(mut early) = self.tls.early_data() {
            let read = early.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
        }
        self.tls.reader().read(buffer)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for EarlyStream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match self.read_some(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // At the end TLS is told of it too, and says whether it was one.
            ready!(self.poll_receive(cx))?;
            // An acknowledgement of the handshake, or tickets: whoever only reads would never send them.
            let _ = self.poll_send(cx)?;
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EarlyStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let written = self.tls.writer().write(data)?;
            let sent = self.poll_send(cx)?;
            if written > 0 || data.is_empty() {
                return Poll::Ready(Ok(written));
            }
            // TLS keeps a bounded number of bytes that aren't sent yet.
            ready!(sent);
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.writer().flush()?;
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Told once, however often it is asked for.
        self.tls.send_close_notify();
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A socket as rustls reads and writes it: what would have to be waited for is `WouldBlock`.
struct Blocking<'a, 'b, T> {
    io: &'a mut T,
    cx: &'a mut Context<'b>,
}

impl<T: AsyncRead + Unpin> Read for Blocking<'_, '_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer) {
            Poll::Ready(Ok(())) => Ok(buffer.filled().len()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<T: AsyncWrite + Unpin> Write for Blocking<'_, '_, T> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.io).poll_write(self.cx, data) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
