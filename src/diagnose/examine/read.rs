//! The stream, read on each connection, and once as a browser asks for it, all at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use http::header::{ALT_SVC, CONTENT_ENCODING, LOCATION};
use http::response::Parts;
use http::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{beside, http3};
use crate::diagnose::aim::Aim;
use crate::diagnose::dial::{Dialled, field};
use crate::diagnose::error::DiagnoseError;
use crate::diagnose::guest::{Guest, Stop};
use crate::diagnose::kind::{self, looks_like_html};
use crate::diagnose::known;
use crate::diagnose::reading::{Coding, Heard, Reading, listen, listen_and_tell, read, wants};
use crate::diagnose::said::Said;
use crate::diagnose::slow;
use crate::diagnose::visit::{SeenQuic, Silence, Visit};
use crate::text::chain;
use crate::trial::Alpn;

/// How long a HEAD may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it is waited for a header that may offer HTTP/3, before that is asked for all the same.
const OFFER_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked whether this program is late.
const TICK: Duration = Duration::from_millis(20);

/// What HTTP/3 has to do with it.
struct OverQuic {
    seen: SeenQuic,
    heard: Option<(Dialled, Heard)>,
}

/// Reads it so long. `found` becomes a connection of HTTP/3, where there is one beside those of TCP.
pub(super) async fn all(
    visit: &mut Visit,
    guest: &Guest,
    connections: &[Dialled],
    window: Duration,
    found: &mut Option<Dialled>,
) -> Result<(), DiagnoseError> {
    let aim = &visit.aim.clone();
    let (tells, offer) = watch::channel(None);
    let headed = |head: &Parts| {
        tells.send_replace(Some((head.status, field(head, &ALT_SVC).map(str::to_owned))));
    };
    let headed = &headed;
    let plain = connections.iter().map(|dialled| async move {
        let fields = wants(Coding::Identity);
        listen_and_tell(dialled, aim, guest, &fields, window, (headed, |_| false)).await
    });
    let quic = over_quic(aim, guest, connections, offer, window);
    let slow = async {
        let over_quic = connections.first().and_then(|dialled| dialled.place);
        let has_windows = connections.iter().any(|dialled| dialled.alpn == Alpn::H2) || over_quic.is_some();
        if has_windows { slow::stop_and_go(aim, guest, window, over_quic).await } else { None }
    };
    let browsers = as_browsers(aim, guest, connections.first(), window);
    let (plain, quic, browsers, slow, late) = tokio::join!(join_all(plain), quic, browsers, slow, lateness(window));
    visit.late = late;
    let mut over_quic = None;
    if let Some(OverQuic { seen, heard }) = quic {
        visit.quic = Some(seen);
        if let Some((dialled, heard)) = heard {
            visit.spoken.push(Alpn::H3);
            visit.http3 = dialled.http3().await;
            *found = Some(dialled);
            over_quic = Some(heard);
        }
    }
    let mut failed = None;
    for heard in plain {
        match heard {
            Heard::Answered(reading) => {
                fit(aim, guest, &reading)?;
                note(visit, reading);
            }
            Heard::Silent { alpn, waited, bytes } => {
                visit.silences.push(Silence { alpn, waited });
                // HTTP/2's own frames are no part of a header.
                if bytes > 0 && alpn == Alpn::H1 {
                    failed = Some(DiagnoseError::EndlessHeader { waited, bytes });
                }
            }
            Heard::Failed(error) => failed = Some(error.into()),
        }
    }
    if let Some(heard) = over_quic
        && let Some(left_out) = take_quic(visit, guest, heard)
    {
        visit.left_out.push(format!("the stream on HTTP/3: {left_out}"));
        *found = None;
    }
    visit.compressed = browsers;
    visit.slow = slow.map(|reading| {
        let said = Said::read(kind::format(visit.kind), &reading.pieces);
        (reading, said)
    });
    match failed {
        Some(failed) if visit.readings.is_empty() => return Err(failed),
        Some(failed) => visit.left_out.push(format!("one of its protocols: {}", guest.hide(&chain(&failed)))),
        None => {}
    }
    if let Some((reading, _)) = visit.readings.first() {
        return if visit.kind.is_some() { Ok(()) } else { Err(not_a_stream(guest, reading)) };
    }
    silent(visit, guest, connections).await
}

fn note(visit: &mut Visit, reading: Box<Reading>) {
    let kind = kind::of(&reading);
    if visit.kind.is_none() {
        visit.kind = kind;
    }
    let said = Said::read(kind::format(kind), &reading.pieces);
    visit.readings.push((*reading, said));
}

