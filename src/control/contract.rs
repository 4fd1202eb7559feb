//! The trial contract's routes: down as a stream of lines, up as posts of lines, and the clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Shared;
use super::answer::ErrorResponse;
use super::assets;
use super::carrier::{OpenTrial, Orders, Page};
use super::page_clock::PageClock;
use crate::page;
use crate::trial::clock::{monotonic_nanos, sleep_until};
use crate::trial::settings::Visibility;
use crate::trial::{ClientFact, Down, Observation, Role, Up};
use crate::wire::BODY_TIMEOUT;

/// A post's largest body, in bytes. Pages send an eighth of it at a time.
const POST_BYTES: usize = 1024 * 1024;
/// An error message's largest body, in bytes.
const ERROR_BYTES: usize = 16 * 1024;
/// How long after its instant a reminder is sent: a page that looked a moment too early would wait for its timer.
const REMINDER_LAG: Duration = Duration::from_millis(1);

/// What a page's URLs carry. No `Debug`: it holds the token.
#[derive(Deserialize)]
pub(super) struct PageQuery {
    token: String,
    #[serde(default)]
    page: u32,
    /// The number of this post, from 0; one sent again is not taken again.
    post: Option<u64>,
    /// Of a page in another tab: which actor of `[[beside]]` asked for it.
    actor: Option<u32>,
}

type Shows = Result<Query<PageQuery>, QueryRejection>;
type Trial = Result<Path<u32>, PathRejection>;

/// A page that has shown its token.
struct Admitted {
    trial: Arc<OpenTrial>,
    page: u32,
    post: Option<u64>,
}

impl Admitted {
    fn page(&self) -> &Page {
        &self.trial.pages[self.page as usize]
    }
}

fn admitted(shared: &Shared, trial: Trial, shown: Shows) -> Result<Admitted, ErrorResponse> {
    let Path(number) = trial.map_err(|_| ErrorResponse::missing("a trial has a number"))?;
    let Query(shown) =
        shown.map_err(|_| ErrorResponse::forbidden("a page shows its trial's token, and its number as `page`"))?;
    let trial = shared.trials.enter(number, &shown.token)?;
    if shown.page as usize >= trial.pages.len() {
        return Err(ErrorResponse::missing(format!("trial {number} has no page {}", shown.page)));
    }
    Ok(Admitted { trial, page: shown.page, post: shown.post })
}

/// `GET /trials/{n}/page`: the trial page.
pub(super) async fn page(State(shared): State<Shared>, trial: Trial, shown: Shows) -> Result<Response, ErrorResponse> {
    admitted(&shared, trial, shown)?;
    Ok(assets::html(page::trial(""), assets::Framing::Trial))
}

/// An instant of `CLOCK_MONOTONIC`. As text: in a number of JavaScript it is exact for the first 104 days only.
#[derive(Serialize)]
pub(super) struct Instant {
    t: String,
}

/// `GET /trials/{n}/clock`: what the lab's clock says.
pub(super) async fn clock(
    State(shared): State<Shared>,
    trial: Trial,
    shown: Shows,
) -> Result<Json<Instant>, ErrorResponse> {
    admitted(&shared, trial, shown)?;
    Ok(Json(Instant { t: monotonic_nanos().to_string() }))
}

