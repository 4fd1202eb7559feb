//! Who is let in, by the server's own rules, and the headers that every answer leaves with.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::server::Admission;

/// On every answer. Isolation gives pages the finest `performance.now()` (WHATWG HTML, "cross-origin isolation").
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Checks host and origin, and dresses the answer.
pub(super) async fn admit(State(door): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    let (mut response, origin) = match door.admit(request.uri(), request.headers()) {
        Ok(origin) => (next.run(request).await, origin),
        Err(refusal) if refusal.status() == StatusCode::MISDIRECTED_REQUEST => {
            (Refusal::misdirected(refusal.to_string()).into_response(), None)
        }
        Err(refusal) => (Refusal::forbidden(refusal.to_string()).into_response(), None),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
