//! A measurement: a person's browser asks to be measured. The lab page says what it wants, and whoever runs trials
//! makes one of it; control only passes the request on.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::answer::ErrorResponse;
use super::{ControlError, Shared};
use crate::trial::Protocol;
use crate::units::Span;
use crate::wire::BODY_TIMEOUT;

/// How many subscriptions a measurement asks for at most. Chromium fails requests by itself when one page has over
/// about 1,300 under way.
pub const MAX_MEASURED: u32 = 1200;
/// How long a measurement holds its streams.
const HOLD: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
/// A request's largest body, in bytes.
const WISH_BYTES: usize = 4096;
/// How long a request may wait for its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is kept of a browser's name for itself, in characters.
const USER_AGENT: usize = 512;

/// What a browser that came by wants to be measured at.
#[derive(Debug)]
pub struct MeasurementRequest {
    /// What to subscribe over.
    pub protocol: Protocol,
    pub port: u16,
    /// The host under which that browser reaches the data ports.
    pub host: String,
    /// How many subscriptions, at most [`MAX_MEASURED`].
    pub subscribers: u32,
    /// How long to hold them.
    pub hold: Span,
    /// What the browser calls itself (RFC 9110 section 10.1.5).
    pub user_agent: String,
    /// Where the trial page is, or why there is none.
    pub answer: oneshot::Sender<Result<MeasurementStarted, MeasurementError>>,
}

/// Why a browser isn't measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasurementError {
    /// So many, as many as there can be.
    #[error("{0} measurements are under way; try again in a moment")]
    UnderWay(usize),
    /// So many, and no more are.
    #[error("{0} measurements were kept; start `serve` anew for more")]
    Kept(u32),
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A measurement that begins.
pub struct MeasurementStarted {
    /// The trial's number.
    pub trial: u32,
    /// Where its page is, as the carrier says.
    pub url: String,
}

/// Without the address, which holds the trial's token.
impl std::fmt::Debug for MeasurementStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeasurementStarted").field("trial", &self.trial).finish_non_exhaustive()
    }
}

/// A request as the lab page writes it. No `Debug`: it holds the page's key.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct MeasurementQuery {
    /// What the lab page was given, so that no other page can ask.
    key: String,
    protocol: Protocol,
    port: u16,
    subscribers: u32,
    hold: Span,
}

