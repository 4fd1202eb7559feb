//! TLS towards anybody: what was agreed on, the certificates that were shown, and what is wrong with them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde::Serialize;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::guest::Guest;
use crate::text::visible;
use crate::trial::Alpn;

/// Why a file of certificates to trust is no use.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("could not read a certificate from {path}")]
    Read { path: String, source: rustls::pki_types::pem::Error },
    #[error("{0} has no certificate in it")]
    Empty(String),
    #[error("a certificate in {path} can't be trusted")]
    Unfit { path: String, source: Error },
}

/// The platform's roots, and those of a file.
pub(super) fn roots(ca: Option<&Path>) -> Result<RootCertStore, CaError> {
    let mut roots = RootCertStore::empty();
    // A machine without any knows only those of the file.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = ca else { return Ok(roots) };
    let name = visible(&path.display().to_string()).into_owned();
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|source| CaError::Read { path: name.clone(), source })?;
    if certificates.is_empty() {
        return Err(CaError::Empty(name));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|source| CaError::Unfit { path: name.clone(), source })?;
    }
    Ok(roots)
}

/// What is wrong with a certificate, once somebody has looked.
pub(super) type SeenFault = Arc<Mutex<Option<Error>>>;

/// A client's configuration that offers this ALPN alone, and where the verifier writes down what is wrong.
pub(super) fn config(guest: &Guest, alpn: Alpn) -> Result<(ClientConfig, SeenFault), Error> {
    let provider = Arc::new(ring::default_provider());
    let fault = SeenFault::default();
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::clone(&guest.roots), Arc::clone(&provider)).build();
    let verifier = Witness {
        // It isn't made where there are no roots at all: then nobody is trusted.
        inner: inner.ok(),
        provider: Arc::clone(&provider),
        insecure: guest.insecure,
        fault: Arc::clone(&fault),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.wire().to_vec()];
    Ok((config, fault))
}

/// Verifies as ever, and writes down what is wrong; under `--insecure` it then goes on.
#[derive(Debug)]
struct Witness {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    insecure: bool,
    fault: SeenFault,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match &self.inner {
            Some(inner) => inner.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let Err(error) = verified else { return verified };
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        if self.insecure { Ok(ServerCertVerified::assertion()) } else { Err(error) }
    }

    // That the server has the key to what it shows is asked in any case.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong with a certificate, as the rest of a sentence about it.
pub(super) fn fault_in_words(fault: &SeenFault) -> Option<String> {
    let fault = fault.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    let Error::InvalidCertificate(why) = &fault else { return Some(fault.to_string()) };
    Some(match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has ended".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "is signed by nobody whom this machine trusts, or its intermediate certificate is missing".to_owned()
        }
        other => format!("is not valid: {}", Error::from(other.clone())),
    })
}

/// A certificate that was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenCertificate {
    /// Whose it is.
    pub subject: String,
    /// Whose signature it has.
    pub issuer: String,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    #[serde(serialize_with = "time::serde::rfc3339::serialize")]
    pub not_before: OffsetDateTime,
    #[serde(serialize_with = "time::serde::rfc3339::serialize")]
    pub not_after: OffsetDateTime,
}

impl SeenCertificate {
    /// Reads one; what is no certificate is left out.
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let names = parsed.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        let names = names.flatten().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        });
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names: names.collect(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
        })
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|four| std::net::IpAddr::from(four).to_string());
    four.ok().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|all| std::net::IpAddr::from(all).to_string()))
}

/// What TLS agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenTls {
    /// `TLS 1.3`.
    pub version: String,
    /// The certificates as they were shown, the server's own first.
    pub chain: Vec<SeenCertificate>,
    /// What is wrong with them, as the rest of a sentence.
    pub fault: Option<String>,
}
