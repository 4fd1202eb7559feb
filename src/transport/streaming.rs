//! HTTP streaming: one response that goes on, an event a line: newline-delimited JSON. Chunked on HTTP/1.1, until the
//! end of the connection on HTTP/1.0, DATA on HTTP/2 and HTTP/3. An empty line is a sign of life.

use bytes::Bytes;
use futures_util::stream::unfold;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::configured::{self, Configured};
use super::lines::Lines;
use super::{
    BoxFuture, ClientSubscription, EndReason, FeedReader, Opens, Reply, ServerMessage, SubscriptionRequest, Transport,
    Upstream, json, stream,
};
use crate::feed::{After, CursorItem};
use crate::trial::{Alpn, Exchanges};

const MEDIA_TYPE: &str = "application/x-ndjson";

pub static TRANSPORT: Transport = Transport {
    name: "streaming",
    title: "HTTP streaming",
    alpns: &Alpn::HTTP,
    opens: Opens::Request,
    exchanges: Exchanges::Persistent,
    media_type: Some(MEDIA_TYPE),
    upstream: Upstream::Post,
    page: |_| Ok(()),
    interface: None,
    script: include_str!("streaming.js"),
    modules: &[("lines.js", include_str!("lines.js")), ("stream.js", include_str!("stream.js"))],
    variants: &[""],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The table `[streaming]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Whether the server writes a line at once: the place in the feed to who has none yet, an empty one to others.
    /// Without it a page's `fetch()` may be answered only when the first event comes, as Firefox, and WebKitGTK on
    /// HTTP/2, wait for a byte of the body; and who is cut off before that doesn't know where to go on.
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

/// Says that the stream is alive, and nothing else.
const EMPTY_LINE: Bytes = Bytes::from_static(b"\n");

fn serve(reading: SubscriptionRequest<'_>, settings: Settings) -> Reply {
    let reader = reading.pending.after(reading.after);
    // Who says where it is knows its place, and who is to be told of a gap has none yet.
    let first = if reading.after == After::Now { json::place_line(reader.last()) } else { EMPTY_LINE };
    let greeting = settings.greeting.then_some(first);
    stream::response(MEDIA_TYPE, reading.stream, unfold((greeting, reader), chunk)).into()
}

type State = (Option<Bytes>, FeedReader);

async fn chunk((greeting, mut reader): State) -> Option<(Bytes, State)> {
    if let Some(greeting) = greeting {
        return Some((greeting, (None, reader)));
    }
    let bytes = match reader.next().await {
        CursorItem::Event(event) => json::line(&event),
        CursorItem::Gap(gap) => json::gap_line(gap),
        CursorItem::Beat => EMPTY_LINE,
        CursorItem::End => return None,
    };
    Some((bytes, (None, reader)))
}

async fn subscribe(subscribing: ClientSubscription<'_>) -> EndReason {
    let ClientSubscription { pool, target, path, receipts, decodes, .. } = subscribing;
    let fields = stream::fields(MEDIA_TYPE, decodes);
    let mut content = match stream::request(pool, target, path, &fields, receipts).await {
        Ok(content) => content,
        Err(reason) => return reason,
    };
    receipts.opened();
    let mut lines = Lines::default();
    let mut wrong = None;
    while let Some(chunk) = content.chunk(receipts).await {
        let pushed = match chunk {
            Ok(bytes) => lines.push(&bytes, |line| match ServerMessage::read(line) {
                Ok(told) => told.note(receipts),
                Err(error) => wrong = Some(EndReason::from(format!("not an event: {error}"))),
            }),
            Err(reason) => return reason,
        };
        if let Some(wrong) = wrong.or_else(|| pushed.err().map(|error| EndReason::failure(&error))) {
            return wrong;
        }
        wrong = None;
    }
    EndReason::stream_ended()
}
