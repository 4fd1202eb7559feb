//! The lab's server: a process of its own, spoken to by the trial contract.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use transport_lab::trial::contract::{CONTRACT, ServerRole};
use transport_lab::trial::{Alpn, Down, Fact, Role, Settings, TrialMessage, Up};
use transport_lab::wire::dial::Target;

use super::measure::PATIENCE;
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
    pub(crate) fn start(certs: &Path, case: &Case) -> Result<Self, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
            .args(["child", "server"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server doesn't start: {error}"))?;
        let settings = serde_json::json!({"server": {"max-concurrent-streams": 128, "heartbeat": "off"}});
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let role = Role::Server(ServerRole {
            life: 0,
            ports: BTreeMap::new(),
            certs: certs.to_owned(),
            bind: vec![std::net::IpAddr::from([127, 0, 0, 1])],
            feeds: vec!["f0".to_owned()],
            origins: Vec::new(),
        });
        let message = Down::Trial(Box::new(TrialMessage { contract: CONTRACT, trial: 0, seed: 1, settings, role }));
        let mut stdin = child.stdin.take().expect("its input");
        writeln!(stdin, "{}", serde_json::to_string(&message).expect("a line")).expect("its input");
        let attached = Arc::new(AtomicUsize::new(0));
        let (sender, listening) = mpsc::channel();
        let counted = Arc::clone(&attached);
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(Up::Listening { ports, .. }) => drop(sender.send(ports)),
                    Ok(Up::Saw(Fact::Attached { .. })) => drop(counted.fetch_add(1, Ordering::Relaxed)),
                    Ok(Up::Saw(Fact::Detached { .. })) => drop(counted.fetch_sub(1, Ordering::Relaxed)),
                    _ => {}
                }
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
