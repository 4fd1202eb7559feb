//! WebSocket in whole trials: real browsers and the native client, on HTTP/1.1 and HTTP/2.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use transport_lab::certs::Certs;
use transport_lab::server::{Options, Server};
use transport_lab::trial::{Alpn, Fact, Settings};
use transport_lab::wire::Sink;
use transport_lab::wire::dial::{Dialled, Target};

use crate::run::{any, completed};

const SHORT: &str = "[workload]\nsubscribers = 8\nhold = '1200ms'\nsettle = '800ms'\ndrain = '500ms'\n\
                     events = { count = 2, rate = '10/s' }\n";

// A stream on another ALPN than the protocol names fails the trial: what completes on HTTP/2 was an extended CONNECT.
#[test]
fn every_client_reads_on_every_version_of_http_that_it_has_websocket_on() {
    let run = any(&format!(
        "[factors]\nclient = ['native', 'chromium', 'firefox', 'webkit']\nprotocol = ['websocket/h1', 'websocket/h2']\n\
         {SHORT}[websocket]\nfragment = '32 B'\n"
    ));
    for trial in run.trials() {
        let levels = &trial["levels"];
        if levels["client"] == "webkit" && levels["protocol"] == "websocket/h2" {
            assert_eq!(trial["outcome"], "unsupported");
            assert_eq!(trial["reason"], "WebKitGTK has no WebSocket over HTTP/2 (RFC 8441)");
            continue;
        }
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let metric = |name: &str| &trial["metrics"][name]["median"];
        // Six to a host is a limit of HTTP requests; WebSockets have one of their own, which is far higher.
        assert_eq!(*metric("open-streams"), 8.0, "{levels}");
        assert_eq!(*metric("events-received"), 24.0, "{levels}");
        let connections = if levels["protocol"] == "websocket/h1" { 8.0 } else { 1.0 };
        assert_eq!(*metric("connections"), connections, "{levels}");
    }
}

#[test]
fn binary_messages_are_read_by_every_client() {
    let run = completed(&format!(
        "protocol = 'websocket/h1'\n[factors]\nclient = ['native', 'chromium', 'firefox', 'webkit']\n{SHORT}\
         [websocket]\nframes = 'binary'\n"
    ));
    for trial in run.trials() {
        assert_eq!(trial["metrics"]["events-received"]["median"], 24.0, "{}", trial["levels"]);
    }
}

#[test]
fn a_feed_that_ends_its_readers_says_so_on_the_wire() {
    let run = any(&format!(
        "[factors]\nclient = ['native', 'chromium']\nprotocol = ['websocket/h1', 'websocket/h2']\n{SHORT}\
         [expect]\ndelivery = 'observe'\ncounts = 'observe'\n[[fault]]\nat = '400ms'\nkind = 'close-streams'\n"
    ));
    for trial in run.trials() {
        let closed = run.facts(trial, "closed");
        assert!(closed.len() >= 8, "{}: {}", trial["levels"], trial["reason"]);
        for fact in closed.iter().take(8) {
            let reason = fact["reason"].as_str().unwrap();
            assert!(reason.contains("closed") && reason.ends_with("1001 the feed ended its readers"), "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_ends_every_tunnel_with_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let certs = Arc::new(Certs::ensure(&folder.path().join("certs"), &[]).unwrap().0);
    let settings: Settings = serde_json::from_str("{}").unwrap();
    let saw = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&saw);
    let mut server = Server::new(Options {
        token: None,
        certs: Arc::clone(&certs),
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        hosts: vec![],
        origins: vec![],
        settings: settings.server,
        tables: settings.transports,
        rig: None,
        sink: Sink::new(move |fact| sink.lock().unwrap().push(fact)),
    });
    let mut tunnels = Vec::new();
    for alpn in [Alpn::H1, Alpn::H2] {
        let target = Target { host: "localhost".to_owned(), port: server.listen(alpn, 0).await.unwrap() };
        let dialled = Dialled::connect(&target, alpn, &certs.ca()).await.unwrap();
        let version = [("sec-websocket-version", "13")];
        let (_, tunnel) = dialled.tunnel("/feeds/news/websocket", "websocket", &version).await.unwrap();
        tunnels.push(tunnel.unwrap());
    }
    let count = |wanted: fn(&Fact) -> bool| saw.lock().unwrap().iter().filter(|fact| wanted(fact)).count();
    assert_eq!(count(|fact| matches!(fact, Fact::Attached { .. })), 2);
    server.stop().await;
    assert_eq!(count(|fact| matches!(fact, Fact::Detached { .. })), 2, "at once, not when somebody notices");
    assert_eq!(count(|fact| matches!(fact, Fact::Disconnected { .. })), 2);
    for mut tunnel in tunnels {
        let mut buffer = [0; 64];
        let end = async { while tunnel.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
        timeout(Duration::from_secs(10), end).await.expect("its client sees the end");
    }
}
