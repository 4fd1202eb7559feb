//! Many streams at once.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;

use crate::diagnose::aim::Aim;
use crate::diagnose::dial::Dialled;
use crate::diagnose::error::DiagnoseError;
use crate::diagnose::guest::Guest;
use crate::diagnose::reading::{Coding, wants};
use crate::diagnose::visit::{SeenStreams, Visit};
use crate::text::chain;
use crate::trial::Alpn;

/// How long each may take to be answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How many connections a browser opens to a host on HTTP/1.1: more than that no tab has there.
const SIX: u32 = 6;

/// Opens so many on each connection: beside better protocols, on HTTP/1.1 as many as a browser does.
pub(super) async fn on_each(
    visit: &mut Visit,
    guest: &Guest,
    connections: &[Dialled],
    asked: u32,
) -> Result<(), DiagnoseError> {
    for (k, dialled) in connections.iter().enumerate() {
        let asked = if k > 0 && dialled.alpn == Alpn::H1 { asked.min(SIX) } else { asked };
        let limit = match dialled.alpn {
            Alpn::H3 => visit.http3.as_ref().and_then(|http3| Some(http3.transport?.streams)),
            Alpn::H2 => visit.settings.and_then(|settings| settings.max_concurrent_streams),
            Alpn::H1 | Alpn::Quic => None,
        };
        let seen = open(&visit.aim, guest, dialled, (asked, limit)).await;
        visit.streams.push(seen);
        if guest.is_turned_away() {
            return Ok(());
        }
    }
    Ok(())
}

/// Opens streams one after another, and keeps them all open.
async fn open(aim: &Aim, guest: &Guest, best: &Dialled, (asked, limit): (u32, Option<u64>)) -> SeenStreams {
    let (mut open, mut connections) = (Vec::new(), Vec::new());
    let mut refused = None;
    while open.len() < asked as usize {
        if limit.is_some_and(|limit| open.len() as u64 >= limit) {
            refused = Some(format!("its SETTINGS allow {} on a connection", open.len()));
            break;
        }
        if best.alpn == Alpn::H1 {
            match Dialled::connect(aim, guest, Alpn::H1).await {
                Ok(dialled) => connections.push(dialled),
                Err(error) => {
                    refused = Some(chain(&error));
                    break;
                }
            }
        }
        let dialled = connections.last().unwrap_or(best);
        let fields = wants(Coding::Identity);
        match timeout(ANSWER_TIMEOUT, dialled.ask(aim, guest, Method::GET, &fields)).await {
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
    SeenStreams { alpn: best.alpn, asked, opened, limit, refused }
}
