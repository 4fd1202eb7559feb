//! The server's memory per idle stream, by ALPN: resident bytes with the streams open, less those before, ÷ streams.
//!
//! `cargo bench --bench idle_memory`. The server is a process of its own, spoken to by the trial contract, so that
//! none of the client's memory is counted. Exits with 1 when a bound is broken.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use transport_lab::certs::Certs;
use transport_lab::trial::contract::{CONTRACT, ServerRole};
use transport_lab::trial::{Alpn, Down, Observation, Role, ServerFact, Settings, TrialMessage, Up};
use transport_lab::wire::descriptors;
use transport_lab::wire::dial::{ClientConnection, Response, Target};

/// ALPN, connections, streams on each, and the bound in bytes per stream.
const CASES: [(Alpn, usize, usize, u64); 3] =
    [(Alpn::H1, 2000, 1, 30_000), (Alpn::H2, 50, 100, 4_000), (Alpn::H3, 50, 100, 8_000)];
/// How long opening may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    // `cargo bench -- --list` and filters come from test runners; there is nothing to choose here.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    descriptors::raise_descriptors();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!(
        "{:>4}  {:>12}  {:>8}  {:>12}  {:>8}  bound",
        "alpn", "connections", "streams", "B per stream", "of bound"
    );
    let mut broken = false;
    for (alpn, connections, streams, bound) in CASES {
        let bytes = runtime.block_on(measure(alpn, connections, streams));
        let share = bytes as f64 / bound as f64;
        println!("{alpn:>4}  {connections:>12}  {:>8}  {bytes:>12}  {share:>8.2}  {bound}", connections * streams);
        broken |= bytes > bound;
    }
    if broken {
        eprintln!("a bound is broken");
        std::process::exit(1);
    }
}

async fn measure(alpn: Alpn, connections: usize, streams: usize) -> u64 {
    let dir = tempfile::tempdir().expect("a folder");
    let (certs, _) = Certs::ensure(dir.path(), &[]).expect("certificates");
    let server = Server::start(dir.path(), alpn, streams);
    let target = Target { host: "localhost".to_owned(), port: server.port };
    // One connection and stream before: what the first of all costs is not per stream.
    let _warm = open(&target, alpn, &certs.ca(), 1).await;
    server.wait_for(1).await;
    let before = server.resident();
    let mut held = Vec::new();
    for _ in 0..connections {
        held.push(open(&target, alpn, &certs.ca(), streams).await);
    }
    server.wait_for(1 + connections * streams).await;
    let after = server.resident();
    after.saturating_sub(before) / (connections * streams) as u64
}

/// A connection with that many streams open on it.
async fn open(target: &Target, alpn: Alpn, ca: &CertificateDer<'static>, streams: usize) -> Vec<Response> {
    let first = ClientConnection::connect(target, alpn, ca).await.expect("a connection");
    let mut dialled: Vec<_> = (1..streams).filter_map(|_| first.try_clone()).collect();
    dialled.push(first);
    let mut held = Vec::new();
    for (sub, dialled) in dialled.into_iter().enumerate() {
        let path = format!("/feeds/f0/sse?trial=0&sub={sub}");
        held.push(dialled.get(&path, &[("accept", "text/event-stream")]).await.expect("a stream"));
    }
    held
}

struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    port: u16,
    attached: Arc<AtomicUsize>,
}

impl Server {
    fn start(certs: &Path, alpn: Alpn, streams: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
            .args(["child", "server"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server");
        let settings = serde_json::json!({"server": {"max-concurrent-streams": streams.max(100), "heartbeat": "off"}});
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let role = Role::Server(ServerRole {
            certs: certs.to_owned(),
            bind: vec![std::net::IpAddr::from([127, 0, 0, 1])],
            hosts: Vec::new(),
            feeds: vec!["f0".to_owned()],
            origins: Vec::new(),
            token: None,
            control: None,
            ports: std::collections::BTreeMap::new(),
            life: 0,
            publishes: true,
            broker: None,
        });
        let message = Down::Trial(Box::new(TrialMessage { contract: CONTRACT, trial: 0, seed: 1, settings, role }));
        let mut stdin = child.stdin.take().expect("its input");
        writeln!(stdin, "{}", serde_json::to_string(&message).expect("a line")).expect("its input");
        let attached = Arc::new(AtomicUsize::new(0));
        let (sender, port) = mpsc::channel();
        let counted = Arc::clone(&attached);
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                match serde_json::from_str::<Up<ServerFact>>(&line) {
                    Ok(Up::Listening { ports, .. }) => drop(sender.send(ports[&alpn][0])),
                    Ok(Up::Saw(Observation { fact: ServerFact::Attached { .. }, .. })) => {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {}
                }
            }
        });
        let port = port.recv_timeout(PATIENCE).expect("a port");
        Self { child, stdin: Some(stdin), port, attached }
    }

    async fn wait_for(&self, streams: usize) {
        let begun = Instant::now();
        while self.attached.load(Ordering::Relaxed) < streams {
            assert!(begun.elapsed() < PATIENCE, "{} of {streams} streams", self.attached.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Resident bytes (proc(5), `VmRSS`).
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("kB") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is `stop`.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
