//! What others see: rustls and OpenSSL hold the chain against names, the file system shows modes.

mod hosts;
mod usage;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::folder::{CA_KEY, CA_PEM, Folder, Pair, SERVER_KEY, SERVER_PEM};
use super::{Certs, CertsError, inspect};

const FILES: [&str; 4] = [CA_PEM, CA_KEY, SERVER_PEM, SERVER_KEY];

/// A folder that does not exist yet, within one that goes away.
fn place() -> (TempDir, std::path::PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("certs");
    (parent, dir)
}

/// As a client that trusts only the lab's CA sees a server that shows this certificate.
fn verify(certs: &Certs, leaf: &CertificateDer<'_>, host: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certs.ca()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).map(drop)
}

fn read_all(dir: &Path) -> [String; 4] {
    FILES.map(|file| fs::read_to_string(dir.join(file)).unwrap())
}

#[test]
fn a_client_that_trusts_the_ca_accepts_the_labs_names_and_no_other() {
    let (_parent, dir) = place();
    let (certs, notices) = Certs::ensure(&dir, &["lab.example".to_owned(), "192.0.2.7".to_owned()]).unwrap();
    assert_eq!(notices.len(), 2, "{notices:?}");
    let leaf = certs.chain().remove(0);
    for host in ["localhost", "a.localhost", "d.localhost", "127.0.0.1", "::1", "lab.example", "192.0.2.7"] {
        verify(&certs, &leaf, host).unwrap_or_else(|error| panic!("{host}: {error}"));
        assert!(certs.names().contains(&host.to_owned()), "{host} in {:?}", certs.names());
    }
    for host in ["example.com", "192.0.2.8", "z.localhost"] {
        let error = verify(&certs, &leaf, host).unwrap_err();
        assert!(
            matches!(error, rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })),
            "{host}: {error}"
        );
    }
}

/// Makes a certificate with the lab's CA key for a name that the lab would never put into one.
fn misuse(dir: &Path, params: &CertificateParams) -> (CertificateDer<'static>, String) {
    let signer = inspect::signer(&Folder::visit(dir).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&signer.authority.der, &signer.key).unwrap();
    let made = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    (made.der().clone(), made.pem())
}

fn openssl_verify(ca: &Path, leaf: &Path, name: [&str; 2]) -> (bool, String) {
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-CAfile"])
        .arg(ca)
        .args(name)
        .arg(leaf)
        .output()
        .expect("openssl, which `make test` installs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn even_with_the_cas_key_nobody_can_vouch_for_another_name() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    for (host, allowed) in
        [("example.com", false), ("localhost.example.com", false), ("192.0.2.1", false), ("deep.a.localhost", true)]
    {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        let (der, pem) = misuse(&dir, &params);
        assert_eq!(verify(&certs, &der, host).is_ok(), allowed, "rustls on {host}");

        let path = dir.join("misused.pem");
        fs::write(&path, pem).unwrap();
        let flag = if host.starts_with("192") { "-verify_ip" } else { "-verify_hostname" };
        let (accepted, said) = openssl_verify(certs.ca_path(), &path, [flag, host]);
        assert_eq!(accepted, allowed, "OpenSSL on {host}: {said}");
        assert!(allowed || said.contains("permitted subtree violation"), "OpenSSL on {host}: {said}");
    }
}

#[test]
fn openssl_agrees_with_the_chain_under_its_strict_rules() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    let leaf = dir.join(SERVER_PEM);
    for name in [
        ["-verify_hostname", "localhost"],
        ["-verify_hostname", "a.localhost"],
        ["-verify_ip", "127.0.0.1"],
        ["-verify_ip", "::1"],
    ] {
        let (accepted, said) = openssl_verify(certs.ca_path(), &leaf, name);
        assert!(accepted, "{name:?}: {said}");
    }
    assert!(!openssl_verify(certs.ca_path(), &leaf, ["-verify_hostname", "example.com"]).0);
}

