//! Certificates that are made anew while `serve` runs: it may run for longer than their 13 days.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::CliError;
use crate::certs::{Certs, Current};
use crate::wire::tls::Showing;

/// How often it is looked whether they end soon. By the clock on the wall: a machine that was asleep has missed some
/// of it, and another lab may have renewed what is in the folder.
pub(super) const EVERY: Duration = Duration::from_secs(3600);

/// What has to follow.
pub(super) struct Renewal {
    /// Where they are.
    pub(super) dir: PathBuf,
    /// Whom they are for, beside loopback.
    pub(super) hosts: Vec<String>,
    /// What servers show.
    pub(super) showing: Showing,
    /// What pages and clients are told.
    pub(super) current: Current,
}

impl Renewal {
    /// Looks again and again what time it is; says what was made anew.
    pub(super) async fn keep(
        &self,
        every: Duration,
        now: impl Fn() -> OffsetDateTime,
        mut renewed: impl FnMut(&Certs, &[String]),
    ) -> Infallible {
        loop {
            tokio::time::sleep(every).await;
            // It may wait for another lab that has the folder.
            match tokio::task::block_in_place(|| self.at(now())) {
                Ok(None) => {}
                Ok(Some(notices)) => renewed(&self.current.load(), &notices),
                Err(error) => {
                    let error = super::chain(&error);
                    tracing::warn!(error, "the certificates could not be renewed; they are looked at again in an hour");
                }
            }
        }
    }

    /// Makes anew what ends soon at this time, and shows it. Says what was made; `None`: all is as it was.
    fn at(&self, now: OffsetDateTime) -> Result<Option<Vec<String>>, CliError> {
        let (certs, notices) = Certs::ensure_at(&self.dir, &self.hosts, now)?;
        if certs.cert_sha256() == self.current.load().cert_sha256() {
            return Ok(None);
        }
        self.showing.renew([], (certs.chain(), certs.key()))?;
        self.current.store(Arc::new(certs));
        Ok(Some(notices))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicI64, Ordering};

    use arc_swap::ArcSwap;
    use rustls::pki_types::{CertificateDer, ServerName};
    use tokio::net::TcpStream;

    use super::*;
    use crate::server::{Options, Server};
    use crate::trial::Alpn;
    use crate::trial::settings::ServerSettings as Settings;
    use crate::wire::dial::{ClientConnection, Target};
    use crate::wire::{Sink, tls};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// What a server shows to who dials it now.
    async fn shown(alpn: Alpn, port: u16, ca: &CertificateDer<'static>) -> CertificateDer<'static> {
        let config = tls::client(ca.clone(), alpn).unwrap();
        if matches!(alpn, Alpn::H1 | Alpn::H2) {
            let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
            return tls.get_ref().1.peer_certificates().unwrap()[0].clone();
        }
        let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
        let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(config));
        let connecting = endpoint.connect_with(config, (Ipv4Addr::LOCALHOST, port).into(), "localhost").unwrap();
        let identity = connecting.await.unwrap().peer_identity().unwrap();
        identity.downcast::<Vec<CertificateDer<'static>>>().unwrap()[0].clone()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_certificate_with_less_than_two_days_left_is_made_anew_and_shown_and_connections_go_on() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("certs");
        let (old, _) = Certs::ensure_at(&dir, &[], OffsetDateTime::now_utc() - time::Duration::days(12)).unwrap();
        let old = Arc::new(old);
        let mut server = Server::new(Options {
            certs: Arc::clone(&old),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            hosts: vec![],
            origins: vec![],
            control: None,
            token: None,
            settings: Settings::default(),
            transports: Arc::new(crate::transport::Configuration::default()),
            rig: None,
            sink: Sink::new(drop),
        });
        let mut ports = Vec::new();
        for alpn in Alpn::ALL {
            ports.push((alpn, server.listen(alpn, 0).await.unwrap()));
        }
        for (alpn, port) in &ports {
            assert_eq!(shown(*alpn, *port, &old.ca()).await, old.chain()[0], "{alpn}");
        }
        let target = Target { host: "localhost".to_owned(), port: ports[1].1 };
        let before = ClientConnection::connect(&target, Alpn::H2, &old.ca()).await.unwrap();

        let renewal = Renewal {
            dir,
            hosts: vec![],
            showing: server.showing().unwrap(),
            current: Arc::new(ArcSwap::new(Arc::clone(&old))),
        };
        let two_days_left = old.not_after() - time::Duration::days(2);
        assert_eq!(renewal.at(two_days_left).unwrap(), None, "to the second");
        assert_eq!(renewal.current.load().cert_sha256(), old.cert_sha256());

        let clock = AtomicI64::new(two_days_left.unix_timestamp());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let keeping = renewal.keep(
            Duration::from_millis(5),
            || OffsetDateTime::from_unix_timestamp(clock.load(Ordering::Relaxed)).unwrap(),
            |certs, notices| tell.send((certs.cert_sha256(), notices.join(" "))).unwrap(),
        );
        clock.fetch_add(1, Ordering::Relaxed);
        let (sha256, notices) = tokio::select! {
            told = told.recv() => told.unwrap(),
            _ = keeping => unreachable!(),
            () = tokio::time::sleep(PATIENCE) => panic!("it is not renewed"),
        };
        let new = renewal.current.load_full();
        assert_eq!(sha256, new.cert_sha256());
        assert!(notices.contains("ends soon"), "{notices}");
        assert_ne!(new.cert_sha256(), old.cert_sha256());
        assert_eq!(new.ca(), old.ca(), "who trusted it need do nothing");
        for (alpn, port) in &ports {
            assert_eq!(shown(*alpn, *port, &new.ca()).await, new.chain()[0], "{alpn}");
        }
        let answer = before.get("/ping", &[]).await.unwrap();
        assert_eq!(answer.status, 204, "on a connection from before");
        server.stop().await;
    }
}
