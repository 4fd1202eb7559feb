//! One end of a WebSocket, the same for server and client: what happens on it, one turn after another.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::fault::WebSocketError;
use super::metered::Metered;
use super::{Fragment, MessageKind};
use crate::feed::MAX_EVENT_BYTES;
use crate::text::chain;
use crate::wire::{BODY_TIMEOUT, Tunnel};

/// What is read from the tunnel at once, in bytes; there are many sockets, and most are silent.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// What is gathered before it is written, in bytes; more than that is never begun while the peer doesn't take it.
pub(super) const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// What may wait to be written, in bytes: the above and the longest event, each of whose characters JSON may write as
/// six (`\u0000`), in the smallest fragments.
const MAX_WRITE_BUFFER_BYTES: usize = WRITE_BUFFER_BYTES + 8 * MAX_EVENT_BYTES;
/// How long an event may be as a client receives it, in bytes.
const MAX_TOLD_BYTES: usize = 7 * MAX_EVENT_BYTES;
/// How long a client may take over a message, from its first byte to its last; as long as over a request's body.
const MESSAGE_TIMEOUT: Duration = BODY_TIMEOUT;
/// How long both sides may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// What is still read of a peer that has been told to go, in bytes, so that it comes to read why.
const REST_BYTES: usize = 256 * 1024;

/// One end of a WebSocket.
pub(super) struct Socket {
    stream: WebSocketStream<Metered>,
    /// Whether something was written and hasn't left.
    unflushed: bool,
    /// How long a message may take; a client waits for its server as long as it takes.
    patience: Option<Duration>,
    /// How many bytes a control frame of the peer has beside its payload: those of clients are masked.
    overhead: usize,
    /// The bytes that belong to what was told already.
    told: u64,
    /// Since when there have been more.
    unfinished: Option<Instant>,
}

/// What happened.
#[derive(Debug)]
pub(super) enum SocketEvent {
    /// A message came, text or binary.
    Message(Bytes),
    /// A ping was answered.
    Pong,
    /// What was written has left.
    Flushed,
    /// The peer wants to close, and says why, if it does.
    Closing(Option<CloseFrame>),
    /// The peer did something wrong.
    Failed(WebSocketError),
    /// The peer is gone without a word.
    Gone(String),
}

