//! One measurement: a server, its subscribers, and events sent to them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use transport_lab::certs::Certs;
use transport_lab::trial::clock::{monotonic_nanos, sleep_until};
use transport_lab::trial::{Alpn, Protocol};
use transport_lab::wire::dial::ClientConnection;

use super::broker::BrokerProcess;
use super::lab::Lab;
use super::load::{Load, Report, Spec};
use super::nchan::Nchan;
use super::protocols::{Case, Reader, Subject};
use super::{Extent, process, stamp};

/// How long anything may take that should be there soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How long the last event may take.
const DRAIN: Duration = Duration::from_secs(10);
/// What comes after the last event in place of that where the load doesn't say that it has them all: native readers.
/// Three times the interval of polling.
const NATIVE_DRAIN: Duration = Duration::from_secs(3);
/// From the last subscription to the first event.
const SETTLE: Duration = Duration::from_millis(500);

/// What one measurement gave.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) protocol: Protocol,
    /// Subscriptions on each connection.
    pub(crate) per_connection: usize,
    pub(crate) subject: Subject,
    /// CPU time of the server per delivery, in microseconds.
    pub(crate) cpu: f64,
    /// Resident bytes of the server per subscriber: once all are there, and after the deliveries.
    pub(crate) idle: f64,
    pub(crate) memory: f64,
    pub(crate) report: Report,
}

impl Measured {
    /// Whether every subscriber received every event, once and in order.
    pub(crate) fn is_whole(&self, extent: &Extent) -> bool {
        self.report.received == extent.subscribers * extent.events && self.report.disordered == 0
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, idle, memory, report, .. } = self;
        let Report { received, disordered, p50, p99, .. } = report;
        write!(f, "{received} received, {cpu:.2} µs each, {:.1} kB idle, {:.1} kB, ", idle / 1e3, memory / 1e3)?;
        if let (Some(p50), Some(p99)) = (p50, p99) {
            write!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms")?;
        }
        if *disordered > 0 {
            write!(f, ", {disordered} out of order")?;
        }
        report.closed.first().map_or(Ok(()), |why| write!(f, "; {} ended, first: {why}", report.closed.len()))
    }
}

enum Server {
    Lab(Lab),
    Nchan(Nchan),
    /// With the node of NATS, which ends after it.
    Shared(Lab, #[expect(dead_code, reason = "held until the server has ended")] BrokerProcess),
}

impl Server {
    fn pids(&self) -> Vec<u32> {
        match self {
            Self::Lab(lab) | Self::Shared(lab, _) => lab.pids(),
            Self::Nchan(nchan) => nchan.pids(),
        }
    }
}

/// Measures one subject once.
pub(crate) async fn measure(extent: &Extent, case: &Case, subject: Subject) -> Result<Measured, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (certs, _) = Certs::ensure(dir.path(), &[]).map_err(|error| error.to_string())?;
    let nginx = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = match subject {
        Subject::Lab => Server::Lab(Lab::start(dir.path(), case, None)?),
        Subject::Shared => {
            let node = BrokerProcess::start(nginx.path())?;
            let lab = Lab::start(dir.path(), case, Some(node.options.clone()))?;
            Server::Shared(lab, node)
        }
        Subject::Nchan => Server::Nchan(Nchan::start(nginx.path(), dir.path(), case).await?),
    };
    let (control, port, to) = match &server {
        Server::Lab(lab) | Server::Shared(lab, _) => (&lab.control, lab.port, "/feeds/f0"),
        Server::Nchan(nchan) => (&nchan.control, nchan.port, "/publish"),
    };
    let connected = ClientConnection::connect(control, Alpn::H1, &certs.ca()).await;
    let mut publisher = connected.map_err(|error| error.to_string())?;
    // What the first event of all costs is nobody's delivery.
    publisher = publish(publisher, to, stamp::data(0)).await?.1;
    let pids = server.pids();
    let before = process::resident(&pids);

    let mut load = Load::start(&Spec::new(extent, case, subject, port, certs.ca_path()))?;
    let begun = Instant::now();
    loop {
        let (count, again) = match &server {
            Server::Lab(lab) | Server::Shared(lab, _) => (lab.subscribers(), publisher),
            Server::Nchan(nchan) => nchan.subscribers(publisher).await?,
        };
        publisher = again;
        // A poll is no subscription that the server could count.
        let open = if case.reader == Reader::Native { load.has_opened() } else { count >= extent.subscribers };
        if open {
            break;
        }
        if begun.elapsed() > PATIENCE || load.has_ended() {
            return Err(format!("{count} of {} subscribers; {}", extent.subscribers, load.last_words()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(SETTLE).await;

    let idle = process::resident(&pids);
    let used = process::cpu(&pids);
    let mut sent = BTreeMap::new();
    let first = monotonic_nanos();
    for k in 0..extent.events {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds from now")]
        sleep_until(first + (k as f64 / extent.rate * 1e9) as u64).await;
        let now = monotonic_nanos();
        let (id, again) = publish(publisher, to, stamp::data(now)).await?;
        sent.insert(id, now);
        publisher = again;
    }
    let patience = if case.reader == Reader::Native { NATIVE_DRAIN } else { DRAIN };
    let _ = until(patience, || load.has_finished()).await;
    let used = process::cpu(&pids).saturating_sub(used);
    let after = process::resident(&pids);
    let report = load.report(&sent)?;
    let per_subscriber = |bytes: u64| bytes.saturating_sub(before) as f64 / extent.subscribers as f64;
    Ok(Measured {
        protocol: case.protocol.clone(),
        per_connection: case.per_connection,
        subject,
        cpu: used.as_secs_f64() * 1e6 / report.received.max(1) as f64,
        idle: per_subscriber(idle),
        memory: per_subscriber(after),
        report,
    })
}

/// Publishes an event; gives back its id, where the server says so, and the connection.
async fn publish(publisher: ClientConnection, to: &str, data: String) -> Result<(String, ClientConnection), String> {
    let fields = [("content-type", "text/plain")];
    let answer = publisher.request(http::Method::POST, to, &fields, Bytes::from(data)).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("publishing was answered {}", answer.status));
    }
    let (body, publisher) = answer.whole(4096).await.map_err(|error| error.to_string())?;
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = said.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
    Ok((id.to_owned(), publisher))
}

/// Waits until this is so.
pub(crate) async fn until(patience: Duration, mut so: impl FnMut() -> bool) -> Result<(), ()> {
    let begun = Instant::now();
    while !so() {
        if begun.elapsed() > patience {
            return Err(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
