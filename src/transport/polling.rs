//! Polling: a reader asks for what is new, and is answered at once, be it with nothing.
//!
//! A client's first poll goes out when the subscription opens: its answer says where the feed is, which is when the
//! subscription counts as opened, and nothing that is published from then on is missed, as every later poll names the
//! last id. The second poll follows after the phase, the others one interval after another by the clock, not by the
//! answers: a slow answer delays no later poll, it takes its place.

use std::time::Duration;

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::batch::Batch;
use super::configured::{self, Configured};
use super::poller::Poller;
use super::{
    BoxFuture, ClientSubscription, EndReason, Opens, Reply, SubscriptionRequest, Transport, Upstream, with_query,
};
use crate::feed::EventId;
use crate::trial::{Alpn, Exchanges, Settings as Trial, Unsupported};
use crate::units::Span;
use crate::wire::ResponseBody;

pub static TRANSPORT: Transport = Transport {
    name: "polling",
    title: "Polling",
    alpns: &Alpn::HTTP,
    opens: Opens::Request,
    exchanges: Exchanges::Periodic,
    media_type: Some("application/json"),
    upstream: Upstream::Post,
    page: |_| Ok(()),
    interface: None,
    script: include_str!("polling.js"),
    modules: &[("poll.js", include_str!("poll.js"))],
    variants: &["interval = '50ms'\nphase = 'zero'"],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The table `[polling]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// From one poll to the next.
    #[schemars(extend("x-least" = INTERVALS[0], "x-most" = INTERVALS[1]))]
    pub interval: Span,
    /// When the second poll comes, counted from the first.
    pub phase: Phase,
    /// Whether polls share a connection. HTTP/1.1 keeps one per subscription; a browser decides by itself.
    pub connection: ConnectionReuse,
    /// Whether polls say `If-None-Match`, so that an answer without news is a 304 without a body. A page's poll then
    /// needs a preflight for each new address.
    pub etag: bool,
}

/// When the second poll comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Within an interval, drawn for each subscription from the trial's seed: a burst of openings is spread.
    Random,
    /// After one interval: subscriptions that open together stay together.
    Zero,
}

/// Whether polls share a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionReuse {
    /// The connection is kept for the next poll.
    KeepAlive,
    /// Each poll has its own, with a handshake of its own.
    New,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interval: Span::from_secs(1), phase: Phase::Random, connection: ConnectionReuse::KeepAlive, etag: false }
    }
}

/// How short and how long an interval may be.
const INTERVALS: [Span; 2] = [Span::from_millis(10), Span::from_secs(3600)];

impl Configured for Settings {
    fn table(&self) -> serde_json::Value {
        configured::table(self)
    }

    fn serve(&self, reading: SubscriptionRequest<'_>) -> Reply {
        serve(reading)
    }

    fn subscribe<'a>(&'a self, subscribing: ClientSubscription<'a>) -> BoxFuture<'a, EndReason> {
        Box::pin(subscribe(subscribing, *self))
    }

    fn waits(&self) -> Option<(&'static str, Span)> {
        Some(("interval", self.interval))
    }

    fn in_page(&self, _: &Trial) -> Result<(), Unsupported> {
        match self.connection {
            ConnectionReuse::KeepAlive => Ok(()),
            ConnectionReuse::New => {
                Err("a browser decides its own connections, and keeps one for the next fetch".into())
            }
        }
    }
}

fn serve(reading: SubscriptionRequest<'_>) -> Reply {
    let SubscriptionRequest { exchange, after, pending, publishing, .. } = reading;
    let mut reader = pending.after(after);
    let mut batch = Batch::default();
    batch.add_ready(&mut reader);
    let last = reader.last();
    let mut response = if matches(&exchange.head().headers, last) {
        let mut unchanged = http::Response::new(ResponseBody::empty());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        batch.response(last, &publishing.sink)
    };
    if let Ok(tag) = HeaderValue::from_str(&tag(last)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.into()
}

/// An answer's entity tag: two answers to one address differ in it whenever they differ at all.
fn tag(last: EventId) -> String {
    format!("\"{last}\"")
}

/// Whether `If-None-Match` names the answer (RFC 9110 section 13.1.2): any of a list, by weak comparison (section
/// 8.8.3.2: `W/` makes no difference), or `*`. What isn't a list of tags names nothing: no error, as section 13.2.1
/// leaves a condition that can't be evaluated to be passed over.
fn matches(headers: &HeaderMap, last: EventId) -> bool {
    let own = tag(last);
    let values = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    // Our own tags have no comma in them, so no other tag's inside can look like one between commas and quotes.
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
}

async fn subscribe(subscribing: ClientSubscription<'_>, settings: Settings) -> EndReason {
    let ClientSubscription { pool, target, path, receipts, seed, .. } = subscribing;
    let mut asking = Poller::new(pool, target, settings.connection == ConnectionReuse::KeepAlive);
    let opening = Instant::now();
    let mut opened = false;
    loop {
        let last = receipts.last().map(str::to_owned);
        let asked = last.as_deref().map_or_else(|| path.to_owned(), |last| with_query(path, "after", last));
        let known = last.filter(|_| settings.etag).map(|last| format!("\"{last}\""));
        let polled = match asking.ask(&asked, known.as_deref()).await {
            Ok(polled) => polled,
            Err(reason) => return reason,
        };
        if !std::mem::replace(&mut opened, true) {
            receipts.opened();
        }
        let more = polled.as_ref().is_some_and(|polled| polled.more);
        if let Some(polled) = polled {
            polled.note(receipts);
        }
        if !more {
            tokio::time::sleep(until_next(settings, seed, opening.elapsed())).await;
        }
    }
}

/// How long until the next poll, so long after the first.
fn until_next(settings: Settings, seed: u64, since: Duration) -> Duration {
    let interval = settings.interval.nanos().max(1);
    let phase = match settings.phase {
        Phase::Random => SmallRng::seed_from_u64(seed).random_range(0..interval),
        Phase::Zero => 0,
    };
    let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    // Polls are due at phase, phase + interval, …; the one at 0 was the first.
    let (ahead, behind) = (phase.saturating_sub(since), since.saturating_sub(phase));
    Duration::from_nanos(if ahead > 0 { ahead } else { interval - behind % interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_matches_weakly_in_lists_and_by_a_star() {
        let last = "k3f9-18".parse().unwrap();
        let says = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, value.parse().unwrap());
            }
            matches(&headers, last)
        };
        for values in [
            &["\"k3f9-18\""][..],
            &["W/\"k3f9-18\""],
            &["\"a\", W/\"b\",\"k3f9-18\""],
            &["\"a\"", "\"k3f9-18\""],
            &["*"],
        ] {
            assert!(says(values), "{values:?}");
        }
        for values in [&[][..], &["\"k3f9-17\""], &["k3f9-18"], &["w/\"k3f9-18\""], &[""], &["\"k3f9-18"], &[",,,"]] {
            assert!(!says(values), "{values:?}");
        }
    }

    #[test]
    fn polls_are_spread_by_the_seed_and_keep_their_place_however_slow_an_answer_is() {
        let at = |phase, seed, since: u64| {
            let settings = Settings { phase, ..Settings::default() };
            let next = until_next(settings, seed, Duration::from_millis(since));
            u64::try_from(next.as_millis()).unwrap() + since
        };
        assert_eq!([0, 300, 1000, 2700].map(|since| at(Phase::Zero, 1, since)), [1000, 1000, 2000, 3000]);
        let first = at(Phase::Random, 1, 0);
        assert!((0..1000).contains(&first));
        assert!(at(Phase::Random, 1, first + 700).abs_diff(first + 1000) <= 1);
        let spread: std::collections::BTreeSet<_> = (0..100).map(|seed| at(Phase::Random, seed, 0) / 100).collect();
        assert_eq!(spread.len(), 10, "a hundred subscriptions reach every tenth of an interval");
    }

    #[test]
    fn an_interval_has_bounds() {
        for (interval, fine) in [("10ms", true), ("60min", true), ("9ms", false), ("0s", false), ("61min", false)] {
            let checked = (TRANSPORT.configure)(&serde_json::json!({ "interval": interval }));
            assert_eq!(checked.is_ok(), fine, "{interval}");
        }
        assert!((TRANSPORT.configure)(&serde_json::json!({ "intervall": "1s" })).is_err());
    }
}
