//! An experiment to a plan: which combinations run, in which order, from which seeds.

use std::collections::BTreeSet;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::Experiment;
use crate::transport::{ConfigureError, Configured, Opens, Transport};
use crate::trial::settings::{
    Arrival, BesideKind, CertificateUse, Connections, FaultKind, Opening, StuckDirection, StuckOn, Workload,
};
use crate::trial::{Alpn, Exchanges, Levels, Plan, PlannedTrial, Settings, Unsupported};
use crate::units::{Settable, Span};
use crate::{client, intermediary, transport};

/// Beside its timeline, what a trial with a browser takes: its start, the page, its end.
const BROWSER_MILLIS: u64 = 2000;
/// The same with the native client.
const NATIVE_MILLIS: u64 = 300;
/// What one node of NATS takes besides, to come and go.
const NODE_MILLIS: u64 = 300;
/// What several take until one of them leads.
const ELECTION_MILLIS: u64 = 5000;

/// The plan of an experiment. Repeat 0 of every combination comes first, then repeat 1, and so on: what drifts
/// with time drifts for all alike, and a run cut short has whole repeats. Equal combinations run once.
///
/// # Errors
/// A combination that no check has seen names a transport that there isn't, or gives it settings that it hasn't.
pub fn plan(experiment: &Experiment) -> Result<Plan, ConfigureError> {
    let factors: Vec<String> = experiment.factors.iter().map(|factor| factor.name.clone()).collect();
    let mut known = BTreeSet::new();
    let mut combinations = Vec::new();
    for settings in &experiment.combinations {
        let (row, transport) = transport::of(settings)?;
        let levels = levels(experiment, settings, &*transport);
        // Levels have no order of their own; their text is as good a key.
        if known.insert(serde_json::to_string(&levels).unwrap_or_default()) {
            combinations.push((levels, settings, row.promises(&*transport)));
        }
    }
    let mut trials = Vec::new();
    for repeat in 0..experiment.repeats {
        let seed = trial_seed(experiment.seed, repeat);
        for (levels, settings, promises) in &combinations {
            let trial = u32::try_from(trials.len()).unwrap_or(u32::MAX);
            let (levels, settings, promises) = (levels.clone(), (*settings).clone(), *promises);
            trials.push(PlannedTrial { trial, repeat, seed, levels, settings, promises });
        }
    }
    Ok(Plan {
        version: Plan::VERSION,
        experiment: experiment.name.clone(),
        question: experiment.question.clone(),
        seed: experiment.seed,
        repeats: experiment.repeats,
        factors,
        claims: experiment.claims.clone(),
        trials,
    })
}

/// A plan as this lab would have written it: older ones don't say what the transports of their trials promise, or which level
/// a browser has of what is its own. A transport that there isn't any more promises what most do.
pub fn bring_up_to_date(plan: &mut Plan) {
    if plan.version >= Plan::VERSION {
        return;
    }
    for planned in &mut plan.trials {
        if plan.version < 2 {
            let promises = transport::of(&planned.settings).map(|(row, transport)| row.promises(&*transport));
            planned.promises = promises.unwrap_or_default();
        }
        for (name, level) in &mut planned.levels {
            if level.is_null() && is_a_browsers_own(&planned.settings, name) {
                *level = level_of(&planned.settings, name);
            }
        }
    }
    plan.version = Plan::VERSION;
}

/// What no client at all can do. A client's own limits are its row's to say.
pub fn supports(settings: &Settings) -> Result<(), Unsupported> {
    // RFC 9000 section 18.2: without initial_max_streams_bidi a peer may open none; there is no "no limit".
    if settings.protocol.alpn.over_quic() && settings.server.max_concurrent_streams == Settable::Unset {
        return Err("QUIC can't leave server.max-concurrent-streams unset: initial_max_streams_bidi left out means 0 \
                    (RFC 9000 section 18.2)"
            .into());
    }
    intermediary::supports(settings)?;
    elsewhere(settings)?;
    shares(settings)?;
    let Some(transport) = transport::find(&settings.protocol.transport) else { return Ok(()) };
    if settings.workload.stuck > 0 {
        let alpn = settings.protocol.alpn;
        leaves_unread(&settings.workload, transport, alpn)?;
    }
    // Other openings have no answer that says "don't come back".
    if settings.fault.iter().any(|fault| fault.kind.row().ends_readers) && transport.opens != Opens::Request {
        return Err(format!("{} opens no stream by a GET, which alone can be answered with 204", transport.name).into());
    }
    Ok(())
}

/// Whether its clients can be where these settings want them: several are as many agents', which have networks of their own.
fn elsewhere(settings: &Settings) -> Result<(), Unsupported> {
    let several = client::parts(&settings.client).count();
    let agents = settings.workload.agents;
    if several > 1 && (agents as usize) < several {
        let clients = &settings.client;
        return Err(format!("{clients} are clients of {several} agents: set workload.agents, and name them").into());
    }
    if agents > 0 && settings.link.is_some() {
        return Err("a link is between ends on one machine; agents are on networks of their own".into());
    }
    Ok(())
}

