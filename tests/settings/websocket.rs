//! WebSocket in whole trials: real browsers and the native client, on HTTP/1.1 and HTTP/2.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use transport_lab::certs::Certs;
use transport_lab::feed::{After, Cursor};
use transport_lab::server::{Options, Server};
use transport_lab::transport::{ClientSubscription, Configuration, Receipts};
use transport_lab::trial::observation::Observable;
use transport_lab::trial::{Alpn, ClientFact, ServerFact, Settings};
use transport_lab::wire::dial::{ClientConnection, Target};
use transport_lab::wire::{Pool, Sink};

use crate::run::any;

/// How long anything that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Firefox opens them one after another, as RFC 6455 section 4.1 has it: there is time for that.
const SHORT: &str = "[workload]\nsubscribers = 3\nhold = '1800ms'\nsettle = '1400ms'\ndrain = '500ms'\n\
                     events = { count = 2, rate = '10/s' }\n";

// A stream on another ALPN than the protocol names fails the trial: what completes on HTTP/2 was an extended CONNECT.
#[test]
fn every_client_reads_on_every_version_of_http_that_it_has_websocket_on() {
    let run = any(&format!(
        "[factors]\nclient = ['native', 'chromium', 'firefox', 'webkit']\nprotocol = ['websocket/h1', 'websocket/h2']\n\
         {SHORT}[websocket]\nframes = 'binary'\nfragment = '32 B'\n"
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
        assert_eq!(*metric("open-streams"), 3.0, "{levels}");
        assert_eq!(*metric("events-received"), 9.0, "{levels}");
        let connections = if levels["protocol"] == "websocket/h1" { 3.0 } else { 1.0 };
        assert_eq!(*metric("connections"), connections, "{levels}");
    }
}

#[test]
fn a_feed_that_ends_its_readers_says_so_on_the_wire() {
    let run = any(&format!(
        "[factors]\nclient = ['native', 'chromium']\nprotocol = ['websocket/h1', 'websocket/h2']\n{SHORT}\
         [expect]\ndelivery = 'observe'\ncounts = 'observe'\n[[fault]]\nat = '1s'\nkind = 'close-streams'\n"
    ));
    for trial in run.trials() {
        let closed = run.facts(trial, "closed");
        assert!(closed.len() >= 3, "{}: {}", trial["levels"], trial["reason"]);
        for fact in closed.iter().take(3) {
            let reason = fact["reason"].as_str().unwrap();
            assert!(reason.contains("closed") && reason.ends_with("1001 the feed ended its readers"), "{reason}");
        }
    }
}

/// Facts as they are seen.
type Seen<F> = Arc<Mutex<Vec<F>>>;

fn sink<F: Observable + Send + 'static>() -> (Sink<F>, Seen<F>) {
    let seen = Seen::default();
    let into = Arc::clone(&seen);
    (Sink::new(move |observation| into.lock().unwrap().push(observation.fact)), seen)
}

fn server(certs: &Arc<Certs>) -> (Server, Seen<ServerFact>) {
    let settings: Settings = serde_json::from_str("{}").unwrap();
    let (sink, seen) = sink();
    let server = Server::new(Options {
        token: None,
        control: None,
        certs: Arc::clone(certs),
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        hosts: vec![],
        origins: vec![],
        settings: settings.server,
        transports: Arc::new(Configuration::read(&settings.transports).unwrap()),
        rig: None,
        sink,
    });
    (server, seen)
}

fn certs() -> (tempfile::TempDir, Arc<Certs>) {
    let folder = tempfile::tempdir().unwrap();
    let certs = Arc::new(Certs::ensure(&folder.path().join("certs"), &[]).unwrap().0);
    (folder, certs)
}

const SENT: usize = 500;

// Both ends write as fast as they can, more than any buffer on the way holds: if one of them stopped reading for as
// long as it can't write, neither would ever go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_native_client_sends_comes_back_whole_and_in_order() {
    let (_folder, certs) = certs();
    let (mut server, _) = server(&certs);
    for alpn in [Alpn::H1, Alpn::H2] {
        let target = Target { host: "localhost".to_owned(), port: server.listen(alpn, 0).await.unwrap() };
        let pool = Pool::new(alpn, certs.ca(), true);
        let (sink, seen) = sink();
        let mut receipts = Receipts::new(0, sink);
        let (outbox, outgoing) = tokio::sync::mpsc::channel(SENT);
        for _ in 0..SENT {
            outbox.send("x".repeat(16 * 1024)).await.unwrap();
        }
        let feed = server.feed(alpn.name()).unwrap();
        let path = format!("/feeds/{}/websocket", alpn.name());
        let subscribing = ClientSubscription {
            pool: &pool,
            target: &target,
            path: &path,
            receipts: &mut receipts,
            decodes: false,
            outgoing: Some(outgoing),
            seed: 1,
        };
        let transport = (transport_lab::transport::websocket::TRANSPORT.configure)(&serde_json::json!({})).unwrap();
        let subscribed = transport.subscribe(subscribing);
        let ending = async {
            // Its readers are ended once everything has been published; what is in the log is still theirs.
            while Cursor::new(&feed, After::Now).last().seq < SENT as u64 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            feed.end_readers();
        };
        let both = async { tokio::join!(subscribed, ending).0 };
        let reason = timeout(PATIENCE, both).await.expect("neither end waits for the other").to_string();
        assert_eq!(reason, "the server closed it: 1001 the feed ended its readers", "{alpn}");
        receipts.tell();
        let seen = seen.lock().unwrap();
        let Some(ClientFact::Received { ids, .. }) = seen.last() else { panic!("{seen:?}") };
        let numbers: Vec<usize> = ids.iter().map(|id| id.split_once('-').unwrap().1.parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq(1..=SENT), "{alpn}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_ends_every_tunnel_with_its_connection() {
    let (_folder, certs) = certs();
    let (mut server, saw) = server(&certs);
    let mut tunnels = Vec::new();
    for alpn in [Alpn::H1, Alpn::H2] {
        let target = Target { host: "localhost".to_owned(), port: server.listen(alpn, 0).await.unwrap() };
        let dialled = ClientConnection::connect(&target, alpn, &certs.ca()).await.unwrap();
        let version = [("sec-websocket-version", "13")];
        let (_, tunnel) = dialled.tunnel("/feeds/news/websocket", "websocket", &version).await.unwrap();
        tunnels.push(tunnel.unwrap());
    }
    let count = |wanted: fn(&ServerFact) -> bool| saw.lock().unwrap().iter().filter(|fact| wanted(fact)).count();
    assert_eq!(count(|fact| matches!(fact, ServerFact::Attached { .. })), 2);
    server.stop().await;
    let ended = async {
        while count(|fact| matches!(fact, ServerFact::Detached { .. }))
            + count(|fact| matches!(fact, ServerFact::Disconnected { .. }))
            < 4
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.expect("subscriptions and connections end with the server");
    for mut tunnel in tunnels {
        let mut buffer = [0; 64];
        let end = async { while tunnel.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
        timeout(PATIENCE, end).await.expect("its client sees the end");
    }
}
