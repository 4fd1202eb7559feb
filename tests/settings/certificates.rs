//! Which certificate a server shows to whom, as TLS and QUIC clients see it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use transport_lab::certs::{Certs, base64};
use transport_lab::server::{Options, Server};
use transport_lab::transport::Configuration;
use transport_lab::trial::settings::CertificateUse;
use transport_lab::trial::{Alpn, Settings};
use transport_lab::wire::{Sink, tls};

/// A server with a certificate per host, and the ports of HTTP/2 and HTTP/3.
async fn server(certs: &Arc<Certs>) -> (Server, u16, u16) {
    let mut settings: Settings = serde_json::from_str("{}").unwrap();
    settings.server.certificate = CertificateUse::PerHost;
    let mut server = Server::new(Options {
        token: None,
        control: None,
        certs: Arc::clone(certs),
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        hosts: vec![],
        origins: vec![],
        settings: settings.server,
        transports: Arc::new(Configuration::read(&settings.transports).unwrap()),
        rig: None,
        sink: Sink::new(|_| ()),
    });
    let h2 = server.listen(Alpn::H2, 0).await.unwrap();
    let h3 = server.listen(Alpn::H3, 0).await.unwrap();
    (server, h2, h3)
}

async fn shown_over_tcp(certs: &Certs, port: u16, host: &str) -> Vec<CertificateDer<'static>> {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls::client(certs.ca(), Alpn::H2).unwrap()));
    let tcp = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let stream = connector.connect(name, tcp).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap().to_vec()
}

async fn shown_over_quic(certs: &Certs, port: u16, host: &str) -> Vec<CertificateDer<'static>> {
    let crypto = QuicClientConfig::try_from(tls::client(certs.ca(), Alpn::H3).unwrap()).unwrap();
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connecting = endpoint.connect_with(quinn::ClientConfig::new(Arc::new(crypto)), address, host).unwrap();
    let identity = connecting.await.unwrap().peer_identity().unwrap();
    identity
        .downcast_ref::<Vec<CertificateDer<'static>>>()
        .unwrap()
        .iter()
        .map(|der| der.clone().into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_shows_its_own_certificate_over_tcp_and_quic_and_an_address_the_shared_one() {
    let folder = tempfile::tempdir().unwrap();
    let (certs, _) = Certs::ensure(&folder.path().join("certs"), &[]).unwrap();
    let certs = Arc::new(certs);
    let (_server, h2, h3) = server(&certs).await;
    let own = certs.by_host();
    assert_eq!(own.len(), 5);
    for (host, (chain, _)) in own {
        assert_eq!(shown_over_tcp(&certs, h2, &host).await, chain, "{host}");
        assert_eq!(shown_over_quic(&certs, h3, &host).await, chain, "{host}");
        let (_, spki) = certs.host_sha256(&host).unwrap();
        assert_ne!(base64(&spki), base64(&certs.spki_sha256()), "{host} has a key of its own");
    }
    assert_eq!(shown_over_tcp(&certs, h2, "127.0.0.1").await, certs.chain());
}
