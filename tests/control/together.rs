//! A page and the server under test, together: does each count what the other counts?

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use tokio::time::timeout;
use transport_lab::feed::payload;
use transport_lab::server::{Options, Server};
use transport_lab::transport::Configuration;
use transport_lab::trial::clock::{monotonic_nanos, unix_micros};
use transport_lab::trial::{Alpn, ClientFact, Down, Observation, ServerFact, Up};
use transport_lab::wire::Sink;

use crate::browser::{Browser, Kind};
use crate::lab::{DEADLINE, Lab, trial};

const SUBSCRIBERS: u32 = 150;

/// Asks for 150 streams in one page of Chromium and takes a census at mid-hold. Gives back who received it.
async fn census(alpn: Alpn) -> BTreeSet<u32> {
    let lab = Lab::start().await;
    let written = Arc::new(Mutex::new(BTreeSet::new()));
    let sink = {
        let written = written.clone();
        Sink::new(move |observation: Observation<ServerFact>| {
            if let ServerFact::Written { sub: Some(sub), .. } = observation.fact {
                written.lock().unwrap().insert(sub);
            }
        })
    };
    let settings = trial(7, alpn, 0, 1, 0).settings;
    let mut server = Server::new(Options {
        certs: lab.certificate.certs.clone(),
        addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        hosts: vec![],
        origins: vec![lab.control.origin()],
        token: None,
        control: None,
        settings: settings.server,
        transports: Arc::new(Configuration::read(&settings.transports).unwrap()),
        rig: None,
        sink,
    });
    let port = server.listen(alpn, 0).await.unwrap();
    let feed = server.feed("f0").unwrap();
    let mut carrier = lab.control.open(trial(7, alpn, port, 1, SUBSCRIBERS), 1).unwrap();
    let quic = (alpn == Alpn::H3).then_some(port);
    let _browser = Browser::open_with(Kind::Chromium, &carrier.url, &lab.certificate, quic).unwrap();

    let (mut received, mut closed, mut sent) = (BTreeSet::new(), 0, 0);
    loop {
        let line = timeout(DEADLINE, carrier.up.recv()).await.expect("the page went silent").unwrap();
        match line {
            Up::Ready { .. } => carrier.down.send(Down::Go { at: monotonic_nanos() + 20_000_000 }).await.unwrap(),
            Up::Done { sent: claimed } => {
                assert_eq!(claimed, sent, "every fact that was sent has come");
                break;
            }
            Up::Saw(observation) => {
                sent += 1;
                match observation.fact {
                    ClientFact::ProbeSent => {
                        feed.publish_with("message", |seq| payload::text(1, seq, 100), unix_micros(), true);
                        // What a page received before its stream ended, it has received when it tells of the end.
                        server.end_streams();
                    }
                    ClientFact::Closed { .. } => {
                        closed += 1;
                        if closed == written.lock().unwrap().len() {
                            carrier.down.send(Down::Stop).await.unwrap();
                        }
                    }
                    ClientFact::Received { sub, ids, wrong, .. } => {
                        assert!(wrong.is_empty() && ids.len() == 1, "{sub}: {ids:?}, wrong {wrong:?}");
                        received.insert(sub);
                    }
                    _ => {}
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let written = written.lock().unwrap().clone();
    assert_eq!(received, written, "who received the census is who it was written to");
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_count_six_on_http_1() {
    assert_eq!(census(Alpn::H1).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_count_a_hundred_on_http_2() {
    assert_eq!(census(Alpn::H2).await.len(), 100);
}

// QUIC's limit is credit that requests use up (RFC 9000 section 4.6): one is gone if the page asked for anything
// before.
#[tokio::test(flavor = "multi_thread")]
async fn both_ends_count_up_to_a_hundred_on_http_3() {
    let open = census(Alpn::H3).await.len();
    assert!((99..=100).contains(&open), "{open}");
}
