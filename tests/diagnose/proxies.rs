//! Proxies as they are, each with what its documentation begins with and with what lets events through, before servers on
//! Node: what one keeps from readers is found, and with the other nothing is.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use transport_lab::intermediary::{self, Site};
use transport_lab::trial::Alpn;
use transport_lab::trial::settings::{Compression, IntermediaryConfig};

use crate::lab::{Lab, Ran, diagnose, free_port, until};
use crate::node::Node;

/// Twenty events in a second with ids and times, which go on after `Last-Event-ID`; a stream on which nothing happens,
/// and a WebSocket of `ws`.
const ORIGIN: &str = "
const read = name => require('fs').readFileSync(`${process.argv[1]}/${name}`);
const { WebSocketServer } = require('ws');
const begun = Date.now(), now = () => Math.floor((Date.now() - begun) / 50);
const server = require('https').createServer({ cert: read('server.pem'), key: read('server.key') }, (ask, answer) => {
  if (ask.url !== '/live') answer.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  if (ask.url === '/live') return answer.writeHead(426).end();
  if (ask.url === '/quiet') return answer.write('id: 1\\ndata: one\\n\\n');
  const last = ask.headers['last-event-id'];
  let number = last ? Number(last) : now();
  const write = () => {
    while (number < now()) {
      number += 1;
      answer.write(`id: ${number}\\ndata: {\"time\": ${Date.now()}, \"pad\": \"${'x'.repeat(100)}\"}\\n\\n`);
    }
  };
  const clock = setInterval(write, 10);
  answer.on('close', () => clearInterval(clock));
});
new WebSocketServer({ server }).on('connection', socket => {
  const clock = setInterval(() => socket.send(JSON.stringify({ time: Date.now() })), 200);
  socket.on('close', () => clearInterval(clock));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

/// The lab's certificates, and the server on Node.
struct Origin {
    lab: Lab,
    node: Node,
}

impl Origin {
    fn start() -> Self {
        let lab = Lab::serve();
        let node = Node::start(ORIGIN, &[lab.certs().to_str().unwrap()]);
        Self { lab, node }
    }
}

/// A proxy in a process of its own. It ends when dropped.
struct Proxy {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Proxy {
    /// One that speaks this with clients and HTTP/1.1 with the origin, what it is told changed by `edit`.
    fn before(
        origin: &Origin,
        name: &str,
        (alpn, config): (Alpn, &IntermediaryConfig),
        edit: impl Fn(String) -> String,
    ) -> Self {
        let row = intermediary::find(name).unwrap();
        let found = (row.find)().expect("the test command (tools/install.sh test) installs it");
        let (folder, port, addresses) = (tempfile::tempdir().unwrap(), free_port(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let certs = origin.lab.certs();
        let site = Site {
            alpn,
            addresses: &addresses,
            port,
            origin: origin.node.port,
            origin_alpn: Alpn::H1,
            certificate: certs.join("server.pem"),
            key: certs.join("server.key"),
            ca: certs.join("ca.pem"),
            root: nix::unistd::geteuid().is_root(),
            drain: None,
            compression: Compression::Off,
        };
        let spec = row.launch(&found, &site, &row.template.text(config, Compression::Off).unwrap());
        let here = |text: &String| text.replace("{profile}", folder.path().to_str().unwrap());
        fs::create_dir(folder.path().join("tmp")).unwrap();
        for (file, text) in &spec.files {
            fs::write(folder.path().join(file), edit(here(text))).unwrap();
        }
        let command = |argv: &[String]| {
            let mut command = Command::new(here(&argv[0]));
            command.args(argv[1..].iter().map(here)).env("HOME", folder.path()).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        for before in &spec.before {
            assert!(command(before).status().unwrap().success(), "{before:?}");
        }
        let mut process = command(&spec.argv).spawn().unwrap();
        until(name, || {
            assert!(process.try_wait().unwrap().is_none(), "it ended");
            // What only UDP has, is waited for by who asks.
            alpn == Alpn::H3 || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Self { process, port, _folder: folder }
    }

    fn diagnose(&self, origin: &Origin, address: &str, more: &[&str]) -> Ran {
        let (scheme, path) = address.split_once("://").unwrap();
        let url = format!("{scheme}://localhost:{}{path}", self.port);
        diagnose(&url, &[&["--ca", &origin.lab.ca()], more].concat())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM: nginx's master ends its worker. SIGKILL would leave that behind.
        let _ = kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

const DEFAULT: (Alpn, &IntermediaryConfig) = (Alpn::H2, &IntermediaryConfig::Default);
const STREAMING: (Alpn, &IntermediaryConfig) = (Alpn::H2, &IntermediaryConfig::Streaming);

fn as_it_is(text: String) -> String {
    text
}

#[track_caller]
fn finds_nothing(ran: Ran) -> Ran {
    let ran = ran.exits(0);
    let loud: Vec<String> = ran.findings().into_iter().filter(|name| name != "http-1-only").collect();
    assert_eq!(loud, [""; 0], "{}", ran.out);
    ran
}

#[test]
fn nginx_buffers_and_lets_no_websocket_through_until_it_is_told_to() {
    let origin = Origin::start();
    let nginx = Proxy::before(&origin, "nginx", DEFAULT, as_it_is);
    let finding = nginx.diagnose(&origin, "https:///events", &["--listen", "5s", "--streams", "0"]).exits(1);
    let finding = finding.finding("buffered");
    assert!(finding["change"].as_str().unwrap().contains("`proxy_buffering off;`"), "{finding}");
    let lost = nginx.diagnose(&origin, "wss:///live", &["--listen", "2s"]).exits(1);
    assert_eq!(lost.findings(), ["upgrade-lost"]);
    let change = lost.finding("upgrade-lost")["change"].to_string();
    assert!(change.contains("proxy_set_header Upgrade $http_upgrade;"), "{change}");
    let nginx = Proxy::before(&origin, "nginx", STREAMING, as_it_is);
    finds_nothing(nginx.diagnose(&origin, "https:///events", &["--listen", "5s", "--streams", "5"]));
    finds_nothing(nginx.diagnose(&origin, "wss:///live", &["--listen", "2s"]));
}

#[test]
fn haproxy_cuts_what_is_quiet_and_nothing_else() {
    let origin = Origin::start();
    // Its documentation's 50 s, in 4.
    let soon = |text: String| text.replace("50000ms", "4000ms");
    let (cuts, waits) =
        (Proxy::before(&origin, "haproxy", DEFAULT, soon), Proxy::before(&origin, "haproxy", STREAMING, as_it_is));
    let quiet = ["--listen", "1s", "--streams", "0", "--quiet", "8s"];
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| cuts.diagnose(&origin, "https:///quiet", &quiet).exits(1).finding("idle-cut"));
        let uncut = scope.spawn(|| waits.diagnose(&origin, "https:///quiet", &quiet));
        finds_nothing(cuts.diagnose(&origin, "https:///events", &["--listen", "4s", "--streams", "5"]));
        // It lets a WebSocket through from HTTP/2 to HTTP/1.1.
        let ran = finds_nothing(waits.diagnose(&origin, "wss:///live", &["--listen", "2s"]));
        let seen = ran.json()["seen"].to_string();
        assert!(seen.contains("HTTP/2: open after") && seen.contains("messages, the first after"), "{seen}");
        let cut = cut.join().unwrap();
        assert!(cut["change"].as_str().unwrap().contains("HAProxy: a longer `timeout server`"), "{cut}");
        finds_nothing(uncut.join().unwrap());
    });
}

#[test]
fn caddy_as_it_begins_lets_events_through_over_every_version_of_http() {
    let origin = Origin::start();
    let all = |text: String| text.replace("protocols h2", "protocols h1 h2 h3");
    let caddy = Proxy::before(&origin, "caddy", DEFAULT, all);
    let ran = finds_nothing(caddy.diagnose(&origin, "https:///events", &["--listen", "4s", "--streams", "5"]));
    let told = ran.json();
    let each = |of: &serde_json::Value| -> Vec<String> {
        of.as_array().unwrap().iter().map(|one| one["alpn"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (each(&told["resumed"]), each(&told["streams"])),
        (vec!["h2".into(), "h1".into(), "h3".into()], each(&told["resumed"]))
    );
    let came = told["resumed"].as_array().unwrap().iter().all(|one| one["came"] == "next");
    assert!(came && told["streams"].as_array().unwrap().iter().all(|one| one["opened"] == 5), "{told}");
    let seen = told["seen"].to_string();
    assert!(seen.contains("HTTP/3: header after") && seen.contains("offered by Alt-Svc"), "{seen}");
    assert!(told["http3"]["transport"]["streams"].as_u64().unwrap() > 0, "{told}");
    let ran = finds_nothing(caddy.diagnose(&origin, "wss:///live", &["--listen", "2s"]));
    assert!(ran.out.contains("HTTP/3: open after"), "it takes one by RFC 9220: {}", ran.out);
}

#[test]
fn envoy_ends_each_answer_after_15_seconds_until_it_is_told_not_to() {
    let origin = Origin::start();
    let long = ["--listen", "18s", "--streams", "0"];
    let (ends, goes_on) =
        (Proxy::before(&origin, "envoy", DEFAULT, as_it_is), Proxy::before(&origin, "envoy", STREAMING, as_it_is));
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| ends.diagnose(&origin, "https:///events", &long).exits(1).finding("ends"));
        let open = scope.spawn(|| goes_on.diagnose(&origin, "https:///events", &long));
        let socket = |envoy: &Proxy| envoy.diagnose(&origin, "wss:///live", &["--listen", "2s"]);
        let refused = socket(&ends).exits(1).finding("upgrade-lost");
        assert!(refused["change"].as_str().unwrap().contains("`upgrade_configs:"), "{refused}");
        // https://github.com/envoyproxy/envoy/issues/8547
        let refused = socket(&goes_on).exits(1);
        assert_eq!(refused.findings(), ["socket-refused"]);
        let finding = refused.finding("socket-refused").to_string();
        assert!(finding.contains("it answers 400") && finding.contains("Envoy: without `allow_connect`"), "{finding}");
        let without = |text: String| text.replace("allow_connect: true", "allow_connect: false");
        finds_nothing(socket(&Proxy::before(&origin, "envoy", STREAMING, without)));
        let ended = ended.join().unwrap();
        assert!(ended["change"].as_str().unwrap().contains("`timeout: 0s` in the route"), "{ended}");
        assert!(ended["evidence"].to_string().contains("on HTTP/2, after 1"), "{ended}");
        finds_nothing(open.join().unwrap());
    });
}

#[test]
fn envoy_on_http_3_alone_is_diagnosed_too() {
    let origin = Origin::start();
    let envoy = Proxy::before(&origin, "envoy", (Alpn::H3, &IntermediaryConfig::Streaming), as_it_is);
    let ran = finds_nothing(envoy.diagnose(&origin, "https:///events", &["--listen", "3s", "--streams", "5"]));
    let told = ran.json();
    assert_eq!((&told["streams"][0]["alpn"], &told["streams"][0]["opened"]), (&"h3".into(), &5.into()), "{told}");
    assert_eq!(told["resumed"][0]["came"], "next", "{told}");
}
