//! Connections to give out: one per host and port, or a new one each time.

use std::collections::HashMap;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;

use crate::trial::Alpn;
use crate::wire::WireError;
use crate::wire::dial::ClientConnection;
use crate::wire::dial::target::{Target, Use, Windows};

/// Gives out connections in one ALPN, under one CA.
#[derive(Debug)]
pub struct Pool {
    /// What they speak.
    pub alpn: Alpn,
    ca: CertificateDer<'static>,
    shared: bool,
    usage: Use,
    open: Mutex<HashMap<Target, ClientConnection>>,
}

impl Pool {
    /// Connections that trust this CA alone. `shared`: one per host and port, for as long as it lives, which
    /// HTTP/1.1 and raw QUIC can't.
    pub fn new(alpn: Alpn, ca: CertificateDer<'static>, shared: bool) -> Self {
        let shared = shared && matches!(alpn, Alpn::H2 | Alpn::H3);
        Self { alpn, ca, shared, usage: Use { shared, ..Use::default() }, open: Mutex::default() }
    }

    /// The same, but a server that was silent for so long is asked whether it is still there.
    #[must_use]
    pub fn asking(mut self, ask: Option<Duration>) -> Self {
        self.usage.ask = ask;
        self
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
        ClientConnection::connect_for(target, self.alpn, &self.ca, self.usage).await
    }
}
