//! Why there is no diagnosis.

use std::time::Duration;

use http::StatusCode;

use super::aim::AimError;
use super::dial::{AskError, DialError};
use super::guest::{GivenError, Stop};
use super::tls::CaError;
use crate::admission::OriginError;

/// What keeps it from being made.
#[derive(Debug, thiserror::Error)]
pub enum DiagnoseError {
    #[error(transparent)]
    Aim(#[from] AimError),
    #[error(transparent)]
    Given(#[from] GivenError),
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Stopped(#[from] Stop),
    #[error("{peer} speaks neither HTTP/2 nor HTTP/1.1 on TLS")]
    NoHttp { peer: String },
    #[error("it answers {status}: {}", hint(*status))]
    Status { status: StatusCode },
    #[error("it answers {status}, which leads {}; point it there", to.as_deref().unwrap_or("nowhere that can be followed"))]
    Redirect { status: StatusCode, to: Option<String> },
    #[error("it answers with an HTML page, and not with a stream: is that the address that the page's script reads?")]
    Page,
    #[error("it answers with {kind}, {bytes} bytes, whole after {} ms: that is no stream", took.as_millis())]
    NoStream { kind: String, bytes: usize, took: Duration },
    #[error(
        "no answer began within {} s: it is a long poll with nothing to say, a stream whose server sends no header \
         before its first event, or something in between holds back what it sends; --listen 60s waits for longer",
        waited.as_secs()
    )]
    Silent { waited: Duration },
    #[error(
        "no answer to the request for a WebSocket began within {} s: something in between may take `Upgrade` out of the \
         request, and hold back what it gets instead",
        waited.as_secs()
    )]
    SilentSocket { waited: Duration },
    #[error("{bytes} bytes of an answer's header came within {} s, and not its end", waited.as_secs())]
    EndlessHeader { waited: Duration, bytes: u64 },
    #[error("it answers 200 and opens no WebSocket: an address with https:// reads what it says instead")]
    NoSocket,
}

impl DiagnoseError {
    /// Whether it was asked for wrongly, rather than answered badly.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Aim(_) | Self::Given(_) | Self::Origin(_) | Self::Ca(_))
    }
}

/// What a status asks for.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        204 => "that tells readers not to come back",
        401 | 407 => "it wants to know who asks; give -H 'Authorization: …' or --cookie 'name=value'",
        403 => "it lets nobody in like this; --cookie, -H or --origin may be missing",
        404 | 410 => "there is nothing at this address",
        426 => "it wants another protocol; a WebSocket's address begins with wss://",
        400 | 405 | 406 => "it takes no GET like this; a WebSocket's address begins with wss://",
        500.. => "the server, or what it stands behind, is at fault",
        _ => "that is no stream",
    }
}
