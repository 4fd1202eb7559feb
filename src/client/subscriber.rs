//! The native client as a child of the lab: it opens subscriptions as the trial contract tells it.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::transport::{self, Receipts, Subscribing, Transport};
use crate::trial::clock::{monotonic_nanos, sleep_until};
use crate::trial::contract::ClientRole;
use crate::trial::rig::Rig;
use crate::trial::settings::Connections;
use crate::trial::stdio::{Input, Output};
use crate::trial::{Alpn, Down, Fact, Role, SubscriptionPlan, TrialMessage, Up};
use crate::wire::dial::{Dialled, Target};
use crate::wire::{Sink, WireError};

/// How many subscriptions the rigged client opens at most.
const CAP: usize = 4;

/// Why the native client couldn't take part.
#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    /// The first line was not a trial for a client.
    #[error("the first line must be a `trial` message with the role `client`")]
    NoTrial,
    /// No CA.
    #[error("could not read the lab's CA {path}: {reason}")]
    Ca {
        /// Where.
        path: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Takes part in one trial.
pub async fn run(rig: Option<Rig>) -> Result<(), SubscriberError> {
    let mut input = Input::default();
    let Down::Trial(trial) = input.next().await else { return Err(SubscriberError::NoTrial) };
    let TrialMessage { trial, settings, role: Role::Client(role), .. } = *trial else {
        return Err(SubscriberError::NoTrial);
    };
    let (output, thread) = Output::start();
    let Some(transport) = transport::find(&role.protocol.transport) else {
        output.send(Up::Unsupported { reason: format!("no transport `{}`", role.protocol.transport) });
        thread.finish(output);
        return Ok(());
    };
    let ca = CertificateDer::from_pem_file(&role.ca)
        .map_err(|error| SubscriberError::Ca { path: role.ca.clone(), reason: error.to_string() })?;
    let sink = {
        let output = output.clone();
        Sink::new(move |fact| output.saw(fact))
    };
    let shared = match settings.workload.connections {
        Connections::Shared => role.protocol.alpn != Alpn::H1,
        Connections::Separate => false,
    };
    let pool = Arc::new(ConnectionPool { alpn: role.protocol.alpn, ca, shared, open: Mutex::default() });
    output.send(Up::Ready { version: env!("CARGO_PKG_VERSION").to_owned() });

    let go = loop {
        match input.next().await {
            Down::Go { at } => break Some(at),
            Down::Stop => break None,
            Down::Trial(_) | Down::Inject { .. } => {}
        }
    };
    let stop = watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    if let Some(go) = go {
        let workload = &settings.workload;
        let probe_at = go + workload.ramp.nanos() + workload.hold.nanos() / 2;
        let ClientRole { subscriptions, .. } = role;
        if let Some(first) = subscriptions.first() {
            let target = Target { host: first.host.clone(), port: first.port };
            tasks.spawn(probe(trial, target, probe_at, Arc::clone(&pool), sink.clone(), stop.subscribe()));
        }
        let cap = if rig == Some(Rig::Capped) { CAP } else { usize::MAX };
        for plan in subscriptions.into_iter().take(cap) {
            tasks.spawn(subscribe(transport, plan, go, Arc::clone(&pool), sink.clone(), stop.subscribe()));
        }
        while !matches!(input.next().await, Down::Stop) {}
    }
    // Each task tells its receipts, and only then lets go of its connection.
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    drop(pool);
    thread.finish(output);
    Ok(())
}

/// Gives out connections: one per host and port, or a new one each time.
#[derive(Debug)]
struct ConnectionPool {
    alpn: Alpn,
    ca: CertificateDer<'static>,
    shared: bool,
    open: Mutex<HashMap<Target, Dialled>>,
}

impl ConnectionPool {
    async fn connect(&self, target: &Target) -> Result<Dialled, WireError> {
        if !self.shared {
            return Dialled::connect(target, self.alpn, &self.ca).await;
        }
        let mut open = self.open.lock().await;
        if let Some(shared) = open.get(target).and_then(Dialled::share) {
            return Ok(shared);
        }
        let dialled = Dialled::connect(target, self.alpn, &self.ca).await?;
        if let Some(kept) = dialled.share() {
            open.insert(target.clone(), kept);
        }
        Ok(dialled)
    }
}

async fn subscribe(
    transport: &'static Transport,
    plan: SubscriptionPlan,
    go: u64,
    connections: Arc<ConnectionPool>,
    sink: Sink,
    mut stop: watch::Receiver<bool>,
) {
    sleep_until(go + plan.open_at).await;
    let mut receipts = Receipts::new(plan.sub, sink);
    receipts.requested();
    let reading = async {
        let target = Target { host: plan.host, port: plan.port };
        let dialled = match connections.connect(&target).await {
            Ok(dialled) => dialled,
            Err(error) => return error.to_string(),
        };
        (transport.subscribe)(Subscribing { dialled, path: &plan.path, receipts: &mut receipts }).await
    };
    let ended = tokio::select! {
        reason = reading => Some(reason),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if let Some(reason) = ended {
        receipts.closed(reason);
    }
    receipts.tell();
}

/// The plain GET of mid-hold, on the connection that subscriptions to that host and port share, if they do.
async fn probe(
    trial: u32,
    target: Target,
    at: u64,
    connections: Arc<ConnectionPool>,
    sink: Sink,
    mut stop: watch::Receiver<bool>,
) {
    let probing = async {
        sleep_until(at).await;
        sink.saw(Fact::ProbeSent { t: monotonic_nanos() });
        let answer = match connections.connect(&target).await {
            Ok(dialled) => dialled.get(&format!("/ping?trial={trial}&probe=0"), &[]).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(response) => {
                sink.saw(Fact::ProbeAnswered { t: monotonic_nanos(), status: response.status.as_u16() });
            }
            Err(error) => tracing::warn!(%error, "the probe failed"),
        }
    };
    tokio::select! {
        () = probing => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
