//! The agent's side of a session: it takes a coordinator's orders, and ends all that it started once that is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::begin::EndKit;
use super::clock::translated;
use super::end::{self, EndOrder};
use super::lines::{Pipe, PipeError};
use super::machine::{AgentOptions, AgentRig, describe};
use super::message::{AgentHello, AgentOrder, AgentSaid, LabVersion};
use crate::browser::sweep;
use crate::certs::{CertsError, OwnKey};
use crate::control::Control;
use crate::text::chain;
use crate::trial::clock::monotonic_nanos;
use crate::trial::{Down, Up};

/// How long whoever is at the other end may say nothing before it is taken for gone: it asks for the clock every second.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// Orders that wait for an end that is just being started.
const WAITING: usize = 64;

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentStartError {
    #[error("no key for its own origin")]
    Key(#[from] CertsError),
    #[error("could not find this program's own file")]
    Program(#[source] std::io::Error),
    #[error("what there is on this machine could not be found out")]
    Looking,
}

/// How a session ended, for the agent's log.
#[derive(Debug, thiserror::Error)]
pub enum SessionEnd {
    #[error("the coordinator has closed the session")]
    Closed,
    #[error("the coordinator has said nothing for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the coordinator can't be heard")]
    Broken(#[from] PipeError),
    #[error("the coordinator is of {0}, and this agent of {own}", own = LabVersion::own())]
    Version(LabVersion),
    #[error("orders came in an order that no coordinator gives them in")]
    NoHello,
    #[error("this agent was told to end")]
    Interrupted,
}

/// An agent: what it has, and what it starts ends with.
#[derive(Debug)]
pub struct Agent {
    hello: AgentHello,
    kit: Arc<EndKit>,
}

impl Agent {
    /// Finds out what there is on this machine.
    pub async fn new(options: AgentOptions) -> Result<Self, AgentStartError> {
        // One before it may have been killed.
        sweep().await;
        let key = OwnKey::generate()?;
        let program = std::env::current_exe().map_err(AgentStartError::Program)?;
        let described = tokio::task::spawn_blocking(move || {
            let hello = describe(&options, &key);
            (
                hello,
                EndKit {
                    allow_exec: options.allow_exec,
                    allow_servers: options.allow_servers,
                    rig: options.rig,
                    key,
                    program,
                },
            )
        });
        let (hello, kit) = described.await.map_err(|_| AgentStartError::Looking)?;
        Ok(Self { hello, kit: Arc::new(kit) })
    }

    /// What it has to say of itself.
    pub fn hello(&self) -> &AgentHello {
        &self.hello
    }

    /// Takes orders until the coordinator is gone or `interrupt` becomes true, and ends all that it started.
    pub async fn serve(&self, pipe: Pipe<AgentOrder, AgentSaid>, mut interrupt: watch::Receiver<bool>) -> SessionEnd {
        let Pipe { out, now, mut incoming } = pipe;
        let mut session = Session {
            agent: self,
            out,
            now,
            ends: HashMap::new(),
            tasks: JoinSet::new(),
            greeted: false,
            control: None,
        };
        let clock = AgentClock::start(self.kit.rig);
        let ended = loop {
            let next = tokio::select! {
                next = timeout(SILENCE, incoming.recv()) => next,
                _ = interrupt.wait_for(|interrupted| *interrupted) => break SessionEnd::Interrupted,
            };
            let order = match next {
                Ok(Some(Ok(order))) => order,
                Ok(Some(Err(error))) => break error.into(),
                Ok(None) => break SessionEnd::Closed,
                Err(_) => break SessionEnd::Silent,
            };
            if let Err(ended) = session.take(order, clock).await {
                break ended;
            }
        };
        // Nobody can give orders from here on: every end says its last words and is ended.
        session.ends.clear();
        while session.tasks.join_next().await.is_some() {}
        ended
    }
}

struct Session<'a> {
    agent: &'a Agent,
    out: mpsc::Sender<AgentSaid>,
    now: mpsc::Sender<AgentSaid>,
    ends: HashMap<u32, mpsc::Sender<EndOrder>>,
    tasks: JoinSet<()>,
    /// Whether the coordinator said who it is.
    greeted: bool,
    /// The agent's own origin, once it is vouched for.
    control: Option<Arc<Control>>,
}

impl Session<'_> {
    async fn take(&mut self, order: AgentOrder, clock: AgentClock) -> Result<(), SessionEnd> {
        match order {
            AgentOrder::Hello { version } => {
                if version != LabVersion::own() {
                    let why = SessionEnd::Version(version.clone());
                    let _ =
                        self.out.send(AgentSaid::Refused { version: LabVersion::own(), why: why.to_string() }).await;
                    return Err(why);
                }
                self.greeted = true;
                let _ = self.out.send(AgentSaid::Hello(Box::new(self.agent.hello.clone()))).await;
            }
            _ if !self.greeted => return Err(SessionEnd::NoHello),
            // Where the way is full of other messages, an answer would tell nothing.
            AgentOrder::Clock { asked } => drop(self.now.try_send(AgentSaid::Clock { asked, at: clock.now() })),
            AgentOrder::Vouch { own } => {
                let said = match end::control(&own, &self.agent.kit).await {
                    Ok(control) => {
                        let origin = control.origin();
                        self.control = Some(Arc::new(control));
                        AgentSaid::Origin { origin }
                    }
                    Err(error) => AgentSaid::NoOrigin { why: chain(&error) },
                };
                let _ = self.out.send(said).await;
            }
            AgentOrder::Start(start) => {
                let Some(control) = self.control.clone() else { return Err(SessionEnd::NoHello) };
                let (orders, taken) = mpsc::channel(WAITING);
                self.ends.insert(start.end, orders);
                while self.tasks.try_join_next().is_some() {}
                let out = clock.rigged(self.out.clone());
                self.tasks.spawn(end::run(*start, Arc::clone(&self.agent.kit), control, taken, out));
            }
            AgentOrder::Say { end, line } => self.order(end, EndOrder::Say(clock.place(line))).await,
            AgentOrder::Kill { end } => self.order(end, EndOrder::Kill).await,
            AgentOrder::Finish { end } => {
                self.order(end, EndOrder::Finish).await;
                self.ends.remove(&end);
            }
        }
        Ok(())
    }

    async fn order(&self, end: u32, order: EndOrder) {
        // One that could not be started takes no orders.
        if let Some(orders) = self.ends.get(&end) {
            let _ = orders.send(order).await;
        }
    }
}

/// The agent's clock; where it is rigged, one that gains a hundredth from the session's start on.
#[derive(Debug, Clone, Copy)]
struct AgentClock {
    /// Since when, where it does.
    gains_since: Option<u64>,
}

impl AgentClock {
    fn start(rig: Option<AgentRig>) -> Self {
        Self { gains_since: (rig == Some(AgentRig::DriftingClock)).then(monotonic_nanos) }
    }

    fn now(self) -> u64 {
        self.shown(monotonic_nanos())
    }

    /// What it shows at this instant.
    fn shown(self, t: u64) -> u64 {
        self.gains_since.map_or(t, |since| t + t.saturating_sub(since) / 100)
    }

    /// The line with its times by the machine's clock.
    fn place(self, line: Down) -> Down {
        match (line, self.gains_since) {
            (Down::Go { at }, Some(since)) => Down::Go { at: since + at.saturating_sub(since) * 100 / 101 },
            (line, _) => line,
        }
    }

    /// A way out on which facts have this clock's times.
    fn rigged(self, out: mpsc::Sender<AgentSaid>) -> mpsc::Sender<AgentSaid> {
        if self.gains_since.is_none() {
            return out;
        }
        let (inner, mut said) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            while let Some(said) = said.recv().await {
                let said = match said {
                    AgentSaid::Said { end, line: Up::Saw(seen) } => {
                        AgentSaid::Said { end, line: Up::Saw(translated(seen, |t| self.shown(t))) }
                    }
                    AgentSaid::Served { end, line: Up::Saw(seen) } => {
                        AgentSaid::Served { end, line: Up::Saw(translated(seen, |t| self.shown(t))) }
                    }
                    said => said,
                };
                if out.send(said).await.is_err() {
                    return;
                }
            }
        });
        inner
    }
}
