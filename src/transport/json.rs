//! An event as JSON, which all transports but SSE carry:
//! `{"id": "k3f9-18", "name": "message", "data": "…", "time": 1790000000000000}`, and a gap as
//! `{"name": "gap", "missed": 12, "first": "k3f9-30"}` (`missed` is `null` where it can't be known).

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::Receipts;
use crate::feed::{Encoding, Event, EventId, Gap};

/// An event or a gap, as a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ServerMessage {
    Event {
        id: String,
        name: String,
        data: String,
        /// When it was published, in microseconds since 1970.
        time: u64,
    },
    /// Events that are gone.
    Gap {
        name: GapName,
        /// How many, where that can be known.
        missed: Option<u64>,
        /// The first that comes instead.
        first: Option<String>,
    },
    /// Where the reader is, without an event: `{"last": "k3f9-18"}`. A stream that begins with what is next says it
    /// first, so that a reader whose stream breaks before any event still knows where to go on.
    At {
        /// The id after which to go on.
        last: String,
    },
}

/// The name that a gap goes by, and no event can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GapName {
    #[serde(rename = "gap")]
    Gap,
}

impl ServerMessage {
    pub fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Reads a message that may have an event's data behind its head, as bytes.
    pub(super) fn read_with_bytes(message: &[u8]) -> Result<Self, serde_json::Error> {
        let Some(end) = message.iter().position(|byte| *byte == b'\n') else { return Self::read(message) };
        let HeadJson { id, name, time } = serde_json::from_slice(&message[..end])?;
        Ok(Self::Event { id, name, data: String::from_utf8_lossy(&message[end + 1..]).into_owned(), time })
    }

    /// Notes it among a subscription's receipts.
    pub(super) fn note(self, receipts: &mut Receipts) {
        match self {
            Self::Event { id, data, .. } => receipts.received(&id, &data),
            Self::Gap { missed, first, .. } => receipts.gap(missed, first),
            Self::At { last } => receipts.is_at(last),
        }
    }
}

#[derive(Serialize)]
struct EventJson<'a> {
    id: String,
    name: &'a str,
    data: Cow<'a, str>,
    time: u64,
}

/// An event but for its data.
#[derive(Serialize, Deserialize)]
struct HeadJson {
    id: String,
    name: String,
    time: u64,
}

#[derive(Serialize)]
struct GapJson {
    name: GapName,
    missed: Option<u64>,
    first: Option<String>,
}

/// An event as a JSON object and a line feed.
static LINE: Encoding = Encoding { name: "application/x-ndjson", encode: encoded };

/// The same, kept by nobody: for an encoding that has it within.
pub(super) fn encoded(event: &Event) -> Bytes {
    let json = EventJson { id: event.id.to_string(), name: &event.name, data: event.as_text(), time: event.time };
    with_line_feed(&json, event.data.len() + 96)
}

/// The event as one line, line feed included; encoded once and shared by all readers.
pub(super) fn line(event: &Event) -> Bytes {
    event.encoded(&LINE)
}

/// The same without its line feed.
pub(super) fn object(event: &Event) -> Bytes {
    let mut line = line(event);
    line.truncate(line.len() - 1);
    line
}

/// An event whose data is bytes, for what carries them: the object without its data, a line feed, and the bytes.
static HEAD_AND_BYTES: Encoding = Encoding {
    name: "application/octet-stream",
    encode: |event| {
        let head = HeadJson { id: event.id.to_string(), name: event.name.clone(), time: event.time };
        [with_line_feed(&head, 96), Bytes::copy_from_slice(event.data.as_bytes())].concat().into()
    },
};

/// The same, encoded once and shared by all readers.
pub(super) fn head_and_bytes(event: &Event) -> Bytes {
    event.encoded(&HEAD_AND_BYTES)
}

/// A place as one line.
pub(super) fn place_line(last: EventId) -> Bytes {
    format!("{{\"last\":\"{last}\"}}\n").into()
}

/// A gap as one line.
pub(super) fn gap_line(gap: Gap) -> Bytes {
    with_line_feed(&GapJson { name: GapName::Gap, missed: gap.missed, first: gap.first.map(|id| id.to_string()) }, 80)
}

/// The same without its line feed.
pub(super) fn gap_object(gap: Gap) -> Bytes {
    let mut line = gap_line(gap);
    line.truncate(line.len() - 1);
    line
}

fn with_line_feed(value: &impl Serialize, length: usize) -> Bytes {
    let mut writer = BytesMut::with_capacity(length).writer();
    // Strings and numbers always can be written, and memory takes them all.
    let _ = serde_json::to_writer(&mut writer, value);
    let mut line = writer.into_inner();
    line.put_u8(b'\n');
    line.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Feed;

    #[test]
    fn an_event_and_a_gap_read_back_as_written() {
        let feed = Feed::new("f0", 4);
        for data in ["plain", "", "two\nlines\r\n", "\"\\\u{0}\u{2028}é🦀"] {
            let event = feed.publish("news", data.to_owned(), 7, false);
            let told = ServerMessage::read(&object(&event)).unwrap();
            let id = event.id.to_string();
            assert_eq!(told, ServerMessage::Event { id, name: "news".to_owned(), data: data.to_owned(), time: 7 });
            let end = line(&event).iter().position(|byte| *byte == b'\n');
            assert_eq!(end, Some(object(&event).len()), "one line");
        }
        for (missed, first) in [(Some(12), Some("k3f9-30")), (None, None)] {
            let gap = Gap { missed, first: first.map(|id| id.parse().unwrap()) };
            let first = first.map(str::to_owned);
            assert_eq!(
                ServerMessage::read(&gap_object(gap)).unwrap(),
                ServerMessage::Gap { name: GapName::Gap, missed, first }
            );
        }
        let last: EventId = "k3f9-18".parse().unwrap();
        assert_eq!(ServerMessage::read(&place_line(last)).unwrap(), ServerMessage::At { last: last.to_string() });
        assert!(ServerMessage::read(b"{\"id\": 1}").is_err());
    }

    #[test]
    fn bytes_go_as_they_are_where_they_can_and_as_base64_elsewhere() {
        let data = crate::feed::payload::text(1, 1, 1024);
        let event = Feed::new("f0", 4).publish_bytes_with("message", |_| data.clone(), 7, false);
        let (id, name) = (event.id.to_string(), "message".to_owned());
        let told = ServerMessage::read_with_bytes(&head_and_bytes(&event)).unwrap();
        assert_eq!(told, ServerMessage::Event { id, name, data: data.clone(), time: 7 });
        let ServerMessage::Event { data: coded, .. } = ServerMessage::read(&object(&event)).unwrap() else { panic!() };
        assert_eq!(coded.len(), 1368, "four characters for three bytes");
        assert_eq!(crate::feed::payload::from_text(&coded), Some(data));
        assert!(head_and_bytes(&event).len() < 1024 + 70 && object(&event).len() > 1368);
    }

    #[test]
    fn an_event_is_encoded_once_for_all_its_readers() {
        let event = Feed::new("f0", 4).publish("news", "x".to_owned(), 0, false);
        assert_eq!(line(&event).as_ptr(), object(&event).as_ptr());
    }
}
