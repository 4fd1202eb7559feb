//! Pages and what they load: all of it in the binary, nothing from elsewhere.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::transport;

/// What a page may do: load from its own origin, talk to the data ports.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self' https: wss:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Name, type, content.
const ASSETS: [(&str, &str, &str); 6] = [
    ("lab.css", STYLE, include_str!("pages/lab.css")),
    ("front.js", SCRIPT, include_str!("pages/front.js")),
    ("trial.js", SCRIPT, include_str!("pages/trial.js")),
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

/// `GET /transports/{name}.js`: a transport's browser script.
pub(super) async fn transport(Path(file): Path<String>) -> Result<Response, Refusal> {
    let found = file.strip_suffix(".js").and_then(transport::find);
    let transport = found.ok_or_else(|| Refusal::missing("there is no such transport's script"))?;
    Ok(([(header::CONTENT_TYPE, SCRIPT)], transport.script).into_response())
}

/// A page under its policy.
pub(super) fn html(content: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ];
    (headers, content).into_response()
}
