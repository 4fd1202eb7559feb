//! Exchanges: what a client asks for, whichever HTTP version it asks in.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};

use super::{Connection, MAX_BODY_BYTES};

/// One exchange with a client.
#[derive(Debug)]
pub enum Exchange {
    /// A request, whose response may be a stream.
    Request(Request),
}

/// A request with its whole body, which is at most [`MAX_BODY_BYTES`] long.
#[derive(Debug)]
pub struct Request {
    /// Method, target and fields.
    pub head: http::request::Parts,
    /// The body, or why there is none.
    pub body: Result<Bytes, BodyError>,
    /// The connection that it came on.
    pub connection: Arc<Connection>,
}

/// Why a request's body couldn't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
    /// It broke off, or took too long.
    #[error("the body did not arrive whole in time")]
    CutShort,
}

/// Answers exchanges.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The answer.
    fn answer(&self, exchange: Exchange) -> impl Future<Output = http::Response<ResponseBody>> + Send;
}

type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The body of a response: nothing, some bytes, or chunks as they come, each sent at once.
pub struct ResponseBody(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Chunks(Chunks),
}

impl ResponseBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Whole(None))
    }

    /// These bytes.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole(Some(bytes.into())))
    }

    /// Chunks as they come. What the stream holds is let go when the client has gone.
    pub fn chunks(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self(Kind::Chunks(Box::pin(chunks)))
    }

    /// The same body with its chunks changed by `change`; a whole body stays as it is.
    #[must_use]
    pub fn map_chunks<S>(self, change: impl FnOnce(Chunks) -> S) -> Self
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        match self.0 {
            Kind::Chunks(chunks) => Self::chunks(change(chunks)),
            whole @ Kind::Whole(_) => Self(whole),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "ResponseBody::Whole",
            Kind::Chunks(_) => "ResponseBody::Chunks",
        })
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Chunks(chunks) => {
                chunks.as_mut().poll_next(cx).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Chunks(_) => SizeHint::default(),
        }
    }
}
