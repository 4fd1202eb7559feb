//! Reads files back and judges them: only what is whole, the lab's kind, and belongs together comes out.
//!
//! Time is not judged here, so that a certificate that has ended can still say whom it was for.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, NameConstraints, ParsedExtension, X509Certificate};

use super::CertsError;
use super::folder::{CA_KEY, CA_PEM, Folder, Pair};
use super::name::Name;

/// When a certificate is valid, both ends included (RFC 5280 section 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
}

impl Validity {
    /// What is wrong at this time, as the rest of a sentence; `None` while valid.
    pub(super) fn fault_at(&self, now: OffsetDateTime) -> Option<String> {
        if now < self.not_before {
            Some(format!("is valid only from {} on; check this machine's clock", self.not_before))
        } else if now > self.not_after {
            Some(format!("ended at {}", self.not_after))
        } else {
            None
        }
    }
}

/// What is wrong with a certificate, as the rest of a sentence about its file.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertFault {
    #[error("is damaged: not a certificate")]
    NoCertificate,
    #[error("is damaged: its signature doesn't hold")]
    Signature,
    #[error("isn't a CA with path length 0")]
    NoCa,
    #[error("isn't limited to the lab's names")]
    Unlimited,
    #[error("isn't limited to the lab's names alone")]
    LimitedToOthers,
    #[error("isn't for servers alone")]
    NotForServersAlone,
    #[error("can't be held against the CA: {0}")]
    Anchor(rustls::Error),
    #[error("wasn't made by the CA in {CA_PEM} ({0})")]
    OtherCa(rustls::Error),
}

/// The CA's certificate.
pub(super) struct CaInspection {
    pub(super) der: CertificateDer<'static>,
    pub(super) validity: Validity,
    /// The permitted subtrees.
    pub(super) permitted: BTreeSet<Name>,
    spki: Vec<u8>,
}

/// The CA with its key.
pub(super) struct Signer {
    pub(super) authority: CaInspection,
    pub(super) key: KeyPair,
}

/// The servers' certificate with its key.
pub(super) struct Leaf {
    pub(super) der: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) validity: Validity,
    pub(super) names: BTreeSet<Name>,
    pub(super) spki: Vec<u8>,
}

/// Reads the CA's certificate.
pub(super) fn authority(folder: &Folder) -> Result<CaInspection, CertsError> {
    let der = certificate(folder, CA_PEM)?;
    CaInspection::parse(der).map_err(|why| folder.unusable(CA_PEM, why.to_string()))
}

/// Reads the CA's certificate and its key.
pub(super) fn signer(folder: &Folder) -> Result<Signer, CertsError> {
    let authority = authority(folder)?;
    let key = key(folder, CA_KEY, &authority.spki, CA_PEM)?;
    Ok(Signer { authority, key })
}

/// Reads a server's certificate and its key, and holds them against the CA.
pub(super) fn leaf(folder: &Folder, files: &Pair, authority: &CaInspection) -> Result<Leaf, CertsError> {
    let der = certificate(folder, &files.pem)?;
    let spki = Leaf::check(&der, authority).map_err(|why| folder.unusable(&files.pem, why.to_string()))?;
    let key = key(folder, &files.key, &spki, &files.pem)?;
    Leaf::new(der, &key).map_err(|why| folder.unusable(&files.pem, why.to_string()))
}

impl CaInspection {
    /// Takes a certificate for the lab's CA only if it signed itself and is held to what the lab promises.
    pub(super) fn parse(der: CertificateDer<'static>) -> Result<Self, CertFault> {
        let parsed = parse(&der)?;
        ring::signature::UnparsedPublicKey::new(
            &ring::signature::ECDSA_P256_SHA256_ASN1,
            &parsed.public_key().subject_public_key.data,
        )
        .verify(parsed.tbs_certificate.as_ref(), &parsed.signature_value.data)
        .map_err(|_| CertFault::Signature)?;
        let basic = parsed.basic_constraints().ok().flatten();
        if !basic.is_some_and(|basic| basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(0)) {
            return Err(CertFault::NoCa);
        }
        let constraints = parsed.name_constraints().ok().flatten().filter(|constraints| constraints.critical);
        let constraints = constraints.ok_or(CertFault::Unlimited)?;
        let permitted = permitted(constraints.value).ok_or(CertFault::LimitedToOthers)?;
        if !is_for_servers_alone(&parsed) {
            return Err(CertFault::NotForServersAlone);
        }
        let (validity, spki) = (validity(&parsed), parsed.public_key().raw.to_vec());
        Ok(Self { der, validity, permitted, spki })
    }

    /// The certificate as a file.
    pub(super) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }
}

