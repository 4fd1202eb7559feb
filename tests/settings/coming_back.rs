//! What a server tells the native reader of event streams about coming back (WHATWG HTML sections 9.2.3 and 9.2.6).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use transport_lab::certs::Certs;
use transport_lab::server::{Options, Server};
use transport_lab::transport::{ClientSubscription, Configuration, Receipts, sse};
use transport_lab::trial::{Alpn, ClientFact, Settings};
use transport_lab::wire::dial::Target;
use transport_lab::wire::{Pool, Sink};

/// A server that asks to be left alone for a while, and where it is.
async fn server(certs: &Arc<Certs>) -> (Server, Target) {
    let text = r#"{"sse": {"retry": "1500ms"}}"#;
    let settings: Settings = serde_json::from_str(text).unwrap();
    let mut server = Server::new(Options {
        token: None,
        control: None,
        certs: Arc::clone(certs),
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        hosts: vec![],
        origins: vec![],
        settings: settings.server,
        transports: Arc::new(Configuration::read(&settings.transports).unwrap()),
        rig: None,
        sink: Sink::new(|_| ()),
    });
    let port = server.listen(Alpn::H2, 0).await.unwrap();
    (server, Target { host: "localhost".to_owned(), port })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_stays_away_after_a_204_or_another_type_and_comes_back_as_late_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let certs = Arc::new(Certs::ensure(&folder.path().join("certs"), &[]).unwrap().0);
    let (server, target) = server(&certs).await;
    let pool = Pool::new(Alpn::H2, certs.ca(), true);
    let (opened, is_open) = tokio::sync::watch::channel(false);
    let sink = Sink::new(move |observation| {
        _ = matches!(observation.fact, ClientFact::Opened { .. }) && opened.send_replace(true);
    });
    let transport = (sse::TRANSPORT.configure)(&serde_json::json!({})).unwrap();
    let read = async |path: &str| {
        let mut receipts = Receipts::new(0, sink.clone());
        let (pool, target) = (&pool, &target);
        let given =
            ClientSubscription { pool, target, path, receipts: &mut receipts, decodes: false, outgoing: None, seed: 1 };
        let reason = transport.subscribe(given).await.to_string();
        (reason, receipts)
    };
    for (path, says, finished) in [
        ("/ping", "204", true),
        ("/ping.svg", "no event stream but `image/svg+xml`", true),
        ("/feeds/f0/streaming", "no event stream but `application/x-ndjson`", true),
        ("/feeds/f0/pigeons", "404", false),
    ] {
        let (reason, receipts) = read(path).await;
        assert!(reason.contains(says), "{path}: {reason}");
        assert_eq!((receipts.is_finished(), receipts.retry_delay()), (finished, None), "{path}");
    }
    assert!(!*is_open.borrow(), "none of them opened");
    let mut is_open = is_open;
    let ((reason, receipts), ()) = tokio::join!(read("/feeds/f0/sse"), async {
        is_open.wait_for(|open| *open).await.unwrap();
        server.end_streams();
    });
    assert_eq!(reason, "the server ended the stream");
    assert_eq!((receipts.is_finished(), receipts.retry_delay()), (false, Some(Duration::from_millis(1500))));
    // The place in the feed, before any event.
    assert!(receipts.last().is_some_and(|last| last.ends_with("-0")), "{:?}", receipts.last());
}
