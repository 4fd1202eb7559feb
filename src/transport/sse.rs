//! Server-sent events (WHATWG HTML section 9.2), on HTTP/1.1, HTTP/2 and HTTP/3.

mod parser;

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use parser::{Message, Parser, TooLong};

use super::configured::{self, Configured};
use super::stream::{self, DecodedStream};
use super::{
    BoxFuture, ClientSubscription, EndReason, FeedReader, Opens, Receipts, Reply, SubscriptionRequest, Transport,
    Upstream,
};
use crate::feed::{After, CursorItem, Encoding, Event, EventId, Gap};
use crate::trial::settings::{Credentials, PageOrigin};
use crate::trial::{Alpn, Exchanges, Settings as Trial, Unsupported};
use crate::units::{Settable, Span};
use crate::wire::dial::Response;

const MEDIA_TYPE: &str = "text/event-stream";

pub static TRANSPORT: Transport = Transport {
    name: "sse",
    title: "Server-sent events",
    alpns: &Alpn::HTTP,
    opens: Opens::Request,
    exchanges: Exchanges::Persistent,
    media_type: Some(MEDIA_TYPE),
    upstream: Upstream::Post,
    page: |_| Ok(()),
    interface: Some("EventSource"),
    script: include_str!("sse.js"),
    modules: &[("sse-parser.js", include_str!("sse/parser.js"))],
    variants: &[""],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The table `[sse]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// What the server tells a reader to wait before it reconnects (the `retry` field).
    pub retry: Settable<Span>,
    /// Whether the server writes a comment at once. Without it Firefox and WebKitGTK fire `open` only when the
    /// first event comes: they wait for a byte of the body, not for the header.
    pub greeting: bool,
    /// What reads the stream in a page.
    pub reader: Reader,
    /// The cache mode of a reader that is a fetch. An `EventSource` has no choice: it never asks a cache
    /// (section 9.2.2).
    pub cache: Cache,
}

/// What reads the stream in a page. The native client has a reader of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// An `EventSource`, which reconnects by itself.
    Eventsource,
    /// `fetch()` and a parser in script, which doesn't.
    Fetch,
}

/// A fetch's cache mode (WHATWG Fetch, "cache mode").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cache {
    /// As an `EventSource` has it.
    NoStore,
    /// What a fetch has that says nothing: the cache is asked, and may let only one of equal requests through.
    Default,
}

impl Default for Settings {
    fn default() -> Self {
        Self { retry: Settable::Unset, greeting: true, reader: Reader::Eventsource, cache: Cache::NoStore }
    }
}

impl Configured for Settings {
    fn table(&self) -> serde_json::Value {
        configured::table(self)
    }

    /// `Last-Event-ID` is what a reconnecting reader knows; it wins over the address it was first given. One that
    /// this server never gave out is answered like that of another epoch: with a gap.
    fn begins(&self, fields: &http::HeaderMap, after: After) -> After {
        match fields.get("last-event-id").map(http::HeaderValue::as_bytes) {
            None | Some(b"") => after,
            Some(id) => {
                let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
                id.map_or(After::Unknown, After::Id)
            }
        }
    }

    fn serve(&self, reading: SubscriptionRequest<'_>) -> Reply {
        serve(reading, *self)
    }

    fn subscribe<'a>(&'a self, subscribing: ClientSubscription<'a>) -> BoxFuture<'a, EndReason> {
        Box::pin(subscribe(subscribing))
    }

    fn reads(&self, setting: &str, _: &Trial, by_page: bool) -> bool {
        match setting {
            "reader" => by_page,
            // An `EventSource` has no cache mode to choose.
            "cache" => by_page && self.reader == Reader::Fetch,
            _ => true,
        }
    }

    fn in_page(&self, trial: &Trial) -> Result<(), Unsupported> {
        let of_its_origin = trial.workload.page == PageOrigin::SameOrigin;
        let forced = of_its_origin && trial.workload.credentials == Credentials::Omit;
        if forced && self.reader == Reader::Eventsource {
            // Section 9.2.2: its credentials mode is "same-origin" or "include".
            return Err("an EventSource sends credentials to the origin of its own page, whatever it is told".into());
        }
        Ok(())
    }

    fn browser_reconnects(&self) -> bool {
        self.reader == Reader::Eventsource
    }
}

/// An event in `text/event-stream` (section 9.2.5).
static EVENT_STREAM: Encoding = Encoding { name: MEDIA_TYPE, encode };

/// A comment line: a sign of life that no reader sees (section 9.2.7 recommends one every 15 seconds or so).
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

fn serve(reading: SubscriptionRequest<'_>, settings: Settings) -> Reply {
    let after = reading.after;
    let reader = reading.pending.after(after);
    // A reader that says where it is knows its place, and one that is to be told of a gap has none yet.
    let place = (after == After::Now).then(|| reader.last());
    stream::response(MEDIA_TYPE, reading.stream, unfold((hello(settings, place), reader), chunk)).into()
}

/// What is written before any event: how long to wait before coming back, and a comment with the place in the feed. An
/// id without data is no event, but what a reader that comes back says it has (section 9.2.6): so it misses nothing
/// even where its first stream broke before the first event.
fn hello(settings: Settings, place: Option<EventId>) -> Option<Bytes> {
    let mut hello = String::new();
    if let Some(retry) = settings.retry.value() {
        let _ = write!(hello, "retry: {}\n\n", retry.duration().as_millis());
    }
    if settings.greeting {
        hello.push_str(":\n");
        if let Some(place) = place {
            let _ = writeln!(hello, "id: {place}");
        }
        hello.push('\n');
    }
    (!hello.is_empty()).then(|| hello.into())
}

type State = (Option<Bytes>, FeedReader);

async fn chunk((hello, mut reader): State) -> Option<(Bytes, State)> {
    if let Some(hello) = hello {
        return Some((hello, (None, reader)));
    }
    let bytes = match reader.next().await {
        CursorItem::Event(event) => event.encoded(&EVENT_STREAM),
        CursorItem::Gap(gap) => encode_gap(gap),
        CursorItem::Beat => HEARTBEAT,
        CursorItem::End => return None,
    };
    Some((bytes, (None, reader)))
}

fn encode(event: &Event) -> Bytes {
    let mut text = String::with_capacity(event.data.len() + 64);
    let _ = writeln!(text, "id: {}", event.id);
    if event.name != "message" {
        let _ = writeln!(text, "event: {}", event.name);
    }
    // CR and CRLF end a line too: data that has them arrives with line feeds instead (section 9.2.6).
    for line in event.as_text().replace("\r\n", "\n").split(['\n', '\r']) {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
    text.into()
}

fn encode_gap(gap: Gap) -> Bytes {
    let data = GapData { missed: gap.missed, first: gap.first.map(|id| id.to_string()) };
    let data = serde_json::to_string(&data).unwrap_or_default();
    format!("event: gap\ndata: {data}\n\n").into()
}

/// The data of an event named `gap`.
#[derive(Debug, Serialize, Deserialize)]
struct GapData {
    missed: Option<u64>,
    first: Option<String>,
}

async fn subscribe(subscribing: ClientSubscription<'_>) -> EndReason {
    let ClientSubscription { pool, target, path, receipts, decodes, .. } = subscribing;
    let last = receipts.last().map(str::to_owned);
    let mut fields: Vec<(&str, &str)> = stream::fields(MEDIA_TYPE, decodes);
    fields.extend(last.as_deref().map(|last| ("last-event-id", last)));
    let asked = match pool.connect(target).await {
        Ok(connection) => connection.get(path, &fields).await,
        Err(error) => return error.into(),
    };
    let mut content = match asked.map_err(EndReason::from).and_then(|response| fit(response, receipts)) {
        Ok(content) => content,
        Err(reason) => return reason,
    };
    receipts.opened();
    let mut parser = Parser::default();
    while let Some(chunk) = content.chunk(receipts).await {
        let pushed = match chunk {
            Ok(bytes) => parser.push(&bytes, |message| take(receipts, &message)),
            Err(reason) => return reason,
        };
        if let Some(retry) = parser.retry() {
            receipts.retry(Duration::from_millis(retry));
        }
        if !parser.last_id().is_empty() && receipts.last() != Some(parser.last_id()) {
            receipts.is_at(parser.last_id().to_owned());
        }
        if let Err(error) = pushed {
            return EndReason::failure(&error);
        }
    }
    EndReason::stream_ended()
}

/// A response that is an event stream. Section 9.2.3: after a 204 a reader doesn't come back, and after a wrong content
/// type neither. Deviation: a browser's `EventSource` gives up at any status but 200; this reader may try again, as a
/// server that is full or starting will be there later.
fn fit(response: Response, receipts: &mut Receipts) -> Result<DecodedStream, EndReason> {
    match response.status {
        StatusCode::OK => {
            let content = DecodedStream::of(response)?;
            let kind = content.kind();
            let essence = kind.split(';').next().unwrap_or_default().trim();
            if essence.eq_ignore_ascii_case(MEDIA_TYPE) {
                return Ok(content);
            }
            receipts.finished();
            Err(format!("the answer is no event stream but `{kind}`").into())
        }
        StatusCode::NO_CONTENT => {
            receipts.finished();
            Err("the server answered 204, which says not to come back".to_owned().into())
        }
        status => Err(EndReason::answered(status)),
    }
}

fn take(receipts: &mut Receipts, message: &Message) {
    if message.name != "gap" {
        receipts.received(&message.id, &message.data);
    } else if let Ok(GapData { missed, first }) = serde_json::from_str(&message.data) {
        receipts.gap(missed, first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Feed;

    #[test]
    fn what_is_written_reads_back_line_by_line() {
        let feed = Feed::new("f0", 4);
        for data in ["plain", "", "two\nlines", "cr\rlf\r\nend\n", "</script><script>alert(1)</script>", " space"] {
            let event = feed.publish("message", data.to_owned(), 0, false);
            let mut read = Vec::new();
            Parser::default().push(&encode(&event), |message| read.push(message)).unwrap();
            let data = data.replace("\r\n", "\n").replace('\r', "\n");
            assert_eq!(read, [Message { name: "message".to_owned(), data, id: event.id.to_string() }]);
        }
    }
}
