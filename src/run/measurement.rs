//! Measurements: trials of browsers that people bring, on a server that goes on.
//!
//! A measurement is a trial like any other: the same contract, the same judgement, a run's folder of its own. Only its
//! ends aren't started by the lab: the client is the visitor's page, and the server is one that serves others besides,
//! of which [`FactRouter`] tells the measurement its part.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::agents::Agents;
use super::lab::Lab;
use super::results::{self, Results};
use super::router::FactQueue;
pub use super::router::FactRouter;
use super::trial::TrialRunner;
use super::{RunError, machine};
use crate::admission::{Token, is_local};
use crate::certs::{Current, base64};
use crate::client::user_agent;
use crate::control::{
    Control, LiveView, MeasurementError, MeasurementRequest, MeasurementResult, MeasurementStarted, PageCarrier,
};
use crate::experiment::assign::{self, AskedServer};
use crate::experiment::{Experiment, Factor, plan, validate};
use crate::feed::Feed;
use crate::participant::Participant;
use crate::server::Publisher;
use crate::transport;
use crate::trial::contract::{CONTRACT, ClientRole};
use crate::trial::journal::Journal;
use crate::trial::ledger::Ledger;
use crate::trial::settings::{
    BetweenSettings, BrokerSettings, Events, Expect, Reconnect, ServerSettings, StackSettings, Workload,
};
use crate::trial::{Down, Observation, PlannedTrial, Role, ServerFact, Settings, TrialMessage, Up};
use crate::units::{Settable, Span};
use crate::wire::Sink;

/// How many measurements there are at once; each needs a feed of its own.
pub const MAX_MEASUREMENTS: usize = 8;
/// How many measurements are kept until the server is started anew: a visitor must not fill the disk.
const KEPT: u32 = 1000;
/// Lines that wait to be taken.
const WAITING: usize = 4096;
/// From the census to the end: receipts on their way arrive.
const DRAIN: Span = Span::from_millis(500);
/// How long the streams may take to end.
const END: Duration = Duration::from_secs(1);

/// What measurements are made with.
#[derive(Debug)]
pub struct MeasurementService {
    /// The folder that each measurement's own folder is made in.
    pub out: PathBuf,
    pub certs: Current,
    /// Where the pages come from.
    pub control: Arc<Control>,
    /// The feeds that measurements use, one at a time each.
    pub feeds: Vec<Arc<Feed>>,
    /// Sees what the server sees.
    pub router: Arc<FactRouter>,
    /// What the server lets one connection hold open.
    pub max_concurrent_streams: Settable<u32>,
    /// What visitors from other machines have to show.
    pub token: Option<Arc<Token>>,
    /// Becomes true when everything ends.
    pub interrupt: watch::Receiver<bool>,
}

impl MeasurementService {
    /// Makes a measurement of every request until the interrupt, which also ends those under way; each is kept as far
    /// as it came.
    pub async fn receive(self, mut requests: mpsc::Receiver<MeasurementRequest>) {
        let this = Arc::new(self);
        let free = Arc::new(Mutex::new(this.feeds.clone()));
        let mut measurements = JoinSet::new();
        let mut trial = 0;
        let mut interrupt = this.interrupt.clone();
        loop {
            let request = tokio::select! {
                Some(request) = requests.recv() => request,
                _ = interrupt.wait_for(|interrupted| *interrupted) => break,
            };
            while measurements.try_join_next().is_some() {}
            let feed = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(feed) = feed else {
                let _ = request.answer.send(Err(MeasurementError::UnderWay(MAX_MEASUREMENTS)));
                continue;
            };
            if trial >= KEPT {
                let _ = request.answer.send(Err(MeasurementError::Kept(KEPT)));
                continue;
            }
            trial += 1;
            let (service, free) = (Arc::clone(&this), Arc::clone(&free));
            measurements.spawn(async move {
                if let Err(error) = service.measure(trial, request, &feed).await {
                    tracing::error!(trial, error = &error as &dyn std::error::Error, "a measurement could not be kept");
                }
                free.lock().unwrap_or_else(PoisonError::into_inner).push(feed);
            });
        }
        while measurements.join_next().await.is_some() {}
    }

