//! Whom to dial, and how a connection is to be used.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::trial::settings::StackSettings;
use crate::wire::WireError;
use crate::wire::stack::QuicSetup;

/// What a QUIC connection keeps for retransmission and sends ahead, in bytes: eight times what a round trip of 100 ms
/// takes at 100 Mbit/s, quinn's own.
const SEND_WINDOW: u64 = 10_000_000;

/// What a server may send ahead, in bytes; nothing on HTTP/1.1, which leaves that to TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// On one stream.
    pub stream: u32,
    /// On all of a connection together.
    pub connection: u32,
}

impl Default for Windows {
    fn default() -> Self {
        Self { stream: 256 * 1024, connection: 16 * 1024 * 1024 }
    }
}

/// How a connection is used.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::wire) struct Use {
    /// Whether many subscriptions may be on it.
    pub(in crate::wire) shared: bool,
    /// What the server may send ahead.
    pub(in crate::wire) windows: Windows,
    /// How long the server may be silent before it is asked whether it is there: by a PING of QUIC, or TCP's keep-alive.
    pub(in crate::wire) ask: Option<Duration>,
    /// Whether it is used before the server has answered, where there is a ticket for that.
    pub(in crate::wire) early: bool,
    /// How TCP and QUIC are set up.
    pub(in crate::wire) stack: StackSettings,
}

impl Use {
    /// How a connection on QUIC is to be.
    pub(in crate::wire) fn quic(self) -> QuicSetup {
        QuicSetup {
            keep_alive: self.ask,
            send_window: SEND_WINDOW,
            stream_window: self.windows.stream,
            receive_window: self.windows.connection,
            stack: self.stack,
        }
    }
}

/// A server to dial.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its name, for TLS and for `Host`.
    pub host: String,
    pub port: u16,
}

impl Target {
    /// `HOST:PORT`, as an URL's authority has it.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Where it is. Names under `localhost` are always loopback (RFC 6761 section 6.3), so nothing is looked up.
    pub(in crate::wire) fn addresses(&self) -> Result<Vec<SocketAddr>, WireError> {
        let ips = if self.host == "localhost" || self.host.ends_with(".localhost") {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        } else {
            let bare = self.host.trim_start_matches('[').trim_end_matches(']');
            vec![bare.parse().map_err(|_| self.failed("its name is neither under localhost nor an address"))?]
        };
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect())
    }

    /// The first of its addresses.
    pub(in crate::wire) fn address(&self) -> Result<SocketAddr, WireError> {
        self.addresses()?.first().copied().ok_or_else(|| self.failed("it has no address"))
    }

    pub(in crate::wire) fn failed(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> WireError {
        WireError::Dial { peer: self.authority(), source: source.into() }
    }

    pub(in crate::wire) fn broke(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> WireError {
        WireError::Exchange { peer: self.authority(), source: source.into() }
    }

    pub(in crate::wire) fn server_name(&self) -> Result<ServerName<'static>, WireError> {
        ServerName::try_from(self.host.clone()).map_err(|error| self.failed(error))
    }
}