/// Asks for HTTP/3, once a header has offered it or could have, and reads the stream there. Without TLS, and where there
/// is no stream, it is asked for only where it is offered.
async fn over_quic(
    aim: &Aim,
    guest: &Guest,
    connections: &[Dialled],
    mut offer: watch::Receiver<Option<(StatusCode, Option<String>)>>,
    window: Duration,
) -> Option<OverQuic> {
    let first = connections.first().filter(|first| first.place.is_none())?;
    let told = timeout(OFFER_TIMEOUT.min(window), offer.wait_for(Option::is_some)).await;
    let (status, alt_svc) = told.ok().and_then(Result::ok).and_then(|told| told.clone()).unzip();
    let alt_svc = alt_svc.flatten();
    let is_worth_it = aim.is_secure() && status.is_none_or(|status| status.is_success() || may_be_session(status));
    if guest.is_turned_away() || (alt_svc.is_none() && !is_worth_it) {
        return None;
    }
    let (seen, dialled) = http3::look(aim, guest, alt_svc, Some(first.address.ip())).await;
    let heard = match dialled {
        Ok(dialled) => {
            let heard = listen(&dialled, aim, guest, &wants(Coding::Identity), window, |_| false).await;
            Some((dialled, heard))
        }
        Err(_) => None,
    };
    Some(OverQuic { seen, heard })
}

/// What a GET may be answered with where there are sessions alone.
fn may_be_session(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 406 | 426 | 501)
}

/// Writes down what came of that. What goes wrong there alone is given back, and keeps nobody from the rest.
fn take_quic(visit: &mut Visit, guest: &Guest, heard: Heard) -> Option<String> {
    match heard {
        Heard::Answered(reading) if reading.head.status == StatusCode::OK => note(visit, reading),
        Heard::Answered(reading) => return Some(format!("it answers {}", reading.head.status)),
        Heard::Silent { alpn, waited, .. } => visit.silences.push(Silence { alpn, waited }),
        Heard::Failed(error) => return Some(guest.hide(&chain(&error))),
    }
    None
}

/// How late a clock of this program comes, at the worst, within so long.
async fn lateness(window: Duration) -> Duration {
    let (end, mut worst) = (Instant::now() + window, Duration::ZERO);
    while Instant::now() < end {
        let due = Instant::now() + TICK;
        sleep_until(due).await;
        worst = worst.max(due.elapsed());
    }
    worst
}

/// The stream as a browser asks for it; `None`: it isn't compressed for that.
async fn as_browsers(aim: &Aim, guest: &Guest, best: Option<&Dialled>, window: Duration) -> Option<Reading> {
    let best = best?;
    let own = beside(aim, guest, best).await.ok()?;
    let dialled = own.as_ref().unwrap_or(best);
    let asked = timeout(window, dialled.ask(aim, guest, Method::GET, &wants(Coding::Browsers))).await;
    let answer = asked.ok()?.ok()?;
    let coding = answer.field(&CONTENT_ENCODING)?;
    if coding.eq_ignore_ascii_case("identity") {
        return None;
    }
    Some(read(answer, dialled.alpn, window, |_| false).await)
}

/// Whether an answer may be a stream by its status.
pub(super) fn fit(aim: &Aim, guest: &Guest, reading: &Reading) -> Result<(), DiagnoseError> {
    let status = reading.head.status;
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::TOO_MANY_REQUESTS => Err(Stop::TooMany.into()),
        status if status.is_redirection() => {
            let location = reading.field(&LOCATION).and_then(|location| aim.redirected(location));
            Err(DiagnoseError::Redirect { status, to: location.map(|aim| guest.hide(&aim.shown())) })
        }
        status => Err(DiagnoseError::Status { status }),
    }
}

fn not_a_stream(guest: &Guest, reading: &Reading) -> DiagnoseError {
    if looks_like_html(reading) {
        return DiagnoseError::Page;
    }
    let kind = reading.media_type();
    let kind = if kind.is_empty() { "no content type".to_owned() } else { guest.hide(&kind) };
    DiagnoseError::NoStream { kind, bytes: reading.bytes(), took: reading.took }
}

/// Nothing came: is there anybody, and what would it be?
async fn silent(visit: &mut Visit, guest: &Guest, connections: &[Dialled]) -> Result<(), DiagnoseError> {
    let waited = visit.silences.first().map_or(Duration::ZERO, |silence| silence.waited);
    let Some(best) = connections.first() else { return Ok(()) };
    let own = beside(&visit.aim, guest, best).await?;
    let dialled = own.as_ref().unwrap_or(best);
    let asked = timeout(HEAD_TIMEOUT, dialled.ask(&visit.aim, guest, Method::HEAD, &wants(Coding::Identity))).await;
    let Ok(Ok(answer)) = asked else { return Err(DiagnoseError::Silent { waited }) };
    let kind = kind::of_head(&answer.head);
    visit.head_only = Some((answer.head, answer.headed));
    visit.kind = kind;
    let holds_back = visit.head().is_some_and(|head| known::at(head).any(|known| known.holds_back));
    if kind.is_some() || holds_back { Ok(()) } else { Err(DiagnoseError::Silent { waited }) }
}
