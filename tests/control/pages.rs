//! The trial contract, run by real browsers from `ready` to `done`.

use std::collections::BTreeSet;

use tokio::time::timeout;
use transport_lab::control::PageCarrier;
use transport_lab::trial::clock::monotonic_nanos;
use transport_lab::trial::{Alpn, ClientFact, Down, Observation, Up};

use crate::browser::{Browser, Kind};
use crate::feed_server::{FeedServer, content};
use crate::lab::{DEADLINE, Lab, trial};

type Seen = Observation<ClientFact>;

/// What the runner sees of a trial.
struct Watched {
    carrier: PageCarrier,
    facts: Vec<Seen>,
}

impl Watched {
    async fn next(&mut self) -> Up<ClientFact> {
        let line = timeout(DEADLINE, self.carrier.up.recv()).await.expect("the pages went silent");
        let line = line.expect("the trial is open");
        if let Up::Saw(fact) = &line {
            self.facts.push(fact.clone());
        }
        line
    }

    async fn ready(&mut self) -> String {
        loop {
            match self.next().await {
                Up::Ready { version } => return version,
                Up::Saw(_) => {}
                other => panic!("before ready: {other:?}"),
            }
        }
    }

    /// Reads on until `enough` facts have come.
    async fn until(&mut self, enough: impl Fn(&[Seen]) -> bool) {
        while !enough(&self.facts) {
            let line = self.next().await;
            assert!(matches!(line, Up::Saw(_)), "{line:?}");
        }
    }

    /// Reads to `done` and gives what it claims.
    async fn done(&mut self) -> u64 {
        loop {
            match self.next().await {
                Up::Done { sent } => return sent,
                Up::Saw(_) => {}
                other => panic!("after stop: {other:?}"),
            }
        }
    }

    async fn order(&self, line: Down) {
        self.carrier.down.send(line).await.unwrap();
    }
}

fn count(facts: &[Seen], what: impl Fn(&ClientFact) -> bool) -> usize {
    facts.iter().filter(|seen| what(&seen.fact)).count()
}

fn is_opened(fact: &ClientFact) -> bool {
    matches!(fact, ClientFact::Opened { .. })
}

