//! The lab's own certificate authority and the certificates that its servers show: one for all names, and one for
//! each host alone.
//!
//! Enters: a folder and the host names that servers will be reached by. Leaves: certificates, the server's key
//! and fingerprints, fit for rustls, quinn, browsers' trust and `serverCertificateHashes`. What must never
//! happen here: a private key that anyone else can read, even for an instant, or that stands in a message; a CA
//! that could vouch for a name outside the lab; half a file; a file of someone else's written over.

mod elsewhere;
mod folder;
mod inspect;
mod mint;
mod name;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use data_encoding::{BASE64, HEXLOWER};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

pub use elsewhere::{OwnKey, ServerCerts, vouch};
use folder::{CA_KEY, CA_PEM, Folder, Pair, SERVER_KEY, SERVER_PEM};
use inspect::{CaInspection, Leaf};
use name::Name;

/// A file of the folder that is missing, damaged, ended, or doesn't belong to its neighbours.
#[derive(Debug, thiserror::Error)]
#[error("{} {why}", path.display())]
pub struct UnusableFile {
    path: PathBuf,
    /// What is wrong with it, as the rest of a sentence: `is missing`.
    why: String,
}

/// Why there are no certificates to work with.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    #[error("can't {doing} {}", path.display())]
    Io {
        /// The operation: `read`, `replace`.
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// [`Certs::ensure`] replaces it.
    #[error("{0}; `transport-lab certs` makes it anew")]
    Unusable(UnusableFile),
    /// The folder holds certificates or keys that the lab did not make there, and would have to write over.
    #[error("{} was not made here by Transport Lab and is left alone; name another folder with --certs", .0.display())]
    Foreign(PathBuf),
    /// Other users could swap the CA for one of theirs.
    #[error("other users can write to {}; name a folder of your own with --certs", .0.display())]
    Shared(PathBuf),
    /// Another lab has held the folder for too long.
    #[error("another lab has kept {} locked for {} s; end it, or name another folder with --certs", path.display(), folder::LOCK_WAIT.as_secs())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// A host that no certificate can be made for.
    #[error("no certificate can be made for the host `{0}`; give a name such as `lab.example` or an address")]
    Host(String),
    /// The certificate could not be put together.
    #[error("can't make a certificate")]
    Mint(#[from] rcgen::Error),
}

/// What a server shows, leaf first, and the key to it.
pub type ShownCert = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Certificates that are renewed while they are used: whoever looks sees the newest.
pub type Current = Arc<ArcSwap<Certs>>;

/// The certificates of one folder, checked against each other.
pub struct Certs {
    ca_path: PathBuf,
    authority: CaInspection,
    leaf: Leaf,
    /// One per host of [`name::HOSTS`], in that order.
    hosts: Vec<Leaf>,
}

impl Certs {
    /// Makes what is missing or ending, keeps what is good. `hosts` are names or addresses beyond `localhost`,
    /// `a.localhost` to `d.localhost`, 127.0.0.1 and `::1`. Gives back one notice for each thing that was made,
    /// renewed or replaced, with the reason.
    ///
    /// Hosts that were asked for before stay: asking in turns must not cost a new CA each time.
    pub fn ensure(dir: &Path, hosts: &[String]) -> Result<(Self, Vec<String>), CertsError> {
        Self::ensure_at(dir, hosts, OffsetDateTime::now_utc())
    }

    /// Loads without writing; the error names the file and what to do.
    pub fn load(dir: &Path) -> Result<Self, CertsError> {
        Self::load_at(dir, OffsetDateTime::now_utc())
    }

    /// The CA's certificate, as a PEM file.
    pub fn ca_path(&self) -> &Path {
        &self.ca_path
    }

    /// The leaf, as a PEM file, and its key, as another.
    pub fn leaf_paths(&self) -> [PathBuf; 2] {
        [SERVER_PEM, SERVER_KEY].map(|file| self.ca_path.with_file_name(file))
    }

    /// The CA's certificate.
    pub fn ca(&self) -> CertificateDer<'static> {
        self.authority.der.clone()
    }

    /// What a server sends, leaf first. The CA itself isn't sent: who trusts it has it (RFC 8446 section 4.4.2).
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.der.clone()]
    }

    /// The leaf's private key, PKCS #8.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.leaf.key.clone_key()
    }

    /// SHA-256 of the leaf's DER: what `serverCertificateHashes` takes (W3C WebTransport section 6.9).
    pub fn cert_sha256(&self) -> [u8; 32] {
        sha256(&self.leaf.der)
    }

    /// SHA-256 of the DER of the leaf's `SubjectPublicKeyInfo`: what Chromium's SPKI list takes, in base64.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.leaf.spki)
    }

    /// Each host's own certificate, valid for no other name: by host.
    pub fn by_host(&self) -> Vec<(String, ShownCert)> {
        let one = |(host, leaf): (&str, &Leaf)| (host.to_owned(), (vec![leaf.der.clone()], leaf.key.clone_key()));
        name::HOSTS.into_iter().zip(&self.hosts).map(one).collect()
    }

    /// As [`Self::cert_sha256`] and [`Self::spki_sha256`], of the certificate for this host alone, if it has one.
    pub fn host_sha256(&self, host: &str) -> Option<([u8; 32], [u8; 32])> {
        let (_, leaf) = name::HOSTS.into_iter().zip(&self.hosts).find(|(name, _)| *name == host)?;
        Some((sha256(&leaf.der), sha256(&leaf.spki)))
    }

    /// The last instant at which the leaf is valid.
    pub fn not_after(&self) -> OffsetDateTime {
        self.leaf.validity.not_after
    }

    /// The names and addresses that the leaf is valid for.
    pub fn names(&self) -> Vec<String> {
        self.leaf.names.iter().map(ToString::to_string).collect()
    }

    /// The names and addresses that the CA may vouch for; a name stands for those below it too.
    pub fn permitted(&self) -> Vec<String> {
        self.authority.permitted.iter().map(ToString::to_string).collect()
    }

    /// Whether the CA may vouch for all of these hosts.
    pub fn vouches_for(&self, hosts: &[String]) -> bool {
        let covers = |name: &Name| self.authority.permitted.iter().any(|tree| tree.covers(name));
        name::wanted(hosts).is_ok_and(|wanted| wanted.iter().all(covers))
    }

    /// As [`Self::ensure`], at this time.
    pub fn ensure_at(dir: &Path, hosts: &[String], now: OffsetDateTime) -> Result<(Self, Vec<String>), CertsError> {
        let wanted = name::wanted(hosts)?;
        let folder = Folder::claim(dir)?;
        let mut notices = folder.tighten_keys()?;

        let found = unless_unusable(inspect::signer(&folder))?;
        let (signer, reason) = match found {
            Ok(signer) => match mint::why_new_ca(&signer.authority, &wanted, now) {
                None => (signer, None),
                Some(why) => (mint::ca(&union(&wanted, &signer.authority.permitted), now)?, Some(why)),
            },
            Err(file) => (mint::ca(&wanted, now)?, Some(file.to_string())),
        };
        if let Some(why) = reason {
            folder.write(CA_PEM, &signer.authority.pem())?;
            folder.write(CA_KEY, &signer.key.serialize_pem())?;
            notices.push(format!(
                "made a new CA, because {why}; where an older one was trusted, trust has to be given again, to {}",
                folder.path(CA_PEM).display()
            ));
        }

        let found = unless_unusable(inspect::leaf(&folder, &Pair::shared(), &signer.authority))?;
        let (leaf, reason) = match found {
            Ok(leaf) => match mint::why_new_leaf(&leaf, &wanted, now) {
                None => (leaf, None),
                Some(why) => (mint::leaf(&signer, &union(&wanted, &leaf.names), now)?, Some(why)),
            },
            Err(file) => {
                (mint::leaf(&signer, &union(&wanted, &signer.authority.permitted), now)?, Some(file.to_string()))
            }
        };
        let anew = reason.is_some();
        if let Some(why) = reason {
            put(&folder, &Pair::shared(), &leaf)?;
            notices.push(format!("made new server certificates, because {why}"));
        }
        let mut own = Vec::new();
        for host in name::HOSTS {
            let (leaf, reason) = ensure_host(&folder, &signer, host, anew, now)?;
            own.push(leaf);
            notices.extend(reason.map(|why| format!("made a new certificate for {host} alone, because {why}")));
        }
        Ok((Self { ca_path: folder.path(CA_PEM), authority: signer.authority, leaf, hosts: own }, notices))
    }

    fn load_at(dir: &Path, now: OffsetDateTime) -> Result<Self, CertsError> {
        let folder = Folder::visit(dir)?;
        let authority = inspect::authority(&folder)?;
        let in_time = |file: &str, validity: inspect::Validity| match validity.fault_at(now) {
            Some(why) => Err(folder.unusable(file, why)),
            None => Ok(()),
        };
        let leaf = |files: Pair| {
            let leaf = inspect::leaf(&folder, &files, &authority)?;
            in_time(&files.pem, leaf.validity).map(|()| leaf)
        };
        in_time(CA_PEM, authority.validity)?;
        let (shared, hosts) = (leaf(Pair::shared())?, name::HOSTS.map(Pair::host).into_iter().map(leaf));
        let hosts = hosts.collect::<Result<_, _>>()?;
        Ok(Self { ca_path: folder.path(CA_PEM), authority, leaf: shared, hosts })
    }
}

