//! Each host's own certificate.

use std::fs;

use time::{Duration, OffsetDateTime};

use super::super::Certs;
use super::super::folder::{Pair, SERVER_PEM};
use super::{place, verify};

#[test]
fn a_hosts_own_certificate_is_for_that_host_alone() {
    let (_parent, dir) = place();
    let (certs, _) = Certs::ensure(&dir, &[]).unwrap();
    let hosts: Vec<String> = certs.by_host().into_iter().map(|(host, _)| host).collect();
    assert_eq!(hosts, ["localhost", "a.localhost", "b.localhost", "c.localhost", "d.localhost"]);
    for (own, (chain, _)) in certs.by_host() {
        for host in &hosts {
            assert_eq!(verify(&certs, &chain[0], host).is_ok(), *host == own, "{host} under {own}'s");
        }
        assert_eq!(certs.host_sha256(&own).unwrap().0, super::super::sha256(&chain[0]));
    }
    assert!(certs.host_sha256("lab.example").is_none());
}

#[test]
fn a_hosts_own_certificate_is_renewed_with_the_shared_one_and_replaced_alone_when_it_is_damaged() {
    let (_parent, dir) = place();
    let now = OffsetDateTime::now_utc();
    let (old, _) = Certs::ensure_at(&dir, &[], now - Duration::days(12)).unwrap();
    let (renewed, notices) = Certs::ensure(&dir, &[]).unwrap();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(renewed.by_host().iter().zip(old.by_host()).all(|(new, old)| new.1.0 != old.1.0));
    let files = Pair::host("b.localhost");
    for (file, text) in [(&files.key, String::new()), (&files.pem, fs::read_to_string(dir.join(SERVER_PEM)).unwrap())] {
        fs::write(dir.join(file), text).unwrap();
        let error = Certs::load(&dir).unwrap_err().to_string();
        assert!(error.contains("host-b.localhost"), "{error}");
        let (certs, notices) = Certs::ensure(&dir, &[]).unwrap();
        assert!(notices.len() == 1 && notices[0].contains("b.localhost alone"), "{notices:?}");
        assert_eq!(certs.cert_sha256(), renewed.cert_sha256(), "the others stay");
        assert_eq!(certs.host_sha256("a.localhost"), renewed.host_sha256("a.localhost"));
        Certs::load(&dir).unwrap();
    }
    fs::copy(dir.join("host-a.localhost.pem"), dir.join("host-b.localhost.pem")).unwrap();
    fs::copy(dir.join("host-a.localhost.key"), dir.join("host-b.localhost.key")).unwrap();
    let (certs, notices) = Certs::ensure(&dir, &[]).unwrap();
    assert!(notices.len() == 1 && notices[0].contains("b.localhost"), "{notices:?}");
    verify(&certs, &certs.by_host()[2].1.0[0], "b.localhost").unwrap();
}
