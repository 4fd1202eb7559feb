//! nginx with nchan: one worker, in a folder of its own, ended by its process id.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Target};

use super::measure::{PATIENCE, until};
use super::process;
use super::protocols::Case;

/// The one channel.
const CHANNEL: &str = "f0";

pub(crate) struct Nchan {
    child: Child,
    pub(crate) control: Target,
    pub(crate) port: u16,
}

impl Nchan {
    /// Starts it under the lab's certificate, with its files in this folder.
    pub(crate) async fn start(dir: &Path, certs: &Path, case: &Case) -> Result<Self, String> {
        let (program, module) = find()?;
        // Free now: nginx can't be told to choose, and nothing else on this machine is likely to take them.
        let ports: Vec<_> = {
            let held: Vec<_> = (0..2).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a port")).collect();
            held.iter().map(|port| port.local_addr().expect("an address").port()).collect()
        };
        let port = if case.protocol.alpn == Alpn::H1 { ports[0] } else { ports[1] };
        let conf = configuration(dir, &module, certs, [ports[0], ports[1]], case.rival.unwrap_or("eventsource"));
        std::fs::write(dir.join("nginx.conf"), conf).expect("a file");
        let mut command = Command::new(program);
        command.args(["-e", "error.log", "-c", "nginx.conf", "-p"]).arg(dir).stdin(Stdio::null());
        let child = process::start_server(&mut command).map_err(|error| format!("nginx doesn't start: {error}"))?;
        let mut nginx = Self { child, control: Target { host: "localhost".to_owned(), port: ports[0] }, port };
        let listens = || std::net::TcpStream::connect(("127.0.0.1", ports[0])).is_ok();
        let waited = until(PATIENCE, || listens() || matches!(nginx.child.try_wait(), Ok(Some(_)))).await;
        if waited.is_ok() && listens() {
            return Ok(nginx);
        }
        let log = std::fs::read_to_string(dir.join("error.log")).unwrap_or_default();
        Err(format!("nginx doesn't listen: {log}"))
    }

    /// Master and worker.
    pub(crate) fn pids(&self) -> Vec<u32> {
        process::family(self.child.id())
    }

    /// How many subscribers the channel has.
    pub(crate) async fn subscribers(&self, publisher: ClientConnection) -> Result<(usize, ClientConnection), String> {
        let told = publisher.get("/publish", &[("accept", "text/json")]).await.map_err(|error| error.to_string())?;
        let (body, publisher) = told.whole(4096).await.map_err(|error| error.to_string())?;
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let count = status.get("subscribers").and_then(serde_json::Value::as_u64).unwrap_or(0);
        Ok((usize::try_from(count).unwrap_or(0), publisher))
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // SIGTERM: the master ends its worker. SIGKILL would leave that behind.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

/// nginx and nchan: what `tools/install.sh bench` unpacked, or the system's.
fn find() -> Result<(PathBuf, PathBuf), String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("nginx");
    [unpacked, PathBuf::from("/")]
        .into_iter()
        .map(|root| (root.join("usr/sbin/nginx"), root.join("usr/lib/nginx/modules/ngx_nchan_module.so")))
        .find(|(program, module)| program.exists() && module.exists())
        .ok_or_else(|| "there is no nginx with nchan; tools/install.sh bench brings it".to_owned())
}

/// Tuned for this: no log, no keep-alive limit, TLS records as small as its events (`ssl_buffer_size` is what nginx
/// keeps for each connection), one channel of nchan's in memory.
fn configuration(dir: &Path, module: &Path, certs: &Path, [h1, h2]: [u16; 2], subscriber: &str) -> String {
    // Debian's nginx takes its folders for bodies to be under /var/lib/nginx unless their paths are absolute.
    let (dir, module, certs) = (dir.display(), module.display(), certs.display());
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let common = format!(
        "location = /subscribe {{ nchan_subscriber {subscriber}; nchan_channel_id {CHANNEL}; \
         nchan_subscriber_first_message newest; }}
         location = /publish {{ nchan_publisher; nchan_channel_id {CHANNEL}; }}"
    );
    format!(
        "load_module {module};
{user}
daemon off;
pid {dir}/nginx.pid;
worker_processes 1;
worker_rlimit_nofile 20000;
error_log error.log warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    ssl_certificate {certs}/server.pem;
    ssl_certificate_key {certs}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_buffer_size 4k;
    nchan_shared_memory_size 128M;
    nchan_message_buffer_length 100;
    server {{ listen 127.0.0.1:{h1} ssl; {common} }}
    server {{ listen 127.0.0.1:{h2} ssl http2; http2_max_concurrent_streams 128; {common} }}
}}
"
    )
}
