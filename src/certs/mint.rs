//! Makes certificates, and says when one has to be made anew.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::CertsError;
use super::inspect::{CaInspection, Leaf, Signer, Validity};
use super::name::{self, Name};

/// `serverCertificateHashes` takes no certificate that is valid for more than 14 days (W3C WebTransport, "custom
/// certificate requirements"); a day is kept back for those who count differently.
const LEAF_LASTS: Duration = Duration::days(13);
/// A leaf with less than this left is renewed: no run may outlive its certificate.
const LEAF_SPARE: Duration = Duration::days(2);
const CA_LASTS: Duration = Duration::days(730);
const CA_SPARE: Duration = Duration::days(30);
/// Certificates begin this much before they are made, for browsers whose clock is behind.
const BACKDATED: Duration = Duration::hours(1);

/// Why a CA can't stay, as the rest of "because"; `None` when it can.
pub(super) fn why_new_ca(ca: &CaInspection, wanted: &BTreeSet<Name>, now: OffsetDateTime) -> Option<String> {
    if let Some(why) = near_end(ca.validity, CA_SPARE, now) {
        return Some(format!("the old one {why}"));
    }
    let outside = missing(wanted, |name| ca.permitted.iter().any(|tree| tree.covers(name)))?;
    Some(format!("the old one may not vouch for {outside}"))
}

/// Why a leaf can't stay, as the rest of "because"; `None` when it can.
pub(super) fn why_new_leaf(leaf: &Leaf, wanted: &BTreeSet<Name>, now: OffsetDateTime) -> Option<String> {
    if let Some(why) = near_end(leaf.validity, LEAF_SPARE, now) {
        return Some(format!("the old one {why}"));
    }
    if leaf.validity.not_after - leaf.validity.not_before > LEAF_LASTS {
        return Some("the old one lasts too long for serverCertificateHashes".to_owned());
    }
    let missing = missing(wanted, |name| leaf.names.contains(name))?;
    Some(format!("the old one isn't for {missing}"))
}

/// Makes a CA that can vouch for these names, their subdomains and loopback addresses, and for nothing else.
pub(super) fn ca(names: &BTreeSet<Name>, now: OffsetDateTime) -> Result<Signer, CertsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    // Browsers look CAs up by name: two with one name and different keys would be taken for each other.
    let mark = super::hex(&super::sha256(&key.subject_public_key_info())[..4]);
    params.distinguished_name = named(&format!("Transport Lab CA {mark}"));
    (params.not_before, params.not_after) = lasting(CA_LASTS, now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // rcgen marks name constraints critical, as RFC 5280 section 4.2.1.10 demands.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: name::subtrees(names).iter().map(subtree).collect(),
        excluded_subtrees: Vec::new(),
    });
    let der = params.self_signed(&key)?.der().clone();
    let authority = CaInspection::parse(der).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
    Ok(Signer { authority, key })
}

/// Makes the servers' certificate for these names.
pub(super) fn leaf(signer: &Signer, names: &BTreeSet<Name>, now: OffsetDateTime) -> Result<Leaf, CertsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let der = certify(signer, &key, names, now)?;
    Leaf::new(der, &key).map_err(|_| rcgen::Error::CouldNotParseCertificate.into())
}

/// The same for a key that somebody else has.
pub(super) fn certify(
    signer: &Signer,
    key: &impl PublicKeyData,
    names: &BTreeSet<Name>,
    now: OffsetDateTime,
) -> Result<CertificateDer<'static>, CertsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Transport Lab server");
    params.serial_number = Some(serial());
    (params.not_before, params.not_after) = lasting(LEAF_LASTS, now);
    params.subject_alt_names = names.iter().map(alternative).collect::<Result<_, _>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_der(&signer.authority.der, &signer.key)?;
    Ok(params.signed_by(key, &issuer)?.der().clone())
}

/// Drawn for each certificate, of which a key may have several: without it rcgen takes what the key hashes to, and Firefox
/// refuses whoever shows a second certificate of a CA with the same number (RFC 5280 section 4.1.2.2).
fn serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::random();
    // Positive, and as long as it is.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn near_end(validity: Validity, spare: Duration, now: OffsetDateTime) -> Option<String> {
    validity
        .fault_at(now)
        .or_else(|| (validity.not_after - now < spare).then(|| format!("ends soon, at {}", validity.not_after)))
}

/// The names that `have` doesn't know, for a sentence; `None` when it knows all.
fn missing(wanted: &BTreeSet<Name>, have: impl Fn(&Name) -> bool) -> Option<String> {
    let names: Vec<String> = wanted.iter().filter(|name| !have(name)).map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// First and last second. Both count (RFC 5280 section 4.1.2.5), so the last is one less than `lasts` later.
fn lasting(lasts: Duration, now: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
    let first = now - BACKDATED;
    (first, first + lasts - Duration::SECOND)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn subtree(name: &Name) -> GeneralSubtree {
    match name {
        Name::Dns(name) => GeneralSubtree::DnsName(name.clone()),
        Name::Address(IpAddr::V4(v4)) if v4.is_loopback() => {
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0]))
        }
        Name::Address(IpAddr::V4(v4)) => GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(v4.octets(), 32)),
        Name::Address(IpAddr::V6(v6)) => GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(v6.octets(), 128)),
    }
}

fn alternative(name: &Name) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        Name::Address(address) => SanType::IpAddress(*address),
    })
}
