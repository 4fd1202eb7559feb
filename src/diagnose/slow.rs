//! A reader that doesn't read for a while, on HTTP/2 or HTTP/3, where that can be done with few bytes: its stream has a
//! small window, which is full after a few events.

use std::time::Duration;

use http::Method;
use tokio::time::{sleep_until, timeout};

use super::aim::Aim;
use super::dial::{Dialled, QuicPlace};
use super::guest::Guest;
use super::reading::{Coding, Reading, read, wants};
use crate::trial::Alpn;

/// What a server may send ahead to it, in bytes.
pub(super) const WINDOW: u32 = 1024;
/// How long it reads afterwards, at the most: a third of all the time.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Asks for the stream, reads nothing of it for the greater part of this time, and then all that is there. `None`: it
/// wasn't answered. `at`: where HTTP/3 is, for one who speaks nothing else.
pub(super) async fn stop_and_go(aim: &Aim, guest: &Guest, window: Duration, at: Option<QuicPlace>) -> Option<Reading> {
    let dialled = match at {
        None => Dialled::connect_with(aim, guest, Alpn::H2, WINDOW).await,
        Some(at) => Dialled::connect_quic(aim, guest, QuicPlace { window: WINDOW, ..at }).await,
    };
    let dialled = dialled.ok()?;
    let stopped = window.saturating_sub(CATCH_UP.min(window / 3));
    let asked = timeout(stopped, dialled.ask(aim, guest, Method::GET, &wants(Coding::Identity))).await;
    let answer = asked.ok()?.ok()?;
    if !answer.head.status.is_success() {
        return None;
    }
    sleep_until(answer.asked + stopped).await;
    let read = read(answer, dialled.alpn, window, |_| false).await;
    dialled.leave().await;
    Some(read)
}
