//! A server in a process of its own, as a person or the lab starts it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use transport_lab::certs::Certs;
use transport_lab::server::Options;
use transport_lab::transport::{self, Configuration, Opens, Transport};
use transport_lab::trial::clock::monotonic_nanos;
use transport_lab::trial::contract::{BrokerOptions, CONTRACT, Down, Role, ServerRole, TrialMessage, Up};
use transport_lab::trial::settings::FaultKind;
use transport_lab::trial::{Alpn, ServerFact, Settings};
use transport_lab::wire::Sink;

pub(crate) use crate::until::{PATIENCE, until};

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_transport-lab"))
}

/// What a server within a test is made of: nothing that needs to be set is.
pub(crate) fn options(certs: Arc<Certs>, sink: Sink<ServerFact>) -> Options {
    let settings: Settings = serde_json::from_str("{}").unwrap();
    Options {
        certs,
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        hosts: vec![],
        origins: vec![],
        control: None,
        token: None,
        settings: settings.server,
        transports: Arc::new(Configuration::read(&settings.transports).unwrap()),
        rig: None,
        sink,
    }
}

/// Every transport whose readers begin with a GET.
pub(crate) fn transports_by_get() -> impl Iterator<Item = &'static Transport> {
    transport::ALL.iter().copied().filter(|row| row.opens == Opens::Request)
}

/// The lines that a process writes, read as they come, so that it never waits for us.
pub(crate) fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A running server. It ends when dropped.
pub(crate) struct Lab {
    child: Child,
    /// What the lab would say to it.
    input: Option<ChildStdin>,
    /// The port of each ALPN.
    ports: [u16; 4],
    /// The first port of `serve`, which is the control origin's.
    pub(crate) base: u16,
    pub(crate) ca: PathBuf,
    folder: TempDir,
    files: AtomicU32,
    /// What a trial's server has observed so far.
    saw: Arc<Mutex<Vec<ServerFact>>>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    /// `transport-lab serve`, at a port where it finds six free ones.
    pub(crate) fn serve(options: &[&str]) -> Self {
        Self::serve_telling(options, |_| ())
    }

