//! Nodes of NATS, real ones: each a `nats-server` of its own with a folder of its own. They end when they are dropped.

mod jwt;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use transport_lab::broker::node::{self, BrokerNode, NodeCluster, NodeCommand};

#[allow(unused_imports, reason = "not every test binary has users with tokens")]
pub(crate) use self::jwt::Operator;
use crate::until::until;

/// How many lines of a node's log are shown where a test fails, and how much of each.
const LAST: usize = 40;
const WIDE: usize = 300;

/// A node of NATS, running or not.
pub(crate) struct Nats {
    pub(crate) node: BrokerNode,
    /// What it is, if not the one that the lab finds.
    program: Option<PathBuf>,
    /// What it keeps all on, if it has a disk of its own.
    disk: Option<Disk>,
    child: Option<Child>,
    folder: TempDir,
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            // A trace has whole messages in it.
            let lines: Vec<_> = log.lines().map(|line| line.chars().take(WIDE).collect::<String>()).collect();
            let last = lines[lines.len().saturating_sub(LAST)..].join("\n");
            eprintln!("the end of the log of NATS' node {}:\n{last}\n", self.node.name);
        }
    }
}

#[allow(dead_code, reason = "not every test binary needs all of it")]
impl Nats {
    /// A node by itself, with JetStream.
    pub(crate) fn start() -> Self {
        Self::start_as(BrokerNode::default())
    }

    /// The same with these further lines of configuration.
    pub(crate) fn start_with(more: &str) -> Self {
        Self::start_as(BrokerNode { more: more.to_owned(), ..BrokerNode::default() })
    }

    /// A node that is like this one, but for its name and port.
    pub(crate) fn start_as(node: BrokerNode) -> Self {
        let mut nats = Self::stopped(BrokerNode { name: "n1".to_owned(), port: free_port(), ..node });
        nats.again();
        nats
    }

    /// The same, of another program.
    pub(crate) fn start_program(program: &Path) -> Self {
        let mut nats = Self::stopped(BrokerNode { name: "n1".to_owned(), port: free_port(), ..BrokerNode::default() });
        nats.program = Some(program.to_owned());
        nats.again();
        nats
    }

    /// A node whose store is on a disk of its own of so many MiB; `None`: that takes root, and a machine that lets root
    /// mount one in memory.
    pub(crate) fn start_on_disk(mebibytes: u32) -> Option<Self> {
        let mut nats = Self::stopped(BrokerNode { name: "n1".to_owned(), port: free_port(), ..BrokerNode::default() });
        nats.disk = Some(Disk::mount(nats.folder.path().join("store"), mebibytes)?);
        nats.again();
        Some(nats)
    }

    /// The folder on that disk that nothing else sees.
    pub(crate) fn disk(&self) -> PathBuf {
        self.disk.as_ref().unwrap().seen()
    }

    /// Three nodes that are one cluster.
    pub(crate) fn cluster() -> [Self; 3] {
        let ports = [free_port(), free_port(), free_port()];
        let mut nodes = ports.map(|port| {
            let cluster = NodeCluster { name: "lab".to_owned(), port, ports: ports.into() };
            let port = free_port();
            Self::stopped(BrokerNode {
                name: format!("n{port}"),
                port,
                cluster: Some(cluster),
                ..BrokerNode::default()
            })
        });
        nodes.iter_mut().for_each(Self::launch);
        nodes.iter().for_each(Self::wait);
        nodes
    }

    fn stopped(node: BrokerNode) -> Self {
        Self { node, program: None, disk: None, child: None, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        self.node.url()
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Has it stand still, or go on.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    /// Starts it again, at its port and with what it kept, and waits until it answers.
    pub(crate) fn again(&mut self) {
        self.launch();
        self.wait();
    }

    /// Removes all that it kept.
    pub(crate) fn forget(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let _ = fs::remove_dir_all(self.folder.path().join("store"));
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn launch(&mut self) {
        let mut found = node::find().unwrap();
        if let Some(program) = &self.program {
            found.path.clone_from(program);
        }
        let NodeCommand { argv, files } = self.node.command(&found);
        let filled = |text: &str| text.replace("{profile}", &self.folder.path().display().to_string());
        for (name, text) in &files {
            fs::write(self.folder.path().join(name), filled(text)).unwrap();
        }
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = match &self.disk {
            None => Command::new(&argv[0]),
            Some(disk) => disk.command(&argv[0]),
        };
        command.args(argv[1..].iter().map(|word| filled(word))).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Waits until it answers.
    #[track_caller]
    fn wait(&self) {
        until("nats-server to answer", || says_info(self.node.port));
    }
}

/// A small file system in memory that only this process and those that it starts see. It goes with it.
struct Disk {
    child: Child,
    at: PathBuf,
}

impl Disk {
    fn mount(at: PathBuf, mebibytes: u32) -> Option<Self> {
        // It holds the place where it is mounted until its input ends.
        let script = "mkdir -p \"$0\" && mount -t tmpfs -o \"$1\" none \"$0\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script]).arg(&at).arg(format!("size={mebibytes}m"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut disk = Self { child: command.spawn().ok()?, at };
        let mut line = String::new();
        let read = BufReader::new(disk.child.stdout.take()?).read_line(&mut line);
        (read.is_ok() && line == "mounted\n").then_some(disk)
    }

    /// Where others see it.
    fn seen(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.child.id())).join(self.at.strip_prefix("/").unwrap())
    }

    /// A program that sees it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-m", "-t", &self.child.id().to_string(), program]);
        command
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first thing that it says to a client is `INFO`.
fn says_info(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok_and(|_| line.starts_with("INFO "))
}

/// A port below those that the system gives out by itself, so that it can be had again.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = rand::random_range(20_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
