//! A WebSocket: opened as a browser does, on HTTP/1.1 and wherever SETTINGS offer it, and read.

use std::time::Duration;

use futures_util::future::join_all;
use http::header::SEC_WEBSOCKET_VERSION;
use http::response::Parts;
use http::{HeaderValue, StatusCode};
use tokio::time::timeout;

use super::connect::{all, note};
use super::read::fit;
use super::{Extent, http3};
use crate::diagnose::aim::Aim;
use crate::diagnose::dial::{Answer, AskError, Dialled};
use crate::diagnose::error::DiagnoseError;
use crate::diagnose::guest::{Guest, Stop};
use crate::diagnose::known;
use crate::diagnose::reading::{Finish, Reading};
use crate::diagnose::socket;
use crate::diagnose::visit::{SeenQuic, SeenSocket, StreamKind, Visit};
use crate::text::chain;
use crate::trial::Alpn;
use crate::wire::token::WEBSOCKET;

/// What came of asking for one.
enum Asked {
    Open(Box<SeenSocket>),
    Refused(Box<Answer>),
}

/// Opens it on each ALPN that may carry one, and reads all of them at the same time.
pub(super) async fn examine(visit: &mut Visit, guest: &Guest, extent: Extent) -> Result<(), DiagnoseError> {
    let mut connections = all(visit, guest).await?;
    let near = connections.first().map(|dialled| dialled.address.ip());
    visit.kind = Some(StreamKind::Socket);
    let takes_tunnels = visit.settings.is_some_and(|settings| settings.extended_connect);
    let is_alone = connections.len() == 1;
    // Without the setting it isn't asked for (RFC 8441 section 3), unless there is nothing else to ask.
    connections.retain(|dialled| dialled.alpn == Alpn::H1 || takes_tunnels || is_alone);
    // A browser opens it on HTTP/1.1, unless it has a connection on which it may.
    connections.sort_by_key(|dialled| dialled.alpn != Alpn::H1);
    let (aim, window) = (&visit.aim.clone(), extent.quiet.unwrap_or_default().max(extent.listen));
    let opened = join_all(connections.iter().map(|dialled| open(aim, guest, dialled, extent.listen, window)));
    let is_on_quic = visit.quic.is_some();
    let over_quic = async {
        if !aim.is_secure() || is_on_quic {
            return None;
        }
        let (seen, dialled) = http3::look(aim, guest, None, near).await;
        Some(over_quic(aim, guest, seen, dialled.ok(), (extent.listen, window)).await)
    };
    let (opened, over_quic) = tokio::join!(opened, over_quic);
    visit.goaways.extend(connections.iter().filter_map(|dialled| Some((dialled.alpn, dialled.goaway()?))));
    let mut asked: Vec<_> = connections.iter().map(|dialled| dialled.alpn).zip(opened).collect();
    if let Some((seen, found)) = over_quic {
        visit.quic = Some(seen);
        if let Some((dialled, opened)) = found {
            note(visit, &dialled);
            visit.http3 = dialled.http3().await;
            asked.extend(opened.map(|opened| (Alpn::H3, opened)));
            dialled.leave().await;
        }
    }
    for (k, (alpn, opened)) in asked.into_iter().enumerate() {
        match opened {
            Ok(Asked::Open(seen)) => {
                visit.quiet.extend(extent.quiet.map(|wait| socket::quiet_of(&seen, wait)));
                visit.sockets.push(*seen);
            }
            Ok(Asked::Refused(answer)) if alpn == Alpn::H1 && has_lost_upgrade(&answer.head) => {
                visit.upgrade_lost = true;
                visit.head_only = Some((answer.head, answer.headed));
            }
            Ok(Asked::Refused(answer)) if k == 0 => return Err(refused(aim, guest, *answer)),
            Ok(Asked::Refused(answer)) => {
                visit.refused_sockets.push((alpn, format!("it answers {}", answer.head.status)));
            }
            Err(error @ DiagnoseError::Stopped(_)) => return Err(error),
            Err(error) if k == 0 => return Err(error),
            Err(error) => visit.refused_sockets.push((alpn, guest.hide(&chain(&error)))),
        }
    }
    if guest.is_turned_away() { Err(Stop::TooMany.into()) } else { Ok(()) }
}

/// The same on HTTP/3, where it takes some.
async fn over_quic(
    aim: &Aim,
    guest: &Guest,
    seen: SeenQuic,
    dialled: Option<Dialled>,
    (patience, window): (Duration, Duration),
) -> (SeenQuic, Option<(Dialled, Option<Result<Asked, DiagnoseError>>)>) {
    let Some(dialled) = dialled else { return (seen, None) };
    let takes = dialled.http3().await.is_some_and(|http3| http3.extended_connect);
    let opened = if takes { Some(open(aim, guest, &dialled, patience, window).await) } else { None };
    (seen, Some((dialled, opened)))
}

async fn open(
    aim: &Aim,
    guest: &Guest,
    dialled: &Dialled,
    patience: Duration,
    window: Duration,
) -> Result<Asked, DiagnoseError> {
    let version = [(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))];
    let asked = timeout(patience, dialled.tunnel(aim, guest, WEBSOCKET, &version)).await;
    let (answer, tunnel) = match asked {
        Ok(Err(AskError::Stopped(stop))) => return Err(stop.into()),
        asked => asked.map_err(|_| DiagnoseError::SilentSocket { waited: patience })??,
    };
    let Some(tunnel) = tunnel else { return Ok(Asked::Refused(Box::new(answer))) };
    let mut seen = socket::read(tunnel, dialled.alpn, window).await;
    (seen.headed, seen.head) = (answer.headed, Some(answer.head));
    Ok(Asked::Open(Box::new(seen)))
}

/// Whether it is the answer to a request that asks for no WebSocket: this one was made into one on its way, or somebody
/// refuses to pass it on.
fn has_lost_upgrade(head: &Parts) -> bool {
    head.status == StatusCode::UPGRADE_REQUIRED || known::refuses_upgrade(head)
}

/// Why it is no WebSocket.
fn refused(aim: &Aim, guest: &Guest, answer: Answer) -> DiagnoseError {
    let headed = Reading {
        alpn: Alpn::H1,
        head: answer.head,
        headed: answer.headed,
        pieces: Vec::new(),
        finish: Finish::Ended,
        took: answer.headed,
    };
    fit(aim, guest, &headed).err().unwrap_or(DiagnoseError::NoSocket)
}