/// Runs a whole trial in a real browser: two good events, a wrong one, a gap.
async fn runs_the_whole_contract(kind: Kind, alpn: Alpn, pages: u32, subscribers: u32, holds: u32) {
    let lab = Lab::start().await;
    let server = FeedServer::start(&lab.certificate, alpn).await;
    let carrier = lab.control.open(trial(7, alpn, server.port, pages, subscribers), pages).unwrap();
    let url = carrier.url.clone();
    let mut watched = Watched { carrier, facts: vec![] };
    let _browser = Browser::open(kind, &url, &lab.certificate).expect("the test command installs the browsers");
    let version = watched.ready().await;
    println!("{kind:?}: {version}");
    let known = match kind {
        Kind::Chromium => "Chrom",
        Kind::Firefox => "Firefox ",
        Kind::WebKit => "AppleWebKit",
    };
    assert!(version.contains(known), "{version}");

    let go = monotonic_nanos() + 50_000_000;
    watched.order(Down::Go { at: go }).await;
    watched.until(|facts| count(facts, is_opened) == holds as usize).await;
    let published = monotonic_nanos();
    server.publish("k3f9-17", &content(17, "filler~"));
    server.publish("k3f9-18", &content(18, "filler~").replace("filler", "killer"));
    server.gap(r#"{"missed":12,"first":"k3f9-30"}"#);
    server.publish("k3f9-30", &content(30, "filler~"));
    watched.until(|facts| count(facts, |fact| matches!(fact, ClientFact::Gap { .. })) == holds as usize).await;
    let probed = |facts: &[Seen]| count(facts, |fact| matches!(fact, ClientFact::ProbeSent)) == 1;
    let answered =
        |facts: &[Seen]| count(facts, |fact| matches!(fact, ClientFact::ProbeAnswered { status: 204, .. })) == 1;
    // HTTP/1.1 has no connection left for the probe, so there is nothing to wait for.
    watched.until(|facts| probed(facts) && (alpn == Alpn::H1 || answered(facts))).await;
    watched.order(Down::Stop).await;
    let sent = watched.done().await;
    let over = monotonic_nanos();

    let facts = watched.facts;
    assert_eq!(sent, facts.len() as u64, "every fact that was sent has come");
    assert_eq!(answered(&facts), alpn != Alpn::H1, "a plain request waits while all connections carry streams");
    let mut unsure = 0;
    let mut shown = 0;
    for Observation { fact, .. } in &facts {
        if let ClientFact::Clock { uncertainty, step, visibility, isolated, .. } = fact {
            println!("clock of {kind:?}: ±{uncertainty} ns, step {step} ns, {visibility}, isolated {isolated}");
            assert!(*uncertainty > 0 && *uncertainty < 100_000_000, "{fact:?}");
            assert!(*isolated, "a page without isolation has a coarse clock");
            unsure = unsure.max(*uncertainty);
            shown += 1;
        }
    }
    assert_eq!(shown, pages);
    let mut requested = BTreeSet::new();
    let mut received = BTreeSet::new();
    for Observation { t, fact } in &facts {
        match fact {
            ClientFact::Requested { sub } => {
                assert!(*t + unsure >= go && *t < over, "{fact:?} and go was {go}");
                requested.insert(*sub);
            }
            ClientFact::Received { times, sub, ids, wrong } => {
                assert_eq!(ids.iter().collect::<Vec<_>>(), ["k3f9-17", "k3f9-18", "k3f9-30"]);
                assert_eq!(wrong, &["k3f9-18"], "content that was changed is seen");
                assert!(times.iter().all(|t| *t + unsure >= published && *t < over), "{fact:?}, published {published}");
                assert!(times.is_sorted());
                assert!(received.insert(*sub), "few receipts are told in one line");
            }
            ClientFact::Gap { missed, first, .. } => {
                assert_eq!((*missed, first.as_deref()), (Some(12), Some("k3f9-30")));
            }
            ClientFact::Closed { reason, .. } => panic!("no stream closed before stop: {reason}"),
            other => assert!(*t < over, "{other:?}"),
        }
    }
    assert_eq!(requested, (0..subscribers).collect(), "each subscription is asked for once");
    assert_eq!(received.len(), holds as usize, "each open stream received");
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_runs_the_whole_contract() {
    runs_the_whole_contract(Kind::Chromium, Alpn::H2, 1, 20, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_runs_the_whole_contract() {
    runs_the_whole_contract(Kind::Firefox, Alpn::H2, 1, 20, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webkit_runs_the_whole_contract() {
    runs_the_whole_contract(Kind::WebKit, Alpn::H2, 1, 20, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_keeps_the_probe_waiting_and_the_contract_going() {
    runs_the_whole_contract(Kind::Chromium, Alpn::H1, 1, 8, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pages_are_one_client_in_chromium() {
    runs_the_whole_contract(Kind::Chromium, Alpn::H2, 2, 10, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pages_are_one_client_in_firefox() {
    runs_the_whole_contract(Kind::Firefox, Alpn::H2, 2, 10, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_browser_is_told_to_the_runner() {
    let lab = Lab::start().await;
    let carrier = lab.control.open(trial(7, Alpn::H2, 9, 1, 0), 1).unwrap();
    let url = carrier.url.clone();
    let mut watched = Watched { carrier, facts: vec![] };
    let mut browser = Browser::open(Kind::Chromium, &url, &lab.certificate).unwrap();
    watched.ready().await;
    browser.kill();
    let line = watched.next().await;
    assert!(matches!(&line, Up::Failed { reason } if reason.contains("page 0 went away")), "{line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_breaks_ends_the_trial_with_its_message() {
    let lab = Lab::start().await;
    let mut message = trial(7, Alpn::H2, 9, 1, 1);
    message.settings.protocol.transport = "pigeon".into();
    if let transport_lab::trial::Role::Client(client) = &mut message.role {
        client.protocol.transport = "pigeon".into();
    }
    let carrier = lab.control.open(message, 1).unwrap();
    let url = carrier.url.clone();
    let mut watched = Watched { carrier, facts: vec![] };
    let _browser = Browser::open(Kind::Chromium, &url, &lab.certificate).unwrap();
    let line = watched.next().await;
    assert!(matches!(&line, Up::Failed { reason } if reason.contains("pigeon.js")), "{line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_receipts_are_all_told_and_checked() {
    // 10 MB: more than a page keeps for checking, and many lines.
    const EVENTS: u32 = 10_000;
    let filler = "x".repeat(1000);
    let lab = Lab::start().await;
    let server = FeedServer::start(&lab.certificate, Alpn::H2).await;
    let carrier = lab.control.open(trial(7, Alpn::H2, server.port, 1, 1), 1).unwrap();
    let url = carrier.url.clone();
    let mut watched = Watched { carrier, facts: vec![] };
    let _browser = Browser::open(Kind::Chromium, &url, &lab.certificate).unwrap();
    watched.ready().await;
    watched.order(Down::Go { at: monotonic_nanos() }).await;
    watched.until(|facts| count(facts, is_opened) == 1).await;
    for sequence in 0..EVENTS {
        let data = content(sequence, &filler);
        let wrong = sequence % 1000 == 999;
        server.publish(&format!("k3f9-{sequence}"), &if wrong { data.replace("xxx", "xyx") } else { data });
    }
    // The gap comes after all events on the same stream.
    server.gap("{}");
    watched
        .until(|facts| count(facts, |fact| matches!(fact, ClientFact::Gap { missed: None, first: None, .. })) == 1)
        .await;
    watched.order(Down::Stop).await;
    let sent = watched.done().await;
    assert_eq!(sent, watched.facts.len() as u64);
    let (mut all, mut bad, mut lines) = (vec![], vec![], 0);
    for Observation { fact, .. } in watched.facts {
        if let ClientFact::Received { ids, wrong, times, .. } = fact {
            assert_eq!(ids.len(), times.len());
            all.extend(ids.iter().map(str::to_owned));
            bad.extend(wrong);
            lines += 1;
        }
    }
    assert!(all.into_iter().eq((0..EVENTS).map(|sequence| format!("k3f9-{sequence}"))));
    assert!(bad.into_iter().eq((0..10).map(|thousand| format!("k3f9-{thousand}999").replace("k3f9-0", "k3f9-"))));
    assert!(lines > 2, "{lines} lines");
}