    async fn measure(&self, trial: u32, request: MeasurementRequest, feed: &Arc<Feed>) -> Result<(), RunError> {
        let experiment = self.experiment(&request)?;
        let mut plan = plan::plan(&experiment)?;
        // Numbers tell measurements apart, on the control origin and in the server's tags.
        plan.trials.iter_mut().for_each(|planned| planned.trial = trial);
        let Some(planned) = plan.trials.first() else { return Ok(()) };
        let carrier = match self.control.open(self.message(planned, &request, feed), 1) {
            Ok(carrier) => carrier,
            Err(error) => {
                let _ = request.answer.send(Err(error.into()));
                return Ok(());
            }
        };
        let view = carrier.view.clone();
        let _ = request.answer.send(Ok(MeasurementStarted { trial, url: carrier.url.clone() }));

        let folder = results::create(&self.out, &plan, &experiment.text, &machine::read().await)?;
        let journal = Journal::create(&folder.join(results::JOURNAL))?;
        let mut lab = Lab {
            program: PathBuf::new(),
            certs: self.certs.load_full(),
            certs_dir: PathBuf::new(),
            addresses: Vec::new(),
            control: Arc::clone(&self.control),
            ledger: watch::Sender::new(Ledger::default()),
            journal,
            folder: folder.clone(),
            hosts: Vec::new(),
            broker_at: None,
            agents: Agents::default(),
            rig: None,
            allow_exec: false,
            capture: false,
            found: HashMap::new(),
            found_between: HashMap::new(),
            found_broker: None,
        };
        let closing = carrier.closing.clone();
        let (server, serving) = self.server(planned, feed, &carrier);
        let ran = TrialRunner::new(&mut lab, planned, self.interrupt.clone())
            .run_between(server, Participant::visitor(carrier), closing)
            .await;
        drop(serving);
        self.router.forget(trial);
        ran?;
        view.send_modify(|view| view.lanes.counted = true);
        let results = results::derive(&folder)?;
        view.send_modify(|view| view.kept = kept(&results));
        Ok(())
    }

    /// The server's part of a measurement, as an end of the trial. It ends with what is given back beside it.
    fn server(&self, planned: &PlannedTrial, feed: &Arc<Feed>, carrier: &PageCarrier) -> (Participant, JoinSet<()>) {
        let (down, orders) = mpsc::channel(16);
        let (up, said) = mpsc::channel(WAITING);
        let (facts, seen) = self.router.watch(planned.trial, planned.settings.protocol.alpn);
        let part = Part {
            planned: planned.clone(),
            feed: Arc::clone(feed),
            facts,
            up,
            view: carrier.view.clone(),
            open: 0,
            sent: 0,
        };
        let mut serving = JoinSet::new();
        serving.spawn(part.serve(orders, seen, carrier.closing.clone()));
        (Participant::within(down, said), serving)
    }

    fn message(&self, planned: &PlannedTrial, request: &MeasurementRequest, feed: &Arc<Feed>) -> TrialMessage {
        let PlannedTrial { trial, seed, ref settings, .. } = *planned;
        let server = AskedServer { hosts: vec![request.host.clone()], ports: vec![request.port] };
        let mut subscriptions = assign::assign(settings, trial, seed, 1, &[server]);
        let token = self.token.as_ref().filter(|_| !is_local(&request.host)).map(|token| token.text().to_owned());
        let shown = token.as_ref().map(|token| format!("&token={token}")).unwrap_or_default();
        // Trials have a server to themselves, whose feed is f0; measurements share theirs and have a feed each.
        let (of_trials, own) = (format!("/feeds/{}/", assign::feeds(&settings.workload)[0]), feed.name());
        for subscription in &mut subscriptions {
            subscription.path =
                format!("{}{shown}", subscription.path.replacen(&of_trials, &format!("/feeds/{own}/"), 1));
        }
        let certs = self.certs.load();
        let role = Role::Client(ClientRole {
            protocol: settings.protocol.clone(),
            hosts: vec![request.host.clone()],
            port: request.port,
            // As the lab's folders are no visitor's business, only the file's name.
            ca: PathBuf::from("ca.pem"),
            token,
            cert_sha256: base64(&certs.cert_sha256()),
            spki_sha256: base64(&certs.spki_sha256()),
            subscriptions,
            stuck: Vec::new(),
        });
        TrialMessage { contract: CONTRACT, trial, seed, settings: settings.clone(), role }
    }

