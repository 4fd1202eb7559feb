//! Multipart streaming: one response that goes on, each event a part of `multipart/x-mixed-replace`, which is how pages
//! were pushed images and documents before there was anything else (Netscape 1.1, 1995; WHATWG HTML section 7.4.4).
//!
//! A part ends where the next delimiter is (RFC 2046 section 5.1.1), so the server writes that at once and not with the
//! next event: who knows no `Content-Length` would get each event one too late. A part without content is a sign of life.

use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::configured::{self, Configured};
use super::{
    BoxFuture, ClientSubscription, EndReason, FeedReader, Opens, Reply, ServerMessage, SubscriptionRequest, Transport,
    Upstream, json, stream,
};
use crate::feed::{After, CursorItem, Encoding};
use crate::trial::{Alpn, Exchanges};

const MEDIA_TYPE: &str = "multipart/x-mixed-replace";

pub static TRANSPORT: Transport = Transport {
    name: "multipart",
    title: "Multipart streaming",
    alpns: &Alpn::HTTP,
    opens: Opens::Request,
    exchanges: Exchanges::Persistent,
    media_type: Some(MEDIA_TYPE),
    upstream: Upstream::Post,
    page: |_| Ok(()),
    interface: None,
    script: include_str!("multipart.js"),
    modules: &[("stream.js", include_str!("stream.js"))],
    variants: &[""],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The table `[multipart]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Whether the server begins to write at once: the place in the feed to who has none yet, the first delimiter alone
    /// to others. Without it both come with the first event.
    pub greeting: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { greeting: true }
    }
}

impl Configured for Settings {
    fn table(&self) -> serde_json::Value {
        configured::table(self)
    }

    fn serve(&self, reading: SubscriptionRequest<'_>) -> Reply {
        serve(reading, *self)
    }

    fn subscribe<'a>(&'a self, subscribing: ClientSubscription<'a>) -> BoxFuture<'a, EndReason> {
        Box::pin(subscribe(subscribing))
    }
}

const TYPE: &str = "multipart/x-mixed-replace; boundary=transport-lab";
/// Begins the first part. Content can't have it in it: JSON has no line breaks.
const FIRST: &[u8] = b"--transport-lab";
/// Ends a part, and begins the next.
const DELIMITER: &[u8] = b"\r\n--transport-lab";
/// A part without fields and content.
const EMPTY: Bytes = Bytes::from_static(b"\r\n\r\n\r\n--transport-lab");
/// Makes the last delimiter the one that ends it all.
const CLOSE: Bytes = Bytes::from_static(b"--\r\n");

/// What is next, given that the delimiter before it was written.
static PART: Encoding = Encoding {
    name: MEDIA_TYPE,
    encode: |event| {
        let line = json::encoded(event);
        part(&line[..line.len() - 1])
    },
};

fn part(content: &[u8]) -> Bytes {
    let fields = format!("\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", content.len());
    [fields.as_bytes(), content, DELIMITER].concat().into()
}

fn serve(reading: SubscriptionRequest<'_>, settings: Settings) -> Reply {
    let reader = reading.pending.after(reading.after);
    // Who says where it is knows its place, and who is to be told of a gap has none yet.
    let place = (reading.after == After::Now).then(|| part(json::place_line(reader.last()).trim_ascii_end()));
    let begin = if settings.greeting { Begin::Now(place) } else { Begin::WithTheFirst };
    stream::response(TYPE, reading.stream, unfold(Some((begin, reader)), chunk)).into()
}

/// What of the beginning is to be written yet.
enum Begin {
    /// All of it, with this part if there is one.
    Now(Option<Bytes>),
    /// The delimiter, before the first part.
    WithTheFirst,
    Written,
}

/// `None`: the last delimiter was written.
type State = Option<(Begin, FeedReader)>;

async fn chunk(state: State) -> Option<(Bytes, State)> {
    let (begin, mut reader) = state?;
    if let Begin::Now(place) = begin {
        let bytes = [FIRST, place.as_deref().unwrap_or_default()].concat();
        return Some((bytes.into(), Some((Begin::Written, reader))));
    }
    let mut rest = true;
    let bytes = match reader.next().await {
        CursorItem::Event(event) => event.encoded(&PART),
        CursorItem::Gap(gap) => part(json::gap_line(gap).trim_ascii_end()),
        CursorItem::Beat => EMPTY,
        CursorItem::End => {
            rest = false;
            CLOSE
        }
    };
    let bytes = if matches!(begin, Begin::WithTheFirst) { [FIRST, &bytes].concat().into() } else { bytes };
    Some((bytes, rest.then_some((Begin::Written, reader))))
}

async fn subscribe(subscribing: ClientSubscription<'_>) -> EndReason {
    let ClientSubscription { pool, target, path, receipts, decodes, .. } = subscribing;
    let fields = stream::fields(MEDIA_TYPE, decodes);
    let mut content = match stream::request(pool, target, path, &fields, receipts).await {
        Ok(content) => content,
        Err(reason) => return reason,
    };
    let kind = content.kind();
    let Some(mut parts) = Parts::of(kind) else { return format!("the answer has no parts but is `{kind}`").into() };
    receipts.opened();
    while let Some(chunk) = content.chunk(receipts).await {
        let bytes = match chunk {
            Ok(bytes) => bytes,
            Err(reason) => return reason,
        };
        let mut wrong = None;
        let pushed = parts.push(&bytes, |content| match ServerMessage::read(content) {
            Ok(told) => told.note(receipts),
            Err(error) => wrong = Some(EndReason::from(format!("not an event: {error}"))),
        });
        if let Some(wrong) = wrong.or_else(|| pushed.err().map(|error| EndReason::failure(&error))) {
            return wrong;
        }
    }
    EndReason::stream_ended()
}

/// How long a part may be, in bytes: a trial's largest event (1 MiB), escaped.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// A part is longer than a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of more than {MAX_BYTES} bytes")]
struct PartTooLong;

/// Puts parts together that come in pieces of any length.
struct Parts {
    /// The line break and the dashes included.
    delimiter: Vec<u8>,
    /// What is no part yet. A line break is put in front of all, as the first delimiter has none.
    read: BytesMut,
    /// How much of it has no delimiter in it.
    looked: usize,
    /// Whether what comes is before the first delimiter, which is no part.
    preamble: bool,
    closed: bool,
}

impl Parts {
    /// For a response of this type, if it is one in parts.
    fn of(kind: &str) -> Option<Self> {
        let mut parameters = kind.split(';').map(str::trim);
        parameters.next().filter(|essence| essence.eq_ignore_ascii_case(MEDIA_TYPE))?;
        let boundary = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
        })?;
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Some(Self { delimiter, read: BytesMut::from(&b"\r\n"[..]), looked: 0, preamble: true, closed: false })
    }

    /// Takes bytes; `each` is given the content of every part that they complete, unless there is none.
    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), PartTooLong> {
        if self.closed {
            return Ok(());
        }
        self.read.extend_from_slice(bytes);
        while let Some(end) = self.end() {
            let part = self.read.split_to(end);
            let _ = self.read.split_to(self.delimiter.len());
            self.looked = 0;
            if std::mem::take(&mut self.preamble) {
                continue;
            }
            // What follows the delimiter on its line: nothing, padding, or what says that it is the last.
            if part.starts_with(b"--") {
                self.closed = true;
                return Ok(());
            }
            let content = content(&part);
            if !content.is_empty() {
                each(content);
            }
        }
        if self.read.len() > MAX_BYTES { Err(PartTooLong) } else { Ok(()) }
    }

    /// Where the next delimiter is.
    fn end(&mut self) -> Option<usize> {
        while let Some(at) = self.read[self.looked..].iter().position(|byte| *byte == b'\r') {
            self.looked += at;
            let rest = &self.read[self.looked..];
            if rest.len() < self.delimiter.len() {
                return None;
            }
            if rest.starts_with(&self.delimiter) {
                return Some(self.looked);
            }
            self.looked += 1;
        }
        self.looked = self.read.len();
        None
    }
}

/// What follows an empty line: before it are the rest of the delimiter's line and the part's fields.
fn content(part: &[u8]) -> &[u8] {
    part.windows(4).position(|four| four == b"\r\n\r\n").map_or(&[], |end| &part[end + 4..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, stream: &[u8], step: usize) -> Vec<String> {
        let mut parts = Parts::of(kind).unwrap();
        let mut read = Vec::new();
        for piece in stream.chunks(step) {
            parts.push(piece, |content| read.push(String::from_utf8(content.to_vec()).unwrap())).unwrap();
        }
        read
    }

    #[test]
    fn parts_come_whole_in_pieces_of_any_length_and_at_once() {
        let stream = [FIRST, &part(b"one"), &EMPTY, &part(b"two\rlines\r\n"), &CLOSE].concat();
        for step in 1..stream.len() {
            assert_eq!(read(TYPE, &stream, step), ["one", "two\rlines\r\n"], "{step}");
        }
        // The last is there before anything follows it.
        assert_eq!(read(TYPE, &[FIRST, &part(b"one")].concat(), 7), ["one"]);
    }

    #[test]
    fn what_others_write_is_read_too() {
        // A preamble, padding, fields of any kind, a delimiter's beginning in the content, and an epilogue.
        let stream = b"ignored\r\n--x \t\r\nA: b\r\nC: d\r\n\r\n\r\n--\r\n--y\r\n--x\r\n\r\nbare\r\n--x--\r\n--x\r\n\r\nafter\r\n--x";
        for step in [1, 5, stream.len()] {
            assert_eq!(
                read("Multipart/X-Mixed-Replace;charset=utf-8; boundary=\"x\"", stream, step),
                ["\r\n--\r\n--y", "bare"]
            );
        }
        for kind in ["multipart/x-mixed-replace", "multipart/mixed; boundary=x", "text/plain", ""] {
            assert!(Parts::of(kind).is_none(), "{kind}");
        }
    }

    #[test]
    fn a_part_without_end_is_refused() {
        let mut parts = Parts::of(TYPE).unwrap();
        parts.push(FIRST, |_| ()).unwrap();
        let pushed = (0..).find_map(|_| parts.push(&[b'x'; 4096], |_| ()).err());
        assert_eq!(pushed, Some(PartTooLong));
    }
}
