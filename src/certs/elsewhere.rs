//! The lab's own origin on another machine: the key is made there and stays there, and the CA vouches for it, so that a
//! browser there trusts one CA and no private key travels.

use std::fmt;
use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SubjectPublicKeyInfo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::folder::Folder;
use super::{CertsError, inspect, mint, name, sha256};

/// The key of a machine's own origin on its loopback.
pub struct OwnKey(KeyPair);

impl OwnKey {
    /// Makes one.
    pub fn generate() -> Result<Self, CertsError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// What may be known of it: the DER of its `SubjectPublicKeyInfo`.
    pub fn public(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// SHA-256 of that.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.public())
    }

    /// The key itself, PKCS #8.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }
}

/// Without the key.
impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey").finish_non_exhaustive()
    }
}

/// Has the CA of this folder vouch for such a key, for the lab's own names and loopback addresses and for no others.
pub fn vouch(dir: &Path, public: &[u8]) -> Result<CertificateDer<'static>, CertsError> {
    let public = SubjectPublicKeyInfo::from_der(public)?;
    let folder = Folder::claim(dir)?;
    mint::certify(&inspect::signer(&folder)?, &public, &name::wanted(&[])?, OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    use super::super::Certs;
    use super::super::inspect::Leaf;
    use super::*;

    #[test]
    fn a_key_that_never_leaves_its_machine_is_vouched_for_by_the_labs_ca() {
        let folder = tempfile::tempdir().unwrap();
        Certs::ensure(folder.path(), &[]).unwrap();
        let own = OwnKey::generate().unwrap();
        let der = vouch(folder.path(), &own.public()).unwrap();
        let leaf = Leaf::new(der, &own.0).unwrap();
        assert_eq!(sha256(&leaf.spki), own.spki_sha256());
        assert!(vouch(folder.path(), b"no key").is_err());
    }
}
