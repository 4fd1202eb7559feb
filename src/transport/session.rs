//! What the transports in sessions of QUIC have in common, `webtransport` and `quic`: everything but the name.
//!
//! The server sends events in one of three modes, which the query's `mode` names:
//!
//! - `stream`: one unidirectional stream with a line of JSON for each event, in order; an empty line is a sign of life.
//! - `streams`: one unidirectional stream for each event, with its JSON and an end. What is lost on the way delays only
//!   the event that it belongs to, so that events can arrive out of order. That is what this mode is for, so that
//!   `reordered` is a metric there and breaks no expectation.
//! - `datagrams`: one datagram for each event. What is lost is lost. One that is longer than the path takes is told as
//!   a gap of one (and counted as the bound `datagram-size`), and a reader that is slower than the feed is told of gaps
//!   as on any other transport: a datagram waits for room at the server, where none is dropped. What arrives faster
//!   than a reader takes it is dropped at the reader.
//!
//! A gap is sent as an event is. What a client sends on a stream of its own, up to the stream's end, is one event; on a
//! stream in both directions the answer is `{"id": "k3f9-18"}` or `{"error": "…"}`. So is each of its datagrams, which
//! has no answer.
//!
//! When the feed ends its readers the session is closed with code 0 and a reason, once the client has what was sent.

mod publish;
mod serve;
mod subscribe;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::configured::Because;
use crate::trial::Settings;
use crate::trial::settings::Direction;

pub(super) use serve::serve;
pub(super) use subscribe::subscribe;

/// How the server sends events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// All on one stream.
    #[default]
    Stream,
    /// Each on a stream of its own.
    Streams,
    /// Each in a datagram.
    Datagrams,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Stream, Self::Streams, Self::Datagrams];

    /// The word of queries and settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Streams => "streams",
            Self::Datagrams => "datagrams",
        }
    }

    fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }
}

/// How a client sends an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Publish {
    /// On a unidirectional stream of its own.
    #[default]
    Stream,
    /// In a datagram.
    Datagram,
}

/// What both tables of settings have, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionSettings {
    pub(super) mode: Mode,
    pub(super) finish: bool,
    pub(super) publish: Publish,
}

impl SessionSettings {
    /// A datagram may be lost on its way, the census's like any other (RFC 9221 section 5).
    pub(super) fn may_lose(self) -> Option<Because> {
        (self.mode == Mode::Datagrams)
            .then_some(Because { setting: "mode", says: "datagrams may be lost on their way" })
    }

    /// With a stream for each event, what is lost on the way delays only its own event, and the others overtake it.
    pub(super) fn may_reorder(self) -> bool {
        self.mode != Mode::Stream
    }

    pub(super) fn reads(self, setting: &str, trial: &Settings) -> bool {
        match setting {
            // Whether a stream ends behind its event is asked only where each event has one.
            "finish" => self.mode == Mode::Streams,
            // How a client sends is asked only of one that does.
            "publish" => trial.workload.direction != Direction::Down,
            _ => true,
        }
    }
}
