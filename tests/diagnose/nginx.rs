//! nginx as it is, between a reader and the lab's own server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::lab::{Lab, Ran, diagnose, free_port, installed, until};

/// It ends when dropped.
struct Nginx {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    /// A proxy before the lab, with this in the location.
    fn before(lab: &Lab, location: &str) -> Self {
        let origin = lab.base + 1;
        let proxy = format!("location / {{ proxy_pass https://127.0.0.1:{origin}; proxy_ssl_verify off; {location} }}");
        Self::start(&find(), lab, "", &proxy)
    }

    /// One with this before everything else, and this in its server.
    fn start(program: &Path, lab: &Lab, first: &str, server: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let text = configuration(folder.path(), lab, port, (first, server));
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let mut command = Command::new(program);
        command.args(["-e", "error.log", "-c", "nginx.conf", "-p"]).arg(folder.path()).stdin(Stdio::null());
        let mut process = command.spawn().expect("nginx starts");
        until("nginx", || {
            let log = || fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
            assert!(process.try_wait().unwrap().is_none(), "it ended: {}", log());
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { process, port, _folder: folder }
    }

    fn diagnose(&self, lab: &Lab, more: &[&str]) -> Ran {
        let url = format!("https://localhost:{}/feeds/news/sse", self.port);
        diagnose(&url, &[&["--ca", &lab.ca()], more].concat())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM: the master ends its worker. SIGKILL would leave that behind.
        let _ = kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

/// What the test command has unpacked, or the system's.
fn find() -> PathBuf {
    let unpacked = installed("nginx/usr/sbin/nginx");
    [unpacked, PathBuf::from("/usr/sbin/nginx")]
        .into_iter()
        .find(|program| program.exists())
        .expect("the test command (tools/install.sh test) unpacks nginx")
}

fn configuration(folder: &Path, lab: &Lab, port: u16, (first, server): (&str, &str)) -> String {
    let (folder, certs) = (folder.display(), lab.certs().display());
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{first}
{user}
daemon off;
pid {folder}/nginx.pid;
worker_processes 1;
error_log error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ssl_certificate {certs}/server.pem;
    ssl_certificate_key {certs}/server.key;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        {server}
    }}
}}
"
    )
}

/// Publishes the time to nchan ten times a second, until the other end is gone.
fn publish(url: &str, ca: &str) -> Child {
    let script = format!(
        "while curl -sf --cacert {ca} -o /dev/null --data \"{{\\\"time\\\": $(date +%s%3N)}}\" {url}; do sleep 0.1; done"
    );
    Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn nchan_tells_what_was_missed_and_only_its_cache_control_is_advised_about() {
    let lab = Lab::serve();
    let unpacked = installed("nginx/usr");
    let module = format!("load_module {}/lib/nginx/modules/ngx_nchan_module.so;", unpacked.display());
    let locations = "location /pub { nchan_publisher; nchan_channel_id x; nchan_message_buffer_length 100; }
        location /sub { nchan_subscriber; nchan_channel_id x; nchan_subscriber_first_message newest; }";
    let nginx = Nginx::start(&unpacked.join("sbin/nginx"), &lab, &module, locations);
    let url = |scheme: &str, path: &str| format!("{scheme}://localhost:{}{path}", nginx.port);
    let mut publisher = publish(&url("https", "/pub"), &lab.ca());
    let ca = lab.ca();
    let ran = diagnose(&url("https", "/sub"), &["--ca", &ca, "--listen", "3s", "--streams", "5"]).exits(0);
    let socket = diagnose(&url("wss", "/sub"), &["--ca", &ca, "--listen", "2s"]).exits(0);
    drop(nginx);
    publisher.wait().unwrap();
    assert_eq!(ran.findings(), ["no-cache-control"], "advice: it has none");
    let resumed = &ran.json()["resumed"];
    assert_eq!((&resumed[0]["came"], &resumed[1]["came"]), (&"next".into(), &"next".into()), "{resumed}");
    assert_eq!(socket.findings(), [""; 0]);
    assert!(socket.out.contains("messages, the first after"), "{}", socket.out);
}

#[test]
fn nginx_that_buffers_is_named_with_its_line_where_events_come_and_where_none_do() {
    let lab = Lab::serve();
    let nginx = Nginx::before(&lab, "");
    let quiet = nginx.diagnose(&lab, &["--listen", "2s"]).exits(1);
    let finding = quiet.finding("held-back");
    assert!(finding["change"].as_str().unwrap().contains("`proxy_buffering off;`"), "{finding}");
    // More in a second than nginx gathers.
    let _publisher = lab.publishing("news", Duration::from_millis(50), 120);
    let flowing = nginx.diagnose(&lab, &["--listen", "5s"]).exits(1);
    let finding = flowing.finding("buffered");
    assert!(finding["change"].as_str().unwrap().contains("`proxy_buffering off;`"), "{finding}");
    assert!(finding["change"].as_str().unwrap().contains("X-Accel-Buffering: no"), "{finding}");
}

#[test]
fn in_nginx_that_does_not_buffer_nothing_is_found() {
    let lab = Lab::serve();
    let nginx = Nginx::before(&lab, "proxy_buffering off;");
    assert_eq!(nginx.diagnose(&lab, &["--listen", "2s"]).exits(0).findings(), [""; 0], "where nothing happens");
    let _publisher = lab.publishing("news", Duration::from_millis(50), 120);
    let ran = nginx.diagnose(&lab, &[]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    let told = ran.json();
    let seen = told["seen"].to_string();
    assert!(seen.contains("HTTP/2: header after") && seen.contains("HTTP/1.1: header after"), "on both: {seen}");
    assert_eq!((&told["resumed"][0]["came"], &told["streams"][0]["opened"]), (&"next".into(), &20.into()), "{told}");
}

#[test]
fn in_nginx_that_compresses_and_flushes_nothing_is_found() {
    let lab = Lab::serve();
    // nginx flushes what it compresses where it doesn't buffer; it compresses what HTTP/1.1 says, and not what 1.0 does.
    let location =
        "proxy_buffering off; proxy_http_version 1.1; gzip on; gzip_types text/event-stream; gzip_proxied any;";
    let nginx = Nginx::before(&lab, location);
    let _publisher = lab.publishing("news", Duration::from_millis(200), 20);
    let ran = nginx.diagnose(&lab, &["--listen", "4s", "--streams", "0"]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    assert!(ran.json()["seen"].to_string().contains("gzip when asked as browsers do"), "{}", ran.out);
}

#[test]
fn nginx_that_cuts_what_is_quiet_is_named_with_its_line() {
    let lab = Lab::serve();
    let nginx = Nginx::before(&lab, "proxy_buffering off; proxy_read_timeout 4s;");
    let ran = nginx.diagnose(&lab, &["--listen", "1s", "--streams", "0", "--quiet", "8s"]).exits(1);
    let finding = ran.finding("idle-cut");
    assert!(finding["change"].as_str().unwrap().contains("proxy_read_timeout"), "{finding}");
}
