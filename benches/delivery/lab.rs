//! The lab's server: a process of its own, spoken to by the trial contract.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use transport_lab::trial::contract::{BrokerOptions, CONTRACT, ServerRole};
use transport_lab::trial::{Alpn, Down, Role, ServerFact, Settings, TrialMessage, Up};
use transport_lab::wire::dial::Target;

use super::measure::PATIENCE;
use super::process;
use super::protocols::Case;

pub(crate) struct Lab {
    child: Child,
    /// Its end stops the server.
    stdin: Option<ChildStdin>,
    pub(crate) control: Target,
    pub(crate) port: u16,
    attached: Arc<AtomicUsize>,
}

impl Lab {
    /// Starts it with the certificate in this folder.
    pub(crate) fn start(certs: &Path, case: &Case, broker: Option<BrokerOptions>) -> Result<Self, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
        // As nginx has one worker.
        command.args(["child", "server"]).env("TOKIO_WORKER_THREADS", "1");
        let mut child = process::start_server(command.stdin(Stdio::piped()).stdout(Stdio::piped()))
            .map_err(|error| format!("the server doesn't start: {error}"))?;
        let feeds = if broker.is_some() { "nats" } else { "memory" };
        let settings = serde_json::json!({
            "server": {"max-concurrent-streams": 128, "heartbeat": "off", "feeds": feeds}
        });
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let role = Role::Server(ServerRole {
            life: 0,
            publishes: true,
            broker,
            token: None,
            control: None,
            ports: BTreeMap::new(),
            certs: certs.to_owned(),
            bind: vec![std::net::IpAddr::from([127, 0, 0, 1])],
            hosts: Vec::new(),
            feeds: vec!["f0".to_owned()],
            origins: Vec::new(),
        });
        let message = Down::Trial(Box::new(TrialMessage { contract: CONTRACT, trial: 0, seed: 1, settings, role }));
        let mut stdin = child.stdin.take().expect("its input");
        writeln!(stdin, "{}", serde_json::to_string(&message).expect("a line")).expect("its input");
        let attached = Arc::new(AtomicUsize::new(0));
        let (sender, listening) = mpsc::channel();
        let counted = Arc::clone(&attached);
        let mut stdout = BufReader::with_capacity(1 << 16, child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                // Ten thousand facts for each event to long polling: to parse them would be the load's CPU time.
                // The time stands before the kind; what follows may be anybody's text.
                let head = &line[..line.len().min(64)];
                let says = |kind: &[u8]| head.windows(kind.len()).any(|part| part == kind);
                if says(br#""kind":"attached""#) {
                    counted.fetch_add(1, Ordering::Relaxed);
                } else if says(br#""kind":"detached""#) {
                    counted.fetch_sub(1, Ordering::Relaxed);
                } else if let Ok(Up::Listening { ports, .. }) = serde_json::from_slice::<Up<ServerFact>>(&line) {
                    let _ = sender.send(ports);
                }
                line.clear();
            }
        });
        let ports: BTreeMap<Alpn, Vec<u16>> = listening.recv_timeout(PATIENCE).map_err(|error| error.to_string())?;
        let port = |alpn: Alpn| ports.get(&alpn).and_then(|ports| ports.first()).copied();
        let missing = || format!("the server has no port for {}", case.protocol.alpn);
        Ok(Self {
            control: Target { host: "localhost".to_owned(), port: port(Alpn::H1).ok_or_else(missing)? },
            port: port(case.protocol.alpn).ok_or_else(missing)?,
            child,
            stdin: Some(stdin),
            attached,
        })
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        vec![self.child.id()]
    }

    /// How many subscriptions there are.
    pub(crate) fn subscribers(&self) -> usize {
        self.attached.load(Ordering::Relaxed)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
