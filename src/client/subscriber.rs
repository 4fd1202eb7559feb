//! The native client as a child of the lab: it opens subscriptions as the trial contract tells it.

mod backoff;
mod preparing;
mod probe;
mod sending;
mod stuck;
mod subscription;

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::text::chain;
use crate::transport::{self, Configured};
use crate::trial::contract::ClientRole;
use crate::trial::rig::Rig;
use crate::trial::settings::{Connections, Direction, StuckDirection, StuckOn, Workload};
use crate::trial::stdio::{Input, Output};
use crate::trial::{Alpn, ClientFact, Down, Role, Settings, TrialMessage, Up};
use crate::units::{Size, Span};
use crate::wire::dial::{Target, Windows};
use crate::wire::{Pool, Sink, versions};
use probe::{Download, Probe, ProbeKind};
use sending::Sender;
use subscription::SubscriptionTask;

/// How many subscriptions the rigged client opens at most.
const CAP: usize = 4;

/// Why the native client couldn't take part.
#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    /// The first line was not a trial for a client.
    #[error("the first line must be a `trial` message with the role `client`")]
    NoTrial,
    #[error("could not read the lab's CA {path}: {reason}")]
    Ca { path: std::path::PathBuf, reason: String },
}

/// Takes part in one trial.
pub async fn run(rig: Option<Rig>) -> Result<(), SubscriberError> {
    let mut input = Input::default();
    let Down::Trial(trial) = input.next().await else { return Err(SubscriberError::NoTrial) };
    let TrialMessage { trial, seed, settings, role: Role::Client(role), .. } = *trial else {
        return Err(SubscriberError::NoTrial);
    };
    let (output, thread) = Output::start();
    let (row, transport) = match transport::of(&settings) {
        Ok((row, transport)) => (row, Arc::<dyn Configured>::from(transport)),
        Err(error) => {
            output.send(Up::Unsupported { reason: chain(&error) });
            thread.finish(output);
            return Ok(());
        }
    };
    let ca = CertificateDer::from_pem_file(&role.ca)
        .map_err(|error| SubscriberError::Ca { path: role.ca.clone(), reason: error.to_string() })?;
    let sink = {
        let output = output.clone();
        Sink::new(move |observation| output.record(observation))
    };
    let shared = settings.workload.connections == Connections::Shared;
    let connections = |shared| Arc::new(connections(&settings, Pool::new(role.protocol.alpn, ca.clone(), shared)));
    let pool = connections(shared);
    let stuck_on = match settings.workload.stuck_on {
        StuckOn::Own => connections(false),
        StuckOn::Shared => Arc::clone(&pool),
    };
    if let Err(error) = preparing::prepare(trial, &settings.workload, &role.subscriptions, &pool).await {
        output.send(Up::Failed {
            reason: format!("what there is to be before `go` could not be had: {}", chain(&error)),
        });
        thread.finish(output);
        return Ok(());
    }
    output.send(Up::Ready { version: env!("CARGO_PKG_VERSION").to_owned() });

    let go = go_at(&mut input).await;
    let stop = watch::Sender::new(false);
    let mut tasks = JoinSet::new();
    if let Some(go) = go {
        let workload = &settings.workload;
        let probe_at = go + workload.ramp.nanos() + workload.hold.nanos() / 2;
        let ClientRole { subscriptions, stuck, .. } = role;
        if let Some(first) = subscriptions.first() {
            let target = Target { host: first.host.clone(), port: first.port };
            for (actor, beside) in (0..).zip(&settings.beside) {
                let what = ProbeKind::Beside { trial, actor, download: Download::of(beside) };
                let errand = Probe { target: target.clone(), at: go + beside.at.nanos(), what };
                tasks.spawn(probe::run(errand, Arc::clone(&pool), sink.clone(), stop.subscribe()));
            }
            // Raw QUIC has no requests to probe with.
            if workload.probe && pool.alpn != Alpn::Quic {
                let errand = Probe { target, at: probe_at, what: ProbeKind::Probe { trial } };
                tasks.spawn(probe::run(errand, Arc::clone(&pool), sink.clone(), stop.subscribe()));
            }
        }
        let cap = if rig == Some(Rig::Capped) { CAP } else { usize::MAX };
        for plan in stuck {
            let (pool, stop) = (Arc::clone(&stuck_on), stop.subscribe());
            match workload.stuck_direction {
                StuckDirection::Down => tasks.spawn(stuck::read(Arc::clone(&transport), plan, pool, stop)),
                StuckDirection::Up => tasks.spawn(stuck::send(plan, pool, stop)),
            };
        }
        let mut sender = Sender::new(seed, workload.events.size.bytes(), go, sink.clone());
        for plan in subscriptions.into_iter().take(cap) {
            let sent = (workload.direction != Direction::Down).then(|| sender.of(&plan));
            let reading = SubscriptionTask {
                upstream: row.upstream,
                transport: Arc::clone(&transport),
                pool: Arc::clone(&pool),
                seed: seed ^ u64::from(plan.sub).rotate_left(32),
                reconnect: settings.reconnect,
                decodes: settings.compresses(),
                plan,
                sent,
            };
            tasks.spawn(subscription::run(reading, go, sink.clone(), stop.subscribe()));
        }
        let sending = sender.start();
        while !matches!(input.next().await, Down::Stop) {}
        drop(sending);
    }
    // Each task tells its receipts, and only then lets go of its connection.
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    tell_stack(&pool, &sink);
    drop((pool, stuck_on));
    thread.finish(output);
    Ok(())
}

/// When to go; `None`: never.
async fn go_at(input: &mut Input) -> Option<u64> {
    loop {
        match input.next().await {
            Down::Go { at } => return Some(at),
            Down::Stop => return None,
            Down::Trial(_) | Down::Inject { .. } | Down::Cease { .. } => {}
        }
    }
}

/// Connections as the settings want them.
fn connections(settings: &Settings, pool: Pool) -> Pool {
    let ping = settings.reconnect.ping.span().map(Span::duration);
    let pool = pool.asking(ping).with_windows(windows(&settings.workload)).with_stack(settings.stack);
    preparing::keeping(pool, &settings.workload)
}

/// Tells what carried the subscriptions, if there was a connection.
fn tell_stack(pool: &Pool, sink: &Sink<ClientFact>) {
    if let Some(stack) = pool.stack() {
        sink.record(ClientFact::Stack { stack: Box::new(stack.clone()), versions: versions() });
    }
}

/// What the settings let a server send ahead. Their bounds are far below 32 bits.
fn windows(workload: &Workload) -> Windows {
    let bytes = |size: Size| u32::try_from(size.bytes()).unwrap_or(u32::MAX);
    Windows { stream: bytes(workload.stream_window), connection: bytes(workload.connection_window) }
}
