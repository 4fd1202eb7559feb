//! Exchanges: what a client asks for, whichever HTTP version it asks in.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::wire::quic::session::Session;
use crate::wire::{Connection, MAX_BODY_BYTES};

/// One exchange with a client.
#[derive(Debug)]
pub enum Exchange {
    /// A request, whose response may be a stream.
    Request(Request),
    /// A request for a two-way byte stream.
    Tunnel(OpenRequest),
    /// A request for QUIC streams and datagrams.
    Session(OpenRequest),
}

impl Exchange {
    /// Method, target and fields.
    pub fn head(&self) -> &http::request::Parts {
        match self {
            Self::Request(request) => &request.head,
            Self::Tunnel(opening) | Self::Session(opening) => &opening.head,
        }
    }

    /// Takes the target out of it, and leaves `/`.
    pub fn take_uri(&mut self) -> http::Uri {
        std::mem::take(match self {
            Self::Request(request) => &mut request.head.uri,
            Self::Tunnel(opening) | Self::Session(opening) => &mut opening.head.uri,
        })
    }

    /// The connection that it came on.
    pub fn connection(&self) -> &Arc<Connection> {
        match self {
            Self::Request(request) => &request.connection,
            Self::Tunnel(opening) | Self::Session(opening) => &opening.connection,
        }
    }
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

/// A request that wants its stream to become something else: an Upgrade (RFC 9110 section 7.8), an extended CONNECT
/// (RFC 8441, RFC 9220, WebTransport), the first line on raw QUIC. A response with a status of 2xx and a body of
/// [`ResponseBody::tunnel`] or [`ResponseBody::session`] accepts it; any other refuses it.
#[derive(Debug)]
pub struct OpenRequest {
    /// Method, target and fields.
    pub head: http::request::Parts,
    /// What is to be spoken from then on: `websocket`, `webtransport`, `quic`.
    pub protocol: String,
    /// The connection that it came on.
    pub connection: Arc<Connection>,
}

/// Why a request's body couldn't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
    /// It broke off, or took too long.
    #[error("the body did not arrive whole in time")]
    CutShort,
}

/// Answers exchanges.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The answer. What is looked at in the request is looked at before this waits.
    fn answer(&self, exchange: Exchange) -> impl Future<Output = http::Response<ResponseBody>> + Send + use<Self>;

    /// Whether this request's content is left unread, and the request without an answer, for as long as its client
    /// waits: a server that does so is what some trials are about.
    fn leaves_unread(&self, _target: &http::Uri) -> bool {
        false
    }
}

/// A two-way byte stream.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A tunnel that is open, whatever carries it.
pub type Tunnel = Box<dyn ByteStream>;

type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What is to be done on a tunnel once it is open. It ends with the connection.
pub type OnTunnel = Box<dyn FnOnce(Tunnel) -> Task + Send>;
/// What is to be done in a session once it is open. It ends with the connection.
pub type OnSession = Box<dyn FnOnce(Session) -> Task + Send>;

/// The body of a response: nothing, some bytes, chunks as they come, each sent at once; or what is done with the
/// stream instead.
pub struct ResponseBody(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Chunks(Chunks),
    Tunnel(OnTunnel),
    Session(OnSession),
    Beside(Box<Beside>),
}

/// A body, and what goes on while it is sent.
struct Beside {
    body: ResponseBody,
    /// Says whether the body goes on when it is done; `None`: it did.
    task: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
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

    /// Accepts a tunnel, and does this on it.
    pub fn tunnel<F>(run: impl FnOnce(Tunnel) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Kind::Tunnel(Box::new(|tunnel| Box::pin(run(tunnel)))))
    }

    /// Accepts a session, and does this in it.
    pub fn session<F>(run: impl FnOnce(Session) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Kind::Session(Box::new(|session| Box::pin(run(session)))))
    }

    /// The same body, with something that goes on while it is sent, and ends it early by ending with `false`.
    pub(super) fn beside(self, task: impl Future<Output = bool> + Send + 'static) -> Self {
        Self(Kind::Beside(Box::new(Beside { body: self, task: Some(Box::pin(task)) })))
    }

    /// What is to be done on the tunnel that this accepts; otherwise the body as it was.
    pub fn into_tunnel(self) -> Result<OnTunnel, Self> {
        match self.0 {
            Kind::Tunnel(run) => Ok(run),
            kind => Err(Self(kind)),
        }
    }

    /// What is to be done in the session that this accepts; otherwise the body as it was.
    pub fn into_session(self) -> Result<OnSession, Self> {
        match self.0 {
            Kind::Session(run) => Ok(run),
            kind => Err(Self(kind)),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Whole(_) => "ResponseBody::Whole",
            Kind::Chunks(_) => "ResponseBody::Chunks",
            Kind::Tunnel(_) => "ResponseBody::Tunnel",
            Kind::Session(_) => "ResponseBody::Session",
            Kind::Beside(_) => "ResponseBody::Beside",
        })
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Chunks(chunks) => {
                chunks.as_mut().poll_next(cx).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
            }
            Kind::Tunnel(_) | Kind::Session(_) => Poll::Ready(None),
            Kind::Beside(beside) => {
                if let Some(task) = &mut beside.task
                    && let Poll::Ready(goes_on) = task.as_mut().poll(cx)
                {
                    beside.task = None;
                    if !goes_on {
                        beside.body = ResponseBody::empty();
                    }
                }
                Pin::new(&mut beside.body).poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(None) | Kind::Tunnel(_) | Kind::Session(_) => true,
            Kind::Whole(Some(_)) | Kind::Chunks(_) => false,
            Kind::Beside(beside) => beside.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Chunks(_) => SizeHint::default(),
            Kind::Tunnel(_) | Kind::Session(_) => SizeHint::with_exact(0),
            Kind::Beside(beside) => beside.body.size_hint(),
        }
    }
}
