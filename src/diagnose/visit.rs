//! What a diagnosis has seen of a server so far.

use std::net::SocketAddr;
use std::time::Duration;

use http::response::Parts;
use serde::Serialize;

use super::aim::Aim;
use super::dial::{Goaway, SeenHttp3, SeenSettings};
use super::known::{self, Remedy};
use super::reading::Reading;
use super::said::Said;
use super::tls::SeenTls;
use crate::trial::Alpn;

/// What kind of stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamKind {
    EventStream,
    /// Newline-delimited JSON, or lines of something else.
    Lines,
    /// A WebSocket.
    Socket,
    /// A WebTransport session.
    WebTransport,
    /// `multipart/x-mixed-replace`.
    Parts,
    /// An answer that waits until there is something to say.
    LongPoll,
}

impl StreamKind {
    /// As a person reads it.
    pub fn title(self) -> &'static str {
        match self {
            Self::EventStream => "an event stream (text/event-stream)",
            Self::Lines => "a stream of lines",
            Self::Socket => "a WebSocket",
            Self::WebTransport => "a WebTransport session",
            Self::Parts => "a multipart stream",
            Self::LongPoll => "a long poll",
        }
    }
}

/// A request whose header did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) alpn: Alpn,
    pub(super) waited: Duration,
}

/// What came of asking for HTTP/3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeenQuic {
    /// The `Alt-Svc` that offers it (RFC 7838); without one it was asked for at the address's own port.
    pub(super) offered: Option<String>,
    pub(super) port: u16,
    /// How long the QUIC handshake took, or why there was none.
    pub(super) handshake: Result<Duration, QuicSilence>,
}

/// Why a QUIC handshake didn't come about, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct QuicSilence(pub(super) String);

/// What came of cutting a stream and coming back with `Last-Event-ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "came")]
pub enum Resumed {
    /// The event after that id.
    Next,
    /// That event again, or one before it.
    Again { id: String },
    /// A later one: so many were left out.
    Later { missed: usize },
    /// Nothing of what had been sent after that id.
    Nothing,
    /// It can't be told, as the rest of a sentence.
    Untold { why: String },
}

/// The same, on one ALPN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenReturn {
    pub alpn: Alpn,
    #[serde(flatten)]
    pub resumed: Resumed,
}

/// How many streams were open at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenStreams {
    pub alpn: Alpn,
    pub asked: u32,
    pub opened: u32,
    /// How many its SETTINGS allow on a connection, or its QUIC transport parameters to begin with.
    pub limit: Option<u64>,
    /// What the next one was told.
    pub refused: Option<String>,
}

/// A time without anything to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenQuiet {
    pub alpn: Alpn,
    /// How long it was listened, in milliseconds.
    pub listened: u64,
    /// The longest time in which no byte came.
    pub longest: u64,
    /// If it was cut: the silence before, and how it ended.
    pub cut: Option<(u64, String)>,
}

/// A WebSocket, or a WebTransport session, that was read for a while.
#[derive(Debug)]
pub(super) struct SeenSocket {
    pub(super) alpn: Alpn,
    pub(super) headed: Duration,
    /// The header of the answer that opened it.
    pub(super) head: Option<Parts>,
    /// Its messages as events, its pings as signs of life.
    pub(super) said: Said,
    /// The close code and reason that came.
    pub(super) closed: Option<String>,
    /// How it broke the protocol or the connection.
    pub(super) broke: Option<String>,
    /// When that was, and when the last bytes had come.
    pub(super) ended: Option<(Duration, Duration)>,
}

impl SeenSocket {
    /// One on which nothing was said yet.
    pub(super) fn on(alpn: Alpn) -> Self {
        let (headed, said) = (Duration::ZERO, Said::default());
        Self { alpn, headed, head: None, said, closed: None, broke: None, ended: None }
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) aim: Aim,
    pub(super) origin: Option<String>,
    pub(super) kind: Option<StreamKind>,
    pub(super) connected: Option<(SocketAddr, Duration)>,
    pub(super) tls: Option<SeenTls>,
    /// Those that it was asked for and speaks, the best first.
    pub(super) spoken: Vec<Alpn>,
    pub(super) not_spoken: Vec<Alpn>,
    pub(super) settings: Option<SeenSettings>,
    pub(super) http3: Option<SeenHttp3>,
    pub(super) quic: Option<SeenQuic>,
    pub(super) goaways: Vec<(Alpn, Goaway)>,
    /// What was read of it, on each ALPN, and what that says; the best first.
    pub(super) readings: Vec<(Reading, Said)>,
    pub(super) silences: Vec<Silence>,
    /// How late this program's own clock came meanwhile, at the worst: on a busy machine what comes in time is read late.
    pub(super) late: Duration,
    /// The header of the answer to a HEAD, where GET had none, and how long that took.
    pub(super) head_only: Option<(Parts, Duration)>,
    /// The same stream as a browser asks for it, where it was compressed for that.
    pub(super) compressed: Option<Reading>,
    /// The same as a reader has it that stopped reading meanwhile.
    pub(super) slow: Option<(Reading, Said)>,
    /// On each ALPN, as what follows.
    pub(super) resumed: Vec<SeenReturn>,
    pub(super) streams: Vec<SeenStreams>,
    pub(super) quiet: Vec<SeenQuiet>,
    pub(super) sockets: Vec<SeenSocket>,
    /// Where SETTINGS offer a WebSocket, and what came of asking for one.
    pub(super) refused_sockets: Vec<(Alpn, String)>,
    /// A request for a WebSocket was answered as one that isn't: 426, or what there is at that address for others.
    pub(super) upgrade_lost: bool,
    /// What was left out, and why.
    pub(super) left_out: Vec<String>,
}

impl Visit {
    pub(super) fn new(aim: Aim, origin: Option<String>) -> Self {
        Self {
            aim,
            origin,
            kind: None,
            connected: None,
            tls: None,
            spoken: Vec::new(),
            not_spoken: Vec::new(),
            settings: None,
            http3: None,
            quic: None,
            goaways: Vec::new(),
            readings: Vec::new(),
            silences: Vec::new(),
            late: Duration::ZERO,
            head_only: None,
            compressed: None,
            slow: None,
            resumed: Vec::new(),
            streams: Vec::new(),
            quiet: Vec::new(),
            sockets: Vec::new(),
            refused_sockets: Vec::new(),
            upgrade_lost: false,
            left_out: Vec::new(),
        }
    }

    /// What was read on the best ALPN.
    pub(super) fn main(&self) -> Option<(&Reading, &Said)> {
        self.readings.first().map(|(reading, said)| (reading, said))
    }

    /// The header that says most about who answers.
    pub(super) fn head(&self) -> Option<&Parts> {
        let read = self.main().map(|(reading, _)| &reading.head);
        let opened = || self.sockets.iter().find_map(|socket| socket.head.as_ref());
        read.or(self.head_only.as_ref().map(|(head, _)| head)).or_else(opened)
    }

    /// What calls itself the server.
    pub(super) fn server(&self) -> Option<&str> {
        self.head().and_then(|head| super::dial::field(head, &http::header::SERVER))
    }

    /// What to change: `own`, or a line of who answers.
    pub(super) fn change(&self, own: &str, line: Remedy) -> String {
        known::change(self.head(), own, line)
    }

    pub(super) fn is_event_stream(&self) -> bool {
        self.kind == Some(StreamKind::EventStream)
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