impl Socket {
    /// The end of this role.
    pub(super) async fn new(tunnel: Tunnel, role: Role) -> Self {
        let (most, patience, overhead) = match role {
            Role::Server => (MAX_EVENT_BYTES, Some(MESSAGE_TIMEOUT), 6),
            Role::Client => (MAX_TOLD_BYTES, None, 2),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let stream = WebSocketStream::from_raw_socket(Metered::new(tunnel), role, Some(config)).await;
        Self { stream, unflushed: false, patience, overhead, told: 0, unfinished: None }
    }

    /// Whether everything that was written has left. Only then may more be written: that is what bounds the buffer.
    pub(super) fn is_flushed(&self) -> bool {
        !self.unflushed
    }

    /// Writes a message, whose bytes are shared until they are copied into the buffer. Text is not checked again.
    pub(super) fn write(&mut self, data: &Bytes, frames: MessageKind, fragment: Fragment) -> Result<(), SocketEvent> {
        let mut kind = match frames {
            MessageKind::Text => Data::Text,
            MessageKind::Binary => Data::Binary,
        };
        let length = fragment.bytes().unwrap_or(usize::MAX).min(data.len().max(1));
        let mut rest = data.clone();
        loop {
            let part = rest.split_to(length.min(rest.len()));
            let frame = Frame::message(part, OpCode::Data(kind), rest.is_empty());
            self.put(Message::Frame(frame))?;
            if rest.is_empty() {
                return Ok(());
            }
            kind = Data::Continue;
        }
    }

    /// Asks the peer for a sign of life.
    pub(super) fn ping(&mut self) -> Result<(), SocketEvent> {
        self.put(Message::Ping(Bytes::new()))
    }

    fn put(&mut self, message: Message) -> Result<(), SocketEvent> {
        self.unflushed = true;
        self.stream.start_send_unpin(message).map_err(|error| wrong(&error))
    }

    /// What happens next. Cancelling loses nothing.
    pub(super) async fn turn(&mut self) -> SocketEvent {
        loop {
            let deadline = self.patience.and_then(|patience| Some(self.unfinished? + patience));
            let turn = poll_fn(|cx| self.poll_turn(cx));
            let turn = match deadline {
                None => turn.await,
                Some(deadline) => match timeout_at(deadline, turn).await {
                    Ok(turn) => turn,
                    Err(_) => return SocketEvent::Failed(WebSocketError::TooSlow),
                },
            };
            if let Some(turn) = turn {
                return turn;
            }
        }
    }

    /// `None`: part of something came, or something that is answered already.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<SocketEvent>> {
        if self.unflushed
            && let Poll::Ready(flushed) = self.stream.poll_flush_unpin(cx)
        {
            self.unflushed = false;
            return Poll::Ready(Some(flushed.map_or_else(|error| wrong(&error), |()| SocketEvent::Flushed)));
        }
        match self.stream.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(message))) => Poll::Ready(self.take(message)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(wrong(&error))),
            Poll::Ready(None) => Poll::Ready(Some(SocketEvent::Gone("the WebSocket is closed".to_owned()))),
            Poll::Pending if self.unfinished.is_none() && self.stream.get_ref().read > self.told => {
                self.unfinished = Some(Instant::now());
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn take(&mut self, message: Message) -> Option<SocketEvent> {
        let read = self.stream.get_ref().read;
        match &message {
            // Control frames come between the fragments of a message, and don't finish it.
            Message::Ping(payload) | Message::Pong(payload) => {
                self.told = read.min(self.told + (self.overhead + payload.len()) as u64);
            }
            // What has come of the next one counts from its next byte.
            _ => self.told = read,
        }
        if self.told == read {
            self.unfinished = None;
        }
        match message {
            Message::Text(text) => Some(SocketEvent::Message(text.into())),
            Message::Binary(data) => Some(SocketEvent::Message(data)),
            Message::Pong(_) => Some(SocketEvent::Pong),
            Message::Close(frame) => Some(SocketEvent::Closing(frame)),
            // A ping is answered by the library; single frames it gives to nobody.
            Message::Ping(_) | Message::Frame(_) => None,
        }
    }

    /// Closes: with this frame, or by answering the peer's. `orderly`: the peer's answer is waited for.
    pub(super) async fn close(mut self, frame: Option<CloseFrame>, orderly: bool) {
        let closing = async {
            if let Some(frame) = frame {
                // A peer that is gone isn't told.
                let _ = self.stream.send(Message::Close(Some(frame))).await;
            }
            if orderly {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
            let mut tunnel = self.stream.into_inner();
            let _ = tunnel.shutdown().await;
            // What is left unread when a TCP connection is closed resets it, and the peer may never see the reason.
            let (mut rest, mut left) = ([0; 4096], REST_BYTES);
            while let Ok(length @ 1..) = tunnel.read(&mut rest).await {
                left = left.saturating_sub(length);
                if left == 0 {
                    break;
                }
            }
        };
        // Boxed: for this moment only is there room for its buffer.
        let _ = timeout(CLOSE_TIMEOUT, Box::pin(closing)).await;
    }
}

/// What an error of the library comes to.
fn wrong(error: &Error) -> SocketEvent {
    match error {
        // The connection ended in the middle: nothing can be said to anybody.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => SocketEvent::Gone(chain(&error)),
        Error::Protocol(_) => SocketEvent::Failed(WebSocketError::Protocol),
        Error::Utf8(_) => SocketEvent::Failed(WebSocketError::NotText),
        Error::Capacity(_) => SocketEvent::Failed(WebSocketError::TooLong),
        _ => SocketEvent::Gone(chain(&error)),
    }
}