#[test]
fn the_ca_is_held_to_critical_constraints_and_may_make_no_other_ca() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    let der = certs.ca();
    let (_, ca) = X509Certificate::from_der(&der).unwrap();
    assert!(ca.name_constraints().unwrap().unwrap().critical);
    let basic = ca.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0));
    let usage = ca.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
}

#[test]
fn the_leaf_serves_server_certificate_hashes() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    let der = certs.chain().remove(0);
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let validity = leaf.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp() + 1;
    assert!(seconds <= 13 * 24 * 3600, "{seconds} s");
    assert!(validity.is_valid());
    let curve = leaf.public_key().algorithm.parameters.as_ref().unwrap().as_oid().unwrap();
    assert_eq!(curve.to_id_string(), "1.2.840.10045.3.1.7", "P-256");
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    assert_eq!(certs.not_after(), validity.not_after.to_datetime());
}

#[test]
fn the_fingerprints_are_those_that_openssl_finds() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    let output = |command: &str| {
        let output = Command::new("sh").args(["-c", command]).current_dir(&dir).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let certificate = output("openssl x509 -in server.pem -outform DER | openssl dgst -sha256 -r | cut -c1-64");
    assert_eq!(super::hex(&certs.cert_sha256()), certificate);
    let spki = output(
        "openssl x509 -in server.pem -noout -pubkey | openssl pkey -pubin -outform DER \
         | openssl dgst -sha256 -binary | openssl base64",
    );
    assert_eq!(super::base64(&certs.spki_sha256()), spki);
}

#[test]
fn a_tls_server_starts_with_chain_and_key() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs.chain(), certs.key())
        .unwrap();
}

#[test]
fn what_is_good_is_kept_to_the_byte() {
    let (_parent, dir) = place();
    let (first, _) = Certs::ensure(&dir, &["lab.example".to_owned()]).unwrap();
    let before = read_all(&dir);
    let (second, notices) = Certs::ensure(&dir, &[]).unwrap();
    assert_eq!((notices, read_all(&dir)), (vec![], before));
    assert_eq!(first.cert_sha256(), second.cert_sha256());
    assert_eq!(Certs::load(&dir).unwrap().spki_sha256(), first.spki_sha256());
}

#[test]
fn keys_and_folder_are_for_their_owner_alone() {
    let (_parent, dir) = place();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    Certs::ensure(&dir, &[]).unwrap();
    assert_eq!(mode(&dir), 0o700);
    for key in [CA_KEY, SERVER_KEY] {
        assert_eq!(mode(&dir.join(key)), 0o600, "{key}");
    }
    // A checkout makes the folder with its README, open to read.
    fs::write(dir.join("README.md"), "What is here").unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o775)).unwrap();
    fs::set_permissions(dir.join(CA_KEY), Permissions::from_mode(0o644)).unwrap();
    let (_, notices) = Certs::ensure(&dir, &[]).unwrap();
    assert!(notices.len() == 1 && notices[0].contains(CA_KEY) && notices[0].contains("644"), "{notices:?}");
    assert_eq!((mode(&dir), mode(&dir.join(CA_KEY))), (0o700, 0o600));
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let (parent, _) = place();
    fs::write(parent.path().join("diary"), "mine").unwrap();
    fs::set_permissions(parent.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Certs::ensure(parent.path(), &[]), Err(CertsError::Shared(_))));
    assert_eq!(fs::metadata(parent.path()).unwrap().permissions().mode() & 0o777, 0o777, "and left as it was");
}

#[test]
fn files_of_somebody_else_are_never_written_over() {
    let (parent, _) = place();
    let theirs = KeyPair::generate().unwrap().serialize_pem();
    fs::write(parent.path().join(CA_KEY), &theirs).unwrap();
    let error = Certs::ensure(parent.path(), &[]).unwrap_err();
    assert!(matches!(&error, CertsError::Foreign(path) if path.ends_with(CA_KEY)), "{error}");
    assert_eq!(fs::read_to_string(parent.path().join(CA_KEY)).unwrap(), theirs);
}

