//! Servers on Node, whose HTTP/2 nobody here wrote.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::lab::{Lab, Ran, diagnose, installed};

/// A program in a process of its own, which begins by saying at which port it listens. It ends when dropped.
pub(crate) struct Node {
    process: Child,
    pub(crate) port: u16,
}

impl Node {
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.env("NODE_PATH", installed("node/node_modules")).args(["-e", script]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the test command installs Node");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        Self { process, port: port.unwrap_or_else(|_| panic!("no port: {line}")) }
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.port)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Twenty events in a second, numbered by the clock, on HTTP/2; it goes on after `Last-Event-ID`. To a reader whose
/// stream is full they are not written, if it is told so.
const EVENTS: &str = "
const [certs, drops] = [process.argv[1], process.argv[2] === 'drops'];
const read = name => require('fs').readFileSync(`${certs}/${name}`);
const server = require('http2').createSecureServer({ cert: read('server.pem'), key: read('server.key') });
const begun = Date.now(), now = () => Math.floor((Date.now() - begun) / 50);
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  stream.respond({ ':status': 200, 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const last = headers['last-event-id'];
  let number = last ? Number(last) : now();
  const write = () => {
    while (number < now()) {
      number += 1;
      if (!drops || !stream.writableNeedDrain) stream.write(`id: ${number}\ndata: ${'x'.repeat(2000)}\n\n`);
    }
  };
  write();
  const clock = setInterval(write, 10);
  stream.on('close', () => clearInterval(clock));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

fn slow(how: &str) -> Ran {
    let lab = Lab::serve();
    let node = Node::start(EVENTS, &[lab.certs().to_str().unwrap(), how]);
    diagnose(&node.url("https", "/events"), &["--ca", &lab.ca(), "--listen", "4s", "--streams", "3"])
}

#[test]
fn a_server_that_drops_what_a_slow_reader_does_not_take_is_found_to() {
    let ran = slow("drops").exits(1);
    assert_eq!(ran.finding("slow-reader")["severity"], "loses");
    let kept = slow("keeps").exits(0);
    assert_eq!(kept.findings(), [""; 0]);
    assert!(kept.out.contains("it stopped reading, and had"), "{}", kept.out);
}

/// A sign of life five times a second on HTTP/2; the connection is told to be at its end after one second, if it is told so.
const LEAVES: &str = "
const [certs, how] = [process.argv[1], process.argv[2]];
const read = name => require('fs').readFileSync(`${certs}/${name}`);
const server = require('http2').createSecureServer({ cert: read('server.pem'), key: read('server.key') });
if (how !== 'stays') server.on('session', session => {
  const code = how === 'calm' ? 11 : 0;
  const clock = setTimeout(() => session.goaway(code, 0x7fffffff, Buffer.from('slow down')), 1000);
  session.on('close', () => clearTimeout(clock));
});
server.on('stream', stream => {
  stream.on('error', () => {});
  stream.respond({ ':status': 200, 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const clock = setInterval(() => stream.write(':\\n\\n'), 200);
  stream.on('close', () => clearInterval(clock));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

#[test]
fn a_server_that_leaves_a_connection_is_told_with_its_reason() {
    let lab = Lab::serve();
    let look = |how: &str| {
        let node = Node::start(LEAVES, &[lab.certs().to_str().unwrap(), how]);
        diagnose(&node.url("https", "/events"), &["--ca", &lab.ca(), "--listen", "4s", "--streams", "0"])
    };
    let calm = look("calm").exits(1).finding("goaway");
    assert_eq!(calm["severity"], "delays", "{calm}");
    let evidence = calm["evidence"].to_string();
    assert!(evidence.contains("on HTTP/2, GOAWAY came after") && evidence.contains("slow down"), "{evidence}");
    // What is under way goes on where it isn't for an error.
    assert_eq!(look("leaves").exits(0).finding("goaway")["severity"], "advice");
    assert_eq!(look("stays").exits(0).findings(), [""; 0]);
}

/// An app of Express, before whose event stream its `compression` stands, which is flushed for each event or is not.
const EXPRESS: &str = "
const app = require('express')();
app.use(require('compression')());
app.get('/events', (ask, answer) => {
  answer.set({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).flushHeaders();
  let number = Number(ask.get('last-event-id') || 0);
  const clock = setInterval(() => {
    number += 1;
    answer.write(`id: ${number}\ndata: event ${number}\n\n`);
    if (process.argv[1] === 'flushes') answer.flush();
  }, 200);
  ask.on('close', () => clearInterval(clock));
});
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

#[test]
fn an_app_of_express_whose_compression_gathers_events_is_named_with_its_line() {
    let look = |how: &str| {
        let node = Node::start(EXPRESS, &[how]);
        diagnose(&node.url("http", "/events"), &["--listen", "3s", "--streams", "2"])
    };
    let gathers = look("gathers").exits(1).finding("compressed");
    assert!(gathers["change"].as_str().unwrap().contains("Express: `res.flush()`"), "{gathers}");
    let flushes = look("flushes").exits(0);
    assert_eq!(
        (flushes.findings(), &flushes.json()["resumed"][0]["came"]),
        (vec!["http-1-only".into()], &"next".into())
    );
}
