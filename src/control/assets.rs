//! Pages and what they load: all of it in the binary, nothing from elsewhere.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::ErrorResponse;
use crate::page;
pub(super) use crate::page::Framing;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// What only the control origin has: name, type, content.
const ASSETS: [(&str, &str, &str); 5] = [
    ("lab.js", SCRIPT, include_str!("pages/lab.js")),
    ("lanes.js", SCRIPT, include_str!("pages/lanes.js")),
    ("counts.js", SCRIPT, include_str!("pages/counts.js")),
    ("chat.css", STYLE, include_str!("pages/chat.css")),
    ("chat.js", SCRIPT, include_str!("pages/chat.js")),
];

/// `GET /assets/{file}`.
pub(super) async fn asset(Path(file): Path<String>) -> Result<Response, ErrorResponse> {
    let own = ASSETS.into_iter().find(|(name, ..)| *name == file).map(|(_, kind, content)| (kind, content));
    let (kind, content) =
        own.or_else(|| page::file(&file)).ok_or_else(|| ErrorResponse::missing("there is no such asset"))?;
    Ok(([(header::CONTENT_TYPE, kind)], content).into_response())
}

/// `GET /transports/{file}`: a transport's browser script (`sse.js`), or what it imports.
pub(super) async fn transport(Path(file): Path<String>) -> Result<Response, ErrorResponse> {
    let (kind, script) =
        page::transport(&file).ok_or_else(|| ErrorResponse::missing("there is no such transport's script"))?;
    Ok(([(header::CONTENT_TYPE, kind)], script).into_response())
}

/// A page under its policy.
pub(super) fn html(content: String, framing: Framing) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(page::HTML)),
        (header::CONTENT_SECURITY_POLICY, page::policy(framing)),
    ];
    (headers, content).into_response()
}

/// `GET /cover`: a page to put in front of another.
pub(super) async fn cover() -> Response {
    html(page::cover().to_owned(), Framing::Alone)
}
