//! The real `serve`, as a process of its own, and requests to it from any address of this machine.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use transport_lab::trial::Alpn;

use crate::lab::{Answer, Certificate, whole};

/// It ends when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) base: u16,
    pub(crate) certificate: Certificate,
    /// What it said before it was ready.
    pub(crate) said: String,
    results: TempDir,
    _stdin: Option<ChildStdin>,
}

impl Served {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let results = tempfile::tempdir().unwrap();
        let base = free_base();
        let mut child = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
            .args(["serve", "--port", &base.to_string(), "--certs"])
            .arg(folder.path().join("certs"))
            .arg("--out")
            .arg(results.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !said.contains("Ctrl-C ends it.") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "it ended instead: {said}");
        }
        let stdin = child.stdin.take();
        Self { child, base, certificate: Certificate::load(folder), said, results, _stdin: stdin }
    }

    /// Where runs are kept.
    pub(crate) fn results(&self) -> &Path {
        self.results.path()
    }

    /// The runs that have a report, in order.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.results()).unwrap().map(|entry| entry.unwrap().path());
        let mut runs: Vec<_> = entries.filter(|path| path.join("report.html").is_file()).collect();
        runs.sort();
        runs
    }

    /// Interrupts it as Ctrl-C does, and waits for its end.
    pub(crate) fn interrupt(&mut self) -> std::process::ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap()
    }

    /// A request over HTTP/1.1 to a port (counted from the base) at an address, under its own name or another.
    pub(crate) async fn send(&self, ip: IpAddr, offset: u16, host: &str, request: Ask<'_>) -> http::Response<Incoming> {
        let at = SocketAddr::new(ip, self.base + offset);
        let tcp = tokio::net::TcpStream::connect(at).await.unwrap();
        let tls = tokio_rustls::TlsConnector::from(self.certificate.client(Alpn::H1));
        let io = TokioIo::new(tls.connect(ServerName::from(ip), tcp).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let Ask(method, path, headers, body) = request;
        let mut builder = Request::builder().method(method).uri(path).header("host", format!("{host}:{}", at.port()));
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        sender.send_request(builder.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()).await.unwrap()
    }

    /// The same from loopback to the control origin, whole.
    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let ip = Ipv4Addr::LOCALHOST.into();
        whole(self.send(ip, 0, "127.0.0.1", Ask(method, path, headers, body)).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }
}

/// Method, path, headers, body.
pub(crate) struct Ask<'a>(
    pub(crate) Method,
    pub(crate) &'a str,
    pub(crate) &'a [(&'a str, &'a str)],
    pub(crate) &'a str,
);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Six ports in a row that are free on TCP and UDP.
fn free_base() -> u16 {
    let free = |port: u16| {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
    };
    std::iter::repeat_with(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port())
        .filter(|base| *base < 65_000)
        .take(100)
        .find(|base| (*base..=*base + 5).all(free))
        .expect("six free ports in a row")
}