/// Whether several servers, and what they share their feeds through, can be where these settings want them.
fn shares(settings: &Settings) -> Result<(), Unsupported> {
    if settings.shares_feeds() && settings.link.is_some() {
        return Err("NATS is on this machine's loopback, which servers at the end of a link can't reach".into());
    }
    if settings.servers() > 1 && settings.between.is_there() {
        return Err("what stands between passes on to one server".into());
    }
    if settings.servers() > 1 && settings.has_pages_of_the_server() {
        return Err("a page of one server's is of another origin than the others, which don't let it in".into());
    }
    match settings.fault.iter().find(|fault| fault.kind.needs_broker()) {
        Some(fault) if !settings.shares_feeds() => {
            Err(format!("`{}`: the log is in the server's memory", fault.kind.row().name).into())
        }
        _ => Ok(()),
    }
}

/// Whether something can be left unread as these settings want it.
fn leaves_unread(workload: &Workload, transport: &Transport, alpn: Alpn) -> Result<(), Unsupported> {
    let down = workload.stuck_direction == StuckDirection::Down;
    if down && transport.exchanges != Exchanges::Persistent {
        return Err(format!("{} leaves nothing open that could be left unread", transport.name).into());
    }
    if !down && alpn == Alpn::Quic {
        return Err("raw QUIC has sessions and no requests: there is no POST that could be left unread".into());
    }
    if workload.stuck_on == StuckOn::Own {
        return Ok(());
    }
    match alpn {
        // RFC 9112 section 9.3.
        Alpn::H1 => Err("a connection of HTTP/1.1 carries one response at a time: nobody shares it".into()),
        Alpn::Quic => Err("a connection of raw QUIC is one session: nobody shares it".into()),
        Alpn::H2 | Alpn::H3 if workload.connections == Connections::Separate => {
            Err("each subscription has a connection of its own: there is none that they share".into())
        }
        Alpn::H2 | Alpn::H3 => Ok(()),
    }
}

/// Why a trial will end `unsupported`; that its client isn't on this machine is another matter.
pub fn unsupported(settings: &Settings) -> Option<Unsupported> {
    let of_clients = || {
        let mut rows = client::parts(&settings.client).filter_map(client::find);
        rows.try_for_each(|row| (row.supports)(settings))
    };
    supports(settings).and_then(|()| of_clients()).err()
}

/// How long a plan takes, about: each trial's timeline and what its client needs to come and go. Trials that will
/// end `unsupported` take no time.
pub fn expected_time(plan: &Plan) -> Span {
    let millis = |trial: &PlannedTrial| {
        let settings = &trial.settings;
        if unsupported(settings).is_some() {
            return 0;
        }
        let timeline = (settings.workload.census_nanos() + settings.workload.drain.nanos()) / 1_000_000;
        let broker = match settings.broker.nodes {
            _ if !settings.shares_feeds() => 0,
            1 => NODE_MILLIS,
            _ => NODE_MILLIS + ELECTION_MILLIS,
        };
        timeline + broker + if is_native(settings) { NATIVE_MILLIS } else { BROWSER_MILLIS }
    };
    Span::from_millis(plan.trials.iter().map(millis).sum())
}

/// What a single round of a plan can't answer, and what to do about it.
///
/// Of a burst on connections that don't exist yet, requests to a second host under the same certificate share the first
/// one's connection only if that is there by then (RFC 9113 section 9.1.1): one or two, round by round.
pub fn warning(plan: &Plan) -> Option<&'static str> {
    let races = |trial: &PlannedTrial| {
        let Settings { workload, protocol, server, .. } = &trial.settings;
        workload.hosts > 1
            && workload.open == Opening::Burst
            && server.certificate == CertificateUse::Shared
            && matches!(protocol.alpn, Alpn::H2 | Alpn::H3)
            && !is_native(&trial.settings)
    };
    let repeated = plan.trials.iter().any(|trial| trial.repeat > 0);
    (!repeated && plan.trials.iter().any(races)).then_some(
        "whether hosts under one certificate share a connection varies with `workload.open = \"burst\"`, from run to \
         run: write \"after-settings\", or `repeats = 5` to see how it varies",
    )
}

/// hash(the run's seed, repeat): the first 53 bits of SHA-256 over both as big-endian bytes (8 and 4 of them).
fn trial_seed(seed: u64, repeat: u32) -> u64 {
    let mut input = seed.to_be_bytes().to_vec();
    input.extend(repeat.to_be_bytes());
    let first = digest(&SHA256, &input).as_ref()[..8].iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    first >> 11
}

/// Every factor with its level; `null` where it has several and nothing in this trial is what it is about, so that each is
/// as good as another.
fn levels(experiment: &Experiment, settings: &Settings, transport: &dyn Configured) -> Levels {
    let tree = tree(settings);
    let level = |factor: &super::Factor| {
        let name = &factor.name;
        let dropped = factor.levels > 1 && !reads(settings, transport, name) && !is_a_browsers_own(settings, name);
        if dropped { Value::Null } else { level_in(&tree, &factor.name) }
    };
    experiment.factors.iter().map(|factor| (factor.name.clone(), level(factor))).collect()
}

