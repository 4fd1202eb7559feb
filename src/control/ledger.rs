//! The ledger's route, for all or for one trial: once as JSON, or on change as an event stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::answer::ErrorResponse;
use crate::admission::only_with_cors;
use crate::trial::clock::unix_micros;

/// The least time between two events of a stream: at most 10 a second.
const APART: Duration = Duration::from_millis(100);
/// After this much silence a comment is written, so that a reader who left is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Dated<'a, T> {
    /// Unix microseconds of the answer.
    time: u64,
    #[serde(flatten)]
    what: &'a T,
}

fn json<T: Serialize>(what: &T) -> String {
    serde_json::to_string(&Dated { time: unix_micros(), what }).unwrap_or_default()
}

/// One trial's lanes are shown to who has its token. No `Debug`: it holds it.
#[derive(Deserialize)]
pub(super) struct LedgerQuery {
    trial: Option<u32>,
    token: Option<String>,
}

/// `GET /ledger`; `GET /ledger?trial=7&token=…`.
pub(super) async fn show(
    State(shared): State<Shared>,
    shown: Result<Query<LedgerQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    // There are few places to follow it from, which images of somebody's page would take.
    only_with_cors(&headers).map_err(|refusal| ErrorResponse::of(refusal.status(), refusal.to_string()))?;
    let Query(shown) = shown.map_err(|_| ErrorResponse::bad("a trial has a number and a token"))?;
    match shown.trial {
        None => follow(&shared, shared.ledger.clone(), &headers),
        Some(trial) => {
            let trial = shared.trials.enter(trial, &shown.token.unwrap_or_default())?;
            follow(&shared, trial.view.clone(), &headers)
        }
    }
}

/// Once, or on change for who accepts an event stream.
fn follow<T: Serialize + Send + Sync + 'static>(
    shared: &Shared,
    watched: watch::Receiver<T>,
    headers: &HeaderMap,
) -> Result<Response, ErrorResponse> {
    let accept = headers.get_all(header::ACCEPT).iter();
    let wants_stream =
        accept.filter_map(|accept| accept.to_str().ok()).any(|accept| accept.contains("text/event-stream"));
    if !wants_stream {
        let body = json(&*watched.borrow());
        return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    let room = shared.ledger_streams.clone().try_acquire_owned();
    let room = room.map_err(|_| ErrorResponse::full("as many readers follow the ledger as may at once"))?;
    let changes = Changes { watched, next: Instant::now(), first: true, _room: room };
    let body = stream::unfold(changes, |mut changes| async {
        let event = changes.event().await;
        Some((Ok::<_, Infallible>(event), changes))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

/// One reader's place.
struct Changes<T> {
    watched: watch::Receiver<T>,
    /// Not before then.
    next: Instant,
    first: bool,
    _room: OwnedSemaphorePermit,
}

impl<T: Serialize> Changes<T> {
    /// The next event: at once the first time, then on change; a comment when nothing changes.
    async fn event(&mut self) -> Bytes {
        sleep_until(self.next).await;
        if !std::mem::take(&mut self.first) && !self.changed().await {
            return Bytes::from_static(b":\n\n");
        }
        self.next = Instant::now() + APART;
        let json = json(&*self.watched.borrow_and_update());
        format!("data: {json}\n\n").into()
    }

    async fn changed(&mut self) -> bool {
        let change = async {
            if self.watched.changed().await.is_err() {
                // Whoever counted has left: nothing will change any more.
                std::future::pending::<()>().await;
            }
        };
        timeout(HEARTBEAT, change).await.is_ok()
    }
}
