//! How the server ends a connection on TCP, so that its client can tell that it was the server, and that all has come.
//!
//! `close_notify` comes first (RFC 8446 section 6.1), on HTTP/2 behind a GOAWAY (RFC 9113 section 6.8). hyper says both
//! where it ends a connection by itself, and neither where it is dropped: because its time is up, because it is over
//! with an error, or because the server stops. So hyper is only lent the stream, and when it is dropped, the stream
//! comes back to be closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

/// How long whatever is under way when a server stops may take to come to its end.
pub(crate) const GOING: Duration = Duration::from_millis(200);
/// How long a client may take to close its side once the server has closed its.
const PARTING: Duration = Duration::from_secs(1);
/// How long a server that stops waits for both.
const STOPPING: Duration = Duration::from_millis(500);

/// GOAWAY to a client that has opened no stream: nothing was processed, and nothing was wrong (RFC 9113 section 6.8).
pub(crate) const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A stream that comes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Lent<T> {
    stream: Option<Box<T>>,
    back: Option<oneshot::Sender<Box<T>>>,
}

/// Lends a stream. Once whoever has it lets go of it, it can be had back. In a box, as everywhere that it may come to
/// be has room for it for as long as the connection lasts.
pub(crate) fn lend<T>(stream: Box<T>) -> (Lent<T>, oneshot::Receiver<Box<T>>) {
    let (back, comes_back) = oneshot::channel();
    (Lent { stream: Some(stream), back: Some(back) }, comes_back)
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Nobody wants it back: the server was dropped with all that it had.
            let _ = back.send(stream);
        }
    }
}

impl<T: Unpin> Lent<T> {
    /// It is there for as long as this is.
    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut T>> {
        self.get_mut().stream.as_deref_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lent<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Lent<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_deref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

/// Ends when it is said to stop.
pub(crate) async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}

/// Waits for connections that were told to end, for as long as a server that stops waits.
pub(crate) async fn ended(mut connections: JoinSet<()>) {
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOPPING, ended).await.is_err() {
        tracing::debug!("some connections did not end in time");
    }
}

/// A stream with a socket under it.
pub(crate) trait OverSocket: AsyncRead + AsyncWrite + Unpin {
    type Socket: AsyncRead + Unpin;

    /// What is under it.
    fn socket(&mut self) -> &mut Self::Socket;
}

impl<S: AsyncRead + AsyncWrite + Unpin> OverSocket for TlsStream<S> {
    type Socket = S;

    fn socket(&mut self) -> &mut S {
        self.get_mut().0
    }
}

/// Closes a stream: with these last words, with `close_notify`, and not before the client has taken them or its time is
/// up. A socket that is closed with something in it that nobody read is reset, and its client may lose what it was
/// sent (RFC 9112 section 9.6).
pub(crate) async fn close<S: OverSocket>(mut tls: Box<S>, last_words: &[u8]) {
    let closing = async {
        tls.write_all(last_words).await?;
        tls.shutdown().await?;
        let socket = tls.socket();
        let mut unread = [0; 1024];
        while socket.read(&mut unread).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    match tokio::time::timeout(PARTING, closing).await {
        Ok(Ok(())) => {}
        // The client may have gone first.
        Ok(Err(error)) => tracing::trace!(%error, "a connection was not closed in order"),
        Err(_) => tracing::trace!("a client did not close its side"),
    }
}