/// `POST /visits`: 201 `{"trial": 3, "page": "/trials/3/page?token=…&page=0"}`.
pub(super) async fn ask(State(shared): State<Shared>, request: Request) -> Result<Response, ErrorResponse> {
    let serving = shared.serving.as_ref().as_ref();
    let serving = serving.ok_or_else(|| ErrorResponse::missing("this control origin belongs to a run"))?;
    let (head, body) = request.into_parts();
    let asked: MeasurementQuery = read(body).await?;
    if !shared.key.is(&asked.key) {
        return Err(ErrorResponse::forbidden("only the lab page may ask for a measurement"));
    }
    if !(1..=MAX_MEASURED).contains(&asked.subscribers) {
        return Err(ErrorResponse::bad(format!("ask for 1 to {MAX_MEASURED} subscriptions")));
    }
    if !HOLD.contains(&asked.hold.duration()) {
        let (least, most) = (HOLD.start().as_secs(), HOLD.end().as_secs());
        return Err(ErrorResponse::bad(format!("hold them for {least} to {most} seconds")));
    }
    let speaks = |port: &super::DataPort| port.port == asked.port && port.alpns.contains(&asked.protocol.alpn);
    let known = crate::transport::find(&asked.protocol.transport);
    if !known.is_some_and(|known| known.alpns.contains(&asked.protocol.alpn)) || !serving.ports.iter().any(speaks) {
        return Err(ErrorResponse::bad(format!("{} is not spoken at port {}", asked.protocol, asked.port)));
    }
    let user_agent = head.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (answer, answered) = oneshot::channel();
    let request = MeasurementRequest {
        protocol: asked.protocol,
        port: asked.port,
        host: data_host(&head.uri, &head.headers),
        subscribers: asked.subscribers,
        hold: asked.hold,
        user_agent: user_agent.chars().take(USER_AGENT).collect(),
        answer,
    };
    pass(&serving.requests, request)?;
    let busy = || ErrorResponse::full("the lab is too busy to measure; try again");
    let started = timeout(PATIENCE, answered).await.map_err(|_| busy())?.map_err(|_| busy())?;
    let started = started.map_err(|error| ErrorResponse::full(error.to_string()))?;
    // The carrier names 127.0.0.1; a visitor stays on the host that it came by.
    let page = started.url.find("/trials/").map_or("", |start| &started.url[start..]);
    let body = serde_json::json!({ "trial": started.trial, "page": page }).to_string();
    Ok((StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn pass(requests: &mpsc::Sender<MeasurementRequest>, request: MeasurementRequest) -> Result<(), ErrorResponse> {
    requests
        .try_send(request)
        .map_err(|_| ErrorResponse::full("as many measurements are waiting as may at once; try again"))
}

async fn read(body: Body) -> Result<MeasurementQuery, ErrorResponse> {
    let body = timeout(BODY_TIMEOUT, to_bytes(body, WISH_BYTES)).await;
    let body = body.map_err(|_| ErrorResponse::bad("the body took too long"))?;
    let body = body.map_err(|_| ErrorResponse::too_large(WISH_BYTES))?;
    serde_json::from_slice(&body)
        .map_err(|error| ErrorResponse::bad(format!("not a request for a measurement: {error}")))
}

/// The host of the data ports for a browser that is on the lab page at some host.
///
/// On this machine it is another loopback name than the page's: a limit that a browser keeps per host must not be
/// shared with the page. Deviation: from another machine it is the same host, as no other need exist; a browser that
/// limits connections per host name and not per port would spend one or two of them on the page.
fn data_host(uri: &Uri, headers: &HeaderMap) -> String {
    let authority = uri.authority().map_or_else(
        || headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned(),
        ToString::to_string,
    );
    let host = authority.parse::<axum::http::uri::Authority>().map(|authority| authority.host().to_owned());
    match host.unwrap_or_default().to_ascii_lowercase().as_str() {
        "localhost" => "127.0.0.1".to_owned(),
        local if crate::admission::is_local(local) => "localhost".to_owned(),
        exposed => exposed.to_owned(),
    }
}

/// What the lab page shows to close a measurement. No `Debug`: it holds the token.
#[derive(Deserialize)]
pub(super) struct CloseQuery {
    token: String,
}

/// `POST /trials/{n}/close?token=…`: takes the census of a measurement now, and closes everything.
pub(super) async fn close(
    State(shared): State<Shared>,
    trial: Result<Path<u32>, PathRejection>,
    shown: Result<Query<CloseQuery>, QueryRejection>,
) -> Result<StatusCode, ErrorResponse> {
    let Path(trial) = trial.map_err(|_| ErrorResponse::missing("a trial has a number"))?;
    let Query(shown) = shown.map_err(|_| ErrorResponse::forbidden("a page shows its trial's token"))?;
    shared.trials.enter(trial, &shown.token)?.closing.send_replace(true);
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_ports_are_on_another_loopback_name_than_the_page_and_on_an_exposed_host_as_it_is() {
        for (host, data) in [
            ("127.0.0.1:8440", "localhost"),
            ("localhost:8440", "127.0.0.1"),
            ("[::1]:8440", "localhost"),
            ("a.localhost", "localhost"),
            ("Lab.Example:8440", "lab.example"),
            ("[2001:db8::1]:8440", "[2001:db8::1]"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(data_host(&Uri::from_static("/visits"), &headers), data, "{host}");
            let absolute = format!("https://{host}/visits").parse().unwrap();
            assert_eq!(data_host(&absolute, &HeaderMap::new()), data, "{host}");
        }
    }
}