/// What it is called, and what it does to a file's text.
type Damage = (&'static str, fn(&str) -> String);

#[test]
fn damaged_files_are_named_and_replaced() {
    let half = |text: &str| text[..text.len() / 2].to_owned();
    // One letter within the base64 of a certificate's signature.
    let flipped = |text: &str| {
        let at = text.len() - 60;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let damages: [Damage; 4] =
        [("half", half), ("empty", |_| String::new()), ("noise", |_| "\u{0}noise".repeat(9)), ("flipped", flipped)];
    for file in FILES {
        for (damage, apply) in damages {
            let (_parent, dir) = place();
            let (first, _) = Certs::ensure(&dir, &[]).unwrap();
            let path = dir.join(file);
            let whole = fs::read_to_string(&path).unwrap();
            fs::write(&path, apply(&whole)).unwrap();
            if file != CA_KEY {
                let error = Certs::load(&dir).expect_err(&format!("{file} {damage}")).to_string();
                assert!(error.contains(file) && error.contains("transport-lab certs"), "{file} {damage}: {error}");
            }
            let (second, notices) = Certs::ensure(&dir, &[]).unwrap();
            assert!(notices[0].contains(file), "{file} {damage}: {notices:?}");
            verify(&second, &second.chain()[0], "localhost").unwrap();
            assert_eq!(first.ca() == second.ca(), file.starts_with("server"), "{file} {damage}: the CA is kept");
            Certs::load(&dir).unwrap();
        }
    }
}

#[test]
fn missing_files_are_named_and_made() {
    for file in FILES {
        let (_parent, dir) = place();
        Certs::ensure(&dir, &[]).unwrap();
        fs::remove_file(dir.join(file)).unwrap();
        let (certs, notices) = Certs::ensure(&dir, &[]).unwrap();
        assert!(notices[0].contains(file) && notices[0].contains("is missing"), "{notices:?}");
        verify(&certs, &certs.chain()[0], "::1").unwrap();
    }
    let (_parent, dir) = place();
    let error = Certs::load(&dir).unwrap_err().to_string();
    assert!(error.contains(CA_PEM) && error.contains("is missing"), "{error}");
    assert!(!dir.exists(), "loading writes nothing");
}

#[test]
fn files_that_do_not_belong_together_are_replaced() {
    for (swapped, named) in [([SERVER_KEY, SERVER_KEY], SERVER_KEY), ([SERVER_PEM, SERVER_KEY], SERVER_PEM)] {
        let ((_a, ours), (_b, other)) = (place(), place());
        Certs::ensure(&ours, &[]).unwrap();
        Certs::ensure(&other, &[]).unwrap();
        for file in swapped {
            fs::copy(other.join(file), ours.join(file)).unwrap();
        }
        let error = Certs::load(&ours).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        let (certs, notices) = Certs::ensure(&ours, &[]).unwrap();
        assert!(notices.len() == 1 && notices[0].contains(named), "{notices:?}");
        verify(&certs, &certs.chain()[0], "localhost").unwrap();
    }
}

#[test]
fn what_is_ending_is_renewed_and_what_has_ended_is_refused() {
    let (_parent, dir) = place();
    let now = OffsetDateTime::now_utc();
    let at = |days| Certs::ensure_at(&dir, &["lab.example".to_owned()], now + Duration::days(days)).unwrap();
    let (made, _) = at(-20);
    let error = Certs::load(&dir).unwrap_err().to_string();
    assert!(error.contains(SERVER_PEM) && error.contains("ended at"), "{error}");
    assert!(verify(&made, &made.chain()[0], "localhost").is_err(), "a client sees the same");

    let (renewed, notices) = Certs::ensure(&dir, &[]).unwrap();
    assert!(notices.len() == 1 && notices[0].contains("ended at"), "{notices:?}");
    assert_eq!(renewed.ca(), made.ca(), "trust outlives the leaf");
    assert!(renewed.names().contains(&"lab.example".to_owned()), "hosts asked for before stay");
    verify(&renewed, &renewed.chain()[0], "lab.example").unwrap();

    assert_eq!(at(10).1, Vec::<String>::new(), "more than two days left");
    let (_, notices) = at(11);
    assert!(notices.len() == 1 && notices[0].contains("ends soon"), "{notices:?}");
    let (_, notices) = at(720);
    assert!(notices[0].contains("CA") && notices[0].contains("trust has to be given again"), "{notices:?}");
    let (_, notices) = at(0);
    assert!(notices[0].contains("clock"), "made in the future: {notices:?}");
}

#[test]
fn a_new_host_costs_a_new_ca_once() {
    let (_parent, dir) = place();
    let ensure = |host: &str| Certs::ensure(&dir, &[host.to_owned()]).unwrap();
    let (first, _) = ensure("one.example");
    let (second, notices) = ensure("two.example");
    assert_ne!(first.ca(), second.ca());
    assert!(notices[0].contains("two.example") && notices[0].contains("trust has to be given again"), "{notices:?}");
    assert_eq!(ensure("one.example").1, Vec::<String>::new());
    let (third, notices) = ensure("e.localhost");
    assert_eq!(third.ca(), second.ca(), "below localhost all is permitted");
    assert!(notices.len() == 1 && notices[0].contains("e.localhost"), "{notices:?}");
}

#[test]
fn hosts_that_no_certificate_can_name_are_refused_before_anything_is_made() {
    let (_parent, dir) = place();
    for host in
        ["", "*.example", "a b", "https://x.example", "x.example:8440", "x.example.", "0.0.0.0", "1.2.3", "ß.de"]
    {
        let error = Certs::ensure(&dir, &[host.to_owned()]).unwrap_err();
        assert!(matches!(&error, CertsError::Host(named) if named == host), "{host}: {error}");
    }
    assert!(!dir.exists());
}

#[test]
fn labs_that_start_at_once_agree_and_no_unfinished_file_stays() {
    let (_parent, dir) = place();
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(".unfinished-abc"), "half a key").unwrap();
    let prints: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let labs: Vec<_> = (0..8).map(|_| scope.spawn(|| Certs::ensure(&dir, &[]).unwrap().0.cert_sha256())).collect();
        labs.into_iter().map(|lab| lab.join().unwrap()).collect()
    });
    assert!(prints.iter().all(|print| *print == prints[0]), "one certificate for all");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(name).collect();
    left.sort();
    let hosts = ["a.localhost", "b.localhost", "c.localhost", "d.localhost", "localhost"].map(Pair::host);
    let hosts = hosts.into_iter().flat_map(|Pair { pem, key }| [key, pem]);
    let mut expected: Vec<_> = [".transport-lab.lock", CA_KEY, CA_PEM, SERVER_KEY, SERVER_PEM]
        .map(str::to_owned)
        .into_iter()
        .chain(hosts)
        .collect();
    expected.sort();
    assert_eq!(left, expected);
}

#[test]
fn no_message_carries_a_private_key() {
    let (_parent, dir) = place();
    let (certs, notices) = Certs::ensure(&dir, &[]).unwrap();
    let key = fs::read_to_string(dir.join(SERVER_KEY)).unwrap();
    let secret = key.lines().nth(1).unwrap();
    fs::write(dir.join(SERVER_KEY), key.replace("END", "DNE")).unwrap();
    let error = Certs::load(&dir).unwrap_err();
    let spoken = format!("{certs:?} {notices:?} {error} {error:?}");
    assert!(spoken.contains(SERVER_KEY) && !spoken.contains(secret) && !spoken.contains("PRIVATE"), "{spoken}");
}

#[test]
fn a_file_that_cannot_be_replaced_is_an_error_that_names_it() {
    let (_parent, dir) = place();
    Certs::ensure(&dir, &[]).unwrap();
    fs::remove_file(dir.join(SERVER_PEM)).unwrap();
    fs::create_dir(dir.join(SERVER_PEM)).unwrap();
    let error = Certs::ensure(&dir, &[]).unwrap_err();
    assert!(matches!(&error, CertsError::Io { .. }) && error.to_string().contains(SERVER_PEM), "{error}");
}
