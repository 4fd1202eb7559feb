//! Pages and what they load: all of it in the binary, nothing from elsewhere.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::transport;

/// What a page may do: load from its own origin, talk to the data ports.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self' https: wss:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same for a trial's page, which may also show images and pages of the data ports: that is what it measures.
const TRIAL_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self' https: wss:; img-src 'self' data: https:; frame-src https:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Name, type, content.
const ASSETS: [(&str, &str, &str); 8] = [
    ("lab.css", STYLE, include_str!("pages/lab.css")),
    ("front.js", SCRIPT, include_str!("pages/front.js")),
    ("trial.js", SCRIPT, include_str!("pages/trial.js")),
    ("beginning.js", SCRIPT, include_str!("pages/beginning.js")),
    ("beside.js", SCRIPT, include_str!("pages/beside.js")),
    ("outbox.js", SCRIPT, include_str!("pages/outbox.js")),
    ("clock.js", SCRIPT, include_str!("pages/clock.js")),
    ("receipts.js", SCRIPT, include_str!("pages/receipts.js")),
];

/// `GET /assets/{file}`.
pub(super) async fn asset(Path(file): Path<String>) -> Result<Response, Refusal> {
    let (_, kind, content) = ASSETS
        .into_iter()
        .find(|(name, ..)| *name == file)
        .ok_or_else(|| Refusal::missing("there is no such asset"))?;
    Ok(([(header::CONTENT_TYPE, kind)], content).into_response())
}

/// `GET /transports/{file}`: a transport's browser script (`sse.js`), or what it imports.
pub(super) async fn transport(Path(file): Path<String>) -> Result<Response, Refusal> {
    let whole = file.strip_suffix(".js").and_then(transport::find).map(|transport| transport.script);
    let mut modules = transport::ALL.iter().flat_map(|transport| transport.modules);
    let part = || modules.find(|(name, _)| *name == file).map(|(_, text)| *text);
    let script = whole.or_else(part).ok_or_else(|| Refusal::missing("there is no such transport's script"))?;
    Ok(([(header::CONTENT_TYPE, SCRIPT)], script).into_response())
}

/// A page under its policy.
pub(super) fn html(content: String) -> Response {
    page(content, CONTENT_SECURITY_POLICY)
}

/// `GET /trials/{n}/page`, to who was let in.
pub(super) fn trial_page() -> Response {
    page(include_str!("pages/trial.html").to_owned(), TRIAL_POLICY)
}

/// `GET /cover`: a page to put in front of another.
pub(super) async fn cover() -> Response {
    html(include_str!("pages/cover.html").to_owned())
}

fn page(content: String, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, content).into_response()
}
