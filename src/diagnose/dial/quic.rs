//! QUIC towards anybody, and what a server says in its handshake.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::crypto::{ClientConfig as Crypto, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session};
use quinn::{ClientConfig, ConnectError, ConnectionError, ConnectionId, Endpoint, Side, TransportConfig};
use quinn_proto::TransportError;
use quinn_proto::transport_parameters::TransportParameters;
use rustls::pki_types::CertificateDer;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::settings::SeenTransport;
use super::{DialError, WINDOW};
use crate::diagnose::aim::Aim;
use crate::diagnose::guest::Guest;
use crate::diagnose::tls::{SeenCertificate, SeenTls, config, fault_in_words};
use crate::trial::Alpn;

/// How long the handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// How many addresses are asked, one after another.
const MOST_ADDRESSES: usize = 2;
/// How often a browser asks a server on which nothing happens whether it is there (Chromium's
/// `kPingTimeoutSecs`), while an answer is under way.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A connection of QUIC, and what was said in its handshake.
pub(super) struct Shaken {
    pub(super) quic: quinn::Connection,
    pub(super) endpoint: Endpoint,
    pub(super) address: SocketAddr,
    pub(super) tls: SeenTls,
    pub(super) transport: Option<SeenTransport>,
}

/// Where it is asked for, and how much a server may send ahead on a stream, in bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::diagnose) struct QuicPlace {
    pub(in crate::diagnose) port: u16,
    /// Where it was on TCP.
    pub(in crate::diagnose) near: Option<IpAddr>,
    pub(in crate::diagnose) window: u32,
}

/// Shakes hands, to speak HTTP/3, with the first of the server's addresses that does.
pub(super) async fn shake(aim: &Aim, guest: &Guest, place: QuicPlace) -> Result<Shaken, DialError> {
    let found = lookup_host((aim.host(), place.port)).await;
    let found = found.map_err(|source| DialError::Resolve { host: aim.host(), source })?;
    let mut failed = DialError::NoAddress(aim.host());
    for address in candidates(found, place.near) {
        match shake_at(aim, guest, place, address).await {
            Ok(shaken) => return Ok(shaken),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn shake_at(aim: &Aim, guest: &Guest, place: QuicPlace, address: SocketAddr) -> Result<Shaken, DialError> {
    let QuicPlace { port, window, .. } = place;
    let peer = || format!("UDP port {port} of {}", aim.host());
    let unset = |source: std::io::Error| DialError::Connect { peer: peer(), source };
    let local: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let (tls, fault) = config(guest, Alpn::H3)?;
    let broken = |source: Box<dyn std::error::Error + Send + Sync>| DialError::Quic { peer: peer(), source };
    let inner = Arc::new(QuicClientConfig::try_from(tls).map_err(|error| broken(error.into()))?);
    let said = Arc::new(OnceLock::new());
    let mut config = ClientConfig::new(Arc::new(Listening { inner, said: Arc::clone(&said) }));
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(window.into())
        .receive_window((4 * WINDOW).into())
        // How long a silence may be is the server's to say.
        .max_idle_timeout(None)
        .keep_alive_interval(Some(KEEP_ALIVE));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client(SocketAddr::new(local, 0)).map_err(unset)?;
    guest.connects();
    let connecting = endpoint.connect_with(config, address, &aim.host()).map_err(|error| broken(error.into()))?;
    let quic = match timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Err(_) | Ok(Err(ConnectionError::TimedOut)) => return Err(DialError::NoQuic { peer: peer() }),
        Ok(Err(error)) => {
            return Err(match fault_in_words(&fault) {
                Some(fault) => DialError::Certificate { peer: peer(), fault },
                None => broken(error.into()),
            });
        }
        Ok(Ok(quic)) => quic,
    };
    let shown = quic.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let chain = shown.iter().flat_map(|chain| chain.iter()).filter_map(SeenCertificate::read).collect();
    // RFC 9001 section 4.2: it has no older one.
    let tls = SeenTls { version: "TLS 1.3".to_owned(), chain, fault: fault_in_words(&fault) };
    let transport = said.get().and_then(|said: &Vec<u8>| SeenTransport::read(said));
    Ok(Shaken { quic, endpoint, address, tls, transport })
}

/// The address that answered on TCP, where one did, and else as many as there is time for: who isn't there answers
/// nothing.
fn candidates(found: impl Iterator<Item = SocketAddr>, near: Option<IpAddr>) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = found.collect();
    if let Some(same) = found.iter().find(|address| Some(address.ip()) == near) {
        return vec![*same];
    }
    found.truncate(MOST_ADDRESSES);
    found
}

/// The port at which `Alt-Svc` offers HTTP/3 on the same host (RFC 7838 section 3).
pub(in crate::diagnose) fn offered(alt_svc: &str) -> Option<u16> {
    alt_svc.split(',').find_map(|one| {
        let authority = one.trim().strip_prefix("h3=\"")?.split('"').next()?;
        authority.strip_prefix(':')?.parse().ok()
    })
}

/// TLS as ever, and what the server's transport parameters were, which `quinn` keeps to itself.
struct Listening {
    inner: Arc<QuicClientConfig>,
    said: Arc<OnceLock<Vec<u8>>>,
}

impl Crypto for Listening {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        name: &str,
        own: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let inner = Arc::clone(&self.inner).start_session(version, name, own)?;
        Ok(Box::new(ListeningSession { inner, said: Arc::clone(&self.said) }))
    }
}

struct ListeningSession {
    inner: Box<dyn Session>,
    said: Arc<OnceLock<Vec<u8>>>,
}

impl Session for ListeningSession {
    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let parameters = self.inner.transport_parameters()?;
        if let Some(parameters) = &parameters {
            self.said.get_or_init(|| {
                let mut bytes = Vec::new();
                parameters.write(&mut bytes);
                bytes
            });
        }
        Ok(parameters)
    }

    fn initial_keys(&self, id: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(id, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn std::any::Any>> {
        self.inner.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn std::any::Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        self.inner.read_handshake(bytes)
    }

    fn write_handshake(&mut self, bytes: &mut Vec<u8>) -> Option<Keys> {
        self.inner.write_handshake(bytes)
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.inner.next_1rtt_keys()
    }

    fn is_valid_retry(&self, id: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(id, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
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
