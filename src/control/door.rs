//! Who is let in, by the server's own rules, and the headers that every answer leaves with.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::ErrorResponse;
use super::carrier::Trials;
use super::drained;
use super::places::{Full, Visitor};
use crate::admission::{self, Admission, TOKEN_COOKIE};
use crate::page;
use crate::wire::malformed;

/// How long a browser that has shown the token needn't show it again, in seconds: a day.
const COOKIE_LASTS: u32 = 86_400;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) ip: IpAddr,
    pub(super) visitor: Arc<Visitor>,
}

/// On every answer, beside isolation.
const HEADERS: [(HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];

/// Checks token, host and origin, and dresses the answer.
pub(super) async fn admit(
    State((door, trials)): State<(Arc<Admission>, Arc<Trials>)>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (is_head, (request, rest)) = (request.method() == Method::HEAD, drained::share(request));
    let shown = door.shown_in_query(request.uri()).map(str::to_owned);
    let admitted = match malformed::check(request.version(), request.headers()) {
        Ok(()) => door.admit(peer.ip, request.version(), request.uri(), request.headers()),
        Err(refused) => Err(refused.into()),
    };
    let let_in = match admitted {
        // A trial's page of the server under test reports here with its trial's token.
        Err(admission::Refusal::Origin(origin)) if trials.is_guest(request.uri().path(), &origin) => {
            Ok(HeaderValue::try_from(origin).ok())
        }
        let_in => let_in,
    };
    let (mut response, origin) = match let_in {
        Ok(origin) => match peer.visitor.stay().await {
            Ok(()) => (next.run(request).await, origin),
            Err(Full) => (ErrorResponse::full("as many connections are open as may at once").into_response(), origin),
        },
        Err(refusal) => (ErrorResponse::of(refusal.status(), refusal.to_string()).into_response(), None),
    };
    if let Some(rest) = rest {
        rest.read().await;
    }
    if is_head {
        // No content, ever (RFC 9110 section 9.3.2): routes see to that themselves, and refusals don't.
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS.into_iter().chain(page::ISOLATION) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    // From the first visit on the cookie speaks for the browser, so that the address needn't hold the token.
    let cookie = shown.and_then(|token| {
        let attributes = format!("Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={COOKIE_LASTS}");
        HeaderValue::try_from(format!("{TOKEN_COOKIE}={token}; {attributes}")).ok()
    });
    if let Some(mut cookie) = cookie {
        cookie.set_sensitive(true);
        headers.insert(header::SET_COOKIE, cookie);
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
