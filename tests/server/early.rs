//! Early data from clients that others wrote: openssl on TCP, aioquic on QUIC. What is safe to be said twice is
//! answered, and what isn't has to be said again (RFC 8470).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use transport_lab::certs::Certs;
use transport_lab::server::Server;
use transport_lab::trial::fact::Handshake;
use transport_lab::trial::{Alpn, ServerFact};
use transport_lab::wire::Sink;

use crate::lab::options;

/// A server that takes early data at one port, and how it came to know its clients.
async fn start(folder: &TempDir, alpn: Alpn) -> (Server, u16, Arc<std::sync::Mutex<Vec<Handshake>>>) {
    let certs = Arc::new(Certs::ensure(folder.path(), &[]).unwrap().0);
    let known = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&known);
    let sink = Sink::new(move |observation| {
        if let ServerFact::Handshake { handshake, .. } = observation.fact {
            told.lock().unwrap().push(handshake);
        }
    });
    let mut server = Server::new(options(certs, sink));
    server.take_early_data();
    let port = server.listen(alpn, 0).await.unwrap();
    (server, port, known)
}

fn request(method: &str, port: u16) -> String {
    let (path, body) = if method == "POST" { ("/feeds/news", "said twice") } else { ("/ping", "") };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// What openssl has to say of a connection on which it sends this at once, or, with a ticket, early.
fn openssl(folder: &Path, port: u16, sent: &str, early: bool) -> String {
    let (ticket, file) = (folder.join("ticket"), folder.join("request"));
    std::fs::write(&file, sent).unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-servername", "localhost", "-alpn", "http/1.1", "-ign_eof", "-connect"]);
    command.arg(format!("127.0.0.1:{port}")).arg("-CAfile").arg(folder.join("ca.pem"));
    if early {
        command.arg("-sess_in").arg(ticket).arg("-early_data").arg(file);
    } else {
        command.arg("-sess_out").arg(ticket);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("there is openssl");
    let mut stdin = child.stdin.take().unwrap();
    if !early {
        stdin.write_all(sent.as_bytes()).unwrap();
    }
    // Its end would be the connection's.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_is_answered_before_its_handshake_ends_but_may_not_publish_so() {
    let folder = tempfile::tempdir().unwrap();
    let (server, port, known) = start(&folder, Alpn::H1).await;
    for (method, status) in [("GET", "204"), ("POST", "425")] {
        let path = folder.path().to_owned();
        let said = tokio::task::spawn_blocking(move || {
            openssl(&path, port, &request("GET", port), false);
            openssl(&path, port, &request(method, port), true)
        });
        let said = said.await.unwrap();
        assert!(said.contains("Early data was accepted"), "{method}: {said}");
        assert!(said.contains(&format!("HTTP/1.1 {status}")), "{method}: {said}");
    }
    assert_eq!(*known.lock().unwrap(), [Handshake::Early; 2]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aioquic_is_answered_before_its_handshake_ends_but_may_not_publish_so() {
    let folder = tempfile::tempdir().unwrap();
    let (server, port, known) = start(&folder, Alpn::H3).await;
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("bin/python");
    assert!(python.exists(), "there is no {}; `tools/install.sh test` makes it", python.display());
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/early.py"));
    command.arg(folder.path().join("ca.pem")).arg(port.to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "early GET 204\nearly POST 425\n");
    assert_eq!(*known.lock().unwrap(), [Handshake::Early; 2]);
    server.stop().await;
}
