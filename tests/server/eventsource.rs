//! npm's `eventsource`, which reads event streams outside browsers, and comes back where it left off.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};
use transport_lab::trial::Alpn;

use crate::lab::{Lab, PATIENCE, lines};
use crate::stream::Ended;

/// A reader in Node, and what it says: a line of JSON for everything that it is told.
struct EventSource {
    _process: Ended,
    said: Receiver<Vec<u8>>,
}

impl EventSource {
    fn new(lab: &Lab, alpn: Alpn, path: &str) -> Self {
        let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("node").join("node_modules");
        let installed = modules.join("eventsource");
        assert!(installed.exists(), "there is no {}; `tools/install.sh test` makes it", installed.display());
        let mut node = Command::new("node");
        node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/eventsource.mjs")).arg(lab.url(alpn, path));
        node.env("NODE_PATH", modules).env("NODE_EXTRA_CA_CERTS", &lab.ca).stdout(Stdio::piped());
        let mut process = Ended(node.spawn().expect("node, which is installed"));
        let said = lines(process.0.stdout.take().unwrap());
        Self { _process: process, said }
    }

    #[track_caller]
    fn next(&self) -> Value {
        serde_json::from_slice(&self.said.recv_timeout(PATIENCE).expect("it says nothing, or has ended")).unwrap()
    }
}

#[test]
fn an_eventsource_comes_back_after_the_time_it_is_told_and_misses_nothing() {
    let mut lab = Lab::trial(&json!({"sse": {"retry": "100ms"}}));
    let reader = EventSource::new(&lab, Alpn::H1, "/feeds/news/sse");
    assert_eq!(reader.next(), json!("open"));
    for turn in 0..3 {
        let (here, away) = (format!("while there {turn}"), format!("while away {turn}\nof two lines"));
        let id = lab.publish(Alpn::H1, "news", here.as_bytes());
        assert_eq!(reader.next(), json!({"id": id, "data": here}));
        lab.end_streams();
        assert_eq!(reader.next(), json!("error"));
        let id = lab.publish(Alpn::H1, "news", away.as_bytes());
        assert_eq!(reader.next(), json!("open"));
        assert_eq!(reader.next(), json!({"id": id, "data": away}));
    }
}
