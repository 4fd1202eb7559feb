//! Pages and what they load: all of it in the binary, nothing from elsewhere.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::transport;

/// What a page may do: load from its own origin, talk to the data ports.
macro_rules! policy {
    ($images:literal, $framing:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' https: wss:; ",
            "base-uri 'none'; form-action 'none'; img-src 'self' data:",
            $images,
            "; ",
            $framing
        )
    };
}

/// What a page has to do with frames.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// Nothing.
    Alone,
    /// It has the lab's own pages in frames: the lab page, a trial.
    Frames,
    /// It is a trial: it may be in a frame of the lab's own, and may show images and pages of the data ports, as
    /// that is what it measures.
    Trial,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Name, type, content.
const ASSETS: [(&str, &str, &str); 14] = [
    ("lab.css", STYLE, include_str!("pages/lab.css")),
    ("lab.js", SCRIPT, include_str!("pages/lab.js")),
    ("lanes.js", SCRIPT, include_str!("pages/lanes.js")),
    ("counts.js", SCRIPT, include_str!("pages/counts.js")),
    ("chat.css", STYLE, include_str!("pages/chat.css")),
    ("chat.js", SCRIPT, include_str!("pages/chat.js")),
    ("trial.js", SCRIPT, include_str!("pages/trial.js")),
    ("agenda.js", SCRIPT, include_str!("pages/agenda.js")),
    ("subscription.js", SCRIPT, include_str!("pages/subscription.js")),
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
pub(super) fn html(content: String, framing: Framing) -> Response {
    let policy = match framing {
        Framing::Alone => policy!("", "frame-ancestors 'none'"),
        Framing::Frames => policy!("", "frame-src 'self'; frame-ancestors 'none'"),
        Framing::Trial => policy!(" https:", "frame-src https:; frame-ancestors 'self'"),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, content).into_response()
}

/// `GET /cover`: a page to put in front of another.
pub(super) async fn cover() -> Response {
    html(include_str!("pages/cover.html").to_owned(), Framing::Alone)
}
