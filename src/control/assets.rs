//! Pages and what they load: all of it in the binary, nothing from elsewhere.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;
use crate::transport;

/// What a page may do: load from its own origin, talk to the data ports.
macro_rules! policy {
    ($framing:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' https: wss:; ",
            "img-src 'self' data:; base-uri 'none'; form-action 'none'; ",
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
    /// It may be in a frame of the lab's own.
    Framed,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Name, type, content.
const ASSETS: [(&str, &str, &str); 8] = [
    ("lab.css", STYLE, include_str!("pages/lab.css")),
    ("lab.js", SCRIPT, include_str!("pages/lab.js")),
    ("lanes.js", SCRIPT, include_str!("pages/lanes.js")),
    ("counts.js", SCRIPT, include_str!("pages/counts.js")),
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
pub(super) fn html(content: String, framing: Framing) -> Response {
    let policy = match framing {
        Framing::Alone => policy!("frame-ancestors 'none'"),
        Framing::Frames => policy!("frame-src 'self'; frame-ancestors 'none'"),
        Framing::Framed => policy!("frame-ancestors 'self'"),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, content).into_response()
}
