//! TLS configurations: TLS 1.2 and 1.3 over TCP, 1.3 over QUIC, ring as the one crypto provider.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::trial::Alpn;
use crate::wire::{MAX_HEADER_BYTES, WireError};

/// What a client of HTTP/1.0 may offer; HTTP/1.1 answers it.
pub(super) const HTTP_1_0: &[u8] = b"http/1.0";

/// A server's configuration that speaks these ALPNs and nothing else.
pub fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpns: &[Alpn],
) -> Result<ServerConfig, WireError> {
    server_showing(&Showing::new([], (chain, key))?, alpns)
}

/// The same with certificates that may be renewed meanwhile.
pub fn server_showing(showing: &Showing, alpns: &[Alpn]) -> Result<ServerConfig, WireError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(showing.clone()));
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.wire().to_vec()).collect();
    if alpns.contains(&Alpn::H1) {
        config.alpn_protocols.push(HTTP_1_0.to_vec());
    }
    Ok(config)
}

/// Why TLS agreed on nothing that could be spoken.
#[derive(Debug, thiserror::Error)]
pub(super) enum AlpnError {
    #[error("an ALPN that isn't served")]
    NotServed,
    #[error("no ALPN, which HTTP/2 needs (RFC 9113 section 3.2)")]
    None,
}

/// What TLS agreed on with a server of this configuration. A client that offers no ALPN gets HTTP/1.1 where that is
/// spoken (RFC 9112 needs none).
pub(super) fn negotiated(chosen: Option<&[u8]>, config: &ServerConfig) -> Result<Alpn, AlpnError> {
    match chosen {
        Some(chosen) if chosen == HTTP_1_0 => Ok(Alpn::H1),
        Some(chosen) => Alpn::ALL.into_iter().find(|alpn| alpn.wire() == chosen).ok_or(AlpnError::NotServed),
        None if config.alpn_protocols.iter().any(|alpn| alpn == Alpn::H1.wire()) => Ok(Alpn::H1),
        None => Err(AlpnError::None),
    }
}

/// What a server shows, leaf first, and the key to it.
pub type CertAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates that servers show: one for each of some names, chosen by the name that the client asks for (RFC
/// 6066 section 3), and one for whoever asks for another name, or none. Clones share them: once they are renewed,
/// every handshake that begins is with the new ones, and connections go on.
#[derive(Debug, Clone)]
pub struct Showing(Arc<ArcSwap<ByName>>);

#[derive(Debug)]
struct ByName {
    /// By name, in lower case.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    otherwise: Arc<CertifiedKey>,
}

impl Showing {
    /// Shows these.
    pub fn new(
        by_name: impl IntoIterator<Item = (String, CertAndKey)>,
        otherwise: CertAndKey,
    ) -> Result<Self, WireError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(ByName::new(by_name, otherwise)?))))
    }

    /// Shows these from now on.
    pub fn renew(
        &self,
        by_name: impl IntoIterator<Item = (String, CertAndKey)>,
        otherwise: CertAndKey,
    ) -> Result<(), WireError> {
        self.0.store(Arc::new(ByName::new(by_name, otherwise)?));
        Ok(())
    }
}

impl ByName {
    fn new(by_name: impl IntoIterator<Item = (String, CertAndKey)>, otherwise: CertAndKey) -> Result<Self, WireError> {
        let provider = provider();
        let certified = |(chain, key)| CertifiedKey::from_der(chain, key, &provider).map(Arc::new);
        let by_name = by_name.into_iter().map(|(name, shown)| Ok((name, certified(shown)?)));
        Ok(Self { by_name: by_name.collect::<Result<_, rustls::Error>>()?, otherwise: certified(otherwise)? })
    }
}

impl ResolvesServerCert for Showing {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.load();
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let found = asked.and_then(|name| shown.by_name.get(&name));
        Some(Arc::clone(found.unwrap_or(&shown.otherwise)))
    }
}

/// What a server takes of early data on TCP, in bytes: a request's header, and as much again.
const MAX_EARLY_DATA: u32 = 2 * MAX_HEADER_BYTES;

/// Lets a server take early data, and answer it before the handshake has ended.
pub fn take_early_data(config: &mut ServerConfig, alpn: Alpn) {
    // On QUIC it is all or nothing (RFC 9001 section 4.6.1).
    config.max_early_data_size = if alpn.over_quic() { u32::MAX } else { MAX_EARLY_DATA };
    config.send_half_rtt_data = true;
}

/// A client's configuration that trusts this CA alone and offers this ALPN alone. It never comes back to a session.
pub fn client(ca: CertificateDer<'static>, alpn: Alpn) -> Result<ClientConfig, WireError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.wire().to_vec()];
    config.resumption = Resumption::disabled();
    // As servers do: into the file that SSLKEYLOGFILE names, and nowhere where it isn't set (draft-ietf-tls-keylogfile).
    config.key_log = Arc::new(rustls::KeyLogFile::new());
    Ok(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
