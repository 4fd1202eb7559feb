//! Whether it speaks HTTP/3, where that is offered, and where it isn't.

use std::net::IpAddr;

use crate::diagnose::aim::Aim;
use crate::diagnose::dial::{DialError, Dialled, QuicPlace, WINDOW, offered};
use crate::diagnose::guest::Guest;
use crate::diagnose::visit::{QuicSilence, SeenQuic};
use crate::text::chain;

/// Asks at the port that `Alt-Svc` offers it at, or at the address's own. `near`: where the server is on TCP.
pub(super) async fn look(
    aim: &Aim,
    guest: &Guest,
    alt_svc: Option<String>,
    near: Option<IpAddr>,
) -> (SeenQuic, Result<Dialled, DialError>) {
    let at = alt_svc.as_deref().and_then(offered);
    let offered = alt_svc.filter(|_| at.is_some());
    let port = at.unwrap_or(aim.port());
    let dialled = Dialled::connect_quic(aim, guest, QuicPlace { port, near, window: WINDOW }).await;
    let handshake = dialled.as_ref().map(|dialled| dialled.took).map_err(silence);
    (SeenQuic { offered, port, handshake }, dialled)
}

fn silence(error: &DialError) -> QuicSilence {
    QuicSilence(match error {
        DialError::NoQuic { .. } => "no answer within 3 s".to_owned(),
        error => chain(error),
    })
}