/// `GET /trials/{n}/contract`: lines to a page, until the trial is closed. A page opens it once.
pub(super) async fn down(State(shared): State<Shared>, trial: Trial, shown: Shows) -> Result<Response, ErrorResponse> {
    let admitted = admitted(&shared, trial, shown)?;
    if admitted.page().opened.swap(true, Ordering::Relaxed) {
        return Err(ErrorResponse::bad("this page of the trial is open already"));
    }
    let lines = DownLines {
        orders: admitted.trial.orders.subscribe(),
        admitted,
        told: Orders::default(),
        begun: false,
        reminders: Vec::new(),
    };
    let body = stream::unfold(lines, |mut lines| async {
        let line = lines.next().await?;
        Some((Ok::<_, std::convert::Infallible>(line), lines))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response())
}

/// A page's stream of lines. Dropped before the page was done, it tells the runner that the page is gone.
struct DownLines {
    admitted: Admitted,
    orders: watch::Receiver<Orders>,
    told: Orders,
    begun: bool,
    /// Instants at which something is due in the page, latest first. A hidden page's timers may run a second late
    /// (browsers throttle them), lines don't.
    reminders: Vec<u64>,
}

impl DownLines {
    /// The next line; `None` once the trial is closed.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            return Some(line(&self.admitted.trial.for_page(self.admitted.page)));
        }
        loop {
            let orders = *self.orders.borrow_and_update();
            if orders.closed {
                return None;
            }
            if let (Some(at), None) = (orders.go, self.told.go) {
                self.told.go = orders.go;
                let clock = self.admitted.page().clock.get()?;
                self.reminders = reminders(&self.admitted, at);
                return Some(line(&Down::Go { at: clock.to_page(at) }));
            }
            if let Some(actor) = (orders.arrived & !self.told.arrived).checked_ilog2() {
                self.told.arrived |= 1 << actor;
                return Some(Bytes::from(format!("{{\"type\":\"arrived\",\"actor\":{actor}}}\n")));
            }
            if orders.stop && !self.told.stop {
                self.told.stop = true;
                self.reminders.clear();
                return Some(line(&Down::Stop));
            }
            let due = self.reminders.last().copied();
            tokio::select! {
                changed = self.orders.changed() => changed.ok()?,
                () = sleep_until(due.unwrap_or(0)), if due.is_some() => {
                    self.reminders.pop();
                    return Some(Bytes::from_static(b"{\"type\":\"look\"}\n"));
                }
            }
        }
    }
}

impl Drop for DownLines {
    fn drop(&mut self) {
        let closed = self.orders.borrow().closed;
        if !closed && !self.admitted.page().done.load(Ordering::Relaxed) {
            self.admitted.trial.gone(self.admitted.page);
        }
    }
}

/// When something is due in a page: its subscriptions' opening, what they send, the probe of mid-hold and other actors. Latest first.
fn reminders(admitted: &Admitted, go: u64) -> Vec<u64> {
    let message = &admitted.trial.message;
    let workload = &message.settings.workload;
    let mut due = vec![0, workload.ramp.nanos() + workload.hold.nanos() / 2];
    if let Role::Client(client) = &message.role {
        let own = client.subscriptions.iter().filter(|plan| plan.page == admitted.page);
        due.extend(own.clone().map(|plan| plan.open_at));
        // A page in front needs none for what it sends, and there may be many.
        if workload.visibility == Visibility::Hidden {
            due.extend(own.flat_map(|plan| &plan.sends).map(|send| send.at));
        }
    }
    due.extend(message.settings.beside.iter().map(|beside| beside.at.nanos()));
    due.sort_unstable();
    due.dedup();
    let lag = u64::try_from(REMINDER_LAG.as_nanos()).unwrap_or(0);
    due.into_iter().rev().map(|after| go.saturating_add(after).saturating_add(lag)).collect()
}

fn line(message: &Down) -> Bytes {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// `POST /trials/{n}/contract`: lines from a page. All of a post is taken, or none.
pub(super) async fn up(
    State(shared): State<Shared>,
    trial: Trial,
    shown: Shows,
    body: Body,
) -> Result<StatusCode, ErrorResponse> {
    let admitted = admitted(&shared, trial, shown)?;
    let post = admitted.post.ok_or_else(|| ErrorResponse::bad("a post is numbered: `post=0` and on"))?;
    let lines = read_lines(&read(body, POST_BYTES).await?)?;
    // In a task of its own: a page that leaves meanwhile must not cut a post in two.
    let taken = tokio::spawn(take(admitted, post, lines)).await;
    taken.map_err(|_| ErrorResponse::full("the post could not be taken"))?.map(|()| StatusCode::NO_CONTENT)
}

async fn read(body: Body, bound: usize) -> Result<Bytes, ErrorResponse> {
    let read = timeout(BODY_TIMEOUT, to_bytes(body, bound)).await;
    read.map_err(|_| ErrorResponse::bad("the body took too long"))?.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.is::<http_body_util::LengthLimitError>() {
                return ErrorResponse::too_large(bound);
            }
            cause = error.source();
        }
        ErrorResponse::bad("the body ended early")
    })
}