    /// The same; each line that it prints before it serves is told.
    pub(crate) fn serve_telling(options: &[&str], mut told: impl FnMut(&str)) -> Self {
        for _ in 0..20 {
            let base = free_base();
            let folder = tempfile::tempdir().unwrap();
            let mut command = program();
            command.args(["serve", "--port", &base.to_string(), "--certs"]).arg(folder.path()).args(options);
            let mut child = command.stdout(Stdio::piped()).stderr(log(&folder)).spawn().unwrap();
            let output = lines(child.stdout.take().unwrap());
            let mut lab = Self::of(child, None, [base + 1, base + 2, base + 3, base + 4], base, folder);
            loop {
                match output.recv_timeout(PATIENCE) {
                    Ok(line) if line.starts_with(b"Ctrl-C") => return lab,
                    Ok(line) => told(&String::from_utf8_lossy(&line)),
                    Err(mpsc::RecvTimeoutError::Timeout) => panic!("serve says nothing"),
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
            // Another test took one of the six in between: that is status 4, and anything else is a failure.
            let status = lab.child.wait().unwrap();
            assert_eq!(status.code(), Some(4), "{}", lab.log());
        }
        panic!("no six free ports");
    }

    /// `transport-lab child server`, at free ports, with these settings of a trial.
    pub(crate) fn trial(settings: &serde_json::Value) -> Self {
        Self::trial_with(settings, &[], None)
    }

    /// The same, which publishes to these feeds and has this broker.
    pub(crate) fn trial_with(settings: &serde_json::Value, feeds: &[&str], broker: Option<BrokerOptions>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("certs");
        Certs::ensure(&certs, &[]).unwrap();
        let settings: Settings = serde_json::from_value(settings.clone()).unwrap();
        let bind = vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
        let feeds = feeds.iter().map(|&name| name.to_owned()).collect();
        let (origins, ports) = (vec![], std::collections::BTreeMap::new());
        let control = settings.has_pages_of_the_server().then(|| "https://127.0.0.1:1".to_owned());
        let role = Role::Server(ServerRole {
            hosts: Vec::new(),
            certs: certs.clone(),
            bind,
            token: None,
            feeds,
            origins,
            control,
            ports,
            life: 0,
            publishes: true,
            broker,
        });
        let message = Down::Trial(Box::new(TrialMessage { contract: CONTRACT, trial: 1, seed: 1, settings, role }));
        let mut command = program();
        command.args(["child", "server"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log(&folder));
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", serde_json::to_string(&message).unwrap()).unwrap();
        let output = lines(child.stdout.take().unwrap());
        let first = output.recv_timeout(PATIENCE).unwrap();
        let Ok(Up::Listening { ports, .. }) = serde_json::from_slice::<Up<ServerFact>>(&first) else {
            panic!("it does not listen")
        };
        let ports = Alpn::ALL.map(|alpn| ports[&alpn][0]);
        let mut lab = Self::of(child, Some(input), ports, 0, folder);
        lab.ca = certs.join("ca.pem");
        let saw = Arc::clone(&lab.saw);
        thread::spawn(move || {
            for line in output {
                if let Ok(Up::Saw(observation)) = serde_json::from_slice::<Up<ServerFact>>(&line) {
                    saw.lock().unwrap().push(observation.fact);
                }
            }
        });
        lab
    }

    fn of(child: Child, input: Option<ChildStdin>, ports: [u16; 4], base: u16, folder: TempDir) -> Self {
        let ca = folder.path().join("ca.pem");
        Self { child, input, ports, base, ca, folder, files: AtomicU32::new(0), saw: Arc::default() }
    }

    /// Begins the trial.
    pub(crate) fn go(&mut self) {
        let go = Down::Go { at: monotonic_nanos() };
        writeln!(self.input.as_mut().unwrap(), "{}", serde_json::to_string(&go).unwrap()).unwrap();
    }

    /// Shows everything that a trial's server has told so far.
    pub(crate) fn each_fact(&self, each: impl FnMut(&ServerFact)) {
        self.saw.lock().unwrap().iter().for_each(each);
    }

    /// Has the server of a trial end every stream that is open.
    pub(crate) fn end_streams(&mut self) {
        let inject = Down::Inject { fault: FaultKind::CloseStreams };
        writeln!(self.input.as_mut().unwrap(), "{}", serde_json::to_string(&inject).unwrap()).unwrap();
    }

    /// Asks the server to stop: as a person does, or as the lab does where it is a trial's.
    pub(crate) fn ask_to_stop(&mut self) {
        if let Some(input) = &mut self.input {
            writeln!(input, "{}", serde_json::to_string(&Down::Stop).unwrap()).unwrap();
        } else {
            kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        }
    }

    /// Waits until the server has ended.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the server to end", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    pub(crate) fn port(&self, alpn: Alpn) -> u16 {
        match alpn {
            Alpn::H1 => self.ports[0],
            Alpn::H2 => self.ports[1],
            Alpn::H3 => self.ports[2],
            Alpn::Quic => self.ports[3],
        }
    }

    pub(crate) fn url(&self, alpn: Alpn, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port(alpn))
    }

    pub(crate) fn authority(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.ca).unwrap()
    }

    /// A file with these bytes, for a client to send.
    pub(crate) fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("file-{}", self.files.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The server's resident memory, in bytes (`VmRSS` of proc(5)).
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What the server wrote to standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// How often a trial's server has reached this bound, by its own count.
    pub(crate) fn reached(&self, wanted: &str) -> u64 {
        let saw = self.saw.lock().unwrap();
        // The highest: two that reach it at once may be told of in either order.
        let times = saw.iter().filter_map(|fact| match fact {
            ServerFact::BoundReached { bound, times, .. } if bound == wanted => Some(*times),
            _ => None,
        });
        times.max().unwrap_or(0)
    }

    /// How many subscriptions of a trial's server began and haven't ended.
    pub(crate) fn attached(&self) -> usize {
        let saw = self.saw.lock().unwrap();
        let began = saw.iter().filter(|fact| matches!(fact, ServerFact::Attached { .. })).count();
        began - saw.iter().filter(|fact| matches!(fact, ServerFact::Detached { .. })).count()
    }

    #[track_caller]
    pub(crate) fn assert_alive(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "the server has ended");
    }
}

/// Python with aioquic, as `tools/install.sh test` installs it.
pub(crate) fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("bin/python");
    assert!(python.exists(), "there is no {}; `tools/install.sh test` makes it", python.display());
    python
}

/// Where `tools/install.sh test` puts Node's packages.
pub(crate) fn node_modules() -> PathBuf {
    let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("node").join("node_modules");
    assert!(modules.exists(), "there is no {}; `tools/install.sh test` makes it", modules.display());
    modules
}

fn log(folder: &TempDir) -> File {
    File::create(folder.path().join("log")).unwrap()
}

/// A port below those that the system gives out by itself.
pub(crate) fn free_base() -> u16 {
    rand::random_range(1300..4000) * 8
}