    /// A measurement as an experiment of one trial.
    fn experiment(&self, request: &MeasurementRequest) -> Result<Experiment, RunError> {
        let client = user_agent::recognise(&request.user_agent);
        let mut settings = Settings {
            client: client.to_owned(),
            protocol: request.protocol.clone(),
            timeout: Span::from_secs(30),
            workload: Workload {
                subscribers: request.subscribers,
                hold: request.hold,
                drain: DRAIN,
                // Due before the shortest hold ends.
                events: Events { count: 1.into(), ..Events::default() },
                ..Workload::default()
            },
            server: ServerSettings { max_concurrent_streams: self.max_concurrent_streams, ..ServerSettings::default() },
            stack: StackSettings::default(),
            link: None,
            between: BetweenSettings::default(),
            broker: BrokerSettings::default(),
            reconnect: Reconnect::default(),
            expect: Expect::default(),
            fault: Vec::new(),
            beside: Vec::new(),
            transports: BTreeMap::new(),
        };
        let (_, transport) = transport::of(&settings)?;
        let drain = DRAIN.max(validate::least_drain(&*transport));
        settings.workload.drain = drain;
        let title = request.protocol.alpn.title();
        let question = format!("How many event streams does this browser hold open over {title}?");
        let text = format!(
            "# A visit to the lab page of `transport-lab serve`.\n# It called itself: {}\nquestion = {}\n\
             client = {}\nprotocol = {}\n\n[workload]\nsubscribers = {}\nhold = \"{}\"\ndrain = \"{drain}\"\n\n\
             [server]\nmax-concurrent-streams = {}\n",
            request.user_agent.replace(|c: char| c.is_control(), " "),
            toml::Value::from(question.as_str()),
            toml::Value::from(client),
            toml::Value::from(request.protocol.to_string()),
            request.subscribers,
            request.hold,
            match self.max_concurrent_streams {
                Settable::Set(streams) => streams.to_string(),
                Settable::Unset => "\"unset\"".to_owned(),
            },
        );
        let factor = |name: &str| Factor { name: name.to_owned(), levels: 1 };
        Ok(Experiment {
            name: "visit".to_owned(),
            question,
            repeats: 1,
            seed: 1,
            factors: ["client", "protocol", "workload.subscribers"].map(factor).into(),
            claims: Vec::new(),
            combinations: vec![settings],
            text,
        })
    }
}

/// What a visitor is told in the end.
fn kept(results: &Results) -> Option<MeasurementResult> {
    let trial = results.summary.trials.first()?;
    let number = |name: &str| trial.metrics.get(name).and_then(|entry| entry.median);
    Some(MeasurementResult {
        outcome: trial.outcome,
        reason: trial.reason.clone(),
        open: number("open-streams"),
        server_open: number("server-open-streams"),
        connections: number("connections"),
        run: results.folder.file_name()?.to_string_lossy().into_owned(),
    })
}

/// Waits until everything is to be closed; `false` once nobody can want that.
async fn wanted(closing: &mut watch::Receiver<bool>) -> bool {
    closing.wait_for(|closing| *closing).await.is_ok()
}

/// The server's part of one measurement: publishes to its feed, and passes on what the server saw of it.
struct Part {
    planned: PlannedTrial,
    feed: Arc<Feed>,
    facts: FactQueue,
    up: mpsc::Sender<Up<ServerFact>>,
    view: watch::Sender<LiveView>,
    /// Streams that are open.
    open: u64,
    /// Facts passed on.
    sent: u64,
}

impl Part {
    async fn serve(
        mut self,
        mut orders: mpsc::Receiver<Down>,
        mut seen: mpsc::Receiver<Observation<ServerFact>>,
        mut closing: watch::Receiver<bool>,
    ) {
        let mut publisher = None;
        let mut hurried = false;
        loop {
            tokio::select! {
                Some(observation) = seen.recv() => self.pass(observation).await,
                true = wanted(&mut closing), if !hurried && publisher.is_some() => {
                    hurried = true;
                    publisher.as_ref().inspect(|publisher: &&Publisher| publisher.census_now());
                }
                order = orders.recv() => match order {
                    Some(Down::Go { at }) => publisher = Some(self.publish(at)),
                    Some(Down::Trial(_) | Down::Inject { .. } | Down::Cease { .. }) => {}
                    Some(Down::Stop) | None => break,
                },
            }
        }
        drop(publisher);
        // The page has closed them. On HTTP/3 the server notices that at the next write only, and until then they would
        // count against the browser's next measurement.
        self.feed.end_readers();
        let until = Instant::now() + END;
        while self.open > 0
            && let Ok(Some(observation)) = tokio::time::timeout_at(until, seen.recv()).await
        {
            self.pass(observation).await;
        }
        while let Ok(observation) = seen.try_recv() {
            self.pass(observation).await;
        }
        // Facts that found no room are missed by who compares the counts.
        let _ = self.up.send(Up::Done { sent: self.sent + self.facts.lost() }).await;
    }

    fn publish(&self, go: u64) -> Publisher {
        let facts = self.facts.clone();
        let sink = Sink::new(move |observation| facts.send(observation));
        let workload = self.planned.settings.workload.clone();
        Publisher::start(workload, self.planned.seed, go, vec![Arc::clone(&self.feed)], sink, 0, |_| ())
    }

    async fn pass(&mut self, observation: Observation<ServerFact>) {
        match observation.fact {
            ServerFact::Attached { .. } => self.open += 1,
            ServerFact::Detached { .. } => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.view.send_modify(|view| view.lanes.apply(&observation.fact));
        self.sent += 1;
        let _ = self.up.send(Up::Saw(observation)).await;
    }
}
