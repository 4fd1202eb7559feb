//! Sockets of Node's `ws`, which nobody here wrote, and rigged ones.

use std::io::Write;
use std::thread;
use std::time::Duration;

use data_encoding::BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::lab::{Lab, diagnose, glance};
use crate::node::Node;
use crate::rigged::{Rigged, stay};

/// What each of these servers begins with.
const SERVER: &str = "const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => console.log(server.address().port));
";

#[test]
fn a_server_of_others_that_is_well_is_found_to_be() {
    let node = Node::start(
        &format!(
            "{SERVER} server.on('connection', socket => setInterval(() => {{
           socket.ping(); socket.send(JSON.stringify({{ time: Date.now() }})); }}, 200));"
        ),
        &[],
    );
    let ran = diagnose(&node.url("ws", "/live"), &["--listen", "3s"]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    assert_eq!(ran.json()["kind"], "socket");
    let seen = ran.json()["seen"].to_string();
    assert!(seen.contains("messages, the first after") && seen.contains("heartbeats"), "{seen}");
}

#[test]
fn a_server_of_others_that_gathers_messages_is_found_to() {
    let node = Node::start(
        &format!(
            "{SERVER} server.on('connection', socket => {{ let held = [];
           setInterval(() => held.push(JSON.stringify({{ time: Date.now() }})), 100);
           setInterval(() => {{ for (const one of held) socket.send(one); held = []; }}, 1000); }});"
        ),
        &[],
    );
    let ran = diagnose(&node.url("ws", "/live"), &["--listen", "4s"]).exits(1);
    let evidence = ran.finding("buffered")["evidence"].to_string();
    assert!(evidence.contains("came together whose own time stamps are"), "{evidence}");
}

#[test]
fn a_server_that_closes_by_itself_is_told_with_its_code() {
    let node = Node::start(
        &format!("{SERVER} server.on('connection', socket => setTimeout(() => socket.close(4001, 'no hello'), 300));"),
        &[],
    );
    let finding = diagnose(&node.url("ws", "/live"), &["--listen", "3s"]).exits(1).finding("socket-closed");
    assert!(finding["evidence"].to_string().contains("with 4001: no hello"), "{finding}");
    let quiet = Node::start(
        &format!("{SERVER} server.on('connection', socket => setTimeout(() => socket.terminate(), 4000));"),
        &[],
    );
    let ran = diagnose(&quiet.url("ws", "/live"), &["--listen", "1s", "--quiet", "8s"]).exits(1);
    assert_eq!(ran.findings(), ["idle-cut"]);
    let lives = Node::start(
        &format!("{SERVER} server.on('connection', socket => setInterval(() => socket.ping(), 1000));"),
        &[],
    );
    assert_eq!(diagnose(&lives.url("ws", "/live"), &["--listen", "1s", "--quiet", "5s"]).exits(0).findings(), [""; 0]);
}

/// A server that opens a WebSocket, and then writes this.
fn opens(with: &'static [u8]) -> Rigged {
    Rigged::new(move |asked, stream| {
        let key = asked.field("sec-websocket-key").unwrap_or_default();
        let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let proof = BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref());
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        let _ = write!(stream, "{head}Sec-WebSocket-Accept: {proof}\r\n\r\n");
        thread::sleep(Duration::from_millis(100));
        let _ = stream.write_all(with);
        stay(stream);
    })
}

#[test]
fn frames_that_are_none_are_found_and_those_that_are_not() {
    let socket = |rigged: &Rigged| rigged.url().replace("http:", "ws:");
    let garbage = opens(&[0xff; 64]);
    let ran = glance(&socket(&garbage), &[]).exits(1);
    assert_eq!(ran.finding("socket-broken")["severity"], "loses");
    let text = opens(b"\x81\x05hello");
    assert_eq!(glance(&socket(&text), &[]).exits(0).findings(), [""; 0]);
}

#[test]
fn what_opens_no_websocket_is_told() {
    let proves_nothing = Rigged::new(|_, stream| {
        let _ =
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        stay(stream);
    });
    let url = proves_nothing.url().replace("http:", "ws:");
    glance(&url, &[]).exits(4).says(&["switches protocols without having understood the request"]);
    let page = Rigged::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    });
    let url = page.url().replace("http:", "ws:");
    glance(&url, &[]).exits(4).says(&["it answers 200 and opens no WebSocket"]);
    let silent = Rigged::new(|_, stream| stay(stream));
    let url = silent.url().replace("http:", "ws:");
    glance(&url, &[]).exits(4).says(&["no answer to the request for a WebSocket", "take `Upgrade` out"]);
}

/// A WebSocket of `ws` on HTTP/1.1, beside an HTTP/2 of Node's whose SETTINGS offer one too, which nobody opens.
const OFFERS: &str = "
const { WebSocketServer } = require('ws');
const read = name => require('fs').readFileSync(`${process.argv[1]}/${name}`);
const settings = { enableConnectProtocol: process.argv[2] === 'offers' };
const server = require('http2').createSecureServer(
  { allowHTTP1: true, settings, cert: read('server.pem'), key: read('server.key') });
server.on('stream', stream => { stream.on('error', () => {}); stream.respond({ ':status': 501 }); stream.end(); });
const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (ask, tcp, head) => sockets.handleUpgrade(ask, tcp, head, socket => socket.send('x')));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

#[test]
fn a_websocket_that_settings_offer_and_nobody_opens_is_found() {
    let lab = Lab::serve();
    let look = |how: &str| {
        let node = Node::start(OFFERS, &[lab.certs().to_str().unwrap(), how]);
        diagnose(&node.url("wss", "/live"), &["--ca", &lab.ca(), "--listen", "1s"])
    };
    let refused = look("offers").exits(1);
    assert_eq!(refused.findings(), ["socket-refused"]);
    let finding = refused.finding("socket-refused");
    assert!(
        finding["evidence"].to_string().contains("SETTINGS on HTTP/2") && finding["severity"] == "loses",
        "{finding}"
    );
    assert_eq!(look("offers not").exits(0).findings(), [""; 0]);
}
