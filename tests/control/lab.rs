//! A control origin with a certificate of its own, and a client that asks it over one protocol.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::client::TlsStream;
use transport_lab::certs::{self, Certs};
use transport_lab::control::{Control, ControlConfig, DataPort, Serving};
use transport_lab::trial::contract::{CONTRACT, ClientRole};
use transport_lab::trial::ledger::Ledger;
use transport_lab::trial::{Alpn, Protocol, Role, Settings, SubscriptionPlan, TrialMessage};

/// How long anything may take in these tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// The lab's certificates, in a folder of their own.
pub(crate) struct Certificate {
    pub(crate) certs: Arc<Certs>,
    _folder: TempDir,
}

impl Certificate {
    pub(crate) fn mint() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certs, _) = Certs::ensure(&folder.path().join("certs"), &[]).unwrap();
        Self { certs: Arc::new(certs), _folder: folder }
    }

    /// What another lab made there.
    pub(crate) fn load(folder: TempDir) -> Self {
        let certs = Certs::load(&folder.path().join("certs")).unwrap();
        Self { certs: Arc::new(certs), _folder: folder }
    }

    /// SHA-256 of the leaf's SPKI, base64.
    pub(crate) fn spki(&self) -> String {
        certs::base64(&self.certs.spki_sha256())
    }

    /// The CA, as a PEM file.
    pub(crate) fn ca(&self) -> &Path {
        self.certs.ca_path()
    }

    pub(crate) fn server(&self, alpns: &[Alpn]) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.certs.chain(), self.certs.key())
            .unwrap();
        config.alpn_protocols = alpns.iter().map(|alpn| alpn.wire().to_vec()).collect();
        Arc::new(config)
    }

    pub(crate) fn client(&self, alpn: Alpn) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certs.ca()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.wire().to_vec()];
        Arc::new(config)
    }
}

/// A running control origin.
pub(crate) struct Lab {
    pub(crate) control: Control,
    pub(crate) certificate: Certificate,
    pub(crate) ledger: watch::Sender<Ledger>,
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let certificate = Certificate::mint();
        let (ledger, counts) = watch::channel(Ledger::default());
        let port = |port, alpns: &[Alpn], note: &str| DataPort { port, alpns: alpns.to_vec(), note: note.to_owned() };
        let ports = vec![
            port(8441, &[Alpn::H1], "And HTTP/1.0."),
            port(8442, &[Alpn::H2], ""),
            port(8443, &[Alpn::H3], "UDP only: nothing here can fall back to TCP unseen."),
        ];
        let config = ControlConfig {
            addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            port: 0,
            tls: certificate.server(&[Alpn::H2, Alpn::H1]),
            hosts: vec![],
            origins: vec!["https://friend.example".into()],
            ledger: counts,
            serving: Some(Serving {
                ca: certificate.ca().to_owned(),
                certs: Arc::new(ArcSwap::new(certificate.certs.clone())),
                ports,
                token: None,
                permitted: certificate.certs.permitted(),
                runs: "nowhere".into(),
                index: |_| None,
                requests: mpsc::channel(1).0,
            }),
        };
        Self { control: Control::start(config).await.unwrap(), certificate, ledger }
    }

    pub(crate) async fn dial(&self, alpn: Alpn) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.control.port())).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(self.certificate.client(alpn));
        connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }

    /// Sends one request on a connection of its own. `host` stands in Host or `:authority`.
    pub(crate) async fn send(&self, alpn: Alpn, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let io = TokioIo::new(self.dial(alpn).await);
        if alpn == Alpn::H2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    }

    /// A request to `host` for `path`, as each protocol writes it.
    pub(crate) fn request(&self, alpn: Alpn, method: Method, host: &str, path: &str) -> http::request::Builder {
        let port = self.control.port();
        let builder = Request::builder().method(method);
        match alpn {
            Alpn::H2 => builder.uri(format!("https://{host}:{port}{path}")),
            _ => builder.uri(path).header("host", format!("{host}:{port}")),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.request(Alpn::H2, Method::GET, "127.0.0.1", path).body(Full::default()).unwrap();
        whole(self.send(Alpn::H2, request).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let body = Full::new(body.into());
        let request = self.request(Alpn::H2, Method::POST, "127.0.0.1", path).body(body).unwrap();
        whole(self.send(Alpn::H2, request).await).await
    }
}

pub(crate) async fn whole(response: http::Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.into()).unwrap() }
}

/// A client's trial: `subscribers` on the server at `port`, dealt round over the pages.
pub(crate) fn trial(number: u32, alpn: Alpn, port: u16, pages: u32, subscribers: u32) -> TrialMessage {
    let mut settings: Settings = serde_json::from_value(serde_json::json!({})).unwrap();
    settings.protocol = Protocol::new("sse", alpn);
    settings.workload.pages = pages;
    settings.workload.subscribers = subscribers;
    settings.workload.hold = transport_lab::units::Span::from_secs(2);
    let subscriptions = (0..subscribers).map(|sub| SubscriptionPlan {
        sub,
        page: sub % pages,
        host: "localhost".into(),
        port,
        others: vec![],
        path: format!("/feeds/f0/sse?trial={number}&sub={sub}"),
        open_at: 0,
        sends: vec![],
    });
    let role = Role::Client(ClientRole {
        protocol: settings.protocol.clone(),
        hosts: vec!["localhost".into()],
        port,
        ca: "ca.pem".into(),
        token: None,
        cert_sha256: String::new(),
        spki_sha256: String::new(),
        subscriptions: subscriptions.collect(),
        stuck: vec![],
    });
    TrialMessage { contract: CONTRACT, trial: number, seed: 1, settings, role }
}
