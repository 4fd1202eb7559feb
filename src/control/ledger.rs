//! The ledger's route: once as JSON, or on change as an event stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::answer::Refusal;
use crate::trial::clock::unix_micros;
use crate::trial::ledger::Ledger;

/// The least time between two events of a stream: at most 10 a second.
const APART: Duration = Duration::from_millis(100);
/// After this much silence a comment is written, so that a reader who left is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Dated<'a> {
    /// Unix microseconds of the answer.
    time: u64,
    #[serde(flatten)]
    ledger: &'a Ledger,
}

fn json(ledger: &Ledger) -> String {
    serde_json::to_string(&Dated { time: unix_micros(), ledger }).unwrap_or_default()
}

/// `GET /ledger`.
pub(super) async fn show(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Refusal> {
    let accept = headers.get_all(header::ACCEPT).iter();
    let wants_stream =
        accept.filter_map(|accept| accept.to_str().ok()).any(|accept| accept.contains("text/event-stream"));
    if !wants_stream {
        let body = json(&shared.ledger.borrow());
        return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    let room = shared.ledger_streams.clone().try_acquire_owned();
    let room = room.map_err(|_| Refusal::full("as many readers follow the ledger as may at once"))?;
    let changes = Changes { ledger: shared.ledger, next: Instant::now(), first: true, _room: room };
    let body = stream::unfold(changes, |mut changes| async {
        let event = changes.event().await;
        Some((Ok::<_, Infallible>(event), changes))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

/// One reader's place.
struct Changes {
    ledger: watch::Receiver<Ledger>,
    /// Not before then.
    next: Instant,
    first: bool,
    _room: OwnedSemaphorePermit,
}

impl Changes {
    /// The next event: at once the first time, then on change; a comment when nothing changes.
    async fn event(&mut self) -> Bytes {
        sleep_until(self.next).await;
        if !std::mem::take(&mut self.first) && !self.changed().await {
            return Bytes::from_static(b":\n\n");
        }
        self.next = Instant::now() + APART;
        let json = json(&self.ledger.borrow_and_update());
        format!("data: {json}\n\n").into()
    }

    async fn changed(&mut self) -> bool {
        let change = async {
            if self.ledger.changed().await.is_err() {
                // Whoever counted has left: nothing will change any more.
                std::future::pending::<()>().await;
            }
        };
        timeout(HEARTBEAT, change).await.is_ok()
    }
}
