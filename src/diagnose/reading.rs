//! A stream read for a while: which bytes came, and when.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::{timeout, timeout_at};

use super::aim::Aim;
use super::dial::{Answer, AskError, Dialled, field};
use super::guest::Guest;
use crate::text::chain;
use crate::trial::Alpn;

/// What is read of one stream at most, in bytes: a line or an event that no reader takes, and a bit more.
const MAX_BYTES: usize = 3 * 1024 * 1024;
/// In how many pieces at most.
const MAX_PIECES: usize = 20_000;
/// How long an answer is read that says by its status that it is no stream.
const BRIEF: Duration = Duration::from_millis(500);

/// Bytes that came together, and when, counted from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: Duration,
    pub(super) bytes: Bytes,
}

/// How a reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish {
    /// It was listened to for as long as was wanted, and goes on.
    Open,
    /// It was read enough.
    Enough,
    /// The server ended it in order.
    Ended,
    /// It broke.
    Broke(String),
}

/// An answer whose header came.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) alpn: Alpn,
    pub(super) head: Parts,
    /// How long its header took.
    pub(super) headed: Duration,
    pub(super) pieces: Vec<Piece>,
    pub(super) finish: Finish,
    /// How long it was read, from the request on.
    pub(super) took: Duration,
}

impl Reading {
    /// A text field of its header.
    pub(super) fn field(&self, name: &HeaderName) -> Option<&str> {
        field(&self.head, name)
    }

    /// Its media type, in lower case and without parameters.
    pub(super) fn media_type(&self) -> String {
        essence(self.field(&CONTENT_TYPE).unwrap_or_default())
    }

    /// What it was compressed by.
    pub(super) fn compressed(&self) -> Option<&str> {
        self.field(&CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity"))
    }

    /// How many bytes its content had so far.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }

    /// How often something came that wasn't part of what had just come.
    pub(super) fn arrivals(&self) -> usize {
        let times = self.pieces.iter().map(|piece| piece.at);
        let mut last = None;
        times.filter(|at| last.replace(*at).is_none_or(|last| at.saturating_sub(last) > TOGETHER)).count()
    }
}

/// What comes within so long of what came before came with it.
pub(super) const TOGETHER: Duration = Duration::from_millis(20);

/// A media type in lower case and without parameters.
pub(super) fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What came of a request for a stream.
#[derive(Debug)]
pub(super) enum Heard {
    /// An answer.
    Answered(Box<Reading>),
    /// No whole header in all the time that it was listened for, and so many bytes of something.
    Silent { alpn: Alpn, waited: Duration, bytes: u64 },
    /// No answer.
    Failed(AskError),
}

/// How an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Plain.
    Identity,
    /// As browsers ask.
    Browsers,
}

/// What every reader of a stream asks for.
pub(super) fn wants(coding: Coding) -> Vec<(HeaderName, HeaderValue)> {
    let coding = match coding {
        Coding::Identity => "identity",
        Coding::Browsers => "gzip, deflate, br, zstd",
    };
    vec![
        (ACCEPT, HeaderValue::from_static("text/event-stream, application/x-ndjson, */*;q=0.5")),
        (ACCEPT_ENCODING, HeaderValue::from_static(coding)),
        // As an EventSource asks (WHATWG HTML section 9.2.2: its cache mode is "no-store").
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]
}

/// Asks for the stream, and reads it for so long, counted from the request.
pub(super) async fn listen(
    dialled: &Dialled,
    aim: &Aim,
    guest: &Guest,
    fields: &[(HeaderName, HeaderValue)],
    window: Duration,
    enough: impl Fn(&[Piece]) -> bool,
) -> Heard {
    listen_and_tell(dialled, aim, guest, fields, window, (&|_| (), enough)).await
}

/// The same, and tells of the answer's header when that comes.
pub(super) async fn listen_and_tell(
    dialled: &Dialled,
    aim: &Aim,
    guest: &Guest,
    fields: &[(HeaderName, HeaderValue)],
    window: Duration,
    (headed, enough): (&dyn Fn(&Parts), impl Fn(&[Piece]) -> bool),
) -> Heard {
    let before = dialled.received();
    match timeout(window, dialled.ask(aim, guest, Method::GET, fields)).await {
        Ok(Ok(answer)) => {
            headed(&answer.head);
            // What is no stream is not waited for.
            let window = if answer.head.status == StatusCode::OK { window } else { window.min(answer.headed + BRIEF) };
            Heard::Answered(Box::new(read(answer, dialled.alpn, window, enough).await))
        }
        Ok(Err(error)) => Heard::Failed(error),
        Err(_) => Heard::Silent { alpn: dialled.alpn, waited: window, bytes: dialled.received() - before },
    }
}

/// Reads an answer for so long, counted from the request.
pub(super) async fn read(
    mut answer: Answer,
    alpn: Alpn,
    window: Duration,
    enough: impl Fn(&[Piece]) -> bool,
) -> Reading {
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    let until = answer.asked + window;
    let finish = loop {
        if bytes >= MAX_BYTES || pieces.len() >= MAX_PIECES || enough(&pieces) {
            break Finish::Enough;
        }
        match timeout_at(until, answer.piece()).await {
            Ok(Some(Ok(piece))) if piece.is_empty() => {}
            Ok(Some(Ok(piece))) => {
                bytes += piece.len();
                pieces.push(Piece { at: answer.asked.elapsed(), bytes: piece });
            }
            Ok(Some(Err(error))) => break Finish::Broke(chain(&*error)),
            Ok(None) => break Finish::Ended,
            Err(_) => break Finish::Open,
        }
    };
    let took = answer.asked.elapsed();
    Reading { alpn, headed: answer.headed, head: answer.head, pieces, finish, took }
}
