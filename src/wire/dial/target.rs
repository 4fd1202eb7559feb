//! Whom to dial, and how a connection is to be used.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::trial::settings::StackSettings;
use crate::wire::WireError;
use crate::wire::stack::QuicSetup;

/// What a QUIC connection keeps for retransmission and sends ahead, in bytes: eight times what a round trip of 100 ms
/// takes at 100 Mbit/s, quinn's own.
const SEND_WINDOW: u64 = 10_000_000;

/// How long looking up a name may take.
const LOOKUP: Duration = Duration::from_secs(10);

/// How long somebody may take to answer the first packet, which is sent again after one second and after three (RFC 6298).
const SYN: Duration = Duration::from_secs(5);

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

    /// Its name where it isn't part of an URL, which has brackets around an address of IPv6.
    pub(in crate::wire) fn name(&self) -> &str {
        self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// Where it is. Names under `localhost` are always loopback (RFC 6761 section 6.3), and nobody is asked for them, nor for
    /// addresses.
    pub(in crate::wire) async fn addresses(&self) -> Result<Vec<SocketAddr>, WireError> {
        if self.host == "localhost" || self.host.ends_with(".localhost") {
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return Ok(both.map(|ip| SocketAddr::new(ip, self.port)).to_vec());
        }
        if let Ok(ip) = self.name().parse() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let found = timeout(LOOKUP, lookup_host((self.name(), self.port))).await;
        let found = found.map_err(|_| self.failed(format!("nobody says where it is within {} s", LOOKUP.as_secs())))?;
        Ok(found.map_err(|error| self.failed(error))?.collect())
    }

    /// Makes sure that somebody listens there: one of its addresses takes a connection of TCP, which is closed at once.
    ///
    /// # Errors
    /// Nobody has the name, and what the last address said, or that it says nothing.
    pub async fn is_there(&self) -> Result<(), WireError> {
        let mut why = self.failed("it has no address");
        for address in self.addresses().await? {
            match timeout(SYN, TcpStream::connect(address)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => why = self.failed(error),
                Err(_) => why = self.failed(format!("no answer within {} s", SYN.as_secs())),
            }
        }
        Err(why)
    }

    /// The first of its addresses.
    pub(in crate::wire) async fn address(&self) -> Result<SocketAddr, WireError> {
        self.addresses().await?.first().copied().ok_or_else(|| self.failed("it has no address"))
    }

    pub(in crate::wire) fn failed(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> WireError {
        WireError::Dial { peer: self.authority(), source: source.into() }
    }

    pub(in crate::wire) fn broke(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> WireError {
        WireError::Exchange { peer: self.authority(), source: source.into() }
    }

    pub(in crate::wire) fn server_name(&self) -> Result<ServerName<'static>, WireError> {
        ServerName::try_from(self.name().to_owned()).map_err(|error| self.failed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> Target {
        Target { host: host.to_owned(), port: 7 }
    }

    #[tokio::test]
    async fn loopback_and_addresses_are_asked_of_nobody_and_other_names_are_looked_up() {
        for (host, addresses) in [
            ("a.localhost", &["127.0.0.1:7", "[::1]:7"][..]),
            ("10.9.1.2", &["10.9.1.2:7"]),
            ("[fd00::2]", &["[fd00::2]:7"]),
        ] {
            let found = target(host).addresses().await.unwrap();
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), addresses);
            assert!(target(host).server_name().is_ok());
        }
        // RFC 6761 section 6.4: nobody has it.
        let error = target("lab.invalid").addresses().await.unwrap_err();
        assert!(crate::text::chain(&error).contains("lab.invalid:7"), "{}", crate::text::chain(&error));
    }
}
