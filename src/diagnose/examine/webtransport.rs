//! A WebTransport session, at an address where a GET finds no stream.

use std::time::Duration;

use tokio::time::timeout;

use crate::diagnose::dial::{Dialled, SeenHttp3};
use crate::diagnose::error::DiagnoseError;
use crate::diagnose::guest::Guest;
use crate::diagnose::session;
use crate::diagnose::socket::quiet_of;
use crate::diagnose::visit::{StreamKind, Visit};

/// How long the answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether what a GET found may be because there are sessions alone.
pub(super) fn may_be(visit: &Visit, found: &DiagnoseError) -> bool {
    let is_offered = |http3: &SeenHttp3| !http3.webtransport.is_empty();
    let is_told = matches!(found, DiagnoseError::Status { .. } | DiagnoseError::NoStream { .. } | DiagnoseError::Page);
    is_told && visit.http3.as_ref().is_some_and(is_offered)
}

/// Asks for a session and reads it for so long; whether there was one. `quiet`: how long it is to be waited for its end.
pub(super) async fn examine(
    visit: &mut Visit,
    guest: &Guest,
    dialled: &Dialled,
    (listen, quiet): (Duration, Option<Duration>),
) -> Result<bool, DiagnoseError> {
    let asked = timeout(ANSWER_TIMEOUT, dialled.session(&visit.aim, guest)).await;
    // That there is none is said best by what a GET found.
    let Ok(Ok((answer, Some(session)))) = asked else { return Ok(false) };
    visit.kind = Some(StreamKind::WebTransport);
    let mut seen = session::read(session, quiet.unwrap_or_default().max(listen)).await;
    (seen.headed, seen.head) = (answer.headed, Some(answer.head));
    visit.quiet.extend(quiet.map(|wait| quiet_of(&seen, wait)));
    visit.sockets.push(seen);
    Ok(true)
}
