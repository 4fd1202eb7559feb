//! One thing after another: connect, read, come back, open many, wait.

mod connect;
mod crowd;
mod http3;
mod quiet;
mod read;
mod resume;
mod sockets;
mod webtransport;

use std::time::Duration;

use futures_util::future::join_all;

use super::aim::Aim;
use super::dial::{DialError, Dialled};
use super::error::DiagnoseError;
use super::guest::Guest;
use super::reading::Finish;
use super::visit::{StreamKind, Visit};
use crate::trial::Alpn;

/// A stream whose header takes longer than this isn't opened many times over.
const PROMPT: Duration = Duration::from_secs(1);

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
        return sockets::examine(visit, guest, extent).await;
    }
    let mut connections = connect::all(visit, guest).await?;
    // What reads on all of them at once is large.
    let seen = Box::pin(on_all(visit, guest, &mut connections, extent)).await;
    visit.goaways.extend(connections.iter().filter_map(|dialled| Some((dialled.alpn, dialled.goaway()?))));
    join_all(connections.into_iter().map(Dialled::leave)).await;
    seen
}

/// Reads on all connections, of which there is one more where HTTP/3 is found.
async fn on_all(
    visit: &mut Visit,
    guest: &Guest,
    connections: &mut Vec<Dialled>,
    extent: Extent,
) -> Result<(), DiagnoseError> {
    let mut over_quic = None;
    let read = read::all(visit, guest, connections, extent.listen, &mut over_quic).await;
    connections.extend(over_quic);
    let Err(found) = read else { return behave(visit, guest, connections, extent).await };
    let dialled = connections.iter().find(|dialled| dialled.alpn == Alpn::H3);
    let dialled = dialled.filter(|_| webtransport::may_be(visit, &found) && !guest.is_turned_away());
    let Some(dialled) = dialled else { return Err(found) };
    let windows = (extent.listen, extent.quiet);
    if webtransport::examine(visit, guest, dialled, windows).await? { Ok(()) } else { Err(found) }
}

/// What it does beyond saying something, on each of the connections.
async fn behave(
    visit: &mut Visit,
    guest: &Guest,
    connections: &[Dialled],
    extent: Extent,
) -> Result<(), DiagnoseError> {
    if guest.is_turned_away() {
        return Ok(());
    }
    if visit.kind == Some(StreamKind::EventStream) && !visit.readings.is_empty() {
        resume::on_each(visit, guest, connections).await?;
    }
    let is_prompt = visit.main().is_some_and(|(reading, _)| reading.headed < PROMPT && reading.finish == Finish::Open);
    if extent.streams > 0 && is_prompt {
        crowd::on_each(visit, guest, connections, extent.streams).await?;
    } else if extent.streams > 0 {
        visit.left_out.push("many streams at once: one alone is not answered at once and goes on".to_owned());
    }
    if let Some(wait) = extent.quiet {
        quiet::on_each(visit, guest, connections, wait).await?;
    }
    Ok(())
}

/// A connection for another request beside what waits or goes on at this one: on HTTP/1.1 it takes one of its own.
async fn beside(aim: &Aim, guest: &Guest, busy: &Dialled) -> Result<Option<Dialled>, DialError> {
    match busy.alpn {
        Alpn::H2 | Alpn::H3 => Ok(None),
        alpn => Dialled::connect(aim, guest, alpn).await.map(Some),
    }
}