fn read_lines(body: &[u8]) -> Result<Vec<Up<ClientFact>>, ErrorResponse> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line)
                .map_err(|error| ErrorResponse::bad(format!("a line that is not of the trial contract: {error}")))
        })
        .collect()
}

async fn take(admitted: Admitted, post: u64, lines: Vec<Up<ClientFact>>) -> Result<(), ErrorResponse> {
    let page = admitted.page();
    let mut posts = page.posts.lock().await;
    if post < posts.next {
        return Ok(());
    }
    if post > posts.next {
        return Err(ErrorResponse::bad(format!("post {} comes before post {post}", posts.next)));
    }
    let mut checked = Vec::with_capacity(lines.len());
    for line in lines {
        if page.done.load(Ordering::Relaxed) {
            return Err(ErrorResponse::bad("nothing comes after `done`"));
        }
        checked.push(match line {
            Up::Saw(observation) => Up::Saw(place(page, observation)?),
            Up::Ready { version } => {
                if page.clock.get().is_none() || posts.ready {
                    return Err(ErrorResponse::bad("`ready` comes once, after the page's `clock`"));
                }
                posts.ready = true;
                Up::Ready { version }
            }
            Up::Done { sent } => {
                page.done.store(true, Ordering::Relaxed);
                Up::Done { sent }
            }
            Up::Listening { .. } => return Err(ErrorResponse::bad("a page doesn't listen")),
            line @ (Up::Unsupported { .. } | Up::Failed { .. }) => line,
        });
    }
    posts.next += 1;
    for line in checked {
        admitted.trial.pass(line).await?;
    }
    Ok(())
}

/// The fact on the lab's clock. The page's first `clock` fact sets how.
fn place(page: &Page, seen: Observation<ClientFact>) -> Result<Observation<ClientFact>, ErrorResponse> {
    if let Some(clock) = PageClock::of(&seen) {
        page.clock.set(clock).map_err(|_| ErrorResponse::bad("a page compares clocks once"))?;
    }
    let clock = page.clock.get().ok_or_else(|| ErrorResponse::bad("a page's first fact is its `clock`"))?;
    clock.place(seen).ok_or_else(|| ErrorResponse::bad("a page sends a receipt with as many times as ids"))
}

/// `POST /trials/{n}/arrived?token=…&actor=0`: a page that an actor asked for in another tab is there. The trial page
/// is told, and its clock says when.
pub(super) async fn arrived(
    State(shared): State<Shared>,
    trial: Trial,
    shown: Shows,
) -> Result<StatusCode, ErrorResponse> {
    let Path(number) = trial.map_err(|_| ErrorResponse::missing("a trial has a number"))?;
    let Query(shown) = shown.map_err(|_| ErrorResponse::forbidden("a page shows its trial's token"))?;
    let trial = shared.trials.enter(number, &shown.token)?;
    let actors = trial.message.settings.beside.len().min(u32::BITS as usize);
    let actor = shown.actor.filter(|actor| (*actor as usize) < actors);
    let actor = actor.ok_or_else(|| ErrorResponse::bad("a page in another tab says which `actor` asked for it"))?;
    trial.orders.send_modify(|orders| orders.arrived |= 1 << actor);
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /trials/{n}/error`: a page's script broke; the body says how.
pub(super) async fn error(
    State(shared): State<Shared>,
    trial: Trial,
    shown: Shows,
    body: Body,
) -> Result<StatusCode, ErrorResponse> {
    let admitted = admitted(&shared, trial, shown)?;
    let text = read(body, ERROR_BYTES).await?;
    let reason = format!("page {}: {}", admitted.page, String::from_utf8_lossy(&text));
    admitted.trial.pass(Up::Failed { reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}
