//! The lab's own origin, and a server under test, on another machine: the key is made there and stays there, and the CA
//! vouches for it, so that a browser trusts one CA and no private key travels.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SubjectPublicKeyInfo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::folder::{CA_PEM, Folder, Pair};
use super::inspect::Leaf;
use super::name::Name;
use super::{CertsError, inspect, mint, name, put, sha256};

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

    /// Fills a folder that a server loads ([`super::Certs::load`]): the CA's certificate, a PEM, and those that it vouched
    /// with for this key ([`ServerCerts::all`]), each with the key.
    pub fn fill(&self, dir: &Path, ca: &str, vouched: &[CertificateDer<'static>]) -> Result<(), CertsError> {
        let folder = Folder::claim(dir)?;
        folder.write(CA_PEM, ca)?;
        let files = std::iter::once(Pair::shared()).chain(name::HOSTS.map(Pair::host));
        for (files, der) in files.zip(vouched) {
            let leaf = Leaf::new(der.clone(), &self.0).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
            put(&folder, &files, &leaf)?;
        }
        Ok(())
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

/// What the lab's CA vouches with for a server's key on another machine.
#[derive(Debug, Clone)]
pub struct ServerCerts {
    /// For all names.
    shared: CertificateDer<'static>,
    /// One per host of [`name::HOSTS`], in that order, for that host alone.
    hosts: Vec<CertificateDer<'static>>,
    spki_sha256: [u8; 32],
}

impl ServerCerts {
    /// Has the CA of this folder vouch for this public key, for the lab's own names and loopback addresses and for these.
    pub fn vouch(dir: &Path, public: &[u8], names: &[String]) -> Result<Self, CertsError> {
        let key = SubjectPublicKeyInfo::from_der(public)?;
        let now = OffsetDateTime::now_utc();
        let signer = inspect::signer(&Folder::claim(dir)?)?;
        let shared = mint::certify(&signer, &key, &name::wanted(names)?, now)?;
        let alone = |host: &str| mint::certify(&signer, &key, &BTreeSet::from([Name::Dns(host.to_owned())]), now);
        let hosts = name::HOSTS.into_iter().map(alone).collect::<Result<_, _>>()?;
        Ok(Self { shared, hosts, spki_sha256: sha256(public) })
    }

    /// All of them: the one for all names, and those for one host each.
    pub fn all(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        std::iter::once(&self.shared).chain(&self.hosts)
    }

    /// SHA-256 of the one for all names, and of its public key: as [`super::Certs::cert_sha256`] and
    /// [`super::Certs::spki_sha256`].
    pub fn shared_sha256(&self) -> ([u8; 32], [u8; 32]) {
        (sha256(&self.shared), self.spki_sha256)
    }

    /// The same of the certificate for this host alone, if it has one.
    pub fn host_sha256(&self, host: &str) -> Option<([u8; 32], [u8; 32])> {
        let (_, der) = name::HOSTS.into_iter().zip(&self.hosts).find(|(name, _)| *name == host)?;
        Some((sha256(der), self.spki_sha256))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::Certs;
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

    #[test]
    fn a_server_elsewhere_shows_what_the_labs_ca_vouched_for_and_its_key_is_its_own() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hosts = ["192.0.2.7".to_owned()];
        let (certs, _) = Certs::ensure(here.path(), &hosts).unwrap();
        let own = OwnKey::generate().unwrap();
        let vouched = ServerCerts::vouch(here.path(), &own.public(), &hosts).unwrap();
        let dir = there.path().join("certs");
        let ca = std::fs::read_to_string(certs.ca_path()).unwrap();
        own.fill(&dir, &ca, &vouched.all().cloned().collect::<Vec<_>>()).unwrap();
        let shown = Certs::load(&dir).unwrap();
        assert_eq!((shown.cert_sha256(), shown.spki_sha256()), vouched.shared_sha256());
        assert_ne!(shown.spki_sha256(), certs.spki_sha256());
        assert_eq!(shown.host_sha256("a.localhost"), vouched.host_sha256("a.localhost"));
        assert!(shown.names().contains(&hosts[0]), "{:?}", shown.names());
        assert_eq!(vouched.host_sha256("b.example"), None);
        for file in std::fs::read_dir(&dir).unwrap().flatten() {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            let is_key = file.path().extension().is_some_and(|it| it == "key");
            assert!(!is_key || mode == 0o600, "{file:?} {mode:o}");
        }
        assert!(!dir.join("ca.key").exists(), "the CA's key stays where it is");
        // One that the CA may not vouch for is refused by whoever is shown it.
        let other = ServerCerts::vouch(here.path(), &own.public(), &["192.0.2.8".to_owned()]).unwrap();
        own.fill(&dir, &ca, &other.all().cloned().collect::<Vec<_>>()).unwrap();
        assert!(Certs::load(&dir).is_err());
    }
}
