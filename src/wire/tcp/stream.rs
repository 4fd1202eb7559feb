//! A connection's TLS, whichever way it was accepted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::trial::fact::Handshake;
use crate::wire::early::MaybeReplay;
use crate::wire::parting::OverSocket;
use crate::wire::tcp::early_stream::EarlyStream;

/// A stream of TLS at a server.
#[derive(Debug)]
pub(in crate::wire) enum ServerStream<T> {
    /// Whose handshake has ended.
    Full(TlsStream<T>),
    /// Whose may not have.
    Early(EarlyStream<T>),
}

impl<T: AsyncRead + AsyncWrite + Unpin> ServerStream<T> {
    /// Shakes hands, as far as the configuration wants it.
    pub(in crate::wire) async fn accept(stream: T, config: &Arc<ServerConfig>) -> io::Result<Self> {
        if config.max_early_data_size > 0 {
            return EarlyStream::accept(stream, Arc::clone(config)).await.map(Self::Early);
        }
        TlsAcceptor::from(Arc::clone(config)).accept(stream).await.map(Self::Full)
    }

    /// What TLS agreed on.
    pub(in crate::wire) fn session(&self) -> &ServerConnection {
        match self {
            Self::Full(stream) => stream.get_ref().1,
            Self::Early(stream) => stream.session(),
        }
    }

    /// Whether what is read may be a replay, now and later.
    pub(in crate::wire) fn replay(&self) -> MaybeReplay {
        match self {
            Self::Full(_) => MaybeReplay::default(),
            Self::Early(stream) => stream.replay(),
        }
    }

    /// How the client was known from before; `None`: it wasn't.
    pub(in crate::wire) fn handshake(&self) -> Option<Handshake> {
        match self.session().handshake_kind() {
            _ if self.replay().is() => Some(Handshake::Early),
            Some(HandshakeKind::Resumed) => Some(Handshake::Resumed),
            _ => None,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> OverSocket for ServerStream<T> {
    type Socket = T;

    fn socket(&mut self) -> &mut T {
        match self {
            Self::Full(stream) => stream.socket(),
            Self::Early(stream) => stream.socket(),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for ServerStream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Full(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Early(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ServerStream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Full(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Early(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Full(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Early(stream) => Pin::new(stream).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Full(stream) => stream.is_write_vectored(),
            Self::Early(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Full(stream) => Pin::new(stream).poll_flush(cx),
            Self::Early(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Full(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Early(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
