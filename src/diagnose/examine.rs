//! One thing after another: connect, read, come back, open many, wait.

use std::time::Duration;

use futures_util::future::join_all;
use http::header::{ALT_SVC, SEC_WEBSOCKET_VERSION, SERVER};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep_until, timeout};

use super::aim::Aim;
use super::dial::{DialError, Dialled};
use super::error::DiagnoseError;
use super::guest::{Guest, Stop};
use super::kind::{self, looks_like_html};
use super::quic;
use super::reading::{Coding, Finish, Heard, Reading, listen, wants};
use super::said::Said;
use super::slow;
use super::socket;
use super::visit::{Resumed, SeenQuiet, SeenStreams, Silence, StreamKind, Visit, millis};
use crate::text::chain;
use crate::trial::Alpn;
use crate::wire::token::WEBSOCKET;

/// How long a stream that comes back, and each of many, may take to say something.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a HEAD may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);
/// A stream whose header takes longer than this isn't opened many times over.
const PROMPT: Duration = Duration::from_secs(1);

/// How often it is looked whether this program is late.
const TICK: Duration = Duration::from_millis(20);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What is to be found out, beside what always is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// How long a stream is listened to.
    pub(super) listen: Duration,
    /// How many streams are opened at once.
    pub(super) streams: u32,
    /// How long it is waited for a quiet stream to be cut.
    pub(super) quiet: Option<Duration>,
}

/// Finds it out, and writes it down as it goes.
pub(super) async fn examine(visit: &mut Visit, guest: &Guest, extent: Extent) -> Result<(), DiagnoseError> {
    if visit.aim.is_socket() {
        return socket(visit, guest, extent).await;
    }
    let connections = connect(visit, guest).await?;
    read(visit, guest, &connections, extent.listen).await?;
    alt_svc(visit, guest).await;
    if guest.is_turned_away() {
        return Ok(());
    }
    let Some(best) = connections.first() else { return Ok(()) };
    if visit.kind == Some(StreamKind::EventStream) && !visit.readings.is_empty() {
        let resumed = resume(visit, guest, best).await?;
        visit.resumed = resumed;
    }
    let is_prompt = visit.main().is_some_and(|(reading, _)| reading.headed < PROMPT && reading.finish == Finish::Open);
    if extent.streams > 0 && is_prompt {
        visit.streams = Some(streams(visit, guest, best, extent.streams).await?);
    } else if extent.streams > 0 {
        visit.left_out.push("many streams at once: one alone is not answered at once and goes on".to_owned());
    }
    if let Some(wait) = extent.quiet {
        quiet(visit, guest, best.alpn, wait).await?;
    }
    Ok(())
}

