//! The server as a child of the lab: it speaks the trial contract on its standard input and output.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;

use super::publisher::Publisher;
use super::usage::usage;
use super::watcher;
use super::{Options, Server};
use crate::admission::Token;
use crate::broker::{Broker, BrokerError, BrokerOptions, SharedFeeds};
use crate::certs::{Certs, CertsError};
use crate::feed::{Feed, LogError};
use crate::transport::{Configuration, ConfigureError};
use crate::trial::clock::monotonic_nanos;
use crate::trial::fact::UsageAt;
use crate::trial::rig::Rig;
use crate::trial::settings::{FaultAct, FeedLog, Prepare, ServerSettings, StuckDirection};
use crate::trial::stdio::{Input, Output};
use crate::trial::{Alpn, Down, Observation, Role, ServerFact, Settings, TrialMessage, Up};
use crate::wire::{Sink, WireError};

/// How long connections may take to end once they are told to.
const END: Duration = Duration::from_millis(1500);

/// Why a server couldn't take part.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The first line was not a trial for a server.
    #[error("the first line must be a `trial` message with the role `server`")]
    NoTrial,
    #[error("the server has no certificate")]
    Certs(#[from] CertsError),
    #[error("the server has no port")]
    Wire(#[from] WireError),
    #[error(transparent)]
    Transports(#[from] ConfigureError),
    #[error("the system gave no random bytes for comparing tokens")]
    Random,
    #[error("more feeds than a server has")]
    Feeds,
    #[error("`server.feeds` is \"nats\", and the trial names no broker")]
    NoBroker,
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the feed `{feed}` has no log")]
    Log { feed: String, source: LogError },
}

/// Takes part in one trial.
pub async fn run(rig: Option<Rig>) -> Result<(), ChildError> {
    let mut input = Input::default();
    let Down::Trial(trial) = input.next().await else { return Err(ChildError::NoTrial) };
    let (output, thread) = Output::start();
    let live = Live::default();
    let sink = {
        let (output, live) = (output.clone(), live.clone());
        Sink::new(move |observation: Observation<ServerFact>| {
            // Told before it counts: the last end is what `done` waits for, and after `done` nothing is told.
            let change = Live::change(&observation.fact);
            output.record(observation);
            live.count(change);
        })
    };
    let TrialMessage { seed, settings, role: Role::Server(role), .. } = *trial else {
        return Err(ChildError::NoTrial);
    };
    let certs = Arc::new(Certs::load(&role.certs)?);
    let mut server = Server::new(Options {
        certs,
        addresses: role.bind,
        hosts: role.hosts,
        origins: role.origins,
        token: None,
        control: role.control,
        settings: settings.server.clone(),
        transports: Arc::new(Configuration::read(&settings.transports)?),
        rig,
        sink: sink.clone(),
    })
    .with_stack(settings.stack);
    if let Some(token) = role.token {
        server.keep_feeds(Token::of(token).ok_or(ChildError::Random)?);
    }
    if settings.workload.prepare == Prepare::Early {
        server.take_early_data();
    }
    if settings.workload.stuck_direction == StuckDirection::Up {
        server.leave_unread();
    }
    let shared = share(&server, role.broker, &settings.server).await?;
    let ports = listen(&mut server, &settings, &role.ports).await?;
    let feeds: Option<Vec<_>> = role.feeds.iter().map(|name| server.feed(name)).collect();
    let feeds = feeds.ok_or(ChildError::Feeds)?;
    open(&feeds).await?;
    let versions = BTreeMap::from([("transport-lab".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    output.send(Up::Listening { ports, versions });
    if let Some(broker) = shared {
        server.tell_of_broker(&broker);
    }

    let (mut publisher, mut watcher) = (None, None);
    loop {
        match input.next().await {
            Down::Go { at } => {
                sink.record(usage(UsageAt::Go, &server.meter()));
                let read = {
                    let (sink, meter) = (sink.clone(), server.meter());
                    move |at| sink.record(usage(at, &meter))
                };
                let workload = settings.workload.clone();
                if !role.publishes {
                    watcher = Some(watcher::watch(workload, seed, at, read));
                    continue;
                }
                let since = if role.life > 0 { monotonic_nanos() } else { 0 };
                publisher = Some(Publisher::start(workload, seed, at, feeds.clone(), sink.clone(), since, read));
            }
            Down::Inject { fault } => match fault.row().act {
                FaultAct::EndStreams { answer: None } => server.end_streams(),
                FaultAct::EndStreams { answer: Some(status) } => server.turn_away(StatusCode::from_u16(status).ok()),
                FaultAct::KillServer { .. }
                | FaultAct::KillClient
                | FaultAct::OnLink(_)
                | FaultAct::ToIntermediary(_)
                | FaultAct::ToBroker(_) => {
                    tracing::warn!(?fault, "not a fault that a server does to itself");
                }
            },
            Down::Cease { .. } => server.turn_away(None),
            Down::Stop => break,
            Down::Trial(_) => tracing::warn!("a second trial"),
        }
    }
    drop(watcher);
    if let Some(publisher) = publisher {
        publisher.finish().await;
    }
    sink.record(usage(UsageAt::End, &server.meter()));
    server.stop().await;
    live.ended().await;
    thread.finish(output);
    Ok(())
}

/// Has the server share its feeds, where its settings say so; gives back the connection that they are on.
async fn share(
    server: &Server,
    broker: Option<BrokerOptions>,
    settings: &ServerSettings,
) -> Result<Option<Broker>, ChildError> {
    if settings.feeds == FeedLog::Memory {
        return Ok(None);
    }
    let broker = Broker::connect(broker.ok_or(ChildError::NoBroker)?).await?;
    server.share_feeds(SharedFeeds::new(broker.clone(), settings.log as usize));
    Ok(Some(broker))
}

/// Has the logs of these feeds made, and waits until each is followed.
async fn open(feeds: &[Arc<Feed>]) -> Result<(), ChildError> {
    for feed in feeds {
        if let Some(log) = feed.shared() {
            log.open().await.map_err(|source| ChildError::Log { feed: feed.name().to_string(), source })?;
        }
    }
    Ok(())
}

/// Listens on every ALPN, at the ports that are wanted or at free ones.
async fn listen(
    server: &mut Server,
    settings: &Settings,
    wanted: &BTreeMap<Alpn, Vec<u16>>,
) -> Result<BTreeMap<Alpn, Vec<u16>>, WireError> {
    let mut ports: BTreeMap<Alpn, Vec<u16>> = BTreeMap::new();
    for alpn in Alpn::ALL {
        let wanted = wanted.get(&alpn).map_or(&[][..], Vec::as_slice);
        for number in 0..settings.workload.ports as usize {
            let port = wanted.get(number).copied().unwrap_or(0);
            let offered = ports.get(&Alpn::H2).and_then(|of_h2| of_h2.get(number)).copied();
            let port = match (alpn, offered) {
                (Alpn::H2, _) if settings.offers_h3() => server.listen_both(port).await?,
                // It is there already.
                (Alpn::H3, Some(port)) if settings.offers_h3() => port,
                _ => server.listen(alpn, port).await?,
            };
            ports.entry(alpn).or_default().push(port);
        }
    }
    Ok(ports)
}

/// How many connections and subscriptions there still are.
#[derive(Debug, Clone, Default)]
struct Live(Arc<LiveCount>);

#[derive(Debug, Default)]
struct LiveCount {
    count: AtomicI64,
    none: Notify,
}

impl Live {
    fn change(fact: &ServerFact) -> i64 {
        match fact {
            ServerFact::Connected { .. } | ServerFact::Attached { .. } => 1,
            ServerFact::Disconnected { .. } | ServerFact::Detached { .. } => -1,
            _ => 0,
        }
    }

    fn count(&self, change: i64) {
        // Each poll comes by here twice: the last end is all that anyone waits for.
        if change != 0 && self.0.count.fetch_add(change, Ordering::AcqRel) + change <= 0 {
            self.0.none.notify_waiters();
        }
    }

    /// Waits for the last to end, so that the lab is told of every end.
    async fn ended(&self) {
        let ended = async {
            loop {
                // Listens before it looks: an end in between is not missed.
                let mut none = pin!(self.0.none.notified());
                none.as_mut().enable();
                if self.0.count.load(Ordering::Acquire) <= 0 {
                    return;
                }
                none.await;
            }
        };
        if tokio::time::timeout(END, ended).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
    }
}
