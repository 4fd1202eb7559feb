//! TLS configurations: TLS 1.2 and 1.3 over TCP, 1.3 over QUIC, ring as the one crypto provider.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::WireError;
use crate::trial::Alpn;

/// What a client of HTTP/1.0 may offer; HTTP/1.1 answers it.
pub(super) const HTTP_1_0: &[u8] = b"http/1.0";

/// A server's configuration that speaks these ALPNs and nothing else.
pub fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpns: &[Alpn],
) -> Result<ServerConfig, WireError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.wire().to_vec()).collect();
    if alpns.contains(&Alpn::H1) {
        config.alpn_protocols.push(HTTP_1_0.to_vec());
    }
    Ok(config)
}

/// The same with a certificate for each of these names, chosen by the name that the client asks for (RFC 6066
/// section 3). Another name, or none, is shown `otherwise`.
pub fn server_by_name(
    by_name: impl IntoIterator<Item = (String, Shown)>,
    otherwise: Shown,
    alpns: &[Alpn],
) -> Result<ServerConfig, WireError> {
    let provider = provider();
    let certified = |(chain, key)| CertifiedKey::from_der(chain, key, &provider).map(Arc::new);
    let by_name = by_name.into_iter().map(|(name, shown)| Ok((name, certified(shown)?)));
    let by_name = ByName { by_name: by_name.collect::<Result<_, rustls::Error>>()?, otherwise: certified(otherwise)? };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(by_name));
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.wire().to_vec()).collect();
    Ok(config)
}

/// What a server shows, leaf first, and the key to it.
pub type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Certificates by the name asked for, in lower case.
#[derive(Debug)]
struct ByName {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    otherwise: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let found = asked.and_then(|name| self.by_name.get(&name));
        Some(Arc::clone(found.unwrap_or(&self.otherwise)))
    }
}

/// A client's configuration that trusts this CA alone and offers this ALPN alone.
pub fn client(ca: CertificateDer<'static>, alpn: Alpn) -> Result<ClientConfig, WireError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.wire().to_vec()];
    Ok(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
