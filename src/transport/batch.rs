//! The answer to a poll, of either kind: `{"events": [ … ], "last": "k3f9-18"}`, events and gaps as everywhere in JSON.
//!
//! `last` is the id after which to go on. An answer that was cut at its bound says `"more": true` as well: the rest is
//! there already, for whoever asks again at once.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use serde::Deserialize;

use super::{FeedReader, Receipts, ServerMessage, json};
use crate::feed::{CursorItem, Encoding, EventId};
use crate::trial::ServerFact;
use crate::wire::{Bound, ResponseBody, Sink};

/// How many events one answer holds at most.
const ANSWER_EVENTS: usize = 1024;
/// After how many bytes of events an answer is full: it is at most that long and one event more.
const ANSWER_BYTES: usize = 256 * 1024;
/// How many fields an answer has room for.
const ANSWER_FIELDS: usize = 6;
/// How long an answer a reader takes, in bytes: a full one, and what a trial's largest event takes (1 MiB, escaped).
pub(super) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// How often an answer was full while there was more.
static CUT: Bound = Bound::new("answer");

/// The answer to a poll that brings this event alone.
static ALONE: Encoding = Encoding {
    name: "an answer",
    encode: |event| {
        let object = json::object(event);
        let length = object.len() + 80;
        encode(std::iter::once(object), length, event.id, false)
    },
};

/// An answer as the server gathers it: events and gaps.
#[derive(Debug, Default)]
pub(super) struct Batch {
    nexts: Vec<CursorItem>,
    /// How long they are together as JSON.
    bytes: usize,
}

impl Batch {
    /// Adds an event or a gap.
    pub(super) fn add(&mut self, next: CursorItem) {
        if let Some(object) = object(&next) {
            self.bytes += object.len();
            self.nexts.push(next);
        }
    }

    /// Adds what is there already, as far as there is room.
    pub(super) fn add_ready(&mut self, reader: &mut FeedReader) {
        while !self.is_full() {
            let Some(next) = reader.ready() else { return };
            self.add(next);
        }
    }

    /// Whether nothing was added yet.
    pub(super) fn is_empty(&self) -> bool {
        self.nexts.is_empty()
    }

    /// Whether nothing more has room.
    pub(super) fn is_full(&self) -> bool {
        self.nexts.len() >= ANSWER_EVENTS || self.bytes >= ANSWER_BYTES
    }

    /// The answer. One that is full may have left something: that is told, and counted.
    pub(super) fn response(&self, last: EventId, sink: &Sink<ServerFact>) -> http::Response<ResponseBody> {
        let full = self.is_full();
        if full {
            CUT.reached(sink);
        }
        let body = match &*self.nexts {
            // What all who waited for this event are answered.
            [CursorItem::Event(event)] if event.id == last && !full => event.encoded(&ALONE),
            _ => self.encode(last, full),
        };
        let mut response = http::Response::new(ResponseBody::whole(body));
        // At once for all fields that the answer gets.
        *response.headers_mut() = http::HeaderMap::with_capacity(ANSWER_FIELDS);
        response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        response
    }

    fn encode(&self, last: EventId, more: bool) -> Bytes {
        encode(self.nexts.iter().filter_map(object), self.bytes + self.nexts.len() + 80, last, more)
    }
}

/// An answer of these objects.
fn encode(objects: impl Iterator<Item = Bytes>, length: usize, last: EventId, more: bool) -> Bytes {
    let mut whole = BytesMut::with_capacity(length);
    whole.put_slice(b"{\"events\":[");
    for (number, object) in objects.enumerate() {
        if number > 0 {
            whole.put_u8(b',');
        }
        whole.put(object);
    }
    // Memory takes it all.
    let _ = write!(whole, "],\"last\":\"{last}\"");
    if more {
        whole.put_slice(b",\"more\":true");
    }
    whole.put_u8(b'}');
    whole.freeze()
}

/// An event or a gap as JSON.
fn object(next: &CursorItem) -> Option<Bytes> {
    match next {
        CursorItem::Event(event) => Some(json::object(event)),
        CursorItem::Gap(gap) => Some(json::gap_object(*gap)),
        CursorItem::Beat | CursorItem::End => None,
    }
}

/// An answer as a reader gets it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Polled {
    /// What is new, in order.
    events: Vec<ServerMessage>,
    /// The id after which to go on.
    last: String,
    /// Whether there is more to be had at once.
    #[serde(default)]
    pub(super) more: bool,
}

impl Polled {
    pub(super) fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Notes it among a subscription's receipts.
    pub(super) fn note(self, receipts: &mut Receipts) {
        for told in self.events {
            told.note(receipts);
        }
        receipts.is_at(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Feed, Gap};

    #[test]
    fn an_answer_reads_back_as_written() {
        let feed = Feed::new("f0", 8);
        let mut batch = Batch::default();
        batch.add(CursorItem::Gap(Gap { missed: Some(3), first: None }));
        let mut last = None;
        for data in ["one", "\"two\"\n"] {
            let event = feed.publish("message", data.to_owned(), 7, false);
            last = Some(event.id);
            batch.add(CursorItem::Event(event));
        }
        let last = last.unwrap();
        let polled = Polled::read(&batch.encode(last, false)).unwrap();
        assert_eq!((polled.events.len(), polled.last, polled.more), (3, last.to_string(), false));
        let empty = Polled::read(&Batch::default().encode(last, true)).unwrap();
        assert_eq!(empty, Polled { events: vec![], last: last.to_string(), more: true });
    }

    #[test]
    fn an_answer_is_full_in_events_and_in_bytes() {
        let feed = Feed::new("f0", 2048);
        let filled = |data: &str| {
            let mut batch = Batch::default();
            while !batch.is_full() {
                batch.add(CursorItem::Event(feed.publish("message", data.to_owned(), 0, false)));
            }
            (batch.nexts.len(), batch.bytes)
        };
        assert_eq!(filled("").0, ANSWER_EVENTS);
        let (count, bytes) = filled(&"x".repeat(64 * 1024));
        assert!(count == 4 && bytes < ANSWER_BYTES + 66 * 1024, "{count} events of {bytes} bytes");
    }
}
