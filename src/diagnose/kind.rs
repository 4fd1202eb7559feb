//! What kind of stream an answer is.

use http::header::CONTENT_TYPE;
use http::response::Parts;
use std::time::Duration;

use super::dial::field;
use super::reading::{Finish, Reading, essence};
use super::said::Delimited;
use super::visit::StreamKind;

/// What an event stream is called.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// What newline-delimited JSON is called, which nobody has registered.
const LINES: [&str; 6] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/stream+json",
    "application/json-seq",
];
const PARTS: &str = "multipart/x-mixed-replace";
const JSON: &str = "application/json";
/// An answer that took longer than this waited for something.
const WAITED: Duration = Duration::from_secs(1);

/// By its type, and where that says nothing, by what it does; `None`: it is no stream.
pub(super) fn of(reading: &Reading) -> Option<StreamKind> {
    let kind = reading.media_type();
    if let Some(kind) = of_type(&kind) {
        return Some(kind);
    }
    if looks_like_events(reading) {
        return Some(StreamKind::EventStream);
    }
    match reading.finish {
        Finish::Ended if kind == JSON && reading.headed >= WAITED => Some(StreamKind::LongPoll),
        Finish::Ended => None,
        _ if looks_like_html(reading) => None,
        _ => Some(StreamKind::Lines),
    }
}

/// By its header alone.
pub(super) fn of_head(head: &Parts) -> Option<StreamKind> {
    let kind = essence(field(head, &CONTENT_TYPE).unwrap_or_default());
    of_type(&kind).or((kind == JSON && head.status.is_success()).then_some(StreamKind::LongPoll))
}

fn of_type(kind: &str) -> Option<StreamKind> {
    match kind {
        EVENT_STREAM => Some(StreamKind::EventStream),
        PARTS => Some(StreamKind::Parts),
        kind if LINES.contains(&kind) => Some(StreamKind::Lines),
        _ => None,
    }
}

/// How its events are told apart.
pub(super) fn format(kind: Option<StreamKind>) -> Delimited {
    match kind {
        Some(StreamKind::EventStream) => Delimited::EventStream,
        Some(StreamKind::Lines) => Delimited::Lines,
        _ => Delimited::Opaque,
    }
}

/// Whether it begins as an HTML page does.
pub(super) fn looks_like_html(reading: &Reading) -> bool {
    let begins = || beginning(reading).trim_start().to_ascii_lowercase();
    reading.media_type().ends_with("html") || begins().starts_with("<!doctype html") || begins().starts_with("<html")
}

/// Whether it begins with fields of an event stream, whatever it is called.
fn looks_like_events(reading: &Reading) -> bool {
    let text = beginning(reading);
    let line = text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default().to_owned();
    ["data:", "event:", "id:", "retry:"].iter().any(|field| line.starts_with(field))
}

fn beginning(reading: &Reading) -> String {
    let bytes: Vec<u8> = reading.pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).take(256).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
