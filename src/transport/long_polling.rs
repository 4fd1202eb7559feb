//! Long polling: a reader asks for what is new, and is answered once something is, or when its patience ends.
//!
//! Whoever asks without `after` waits for the next event, and `last` in any answer is where to go on: between two
//! requests nothing is lost. A client that waits at once would not know its place, nor count as opened, until the first
//! event; so the native client and the script first ask with `wait=0s`, which is a poll.

use std::pin::pin;
use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::configured::{self, Configured};
use super::poller::Poller;
use super::{
    BoxFuture, ClientSubscription, EndReason, FeedReader, Opens, Reply, SubscriptionRequest, Transport, Upstream,
    with_query,
};
use crate::feed::CursorItem;
use crate::trial::{Alpn, Exchanges};
use crate::units::Span;
use crate::wire::refusal;

pub static TRANSPORT: Transport = Transport {
    name: "long-polling",
    title: "Long polling",
    alpns: &Alpn::HTTP,
    opens: Opens::Request,
    exchanges: Exchanges::Hanging,
    media_type: Some("application/json"),
    upstream: Upstream::Post,
    page: |_| Ok(()),
    interface: None,
    script: include_str!("long-polling.js"),
    modules: &[("poll.js", include_str!("poll.js"))],
    variants: &["wait = '200ms'"],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The table `[long-polling]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// How long a request waits for an event: what clients ask for, and what the server takes where they don't say.
    #[schemars(extend("x-least" = LEAST_WAIT, "x-most" = MOST_WAIT))]
    pub wait: Span,
    /// How long the server goes on collecting after the first event, so that neighbours share an answer.
    #[schemars(extend("x-least" = Span::default(), "x-most" = MOST_GATHER))]
    pub gather: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { wait: Span::from_secs(30), gather: Span::from_millis(0) }
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
        Box::pin(subscribe(subscribing, self.wait))
    }

    fn waits(&self) -> Option<(&'static str, Span)> {
        (self.gather.nanos() > 0).then_some(("gather", self.gather))
    }
}

/// How long a request may wait at most. At least: not at all.
const MOST_WAIT: Span = Span::from_secs(300);
/// The least that clients wait: below that they would do nothing but ask.
const LEAST_WAIT: Span = Span::from_millis(1);
/// How long the server may go on collecting.
const MOST_GATHER: Span = Span::from_secs(60);
/// How much longer than the wait a client listens before it asks again: the answer's way, on a slow link.
const GRACE: Duration = Duration::from_secs(10);

fn serve(reading: SubscriptionRequest<'_>, settings: Settings) -> Reply {
    let wait = match reading.query.get("wait").map(str::parse::<Span>) {
        None => settings.wait,
        Some(Ok(wait)) if wait <= MOST_WAIT => wait,
        Some(_) => {
            return refusal(
                StatusCode::BAD_REQUEST,
                &format!("`wait` is a time from 0s to {MOST_WAIT}, such as 30s or 500ms"),
            )
            .into();
        }
    };
    let mut reader = reading.pending.after(reading.after);
    let mut batch = Batch::default();
    batch.add_ready(&mut reader);
    // A timer would take a millisecond or two to tell that no time has passed.
    let patience = if batch.is_empty() { wait } else { settings.gather };
    // HEAD asks for no event, so there is none to wait for.
    if patience.nanos() == 0 || batch.is_full() || reading.exchange.head().method == http::Method::HEAD {
        return batch.response(reader.last(), &reading.publishing.sink).into();
    }
    let sink = reading.publishing.sink;
    Reply::Later(Box::pin(async move {
        if batch.is_empty() {
            gather(&mut batch, &mut reader, wait, true).await;
        }
        if !batch.is_empty() && settings.gather.nanos() > 0 {
            gather(&mut batch, &mut reader, settings.gather, false).await;
        }
        batch.response(reader.last(), &sink)
    }))
}

/// Collects what comes within this time, up to the first event or all of it.
async fn gather(batch: &mut Batch, reader: &mut FeedReader, time: Span, first: bool) {
    let mut end = pin!(tokio::time::sleep(time.duration()));
    while !batch.is_full() {
        let next = tokio::select! {
            biased;
            next = reader.next_to_answer() => next,
            () = &mut end => return,
        };
        match next {
            CursorItem::Beat => continue,
            CursorItem::End => return,
            next => batch.add(next),
        }
        batch.add_ready(reader);
        if first {
            return;
        }
    }
}

async fn subscribe(subscribing: ClientSubscription<'_>, wait: Span) -> EndReason {
    let ClientSubscription { pool, target, path, receipts, .. } = subscribing;
    let mut asking = Poller::new(pool, target, true);
    let mut opened = false;
    loop {
        // The first request learns the place, or that it still holds.
        let patience = if opened { wait } else { Span::from_millis(0) };
        let mut asked = with_query(path, "wait", &patience.to_string());
        if let Some(last) = receipts.last() {
            asked = with_query(&asked, "after", last);
        }
        let answer = match tokio::time::timeout(patience.duration() + GRACE, asking.ask(&asked, None)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => return reason,
            // No answer, and no error either: asked again, at most so often.
            Err(_) => continue,
        };
        if !std::mem::replace(&mut opened, true) {
            receipts.opened();
        }
        if let Some(polled) = answer {
            polled.note(receipts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_bounds() {
        for (name, value, fine) in [
            ("wait", "1ms", true),
            ("wait", "5min", true),
            ("wait", "0s", false),
            ("wait", "301s", false),
            ("gather", "0s", true),
            ("gather", "60s", true),
            ("gather", "61s", false),
            ("wait", "30", false),
            ("patience", "30s", false),
        ] {
            assert_eq!((TRANSPORT.configure)(&serde_json::json!({ (name): value })).is_ok(), fine, "{name} {value}");
        }
    }
}