/// A connection for each ALPN that it speaks, the best first.
async fn connect(visit: &mut Visit, guest: &Guest) -> Result<Vec<Dialled>, DiagnoseError> {
    let (mut connections, mut fault) = (Vec::new(), None);
    let asked: &[Alpn] = if visit.aim.is_secure() { &[Alpn::H2, Alpn::H1] } else { &[Alpn::H1] };
    for &alpn in asked {
        match Dialled::connect(&visit.aim, guest, alpn).await {
            Ok(dialled) => {
                note(visit, &dialled);
                connections.push(dialled);
            }
            // Some end the handshake without saying that it is for the ALPN.
            Err(error @ (DialError::Alpn { .. } | DialError::Tls { .. })) if visit.aim.is_secure() => {
                visit.not_spoken.push(alpn);
                if matches!(error, DialError::Tls { .. }) {
                    fault.get_or_insert(error);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let Some(best) = connections.first() else {
        let none = || DiagnoseError::NoHttp { peer: visit.aim.authority() };
        return Err(fault.map_or_else(none, DiagnoseError::from));
    };
    visit.settings = best.settings(&visit.aim).await?;
    Ok(connections)
}

fn note(visit: &mut Visit, dialled: &Dialled) {
    visit.spoken.push(dialled.alpn);
    visit.connected.get_or_insert((dialled.address, dialled.took));
    if visit.tls.is_none() {
        visit.tls.clone_from(&dialled.tls);
    }
}

/// Reads the stream on each connection, and once as a browser asks for it, all at the same time.
async fn read(
    visit: &mut Visit,
    guest: &Guest,
    connections: &[Dialled],
    window: Duration,
) -> Result<(), DiagnoseError> {
    let aim = &visit.aim.clone();
    let plain = connections.iter().map(|dialled| async move {
        let fields = wants(Coding::Identity);
        listen(dialled, aim, guest, &fields, window, |_| false).await
    });
    let slow = async {
        let has_windows = connections.iter().any(|dialled| dialled.alpn == Alpn::H2);
        if has_windows { slow::stop_and_go(aim, guest, window).await } else { None }
    };
    let browsers = as_browsers(aim, guest, connections.first(), window);
    let (plain, browsers, slow, late) = tokio::join!(join_all(plain), browsers, slow, lateness(window));
    visit.late = late;
    let mut failed = None;
    for heard in plain {
        match heard {
            Heard::Answered(reading) => {
                fit(aim, guest, &reading)?;
                let kind = kind::of(&reading);
                if visit.kind.is_none() {
                    visit.kind = kind;
                }
                let said = Said::read(kind::format(kind), &reading.pieces);
                visit.readings.push((*reading, said));
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

/// A connection for another request beside what waits or goes on at this one: on HTTP/1.1 it takes one of its own.
async fn beside(aim: &Aim, guest: &Guest, busy: &Dialled) -> Result<Option<Dialled>, DialError> {
    match busy.alpn {
        Alpn::H2 => Ok(None),
        alpn => Dialled::connect(aim, guest, alpn).await.map(Some),
    }
}

/// The stream as a browser asks for it; `None`: it isn't compressed for that.
async fn as_browsers(aim: &Aim, guest: &Guest, best: Option<&Dialled>, window: Duration) -> Option<Reading> {
    let best = best?;
    let own = beside(aim, guest, best).await.ok()?;
    let dialled = own.as_ref().unwrap_or(best);
    let asked = timeout(window, dialled.ask(aim, guest, Method::GET, &wants(Coding::Browsers))).await;
    let answer = asked.ok()?.ok()?;
    let coding = answer.field(&http::header::CONTENT_ENCODING)?;
    if coding.eq_ignore_ascii_case("identity") {
        return None;
    }
    Some(super::reading::read(answer, dialled.alpn, window, |_| false).await)
}

/// Whether an answer may be a stream by its status.
fn fit(aim: &Aim, guest: &Guest, reading: &Reading) -> Result<(), DiagnoseError> {
    let status = reading.head.status;
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::TOO_MANY_REQUESTS => Err(Stop::TooMany.into()),
        status if status.is_redirection() => {
            let location = reading.field(&http::header::LOCATION).and_then(|location| aim.redirected(location));
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
    if kind.is_some() || visit.is_nginx() { Ok(()) } else { Err(DiagnoseError::Silent { waited }) }
}

/// Asks whether what `Alt-Svc` offers is there.
async fn alt_svc(visit: &mut Visit, guest: &Guest) {
    let value = visit.head().and_then(|head| super::dial::field(head, &ALT_SVC)).map(str::to_owned);
    if let Some(port) = value.as_deref().and_then(quic::offered) {
        let handshake = quic::handshake(&visit.aim, guest, port).await;
        visit.alt_svc = Some(super::visit::SeenAltSvc { value: value.unwrap_or_default(), port, handshake });
    }
}

/// Cuts the stream and comes back with the id of an event after which others are known to have come.
async fn resume(visit: &Visit, guest: &Guest, best: &Dialled) -> Result<Option<Resumed>, DiagnoseError> {
    let Some((_, said)) = visit.readings.iter().max_by_key(|(_, said)| said.events.len()) else { return Ok(None) };
    if said.events.is_empty() {
        return Ok(Some(Resumed::Untold { why: "no event came in that time" }));
    }
    if !said.has_ids() {
        return Ok(Some(Resumed::Untold { why: "events have no ids" }));
    }
    let ids: Vec<&str> = said.place.as_deref().into_iter().chain(said.events.iter().map(|e| e.id.as_str())).collect();
    let distinct = ids.windows(2).all(|pair| pair[0] != pair[1]);
    let (Some(&known), Some(&next), true) = (ids.first(), ids.get(1), distinct) else {
        return Ok(Some(Resumed::Untold { why: "fewer than two ids came in that time" }));
    };
    let Ok(value) = HeaderValue::try_from(known) else {
        return Ok(Some(Resumed::Untold { why: "an id has characters that a header field can't have" }));
    };
    let mut fields = wants(Coding::Identity);
    fields.push((LAST_EVENT_ID, value));
    let own = beside(&visit.aim, guest, best).await?;
    let format = kind::format(visit.kind);
    let has_event = |pieces: &[super::reading::Piece]| !Said::read(format, pieces).events.is_empty();
    let heard = listen(own.as_ref().unwrap_or(best), &visit.aim, guest, &fields, ANSWER_TIMEOUT, has_event).await;
    let reading = match heard {
        Heard::Answered(reading) => reading,
        Heard::Silent { .. } => return Ok(Some(Resumed::Untold { why: "no answer began within 3 s" })),
        Heard::Failed(error) => return Err(error.into()),
    };
    if guest.is_turned_away() {
        return Err(Stop::TooMany.into());
    }
    let came = Said::read(format, &reading.pieces);
    Ok(Some(match came.events.first() {
        Some(event) if event.id == next => Resumed::Next,
        Some(event) => match ids.iter().position(|id| *id == event.id) {
            Some(0) => Resumed::Again { id: event.id.clone() },
            Some(later) => Resumed::Later { missed: later - 1 },
            // It was not among those that came the first time: it is older, or newer than all of them.
            None if reading_has(&came, known) => Resumed::Again { id: event.id.clone() },
            None => Resumed::Nothing,
        },
        None => Resumed::Nothing,
    }))
}

fn reading_has(said: &Said, id: &str) -> bool {
    said.events.iter().any(|event| event.id == id)
}

/// Opens streams one after another, and keeps them all open.
async fn streams(visit: &Visit, guest: &Guest, best: &Dialled, asked: u32) -> Result<SeenStreams, DiagnoseError> {
    let (mut open, mut connections) = (Vec::new(), Vec::new());
    let mut refused = None;
    let limit = visit.settings.and_then(|settings| settings.max_concurrent_streams);
    while open.len() < asked as usize {
        if best.alpn == Alpn::H2 && limit.is_some_and(|limit| open.len() as u64 >= limit) {
            refused = Some(format!("its SETTINGS allow {} on a connection", open.len()));
            break;
        }
        if best.alpn == Alpn::H1 {
            match Dialled::connect(&visit.aim, guest, Alpn::H1).await {
                Ok(dialled) => connections.push(dialled),
                Err(error) => {
                    refused = Some(chain(&error));
                    break;
                }
            }
        }
        let dialled = connections.last().unwrap_or(best);
        let fields = wants(Coding::Identity);
        match timeout(ANSWER_TIMEOUT, dialled.ask(&visit.aim, guest, Method::GET, &fields)).await {
            Ok(Ok(answer)) if answer.head.status == StatusCode::OK => open.push(answer),
            // That says more of a guest who asks often than of what its readers get.
            Ok(Ok(_)) if guest.is_turned_away() => break,
            Ok(Ok(answer)) => refused = Some(format!("it answers {}", answer.head.status)),
            Ok(Err(error)) => refused = Some(chain(&error)),
            Err(_) => refused = Some(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        }
        if refused.is_some() {
            break;
        }
    }
    let opened = u32::try_from(open.len()).unwrap_or(u32::MAX);
    Ok(SeenStreams { alpn: best.alpn, asked, opened, refused })
}

/// Reads a stream for a long time, to see whether it is cut once it is quiet.
async fn quiet(visit: &mut Visit, guest: &Guest, alpn: Alpn, wait: Duration) -> Result<(), DiagnoseError> {
    // A connection of its own: one that others have used lives longer.
    let dialled = Dialled::connect(&visit.aim, guest, alpn).await?;
    let heard = listen(&dialled, &visit.aim, guest, &wants(Coding::Identity), wait, |_| false).await;
    match heard {
        Heard::Answered(reading) if reading.head.status != StatusCode::OK => {}
        Heard::Answered(reading) => visit.quiet = Some(quiet_of(&reading)),
        Heard::Silent { waited, .. } => {
            let millis = millis(waited);
            visit.quiet = Some(SeenQuiet { listened: millis, longest: millis, cut: None });
        }
        Heard::Failed(error) => return Err(error.into()),
    }
    Ok(())
}

fn quiet_of(reading: &Reading) -> SeenQuiet {
    let times: Vec<Duration> =
        std::iter::once(reading.headed).chain(reading.pieces.iter().map(|piece| piece.at)).collect();
    let last = times.last().copied().unwrap_or_default();
    let before_end = reading.took.saturating_sub(last);
    let longest =
        times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default().max(before_end);
    let how = match &reading.finish {
        Finish::Open | Finish::Enough => None,
        Finish::Ended => Some("it was ended in order".to_owned()),
        Finish::Broke(why) => Some(why.clone()),
    };
    let cut = how.map(|how| (millis(before_end), how));
    SeenQuiet { listened: millis(reading.took), longest: millis(longest), cut }
}

/// A WebSocket: opened as a browser does over HTTP/1.1, and read.
async fn socket(visit: &mut Visit, guest: &Guest, extent: Extent) -> Result<(), DiagnoseError> {
    let dialled = Dialled::connect(&visit.aim, guest, Alpn::H1).await?;
    note(visit, &dialled);
    visit.kind = Some(StreamKind::Socket);
    let version = [(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))];
    let window = extent.quiet.unwrap_or_default().max(extent.listen);
    let asked = timeout(extent.listen, dialled.upgrade(&visit.aim, guest, WEBSOCKET, &version)).await;
    let (answer, tunnel) = asked.map_err(|_| DiagnoseError::Silent { waited: extent.listen })??;
    let server = answer.field(&SERVER).map(str::to_owned);
    let Some(tunnel) = tunnel else {
        let headed = Reading {
            alpn: Alpn::H1,
            head: answer.head,
            headed: answer.headed,
            pieces: Vec::new(),
            finish: Finish::Ended,
            took: answer.headed,
        };
        fit(&visit.aim, guest, &headed)?;
        return Err(DiagnoseError::NoSocket);
    };
    let mut seen = socket::read(tunnel, window).await;
    (seen.headed, seen.server) = (answer.headed, server);
    if let Some(wait) = extent.quiet {
        visit.quiet = Some(socket::quiet_of(&seen, wait));
    }
    visit.socket = Some(seen);
    Ok(())
}
