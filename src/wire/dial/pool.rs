//! Connections to give out: one per host and port, or a new one each time.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;

use crate::trial::settings::StackSettings;
use crate::trial::{Alpn, Stack};
use crate::wire::dial::ClientConnection;
use crate::wire::dial::target::{Target, Use, Windows};
use crate::wire::dial::tickets::Tickets;
use crate::wire::{WireError, tls};

/// What is read of an answer that nobody wants to know, in bytes.
const MAX_ANSWER: usize = 4096;

/// Gives out connections in one ALPN, under one CA.
#[derive(Debug)]
pub struct Pool {
    /// What they speak.
    pub alpn: Alpn,
    ca: CertificateDer<'static>,
    shared: bool,
    usage: Use,
    open: Mutex<HashMap<Target, ClientConnection>>,
    found: OnceLock<Stack>,
    /// One for all: to another's the server's tickets are worth nothing.
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    /// What it comes back with; `None`: it never does.
    tickets: Option<Arc<Tickets>>,
}

impl Pool {
    /// Connections that trust this CA alone. `shared`: one per host and port, for as long as it lives, which
    /// HTTP/1.1 and raw QUIC can't.
    pub fn new(alpn: Alpn, ca: CertificateDer<'static>, shared: bool) -> Self {
        let shared = shared && matches!(alpn, Alpn::H2 | Alpn::H3);
        Self {
            alpn,
            ca,
            shared,
            usage: Use { shared, ..Use::default() },
            open: Mutex::default(),
            found: OnceLock::new(),
            tls: OnceLock::new(),
            tickets: None,
        }
    }

    /// The same, but a server that was silent for so long is asked whether it is still there.
    #[must_use]
    pub fn asking(mut self, ask: Option<Duration>) -> Self {
        self.usage.ask = ask;
        self
    }

    /// The same, but TCP and QUIC are set up so.
    #[must_use]
    pub fn with_stack(mut self, stack: StackSettings) -> Self {
        self.usage.stack = stack;
        self
    }

    /// The same, but it comes back to sessions with the tickets that it gathers. `early`: and asks with the first packet.
    #[must_use]
    pub fn resuming(mut self, early: bool) -> Self {
        self.tickets = Some(Arc::new(Tickets::new()));
        self.usage.early = early;
        self
    }

    /// Gathers as many tickets of this server as so many subscriptions need, on connections that are over afterwards,
    /// each of which has answered this request; raw QUIC has none.
    pub async fn gather_tickets(&self, target: &Target, subscriptions: u64, path: &str) -> Result<(), WireError> {
        let Some(tickets) = &self.tickets else { return Ok(()) };
        let wanted = tickets.came() + if self.shared { 1 } else { subscriptions };
        while tickets.came() < wanted {
            let before = tickets.came();
            let mut connection = self.connect_new(target).await?;
            if self.alpn != Alpn::Quic {
                (_, connection) = connection.get(path, &[]).await?.whole(MAX_ANSWER).await?;
            }
            if !tickets.more_than(before).await {
                return Err(target.broke("it gave no ticket to come back with"));
            }
            drop(connection);
        }
        Ok(())
    }

    /// Is ready for what is to be timed: comes back with the tickets that were gathered, from now on.
    pub fn make_ready(&self) -> Result<(), WireError> {
        self.tickets.iter().for_each(|tickets| tickets.use_them());
        self.tls().map(drop)
    }

    fn tls(&self) -> Result<Arc<rustls::ClientConfig>, WireError> {
        if let Some(tls) = self.tls.get() {
            return Ok(Arc::clone(tls));
        }
        let mut tls = tls::client(self.ca.clone(), self.alpn)?;
        if let Some(tickets) = &self.tickets {
            tls.resumption = Resumption::store(Arc::<Tickets>::clone(tickets));
            tls.enable_early_data = self.usage.early;
        }
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(tls))))
    }

    /// What was found of what carries the first connection; `None` while there was none.
    pub fn stack(&self) -> Option<&Stack> {
        self.found.get()
    }

    /// The same, but a server may send so much ahead.
    #[must_use]
    pub fn with_windows(mut self, windows: Windows) -> Self {
        self.usage.windows = windows;
        self
    }

    /// A connection to this host and port: the shared one, or a new one.
    pub async fn connect(&self, target: &Target) -> Result<ClientConnection, WireError> {
        if !self.shared {
            return self.connect_new(target).await;
        }
        let mut open = self.open.lock().await;
        if let Some(shared) =
            open.get(target).filter(|connection| connection.is_alive()).and_then(ClientConnection::try_clone)
        {
            return Ok(shared);
        }
        let connection = self.connect_new(target).await?;
        if let Some(kept) = connection.try_clone() {
            open.insert(target.clone(), kept);
        }
        Ok(connection)
    }

    /// A connection that nobody shares.
    pub async fn connect_new(&self, target: &Target) -> Result<ClientConnection, WireError> {
        let (connection, stack) = ClientConnection::connect_for(target, self.alpn, self.tls()?, self.usage).await?;
        let _ = self.found.set(stack);
        Ok(connection)
    }
}
