//! A stream that is cut, and come back to with `Last-Event-ID`.

use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderName, HeaderValue};

use super::beside;
use crate::diagnose::dial::Dialled;
use crate::diagnose::error::DiagnoseError;
use crate::diagnose::guest::{Guest, Stop};
use crate::diagnose::kind;
use crate::diagnose::reading::{Coding, Heard, Piece, listen, wants};
use crate::diagnose::said::Said;
use crate::diagnose::visit::{Resumed, SeenReturn, Visit};
use crate::text::chain;

/// How long a stream that comes back may take to say something.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why it can't be told what a reader gets that comes back.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error("no event came in that time")]
    NoEvent,
    #[error("events have no ids")]
    NoIds,
    #[error("fewer than two ids came in that time")]
    FewIds,
    #[error("an id has characters that a header field can't have")]
    NoField,
    #[error("no answer began within {} s", ANSWER_TIMEOUT.as_secs())]
    NoAnswer,
}

/// Comes back on each connection on which it was read, at the same time.
pub(super) async fn on_each(visit: &mut Visit, guest: &Guest, connections: &[Dialled]) -> Result<(), DiagnoseError> {
    let ids = match ids(visit) {
        Ok(ids) => ids,
        Err(why) => {
            let read = visit.readings.first().map(|(reading, _)| reading.alpn);
            visit
                .resumed
                .extend(read.map(|alpn| SeenReturn { alpn, resumed: Resumed::Untold { why: why.to_string() } }));
            return Ok(());
        }
    };
    let was_read = |dialled: &&Dialled| visit.readings.iter().any(|(reading, _)| reading.alpn == dialled.alpn);
    let came = connections.iter().filter(was_read).map(|dialled| resume(visit, guest, dialled, &ids));
    let came = join_all(came).await;
    for came in came {
        match came {
            Ok(came) => visit.resumed.push(came),
            Err(error @ DiagnoseError::Stopped(_)) => return Err(error),
            Err(error) if visit.resumed.is_empty() => return Err(error),
            Err(error) => visit.left_out.push(format!("coming back: {}", guest.hide(&chain(&error)))),
        }
    }
    if guest.is_turned_away() { Err(Stop::TooMany.into()) } else { Ok(()) }
}

/// An id after which others are known to have come, and those; or why there is none.
fn ids(visit: &Visit) -> Result<Vec<String>, Untold> {
    let said = visit.readings.iter().map(|(_, said)| said).max_by_key(|said| said.events.len());
    let Some(said) = said.filter(|said| !said.events.is_empty()) else { return Err(Untold::NoEvent) };
    if !said.has_ids() {
        return Err(Untold::NoIds);
    }
    let ids: Vec<String> =
        said.place.clone().into_iter().chain(said.events.iter().map(|event| event.id.clone())).collect();
    let distinct = ids.windows(2).all(|pair| pair[0] != pair[1]);
    if ids.len() < 2 || !distinct {
        return Err(Untold::FewIds);
    }
    if HeaderValue::try_from(&ids[0]).is_err() {
        return Err(Untold::NoField);
    }
    Ok(ids)
}

async fn resume(visit: &Visit, guest: &Guest, dialled: &Dialled, ids: &[String]) -> Result<SeenReturn, DiagnoseError> {
    let alpn = dialled.alpn;
    let seen = |resumed| Ok(SeenReturn { alpn, resumed });
    let [known, next, ..] = ids else { return seen(Resumed::Nothing) };
    let mut fields = wants(Coding::Identity);
    fields.extend(HeaderValue::try_from(known).map(|value| (LAST_EVENT_ID, value)));
    let own = beside(&visit.aim, guest, dialled).await?;
    let format = kind::format(visit.kind);
    let has_event = |pieces: &[Piece]| !Said::read(format, pieces).events.is_empty();
    let heard = listen(own.as_ref().unwrap_or(dialled), &visit.aim, guest, &fields, ANSWER_TIMEOUT, has_event).await;
    let reading = match heard {
        Heard::Answered(reading) => reading,
        Heard::Silent { .. } => return seen(Resumed::Untold { why: Untold::NoAnswer.to_string() }),
        Heard::Failed(error) => return Err(error.into()),
    };
    let came = Said::read(format, &reading.pieces);
    seen(match came.events.first() {
        Some(event) if event.id == *next => Resumed::Next,
        Some(event) => match ids.iter().position(|id| *id == event.id) {
            Some(0) => Resumed::Again { id: event.id.clone() },
            Some(later) => Resumed::Later { missed: later - 1 },
            // It was not among those that came the first time: it is older, or newer than all of them.
            None if came.events.iter().any(|event| event.id == *known) => Resumed::Again { id: event.id.clone() },
            None => Resumed::Nothing,
        },
        None => Resumed::Nothing,
    })
}
