//! A native burst on HTTP/2 that leaves before the server's limit is known.

use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use transport_lab::certs::Certs;
use transport_lab::server::{Options, Server};
use transport_lab::transport::Configuration;
use transport_lab::trial::{Alpn, Settings};
use transport_lab::units::Settable;
use transport_lab::wire::Sink;
use transport_lab::wire::dial::{ClientConnection, Target};

const LIMIT: usize = 10;
const BURST: usize = 60;

/// A server that lets [`LIMIT`] streams of a connection be open, on a thread of its own; it ends when told.
fn serve(certs: &Arc<Certs>) -> (u16, tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let (port, ports) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let certs = Arc::clone(certs);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut settings: Settings = serde_json::from_str("{}").unwrap();
            settings.server.max_concurrent_streams = Settable::Set(u32::try_from(LIMIT).unwrap());
            let mut server = Server::new(Options {
                token: None,
                control: None,
                certs,
                addresses: vec![Ipv4Addr::LOCALHOST.into()],
                hosts: vec![],
                origins: vec![],
                settings: settings.server,
                transports: Arc::new(Configuration::read(&settings.transports).unwrap()),
                rig: None,
                sink: Sink::new(|_| ()),
            });
            port.send(server.listen(Alpn::H2, 0).await.unwrap()).unwrap();
            let _ = stopped.await;
            server.stop().await;
        });
    });
    (ports.recv().unwrap(), stop, thread)
}

// On one thread nothing drives the connection until all requests have been handed to it: they leave together, before
// the server's SETTINGS are read. Until then a client may assume no limit (RFC 9113 section 5.1.2).
#[tokio::test(flavor = "current_thread")]
async fn streams_beyond_a_limit_that_was_not_known_yet_are_refused_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let certs = Arc::new(Certs::ensure(&folder.path().join("certs"), &[]).unwrap().0);
    let (port, stop, server) = serve(&certs);
    let target = Target { host: "localhost".to_owned(), port };
    let dialled = ClientConnection::connect(&target, Alpn::H2, &certs.ca()).await.unwrap();
    let mut answers: FuturesUnordered<_> = (0..BURST)
        .map(|sub| {
            let dialled = dialled.try_clone().unwrap();
            async move { dialled.get(&format!("/feeds/f0/sse?trial=7&sub={sub}"), &[]).await }
        })
        .collect();
    let (mut open, mut refused) = (Vec::new(), Vec::new());
    while open.len() + refused.len() < BURST {
        match answers.next().await.unwrap() {
            Ok(response) => open.push(response),
            Err(error) => refused.push(transport_lab::text::chain(&error)),
        }
    }
    assert_eq!(open.len(), LIMIT);
    assert!(refused.iter().all(|reason| reason.contains("refused stream")), "{:?}", refused.first());
    drop((open, answers, dialled));
    let _ = stop.send(());
    server.join().unwrap();
}
