//! Whether HTTP/3 is where it is offered: the handshake, and nothing on it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, VarInt};
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::aim::Aim;
use super::guest::Guest;
use super::tls;
use super::visit::QuicSilence;
use crate::text::chain;
use crate::trial::Alpn;

/// How long the handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// `H3_NO_ERROR` (RFC 9114 section 8.1).
const NO_ERROR: u32 = 0x100;

/// The port at which `Alt-Svc` offers HTTP/3 on the same host (RFC 7838 section 3).
pub(super) fn offered(alt_svc: &str) -> Option<u16> {
    alt_svc.split(',').find_map(|one| {
        let authority = one.trim().strip_prefix("h3=\"")?.split('"').next()?;
        authority.strip_prefix(':')?.parse().ok()
    })
}

/// How long a handshake takes there.
pub(super) async fn handshake(aim: &Aim, guest: &Guest, port: u16) -> Result<Duration, QuicSilence> {
    let shaken = timeout(HANDSHAKE_TIMEOUT, shake(aim, guest, port)).await;
    shaken.unwrap_or_else(|_| Err(QuicSilence(format!("had no answer within {} s", HANDSHAKE_TIMEOUT.as_secs()))))
}

async fn shake(aim: &Aim, guest: &Guest, port: u16) -> Result<Duration, QuicSilence> {
    let failed = |error: &dyn std::error::Error| QuicSilence(format!("failed: {}", chain(error)));
    let begun = Instant::now();
    let found = lookup_host((aim.host(), port)).await.map_err(|error| failed(&error))?;
    let Some(address) = found.into_iter().next() else { return Err(QuicSilence("has no address".to_owned())) };
    let local: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let (config, _) = tls::config(guest, Alpn::H3).map_err(|error| failed(&error))?;
    let config = QuicClientConfig::try_from(config).map_err(|error| failed(&error))?;
    let endpoint = Endpoint::client(SocketAddr::new(local, 0)).map_err(|error| failed(&error))?;
    guest.connects();
    let connecting = endpoint.connect_with(ClientConfig::new(Arc::new(config)), address, &aim.host());
    let connection = connecting.map_err(|error| failed(&error))?.await.map_err(|error| failed(&error))?;
    let took = begun.elapsed();
    connection.close(VarInt::from_u32(NO_ERROR), b"");
    // Until the peer has been told.
    endpoint.wait_idle().await;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_of_http_3_on_the_same_host_is_found_among_others() {
        assert_eq!(offered(r#"h3=":443"; ma=86400"#), Some(443));
        assert_eq!(offered(r#"h2=":8443", h3-29=":1", h3=":8445"; ma=3600"#), Some(8445));
        assert_eq!(offered(r#"h3="other.example:443""#), None, "that is another host's");
        assert_eq!(offered("clear"), None);
    }
}
