//! Servers of Python's that nobody here wrote: sse-starlette on hypercorn, and zlib before an event stream.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::lab::{Lab, Ran, diagnose, free_port, installed, until};

/// A program of Python's in a process of its own. It ends when dropped.
pub(crate) struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(installed("python/bin/python"));
    command.args(["-c", script]).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// An app that sends an event ten times a second, with or without ids that it can go on after.
const APP: &str = r#"
import asyncio, json, sys, time
from hypercorn.asyncio import serve
from hypercorn.config import Config
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route

port, certs, resumes, quic = sys.argv[1], sys.argv[2], sys.argv[3] == "resumes", sys.argv[4] == "quic"
begun = time.time()

async def events(request):
    last = request.headers.get("last-event-id")
    async def generate():
        number = int(last) + 1 if last and resumes else int((time.time() - begun) * 10)
        while True:
            due = begun + number / 10
            await asyncio.sleep(max(0, due - time.time()))
            event = {"data": json.dumps({"time": due})}
            if resumes:
                event["id"] = str(number)
            yield event
            number += 1
    return EventSourceResponse(generate(), headers={"Cache-Control": "no-store"})

config = Config()
config.bind = [f"127.0.0.1:{port}"]
config.certfile, config.keyfile = f"{certs}/server.pem", f"{certs}/server.key"
config.alpn_protocols = ["h2", "http/1.1"]
if quic:
    config.quic_bind = [f"127.0.0.1:{port}"]
asyncio.run(serve(Starlette(routes=[Route("/events", events)]), config))
"#;

/// The app, once it listens, on HTTP/3 too if that is wanted, and its address.
pub(crate) fn app_of_others(lab: &Lab, how: &str, quic: bool) -> (Python, String) {
    let port = free_port();
    let certs = lab.certs().display().to_string();
    let quic = if quic { "quic" } else { "tcp" };
    let mut app = Python(python(APP, &[&port.to_string(), &certs, how, quic]).spawn().unwrap());
    until("hypercorn", || {
        assert!(app.0.try_wait().unwrap().is_none(), "it ended: is it installed (tools/install.sh test)?");
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    (app, format!("https://localhost:{port}/events"))
}

#[test]
fn an_app_of_others_is_healthy_if_it_resumes_and_is_found_to_lose_if_not() {
    let lab = Lab::serve();
    for how in ["resumes", "forgets"] {
        let (_app, url) = app_of_others(&lab, how, false);
        let ran = diagnose(&url, &["--ca", &lab.ca(), "--listen", "3s", "--streams", "5"]);
        let wanted: &[&str] = if how == "resumes" { &[] } else { &["no-ids"] };
        assert_eq!(ran.findings(), wanted, "{}", ran.out);
        assert_eq!(ran.exit, Some(i32::from(!wanted.is_empty())));
        assert_eq!(ran.json()["streams"][0]["opened"], 5, "{}", ran.out);
    }
}

/// An event stream behind zlib, which is flushed for each event or is not.
const ZLIB: &str = r#"
import http.server, sys, time, zlib

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        packs = "gzip" in self.headers.get("Accept-Encoding", "")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        if packs:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        packer = zlib.compressobj(wbits=31)
        for number in range(1, 100):
            event = f"id: {number}\ndata: event {number}\n\n".encode()
            if packs:
                event = packer.compress(event)
                if sys.argv[1] == "flushes":
                    event += packer.flush(zlib.Z_SYNC_FLUSH)
            self.wfile.write(event)
            self.wfile.flush()
            time.sleep(0.2)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A program that begins by saying at which port it listens, and that port.
pub(crate) fn python_that_listens(script: &str, arguments: &[&str]) -> (Python, String) {
    let mut server = Python(python(script, arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    (server, port.trim().to_owned())
}

fn compressed(how: &str) -> Ran {
    let (_server, port) = python_that_listens(ZLIB, &[how]);
    let url = format!("http://127.0.0.1:{port}/events");
    diagnose(&url, &["--listen", "4s", "--streams", "0"])
}

#[test]
fn a_compressor_that_is_not_flushed_is_found_and_one_that_is_not() {
    let held = compressed("gathers");
    let finding = held.finding("compressed");
    assert_eq!(finding["severity"], "delays");
    assert!(finding["evidence"].to_string().contains("Content-Encoding: gzip"), "{finding}");
    let flushed = compressed("flushes");
    assert!(!flushed.findings().contains(&"compressed".to_owned()), "{}", flushed.out);
    assert!(flushed.out.contains("gzip when asked as browsers do"), "{}", flushed.out);
}
