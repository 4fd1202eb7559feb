//! A node of NATS, on the processor that isn't the server's: what it costs itself is not the server's.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use transport_lab::broker::{BrokerNode, BrokerOptions, NodeCommand, node};

use super::measure::PATIENCE;

/// It ends when it is dropped.
pub(crate) struct BrokerProcess {
    child: Child,
    pub(crate) options: BrokerOptions,
}

impl BrokerProcess {
    /// Starts it with its files in this folder.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        let found = node::find().map_err(|why| format!("nats-server: {why}"))?;
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).map_err(|e| e.to_string())?;
        let node = BrokerNode { name: "bench".to_owned(), port: port.port(), ..BrokerNode::default() };
        let NodeCommand { argv, files } = node.command(&found);
        let filled = |text: &str| text.replace("{profile}", &folder.display().to_string());
        for (name, text) in &files {
            std::fs::write(folder.join(name), filled(text)).map_err(|error| error.to_string())?;
        }
        let mut command = Command::new(&argv[0]);
        command.args(argv[1..].iter().map(|word| filled(word))).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("nats-server doesn't start: {error}"))?;
        let started = Self { child, options: BrokerOptions::at([node.url()]) };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", node.port)).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err("nats-server doesn't listen".to_owned());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(started)
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
