//! What certificates are for.

use rustls::pki_types::CertificateDer;
use x509_parser::oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::{OwnKey, vouch};
use super::{Certs, place};

/// A sequence of one identifier, `id-kp-serverAuth` (RFC 5280 section 4.2.1.12).
const SERVERS_ALONE: &[u8] = b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";

fn usage(der: &CertificateDer<'_>) -> Vec<u8> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let usage = certificate.get_extension_unique(&OID_X509_EXT_EXTENDED_KEY_USAGE).unwrap();
    usage.expect("an extended key usage").value.to_vec()
}

#[test]
fn the_ca_and_all_that_it_vouches_for_are_for_servers_alone() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    assert_eq!(usage(&certs.ca()), SERVERS_ALONE);
    assert_eq!(usage(&certs.chain()[0]), SERVERS_ALONE);
    for (host, (chain, _)) in certs.by_host() {
        assert_eq!(usage(&chain[0]), SERVERS_ALONE, "{host}");
    }
}

#[test]
fn certificates_for_one_key_have_different_numbers() {
    let (_parent, dir) = place();
    Certs::ensure(&dir, &[]).unwrap();
    let key = OwnKey::generate().unwrap();
    let [one, another] = [(); 2].map(|()| vouch(&dir, &key.public()).unwrap());
    let [one, another] = [&one, &another].map(|der| X509Certificate::from_der(der).unwrap().1.raw_serial().to_vec());
    assert_eq!((one.len(), another.len()), (16, 16), "at most twenty bytes, and all the same");
    assert!(one[0] < 0x80 && another[0] < 0x80, "a number below zero is none");
    assert_ne!(one, another);
}
