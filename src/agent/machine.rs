//! What an agent has: the machine, and the clients that are on it.

use super::address::is_name;
use super::message::{AgentClient, AgentHello, LabVersion};
use crate::certs::{OwnKey, base64};
use crate::client;

/// What an agent is told about itself by whoever starts it.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// What it is called; the machine's own name where nothing is said.
    pub name: Option<String>,
    /// Whether programs of `exec:` may be run.
    pub allow_exec: bool,
    /// Whether servers may listen where other machines reach them.
    pub allow_servers: bool,
    /// Whether links are possible here.
    pub links: bool,
    /// How it lies, if it does.
    pub rig: Option<AgentRig>,
}

/// How an agent lies, to see that a coordinator notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentRig {
    /// It is of another version than it is.
    OtherVersion,
    /// Its clock gains a hundredth.
    DriftingClock,
    /// It keeps one fact of each end to itself.
    MissingFact,
}

/// What it has to say of itself. Asks every client for its version, which takes a while.
pub(super) fn describe(options: &AgentOptions, key: &OwnKey) -> AgentHello {
    let mut version = LabVersion::own();
    if options.rig == Some(AgentRig::OtherVersion) {
        version.lab += "-other";
    }
    let one = |row: &&client::Client| {
        let found = (row.find)();
        let reason = found.as_ref().err().map(ToString::to_string);
        AgentClient { name: row.name.to_owned(), version: found.ok().map(|found| found.version), reason }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    AgentHello {
        name: options.name.clone().unwrap_or_else(machine_name),
        version,
        clients: client::ALL.iter().map(one).collect(),
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        kernel: format!("Linux {kernel}"),
        links: options.links,
        exec: options.allow_exec,
        servers: options.allow_servers,
        key: base64(&key.public()),
        loopback: loopback(),
    }
}

/// Which loopback this process is on: the kernel that has it, since it was booted, and the network (`network_namespaces(7)`).
pub fn loopback() -> Option<String> {
    let boot = read("/proc/sys/kernel/random/boot_id")?;
    let network = std::fs::read_link("/proc/self/ns/net").ok()?;
    Some(format!("{boot} {}", network.display()))
}

/// The machine's own name, as far as an agent can be called so.
fn machine_name() -> String {
    let name = read("/proc/sys/kernel/hostname").unwrap_or_default();
    let fit = |c: char| if is_name(c.encode_utf8(&mut [0; 4])) { c } else { '-' };
    let name: String = name.chars().map(fit).take(64).collect();
    if name.is_empty() { "agent".to_owned() } else { name }
}

fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
