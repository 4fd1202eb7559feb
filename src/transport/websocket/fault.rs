//! What a peer can do wrong, and what can go wrong with what it sent: a name to count it under, and the close code that says so (RFC 6455 section 7.4.1).

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::transport::PublishError;
use crate::trial::ServerFact;
use crate::wire::{Bound, Sink};

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WebSocketError {
    /// Bytes that are no frames, or frames that don't belong here.
    Protocol,
    /// A text message that is not UTF-8.
    NotText,
    /// A binary message that is not UTF-8, which is taken too where it is.
    NotTaken,
    /// A message, or a frame of it, that is longer than an event may be.
    TooLong,
    /// A message that was begun and not finished in time.
    TooSlow,
    /// Pings that were not answered.
    NoPong,
    /// What it sent couldn't be published, which is no fault of its.
    NotPublished,
}

/// How often each happened in this process, in the order above.
static COUNTS: [Bound; 7] = [
    Bound::new("websocket-protocol-error"),
    Bound::new("websocket-not-text"),
    Bound::new("websocket-binary-not-text"),
    Bound::new("websocket-message-too-long"),
    Bound::new("websocket-message-too-slow"),
    Bound::new("websocket-missed-pongs"),
    Bound::new("websocket-not-published"),
];

impl WebSocketError {
    /// Tells of it.
    pub(super) fn count(self, sink: &Sink<ServerFact>) {
        COUNTS[self as usize].reached(sink);
    }

    /// What the peer is told.
    pub(super) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Protocol => (CloseCode::Protocol, "not as RFC 6455 has it"),
            Self::NotText => (CloseCode::Invalid, "a message must be UTF-8"),
            // RFC 6455 section 7.4.1: 1007 is for what isn't of its message's kind, and any bytes are binary.
            Self::NotTaken => (CloseCode::Unsupported, "a binary message is taken if it is UTF-8"),
            Self::TooLong => (CloseCode::Size, "a message is longer than an event may be"),
            Self::TooSlow => (CloseCode::Policy, "a message took too long"),
            // The standard has no code for it; the unexpected condition is a peer that doesn't answer.
            Self::NoPong => (CloseCode::Error, "pings were not answered"),
            // 1013 is registered with IANA for it.
            Self::NotPublished => (CloseCode::Again, "what was sent can't be published now; try again later"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

impl From<PublishError> for WebSocketError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::TooLong => Self::TooLong,
            // Text is looked at before it comes here.
            PublishError::NotText | PublishError::Name | PublishError::MessageId => Self::NotTaken,
            PublishError::Log(_) => Self::NotPublished,
        }
    }
}