impl Leaf {
    /// A leaf from its parts, which belong together.
    pub(super) fn new(der: CertificateDer<'static>, key: &KeyPair) -> Result<Self, CertFault> {
        let parsed = parse(&der)?;
        let (validity, names) = (validity(&parsed), names(&parsed));
        let spki = key.subject_public_key_info();
        Ok(Self { der, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(), validity, names, spki })
    }

    /// Whether this CA signed it, for a server, within its constraints. Gives back the public key's DER.
    fn check(der: &CertificateDer<'static>, authority: &CaInspection) -> Result<Vec<u8>, CertFault> {
        let parsed = parse(der)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).map_err(CertFault::Anchor)?;
        // At its own beginning: whether it is valid now is asked elsewhere.
        let begins = u64::try_from(validity(&parsed).not_before.unix_timestamp()).unwrap_or_default();
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(der).map_err(|_| CertFault::NoCertificate)?,
            &roots,
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(begins)),
            rustls::crypto::ring::default_provider().signature_verification_algorithms.all,
        )
        .map_err(CertFault::OtherCa)?;
        if !is_for_servers_alone(&parsed) {
            return Err(CertFault::NotForServersAlone);
        }
        Ok(parsed.public_key().raw.to_vec())
    }

    /// The certificate as a file.
    pub(super) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// The key as a file.
    pub(super) fn key_pem(&self) -> String {
        pem("PRIVATE KEY", self.key.secret_der())
    }
}

fn certificate(folder: &Folder, file: &str) -> Result<CertificateDer<'static>, CertsError> {
    CertificateDer::from_pem_slice(folder.read(file)?.as_bytes())
        .map_err(|_| folder.unusable(file, "is damaged: no certificate in it"))
}

/// The messages are fixed texts: what stands in a key's file never gets into one.
fn key(folder: &Folder, file: &str, spki: &[u8], certificate: &str) -> Result<KeyPair, CertsError> {
    let damaged = || folder.unusable(file, "is damaged: no private key of the lab's kind in it");
    let der = PrivatePkcs8KeyDer::from_pem_slice(folder.read(file)?.as_bytes()).map_err(|_| damaged())?;
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).map_err(|_| damaged())?;
    if key.subject_public_key_info() != spki {
        return Err(folder.unusable(file, format!("isn't the key to {certificate}")));
    }
    Ok(key)
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertFault> {
    match X509Certificate::from_der(der) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(CertFault::NoCertificate),
    }
}

/// Whether its extended key usage is `serverAuth` and nothing else (RFC 5280 section 4.2.1.12). On a CA it limits what
/// that vouches for: CA/Browser Forum Baseline Requirements, section 7.1.2.5.
fn is_for_servers_alone(parsed: &X509Certificate<'_>) -> bool {
    let usage = parsed.extended_key_usage().ok().flatten();
    usage.is_some_and(|usage| {
        let usage = usage.value;
        let others = [usage.any, usage.client_auth, usage.code_signing, usage.email_protection];
        let others = others.into_iter().chain([usage.time_stamping, usage.ocsp_signing]);
        usage.server_auth && usage.other.is_empty() && !others.into_iter().any(|other| other)
    })
}

fn validity(parsed: &X509Certificate<'_>) -> Validity {
    let validity = parsed.validity();
    Validity { not_before: validity.not_before.to_datetime(), not_after: validity.not_after.to_datetime() }
}

/// The permitted subtrees; `None` when one is of a kind that the lab doesn't make, or one of the two kinds that
/// a server can be named by (name, address) has none and so is unlimited.
fn permitted(constraints: &NameConstraints<'_>) -> Option<BTreeSet<Name>> {
    let subtrees = constraints.permitted_subtrees.as_ref()?;
    let names: BTreeSet<Name> = subtrees
        .iter()
        .map(|subtree| match subtree.base {
            GeneralName::DNSName(name) => Name::parse(name),
            GeneralName::IPAddress(bytes) => subnet(bytes),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let has = |kind: fn(&Name) -> bool| names.iter().any(kind);
    (has(|name| matches!(name, Name::Dns(_))) && has(|name| matches!(name, Name::Address(_)))).then_some(names)
}

/// A single address, or 127.0.0.0/8 as its first host. Address and mask side by side (RFC 5280 section 4.2.1.10).
fn subnet(bytes: &[u8]) -> Option<Name> {
    let (address, mask) = bytes.split_at_checked(bytes.len() / 2)?;
    if bytes == [127, 0, 0, 0, 255, 0, 0, 0] {
        return Name::parse("127.0.0.1");
    }
    mask.iter().all(|&byte| byte == 255).then(|| self::address(address).map(Name::Address))?
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn names(parsed: &X509Certificate<'_>) -> BTreeSet<Name> {
    let names = parsed.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    names
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Name::parse(name),
            GeneralName::IPAddress(bytes) => address(bytes).map(Name::Address),
            _ => None,
        })
        .collect()
}

/// RFC 7468: 64 characters a line.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = super::base64(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
