//! What requests of HTTP/3 carry, and responses.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use http_body_util::BodyExt;
use quinn::VarInt;
use tokio::time::{Sleep, sleep};

use crate::wire::exchange::BodyError;
use crate::wire::h3::adapter::BidiStream;
use crate::wire::h3::codec::filter::FilterError;
use crate::wire::h3::codec::message;
use crate::wire::h3::frames::{H3_MESSAGE_ERROR, H3_NO_ERROR};
use crate::wire::{BODY_TIMEOUT, MAX_BODY_BYTES, ResponseBody, rest};

pub(in crate::wire) type ServerRequestStream = RequestStream<BidiStream, Bytes>;

/// Ends a request that isn't to be answered.
pub(in crate::wire) fn give_up(stream: &mut ServerRequestStream, code: VarInt) {
    let code = Code::from(code.into_inner());
    stream.stop_stream(code);
    stream.stop_sending(code);
}

/// The request is malformed: its stream ends with this code.
pub(in crate::wire) struct ContentError(pub(in crate::wire) VarInt);

/// Why a request has no body that could be used.
enum Unread {
    Body(BodyError),
    Message(VarInt),
}

impl From<StreamError> for Unread {
    fn from(error: StreamError) -> Self {
        if let StreamError::Undefined(error) = &error
            && let Some(FilterError::Stream(code)) = error.downcast_ref()
        {
            return Self::Message(*code);
        }
        match error {
            StreamError::StreamError { .. } => Self::Message(H3_MESSAGE_ERROR),
            _ => Self::Body(BodyError::CutShort),
        }
    }
}

/// A request's content, and the trailers behind it.
struct Content {
    /// How long the header says that it is.
    said: Option<u64>,
    length: u64,
    /// What of it is kept.
    body: BytesMut,
    /// How much of it is kept at most.
    most: usize,
    data_ended: bool,
}

impl Content {
    /// Reads to the end of it.
    fn poll_read(&mut self, stream: &mut ServerRequestStream, cx: &mut Context<'_>) -> Poll<Result<(), Unread>> {
        while !self.data_ended {
            let Some(mut chunk) = ready!(stream.poll_recv_data(cx))? else {
                self.data_ended = true;
                break;
            };
            self.length += chunk.remaining() as u64;
            if self.length > self.most as u64 {
                self.body.clear();
                continue;
            }
            while chunk.has_remaining() {
                let part = chunk.chunk().len();
                self.body.extend_from_slice(&chunk.copy_to_bytes(part));
            }
        }
        let trailers = ready!(stream.poll_recv_trailers(cx))?;
        // RFC 9114 section 4.1.2.
        if trailers.is_some_and(|fields| message::check_fields(&fields).is_err())
            || self.said.is_some_and(|said| said != self.length)
        {
            return Poll::Ready(Err(Unread::Message(H3_MESSAGE_ERROR)));
        }
        Poll::Ready(Ok(()))
    }
}

/// What a request may still send while it is answered; nothing by default.
#[derive(Default)]
pub(in crate::wire) struct Rest(Option<Box<Open>>);

/// A request that isn't at its end, which it has to reach in time.
struct Open {
    content: Content,
    time: Pin<Box<Sleep>>,
}

impl Open {
    /// Reads to its end, or to the end of its time: whether it has come to its own.
    fn poll_end(&mut self, stream: &mut ServerRequestStream, cx: &mut Context<'_>) -> Poll<Result<bool, Unread>> {
        match self.content.poll_read(stream, cx) {
            Poll::Ready(ended) => Poll::Ready(ended.map(|()| true)),
            Poll::Pending => self.time.as_mut().poll(cx).map(|()| Ok(false)),
        }
    }
}

/// Reads a request's content, of which `said` is the length by its header. What means something is waited for and read
/// to its end even when it is refused: quinn would send `STOP_SENDING` for what is left unread, and clients that are
/// still sending take that as a failure. What means nothing is not waited for.
pub(in crate::wire) async fn read(
    stream: &mut ServerRequestStream,
    said: Option<u64>,
    means_something: bool,
) -> Result<(Result<Bytes, BodyError>, Rest), ContentError> {
    let most = if means_something { MAX_BODY_BYTES } else { 0 };
    let content = Content { said, length: 0, body: BytesMut::new(), most, data_ended: false };
    let mut open = Open { content, time: Box::pin(sleep(BODY_TIMEOUT)) };
    let mut turns = 0;
    let ended = poll_fn(|cx| {
        let ended = open.poll_end(stream, cx);
        if ended.is_ready() || means_something {
            return ended.map(Some);
        }
        if turns == rest::TURNS {
            return Poll::Ready(None);
        }
        turns += 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    match ended.await {
        Some(Ok(false)) => Ok((Err(BodyError::CutShort), Rest(None))),
        Some(Ok(true)) if means_something && open.content.length > most as u64 => {
            Ok((Err(BodyError::TooLong), Rest(None)))
        }
        Some(Ok(true)) => Ok((Ok(open.content.body.freeze()), Rest(None))),
        Some(Err(Unread::Body(error))) => Ok((Err(error), Rest(None))),
        Some(Err(Unread::Message(code))) => Err(ContentError(code)),
        None => Ok((Ok(Bytes::new()), Rest(Some(Box::new(open))))),
    }
}

impl Rest {
    /// Throws away what comes, for as long as a body may take; ends when it shows that the request is malformed.
    pub(in crate::wire) async fn discard(&mut self, stream: &mut ServerRequestStream) -> ContentError {
        poll_fn(|cx| {
            // One whose time is up stays, unread, until it is left.
            let Some(open) = self.0.as_mut().filter(|open| !open.time.is_elapsed()) else { return Poll::Pending };
            match open.poll_end(stream, cx) {
                Poll::Ready(Err(Unread::Message(code))) => return Poll::Ready(ContentError(code)),
                Poll::Ready(Ok(true) | Err(Unread::Body(_))) => self.0 = None,
                Poll::Ready(Ok(false)) | Poll::Pending => {}
            }
            Poll::Pending
        })
        .await
    }

    /// Lets a client that has its answer come to its end. One that doesn't in time is told that the rest isn't needed
    /// (RFC 9114 section 4.1).
    pub(in crate::wire) async fn leave(mut self, stream: &mut ServerRequestStream) {
        let Some(open) = &mut self.0 else { return };
        if let Ok(false) = poll_fn(|cx| open.poll_end(stream, cx)).await {
            stream.stop_sending(Code::from(H3_NO_ERROR.into_inner()));
        }
    }
}

/// Sends a response's content to its end.
pub(in crate::wire) async fn send(
    stream: &mut ServerRequestStream,
    mut body: ResponseBody,
    rest: &mut Rest,
) -> Result<(), StreamError> {
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            ContentError(code) = rest.discard(stream) => {
                give_up(stream, code);
                return Ok(());
            }
        };
        let Some(Ok(frame)) = frame else { break };
        if let Ok(data) = frame.into_data() {
            stream.send_data(data).await?;
        }
    }
    stream.finish().await
}