/// A host's own certificate: kept while it is good, made together with the one for all names or when it has to be.
/// The reason is given only where it was made on its own.
fn ensure_host(
    folder: &Folder,
    signer: &inspect::Signer,
    host: &str,
    anew: bool,
    now: OffsetDateTime,
) -> Result<(Leaf, Option<String>), CertsError> {
    let (files, name) = (Pair::host(host), BTreeSet::from([Name::Dns(host.to_owned())]));
    let reason = match unless_unusable(inspect::leaf(folder, &files, &signer.authority))? {
        _ if anew => None,
        Err(file) => Some(file.to_string()),
        Ok(leaf) => match mint::why_new_leaf(&leaf, &name, now) {
            None if leaf.names == name => return Ok((leaf, None)),
            None => Some(format!("the old one isn't for {host} alone")),
            Some(why) => Some(why),
        },
    };
    let leaf = mint::leaf(signer, &name, now)?;
    put(folder, &files, &leaf)?;
    Ok((leaf, reason))
}

fn put(folder: &Folder, files: &Pair, leaf: &Leaf) -> Result<(), CertsError> {
    folder.write(&files.pem, &leaf.pem())?;
    folder.write(&files.key, &leaf.key_pem())
}

/// Without the key, and short enough for a log line.
impl fmt::Debug for Certs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certs")
            .field("ca_path", &self.ca_path)
            .field("cert_sha256", &hex(&self.cert_sha256()))
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

/// Whether a certificate can be made for this host: a name or an address that clients could connect to.
pub fn is_host(text: &str) -> bool {
    Name::parse(text).is_some()
}

/// Bytes as base64 with padding (RFC 4648 section 4).
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Tells files that may be replaced from errors that end it.
fn unless_unusable<T>(found: Result<T, CertsError>) -> Result<Result<T, UnusableFile>, CertsError> {
    match found {
        Ok(good) => Ok(Ok(good)),
        Err(CertsError::Unusable(file)) => Ok(Err(file)),
        Err(error) => Err(error),
    }
}

fn union(a: &BTreeSet<Name>, b: &BTreeSet<Name>) -> BTreeSet<Name> {
    a.union(b).cloned().collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut sum = [0; 32];
    sum.copy_from_slice(digest.as_ref());
    sum
}
