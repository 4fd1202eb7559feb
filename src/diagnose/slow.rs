//! A reader that doesn't read for a while, on HTTP/2, where that can be done with few bytes: its stream has a small
//! window, which is full after a few events.

use std::time::Duration;

use http::Method;
use tokio::time::{sleep_until, timeout};

use super::aim::Aim;
use super::dial::Dialled;
use super::guest::Guest;
use super::reading::{Coding, Reading, read, wants};
use crate::trial::Alpn;

/// What a server may send ahead to it, in bytes.
pub(super) const WINDOW: u32 = 1024;
/// How long it reads afterwards.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Asks for the stream, reads nothing of it for so long, and then all that is there. `None`: it wasn't answered.
pub(super) async fn stop_and_go(aim: &Aim, guest: &Guest, stopped: Duration) -> Option<Reading> {
    let dialled = Dialled::connect_with(aim, guest, Alpn::H2, WINDOW).await.ok()?;
    let asked = timeout(stopped, dialled.ask(aim, guest, Method::GET, &wants(Coding::Identity))).await;
    let answer = asked.ok()?.ok()?;
    if !answer.head.status.is_success() {
        return None;
    }
    sleep_until(answer.asked + stopped).await;
    Some(read(answer, Alpn::H2, stopped + CATCH_UP, |_| false).await)
}