/// The level that these settings have for a dotted name, in canonical form.
pub(super) fn level_of(settings: &Settings, name: &str) -> Value {
    level_in(&tree(settings), name)
}

fn tree(settings: &Settings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn level_in(tree: &Value, name: &str) -> Value {
    let pointer = format!("/{}", name.replace('.', "/"));
    tree.pointer(&pointer).cloned().unwrap_or_default()
}

/// Whether this is the native client's to choose, and a browser does it in its own way. It has one level there, the default,
/// whatever is set: who shares a connection is no evidence of what happens where each has its own.
fn is_a_browsers_own(settings: &Settings, name: &str) -> bool {
    let alpn = settings.protocol.alpn;
    let there = match name {
        "workload.connections" => matches!(alpn, Alpn::H2 | Alpn::H3),
        "workload.stream-window" | "workload.connection-window" => alpn != Alpn::H1,
        "reconnect.ping" => true,
        _ => false,
    };
    there && !is_native(settings)
}

/// Whether a trial with this client and protocol is any different for this setting.
pub(super) fn reads(settings: &Settings, transport: &dyn Configured, name: &str) -> bool {
    let multiplexed = settings.protocol.alpn != Alpn::H1;
    // On HTTP/1.1 and on raw QUIC every subscription has a connection of its own, whatever is set.
    let shares = matches!(settings.protocol.alpn, Alpn::H2 | Alpn::H3);
    match name {
        "server.max-concurrent-streams" => multiplexed,
        "server.alt-svc" => shares,
        "server.half-rtt" | "server.reset-interval" | "server.ping" | "link.nat.udp" => {
            settings.offers_h3() || settings.protocol.alpn.over_quic()
        }
        "link.nat.tcp" => settings.offers_h3() || !settings.protocol.alpn.over_quic(),
        "workload.connections" => is_native(settings) && shares,
        // What ends is passed on at its end.
        "server.buffering-hint" | "server.compression" => goes_on(settings),
        "between.compression" => settings.between.is_there() && goes_on(settings),
        "workload.pages" | "workload.page" | "workload.credentials" | "workload.visibility" => !is_native(settings),
        "workload.stream-window" | "workload.connection-window" => is_native(settings) && multiplexed,
        "workload.events.gap" => settings.workload.events.arrival == Arrival::Pairs,
        "workload.stuck-on" | "workload.stuck-direction" => settings.workload.stuck > 0,
        // Only the native client asks.
        "reconnect.ping" => is_native(settings),
        _ if name.starts_with("reconnect.") => {
            let counts = name == "reconnect.tries" || settings.reconnect.tries > 0;
            // Where there are several servers, a page has to open another one at the next.
            let by_page = !transport.browser_reconnects() || settings.servers() > 1;
            counts && (is_native(settings) || by_page)
        }
        _ if name.starts_with("broker.") => settings.shares_feeds(),
        "between.place" => settings.between.is_there() && settings.link.is_some(),
        "between.drain" => {
            settings.between.is_there() && settings.fault.iter().any(|fault| fault.kind == FaultKind::ProxyReload)
        }
        _ if name.starts_with("between.") => name == "between.intermediary" || settings.between.is_there(),
        // HTTP/1.1 has no settings to wait for; to a browser a connection that is there already is still another
        // way to begin.
        "workload.open" => !is_native(settings) || shares,
        // One host comes first and has its own certificate whatever is set.
        "workload.host-order" | "server.certificate" => settings.workload.hosts > 1,
        _ if name.starts_with("beside.") => {
            let index = name.split('.').nth(1).and_then(|index| index.parse::<usize>().ok());
            let actor = index.and_then(|index| settings.beside.get(index));
            let kind = actor.map(|beside| beside.kind);
            let downloads = kind == Some(BesideKind::Download);
            match name.rsplit('.').next() {
                Some("credentials") => !is_native(settings) && (downloads || kind == Some(BesideKind::Fetch)),
                Some("bytes") => downloads,
                // Nothing is neither urgent nor not.
                Some("urgency") => downloads && actor.is_some_and(|beside| beside.bytes.bytes() > 0),
                _ => true,
            }
        }
        _ => {
            let (table, setting) = name.split_once('.').unwrap_or((name, ""));
            match transport::find(table) {
                None => true,
                Some(row) if row.name != settings.protocol.transport => false,
                Some(_) => setting.is_empty() || transport.reads(setting, settings, !is_native(settings)),
            }
        }
    }
}

/// Whether a subscription is one response that goes on.
fn goes_on(settings: &Settings) -> bool {
    transport::find(&settings.protocol.transport).is_some_and(transport::Transport::goes_on)
}

/// Whether a process subscribes and not a page: a program of `exec:` is as free as the native client.
pub(super) fn is_native(settings: &Settings) -> bool {
    client::parts(&settings.client).all(|name| client::find(name).is_some_and(|client| !client.is_browser))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
