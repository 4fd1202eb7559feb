//! WebSocket against clients that others wrote: Python's `websockets` and Node's `ws`, on HTTP/1.1.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};
use transport_lab::transport::websocket::SUBPROTOCOL;
use transport_lab::trial::Alpn;

use crate::lab::{Lab, PATIENCE, lines, node_modules, python, until};
use crate::stream::Ended;

/// A client in a process of its own, that does as it is told.
struct Client {
    _process: Ended,
    input: ChildStdin,
    says: Receiver<Vec<u8>>,
}

/// Who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    Python,
    Node,
}

const AUTHORS: [Author; 2] = [Author::Python, Author::Node];

impl Lab {
    fn websocket(&self, author: Author, path: &str, more: &[&str]) -> Client {
        let script = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server").join(name);
        let mut command = match author {
            Author::Python => Command::new(python()),
            Author::Node => Command::new("node"),
        };
        match author {
            Author::Python => command.arg(script("websocket.py")),
            Author::Node => command.env("NODE_PATH", node_modules()).arg(script("websocket.mjs")),
        };
        let url = self.url(Alpn::H1, path).replace("https:", "wss:");
        command.arg(&self.ca).arg(url).args(more).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process: Child = command.spawn().unwrap_or_else(|error| panic!("{author:?}: {error}"));
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Client { _process: Ended(process), input, says: lines(output) }
    }
}

impl Client {
    #[track_caller]
    fn says(&mut self) -> Value {
        serde_json::from_slice(&self.says.recv_timeout(PATIENCE).expect("it says nothing, or has ended")).unwrap()
    }

    fn tell(&mut self, what: &Value) {
        writeln!(self.input, "{what}").unwrap();
    }

    /// The data of the event that comes next, in a text message.
    #[track_caller]
    fn data(&mut self) -> String {
        let said = self.says();
        let event: Value = serde_json::from_str(said["text"].as_str().unwrap_or_else(|| panic!("{said}"))).unwrap();
        assert!(event["id"].is_string() && event["time"].is_u64(), "{event}");
        event["data"].as_str().unwrap().to_owned()
    }
}

#[test]
fn clients_of_others_read_and_publish() {
    let lab = Lab::serve(&[]);
    for (k, author) in (1..).zip(AUTHORS) {
        let feed = format!("/feeds/by-{k}");
        let mut other = lab.subscribe(Alpn::H2, &format!("{feed}/sse"), &[]);
        let mut client = lab.websocket(author, &format!("{feed}/websocket?trial=7&sub=0"), &["chat", SUBPROTOCOL]);
        assert_eq!(client.says(), json!({"open": SUBPROTOCOL}), "{author:?}");
        lab.publish(Alpn::H2, &format!("by-{k}"), "news 🦀".as_bytes());
        assert_eq!((client.data(), other.next().data), ("news 🦀".to_owned(), "news 🦀".to_owned()));
        // Text, binary, and text in fragments, of which one is empty and one cuts no character: what is sent comes back.
        let sent = [
            (json!({"text": "a text"}), "a text".to_owned()),
            (json!({"base64": "w6kgaW4gYnl0ZXM="}), "é in bytes".to_owned()),
            (json!({"fragments": ["in ", "", "three ", "parts"]}), "in three parts".to_owned()),
            (json!({"text": "x".repeat(64 * 1024)}), "x".repeat(64 * 1024)),
        ];
        for (told, data) in sent {
            client.tell(&told);
            assert_eq!(client.data(), data, "{author:?}");
            assert_eq!(other.next().data, data, "{author:?}");
        }
        client.tell(&json!({"ping": true}));
        assert_eq!(client.says(), json!({"pong": true}), "{author:?}");
        lab.until_counted("/alpn/h1/streams", [1, 1, k]);
        client.tell(&json!({"close": 1000}));
        let closed = client.says();
        assert_eq!(closed["closed"], 1000, "{author:?}: {closed}");
        lab.until_counted("/alpn/h1/streams", [0, 1, k]);
    }
}

#[test]
fn a_client_that_offers_no_subprotocol_is_given_none_and_one_goes_on_where_it_left_off() {
    let lab = Lab::serve(&[]);
    let ids: Vec<_> = (1..=3).map(|k| lab.publish(Alpn::H1, "news", k.to_string().as_bytes())).collect();
    let mut client = lab.websocket(Author::Node, &format!("/feeds/news/websocket?after={}", ids[0]), &[]);
    assert_eq!(client.says(), json!({"open": null}));
    assert_eq!([client.data(), client.data()], ["2", "3"]);
    let mut client = lab.websocket(Author::Python, "/feeds/news/websocket?after=k3f9-1", &[]);
    assert_eq!(client.says(), json!({"open": null}));
    let gap: Value = serde_json::from_str(client.says()["text"].as_str().unwrap()).unwrap();
    assert_eq!(gap, json!({"name": "gap", "missed": null, "first": ids[0]}));
    assert_eq!(client.data(), "1");
}

#[test]
fn what_is_too_long_or_no_text_is_closed_with_the_code_that_says_so() {
    let lab = Lab::trial(&json!({}));
    let cases = [
        (json!({"text": "x".repeat(64 * 1024 + 1)}), 1009, "websocket-message-too-long"),
        (json!({"fragments": vec!["x".repeat(4000); 17]}), 1009, "websocket-message-too-long"),
        (json!({"base64": "/w=="}), 1003, "websocket-binary-not-text"),
    ];
    for author in AUTHORS {
        for (told, code, bound) in &cases {
            let before = lab.reached(bound);
            let mut client = lab.websocket(author, "/feeds/news/websocket", &[]);
            client.says();
            client.tell(told);
            let closed = client.says();
            assert_eq!(closed["closed"], *code, "{author:?}: {closed}");
            until("it to be counted", || lab.reached(bound) == before + 1);
        }
    }
    until("all to be detached", || lab.attached() == 0);
}

#[test]
fn binary_messages_and_fragments_are_whole_at_the_other_end() {
    let table = json!({"frames": "binary", "fragment": "16 B"});
    let lab = Lab::trial(&json!({"websocket": table}));
    for author in AUTHORS {
        let mut client = lab.websocket(author, "/feeds/news/websocket", &[]);
        client.says();
        lab.publish(Alpn::H2, "news", "é".repeat(500).as_bytes());
        let said = client.says();
        let message = data_encoding::BASE64.decode(said["base64"].as_str().unwrap().as_bytes()).unwrap();
        let event: Value = serde_json::from_slice(&message).unwrap();
        assert_eq!(event["data"], "é".repeat(500), "{author:?}");
    }
}
