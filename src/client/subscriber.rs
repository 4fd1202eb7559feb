//! The native client as a child of the lab: it opens subscriptions as the trial contract tells it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::transport::{self, Receipts, Subscribing, Transport};
use crate::trial::clock::{monotonic_nanos, sleep_until};
use crate::trial::contract::ClientRole;
use crate::trial::rig::Rig;
use crate::trial::settings::{Beside, Connections, Opening};
use crate::trial::stdio::{Input, Output};
use crate::trial::{Down, Fact, Role, SubscriptionPlan, TrialMessage, Up};
use crate::wire::dial::Target;
use crate::wire::{Pool, Sink, WireError};

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
    let TrialMessage { trial, seed, settings, role: Role::Client(role), .. } = *trial else {
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
    let shared = settings.workload.connections == Connections::Shared;
    let pool = Arc::new(Pool::new(role.protocol.alpn, ca, shared));
    if settings.workload.open == Opening::AfterSettings
        && let Err(error) = warm(trial, &role.subscriptions, &pool).await
    {
        output.send(Up::Failed { reason: format!("the request before `go` was not answered: {error}") });
        thread.finish(output);
        return Ok(());
    }
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
            for (actor, Beside { at, .. }) in (0..).zip(&settings.beside) {
                let errand =
                    Errand { target: target.clone(), at: go + at.nanos(), what: What::Beside { trial, actor } };
                tasks.spawn(run_errand(errand, Arc::clone(&pool), sink.clone(), stop.subscribe()));
            }
            let errand = Errand { target, at: probe_at, what: What::Probe { trial } };
            tasks.spawn(run_errand(errand, Arc::clone(&pool), sink.clone(), stop.subscribe()));
        }
        let table = settings.transports.get(transport.name).cloned();
        let table = Arc::new(table.unwrap_or_else(|| serde_json::json!({})));
        let cap = if rig == Some(Rig::Capped) { CAP } else { usize::MAX };
        for plan in subscriptions.into_iter().take(cap) {
            let reading = Reading {
                transport,
                table: Arc::clone(&table),
                pool: Arc::clone(&pool),
                seed: seed ^ u64::from(plan.sub).rotate_left(32),
                plan,
            };
            tasks.spawn(subscribe(reading, go, sink.clone(), stop.subscribe()));
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

/// Asks each host and port for something, one after another in the order in which subscriptions will open, on the
/// connection that they will share. Once it has answered, its SETTINGS have come (RFC 9113 section 3.4: they are the
/// first frame), or its transport parameters.
async fn warm(trial: u32, plans: &[SubscriptionPlan], pool: &Pool) -> Result<(), WireError> {
    let mut asked: Vec<Target> = Vec::new();
    for plan in plans {
        let target = Target { host: plan.host.clone(), port: plan.port };
        if !asked.contains(&target) {
            pool.connect(&target).await?.get(&format!("/ping?trial={trial}&warm={}", asked.len()), &[]).await?;
            asked.push(target);
        }
    }
    Ok(())
}

/// One subscription, and what it needs.
struct Reading {
    transport: &'static Transport,
    table: Arc<serde_json::Value>,
    pool: Arc<Pool>,
    seed: u64,
    plan: SubscriptionPlan,
}

async fn subscribe(reading: Reading, go: u64, sink: Sink, mut stop: watch::Receiver<bool>) {
    let Reading { transport, table, pool, seed, plan } = reading;
    sleep_until(go + plan.open_at).await;
    let mut receipts = Receipts::new(plan.sub, sink);
    receipts.requested();
    let target = Target { host: plan.host, port: plan.port };
    let subscribing = Subscribing {
        pool: &pool,
        target: &target,
        path: &plan.path,
        table: &table,
        receipts: &mut receipts,
        outgoing: None,
        seed,
    };
    let ended = tokio::select! {
        reason = (transport.subscribe)(subscribing) => Some(reason),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    if let Some(reason) = ended {
        receipts.closed(reason);
    }
    receipts.tell();
}

/// A plain GET at its time, on the connection that subscriptions to that host and port share, if they do.
struct Errand {
    target: Target,
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    at: u64,
    what: What,
}

/// Whose request it is.
#[derive(Clone, Copy)]
enum What {
    /// That of mid-hold.
    Probe { trial: u32 },
    /// Another actor's, by its place in `beside`.
    Beside { trial: u32, actor: u32 },
}

impl What {
    fn path(self) -> String {
        match self {
            Self::Probe { trial } => format!("/ping?trial={trial}&probe=0"),
            Self::Beside { trial, actor } => format!("/ping?trial={trial}&beside={actor}"),
        }
    }

    fn sent(self) -> Fact {
        let t = monotonic_nanos();
        match self {
            Self::Probe { .. } => Fact::ProbeSent { t },
            Self::Beside { actor, .. } => Fact::BesideSent { t, actor },
        }
    }

    /// `None`: the journal has no word for a probe that failed, which is not the same as one that waits.
    fn answered(self, answer: Result<u16, WireError>) -> Option<Fact> {
        let t = monotonic_nanos();
        match (self, answer) {
            (Self::Probe { .. }, Ok(status)) => Some(Fact::ProbeAnswered { t, status }),
            (Self::Probe { .. }, Err(error)) => {
                tracing::warn!(%error, "the probe failed");
                None
            }
            (Self::Beside { actor, .. }, answer) => {
                let how = answer.map_or_else(|error| error.to_string(), |status| status.to_string());
                Some(Fact::BesideAnswered { t, actor, how })
            }
        }
    }
}

async fn run_errand(errand: Errand, connections: Arc<Pool>, sink: Sink, mut stop: watch::Receiver<bool>) {
    let Errand { target, at, what } = errand;
    let asking = async {
        sleep_until(at).await;
        sink.saw(what.sent());
        let answer = match connections.connect(&target).await {
            Ok(dialled) => dialled.get(&what.path(), &[]).await,
            Err(error) => Err(error),
        };
        if let Some(fact) = what.answered(answer.map(|response| response.status.as_u16())) {
            sink.saw(fact);
        }
    };
    tokio::select! {
        () = asking => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
