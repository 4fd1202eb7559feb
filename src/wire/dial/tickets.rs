//! Tickets that a server gave a client to come back with (RFC 8446 section 2.2), kept for as long as connections are given
//! out, and each used once (appendix C.4).

use std::sync::atomic::{AtomicBool, Ordering};

use rustls::NamedGroup;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tokio::sync::watch;

use crate::wire::HANDSHAKE_TIMEOUT;

/// How many are kept of one server, by what keeps them.
pub const TICKETS_OF_ONE: u32 = 8;
/// Of how many servers, by name.
const SERVERS: usize = 64;

/// A client's tickets.
#[derive(Debug)]
pub(in crate::wire) struct Tickets {
    kept: ClientSessionMemoryCache,
    /// How many came, ever.
    came: watch::Sender<u64>,
    /// Whether any is given out: not while they are gathered, each on a connection that is as new as the first.
    used: AtomicBool,
}

impl Tickets {
    pub(in crate::wire) fn new() -> Self {
        let kept = ClientSessionMemoryCache::new(SERVERS * TICKETS_OF_ONE as usize);
        Self { kept, came: watch::Sender::new(0), used: AtomicBool::new(false) }
    }

    /// Comes back with them from now on.
    pub(in crate::wire) fn use_them(&self) {
        self.used.store(true, Ordering::Release);
    }

    /// How many came so far.
    pub(in crate::wire) fn came(&self) -> u64 {
        *self.came.borrow()
    }

    /// Waits until more have come than so many; `false`: none did in time. They come behind the handshake, when the
    /// server likes.
    pub(in crate::wire) async fn more_than(&self, before: u64) -> bool {
        let mut came = self.came.subscribe();
        let more = came.wait_for(|came| *came > before);
        tokio::time::timeout(HANDSHAKE_TIMEOUT, more).await.is_ok_and(|more| more.is_ok())
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.kept.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept.set_tls12_session(server, value);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.kept.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.kept.insert_tls13_ticket(server, value);
        self.came.send_modify(|came| *came += 1);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.used.load(Ordering::Acquire).then(|| self.kept.take_tls13_ticket(server)).flatten()
    }
}
