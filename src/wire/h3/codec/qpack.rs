//! Field sections (QPACK, RFC 9204) of the streams that are not left to `h3`.
//!
//! `h3` keeps its decoder to itself, and refuses a `:protocol` that it doesn't know. So the field line of that name
//! is taken out (see `codec::section`), and the rest is given to `h3` on a connection that carries nothing else. What is
//! written here are literals only: any decoder reads them.

use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use h3::error::{Code, StreamError};
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::VarInt;

use crate::wire::MAX_HEADER_BYTES;
use crate::wire::h3::frames::{H3_MESSAGE_ERROR, HEADERS, QPACK_DECOMPRESSION_FAILED, put_head};

/// A HEADERS frame with a request's header for extended CONNECT.
pub(in crate::wire) fn connect_frame(uri: &http::Uri, protocol: &str, fields: &http::HeaderMap) -> Bytes {
    let mut section = Section::default();
    section.put(":method", b"CONNECT");
    section.put(":scheme", uri.scheme_str().unwrap_or("https").as_bytes());
    section.put(":authority", uri.authority().map_or("", http::uri::Authority::as_str).as_bytes());
    section.put(":path", uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).as_bytes());
    section.put(":protocol", protocol.as_bytes());
    section.frame(fields)
}

/// A HEADERS frame with a response's header.
pub(in crate::wire) fn response_frame(head: &http::response::Parts) -> Bytes {
    let mut section = Section::default();
    section.put(":status", head.status.as_str().as_bytes());
    section.frame(&head.headers)
}

/// A field section that is written.
struct Section(BytesMut);

impl Default for Section {
    fn default() -> Self {
        Self(BytesMut::from(&[0, 0][..]))
    }
}

impl Section {
    /// A literal field line with literal name (RFC 9204 section 4.5.6).
    fn put(&mut self, name: &str, value: &[u8]) {
        self.number(0x20, 3, name.len());
        self.0.extend_from_slice(name.as_bytes());
        self.number(0, 7, value.len());
        self.0.extend_from_slice(value);
    }

    fn number(&mut self, flags: u8, bits: u8, value: usize) {
        let most = (1 << bits) - 1;
        if value < most {
            self.0.put_u8(flags | value.to_le_bytes()[0]);
            return;
        }
        self.0.put_u8(flags | most.to_le_bytes()[0]);
        let mut left = value - most;
        while left >= 0x80 {
            self.0.put_u8(0x80 | left.to_le_bytes()[0]);
            left >>= 7;
        }
        self.0.put_u8(left.to_le_bytes()[0]);
    }

    fn frame(mut self, fields: &http::HeaderMap) -> Bytes {
        for (name, value) in fields {
            self.put(name.as_str(), value.as_bytes());
        }
        let mut frame = BytesMut::with_capacity(self.0.len() + 16);
        put_head(&mut frame, HEADERS, self.0.len());
        frame.extend_from_slice(&self.0);
        frame.freeze()
    }
}

/// Why a field section is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum FieldSectionError {
    /// It is longer than allowed.
    TooLong,
    /// The stream is to be reset with this code.
    Stream(VarInt),
    /// The connection is to be closed with this code.
    Connection(VarInt),
}

impl From<StreamError> for FieldSectionError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::HeaderTooBig { .. } => Self::TooLong,
            StreamError::ConnectionError(_) => Self::Connection(QPACK_DECOMPRESSION_FAILED),
            _ => Self::Stream(H3_MESSAGE_ERROR),
        }
    }
}

/// Decodes a request's header.
pub(in crate::wire) async fn request(section: &[u8]) -> Result<http::request::Parts, FieldSectionError> {
    let failed = |_| FieldSectionError::Stream(H3_MESSAGE_ERROR);
    let mut builder = h3::server::builder();
    builder.send_grease(false).max_field_section_size(u64::from(MAX_HEADER_BYTES));
    let mut connection = builder.build::<_, Bytes>(Only::new(section)).await.map_err(failed)?;
    let resolver = connection.accept().await.map_err(failed)?.ok_or(FieldSectionError::Stream(H3_MESSAGE_ERROR))?;
    let (request, _) = resolver.resolve_request().await?;
    Ok(request.into_parts().0)
}

/// Decodes a response's header.
pub(in crate::wire) async fn response(section: &[u8]) -> Result<http::response::Parts, FieldSectionError> {
    let failed = |_| FieldSectionError::Stream(H3_MESSAGE_ERROR);
    let mut builder = h3::client::builder();
    builder.send_grease(false).max_field_section_size(u64::from(MAX_HEADER_BYTES));
    let (_connection, mut sender) = builder.build::<_, _, Bytes>(Only::new(section)).await.map_err(failed)?;
    // It goes nowhere.
    let request =
        http::Request::get("https://localhost/").body(()).map_err(|_| FieldSectionError::Stream(H3_MESSAGE_ERROR))?;
    let response = sender.send_request(request).await?.recv_response().await?;
    Ok(response.into_parts().0)
}

/// A connection that carries one HEADERS frame on one stream, and nothing else; what is sent on it is forgotten.
struct Only(Option<Bytes>);

impl Only {
    fn new(section: &[u8]) -> Self {
        let mut frame = BytesMut::with_capacity(section.len() + 16);
        put_head(&mut frame, HEADERS, section.len());
        frame.extend_from_slice(section);
        Self(Some(frame.freeze()))
    }
}

impl quic::Connection<Bytes> for Only {
    type RecvStream = Self;
    type OpenStreams = Self;

    fn poll_accept_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Self, ConnectionErrorIncoming>> {
        Poll::Pending
    }

    fn poll_accept_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Self, ConnectionErrorIncoming>> {
        self.0.take().map_or(Poll::Pending, |frame| Poll::Ready(Ok(Self(Some(frame)))))
    }

    fn opener(&self) -> Self {
        Self(self.0.clone())
    }
}

impl quic::OpenStreams<Bytes> for Only {
    type BidiStream = Self;
    type SendStream = Self;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Self, StreamErrorIncoming>> {
        Poll::Ready(Ok(Self(self.0.take())))
    }

    fn poll_open_send(&mut self, _: &mut Context<'_>) -> Poll<Result<Self, StreamErrorIncoming>> {
        Poll::Ready(Ok(Self(None)))
    }

    fn close(&mut self, _: Code, _: &[u8]) {}
}

impl quic::SendStream<Bytes> for Only {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, _: T) -> Result<(), StreamErrorIncoming> {
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, _: u64) {}

    fn send_id(&self) -> StreamId {
        StreamId::from(h3::proto::varint::VarInt::from_u32(0))
    }
}

impl quic::RecvStream for Only {
    type Buf = Bytes;

    fn poll_data(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        Poll::Ready(Ok(self.0.take()))
    }

    fn stop_sending(&mut self, _: u64) {}

    fn recv_id(&self) -> StreamId {
        quic::SendStream::send_id(self)
    }
}

#[cfg(test)]
mod tests;
