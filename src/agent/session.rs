//! The coordinator's side of a session: ends started at an agent, their lines taken as if they were here, and clocks
//! compared.

mod dispatch;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use data_encoding::BASE64;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::dispatch::{ClockHeard, Dispatch, Slot};
use super::address::is_name;
use super::clock::{ClockAnswer, ClockReading, Translated, translated};
use super::lines::Pipe;
use super::message::{AgentHello, AgentOrder, AgentSaid, EndPart, EndStart, LabVersion};
use super::{AgentError, Carriage};
use crate::certs::{ServerCerts, base64, vouch};
use crate::participant::{ParticipantMessage, Remote, RemoteOrder};
use crate::trial::clock::monotonic_nanos;
use crate::trial::observation::Observable;
use crate::trial::{Down, Fact, Up};

/// How long an agent may take to say what it is: it asks every browser for its version.
const HELLO: Duration = Duration::from_secs(60);
/// How long an end may take to be started there: a browser takes longest.
const START: Duration = Duration::from_secs(90);
/// How long an end may take to be ended there, and cleaned up after.
const FINISH: Duration = Duration::from_secs(20);
/// How often the clock is asked for a reading. Of many the shortest round trip was waited for by nothing else.
const QUESTIONS: usize = 12;
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Lines of an end that wait to be taken.
const WAITING: usize = 4096;

/// An agent that takes this coordinator's orders. Dropping it ends the session, and with that all that runs there.
#[derive(Debug)]
pub struct AgentSession {
    hello: AgentHello,
    out: mpsc::Sender<AgentOrder>,
    dispatch: Arc<Dispatch>,
    next_end: AtomicU32,
    /// Why the agent is lost, once it is.
    lost: watch::Receiver<Option<String>>,
    listening: JoinHandle<()>,
    carried: Carriage,
}

/// What an end is started with, beside the message.
#[derive(Debug)]
pub struct RemoteStart {
    /// All that the agent needs; its number is filled in.
    pub start: EndStart,
    /// How its clock was read.
    pub clock: ClockReading,
    /// Where the end of what it printed goes.
    pub log: File,
}

/// Why an end did not start at an agent.
#[derive(Debug, thiserror::Error)]
pub enum RemoteStartError {
    /// It can't run there.
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    NotStarted(String),
    #[error(transparent)]
    Lost(#[from] AgentError),
}

impl AgentSession {
    /// Greets the agent at the other end of this pipe.
    pub async fn greet(pipe: Pipe<AgentSaid, AgentOrder>, mut carried: Carriage) -> Result<Self, AgentError> {
        let Pipe { out, now, mut incoming } = pipe;
        // A coordinator has nothing to say that can't wait its turn; the way is closed once `out` is.
        drop(now);
        let _ = out.send(AgentOrder::Hello { version: LabVersion::own() }).await;
        let heard = timeout(HELLO, incoming.recv()).await;
        let hello = match heard {
            Err(_) => {
                return Err(carried
                    .not_reached(format!("it did not say what it is within {} s", HELLO.as_secs()))
                    .await);
            }
            Ok(None) => return Err(carried.not_reached("it ended before it said what it is".to_owned()).await),
            Ok(Some(Err(error))) => return Err(carried.not_reached(crate::text::chain(&error)).await),
            Ok(Some(Ok(AgentSaid::Hello(hello)))) if !is_name(&hello.name) => {
                return Err(carried
                    .not_reached(format!("it calls itself `{:.80}`, which is no name", hello.name))
                    .await);
            }
            Ok(Some(Ok(AgentSaid::Hello(hello)))) if hello.version == LabVersion::own() => *hello,
            Ok(Some(Ok(AgentSaid::Hello(hello)))) => {
                drop((out, incoming));
                carried.close(false).await;
                return Err(AgentError::Version { agent: hello.name, version: hello.version });
            }
            Ok(Some(Ok(AgentSaid::Refused { version, .. }))) => {
                let agent = carried.address.clone();
                drop((out, incoming));
                carried.close(false).await;
                return Err(AgentError::Version { agent, version });
            }
            Ok(Some(Ok(_))) => return Err(carried.not_reached("its first word was no `hello`".to_owned()).await),
        };
        let dispatch = Arc::new(Dispatch::default());
        let (tell_lost, lost) = watch::channel(None);
        let listening =
            tokio::spawn(Arc::clone(&dispatch).listen(incoming, out.clone(), hello.name.clone(), tell_lost));
        Ok(Self { hello, out, dispatch, next_end: AtomicU32::new(0), lost, listening, carried })
    }

    /// What the agent is, and what it has.
    pub fn hello(&self) -> &AgentHello {
        &self.hello
    }

    /// Whether it still takes orders.
    pub fn is_there(&self) -> bool {
        self.lost.borrow().is_none()
    }

    /// Has the CA of this folder vouch for the agent's own origin, and gives back where that is.
    pub async fn vouch(&self, certs: &Path) -> Result<String, AgentError> {
        let lost = |why: String| AgentError::Lost { agent: self.hello.name.clone(), why };
        let own = base64(&vouch(certs, &self.public_key()?)?);
        let (origin, told) = oneshot::channel();
        self.dispatch.ask_origin(origin);
        if self.out.send(AgentOrder::Vouch { own }).await.is_err() {
            return Err(self.gone());
        }
        match timeout(ANSWER, told).await {
            Ok(Ok(Ok(origin))) => Ok(origin),
            Ok(Ok(Err(refused))) => Err(lost(refused.0)),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(lost("it does not say where its pages come from".to_owned())),
        }
    }

    /// Has the CA of this folder vouch for the agent's key as that of a server, which clients reach by this name as well.
    pub fn vouch_for_server(&self, certs: &Path, host: Option<&str>) -> Result<ServerCerts, AgentError> {
        let names: Vec<String> = host.map(str::to_owned).into_iter().collect();
        Ok(ServerCerts::vouch(certs, &self.public_key()?, &names)?)
    }

    fn public_key(&self) -> Result<Vec<u8>, AgentError> {
        BASE64.decode(self.hello.key.as_bytes()).map_err(|_| AgentError::Lost {
            agent: self.hello.name.clone(),
            why: "its public key can't be read".to_owned(),
        })
    }

    /// Asks for its clock some times in a row.
    pub async fn read_clock(&self) -> Result<ClockReading, AgentError> {
        let mut answers = Vec::new();
        for _ in 0..QUESTIONS {
            // Whoever hangs is told of before so many answers are waited for.
            if !self.is_there() {
                return Err(self.gone());
            }
            let (answer, answered) = oneshot::channel();
            let asked = self.dispatch.ask(answer);
            let order = AgentOrder::Clock { asked };
            if self.out.send(order).await.is_err() {
                return Err(self.gone());
            }
            match timeout(ANSWER, answered).await {
                Ok(Ok(ClockHeard { at, answered })) => answers.push(ClockAnswer { asked, theirs: at, answered }),
                Ok(Err(_)) => return Err(self.gone()),
                // Lost or late; what the others say is enough.
                Err(_) => {}
            }
        }
        ClockReading::of(&answers).ok_or_else(|| AgentError::Lost {
            agent: self.hello.name.clone(),
            why: "it does not say what its clock says".to_owned(),
        })
    }

    /// Starts an end there; gives it back with the version of its client, where that is known.
    pub async fn start(&self, remote: RemoteStart) -> Result<(Remote, String), RemoteStartError> {
        let RemoteStart { mut start, clock, log } = remote;
        let end = self.next_end.fetch_add(1, Ordering::Relaxed);
        start.end = end;
        let (heard, lines) = mpsc::channel(WAITING);
        let (started, begun) = oneshot::channel();
        let serves = matches!(start.part, EndPart::Server { .. });
        self.dispatch.open(end, Slot::new(heard, started, serves, clock, log));
        if self.out.send(AgentOrder::Start(Box::new(start))).await.is_err() {
            return Err(self.gone().into());
        }
        let begun = match timeout(START, begun).await {
            Ok(Ok(begun)) => begun?,
            Ok(Err(_)) => return Err(self.gone().into()),
            Err(_) => {
                self.dispatch.close(end);
                let _ = self.out.send(AgentOrder::Finish { end }).await;
                return Err(RemoteStartError::NotStarted(format!("it did not start within {} s", START.as_secs())));
            }
        };
        let (orders, asked) = mpsc::channel(16);
        tokio::spawn(relay(end, asked, self.out.clone(), Arc::clone(&self.dispatch), clock));
        Ok((Remote { pid: begun.pid, is_page: begun.page, orders, heard: lines }, begun.version))
    }

    /// Ends the session, and waits until what carried it has ended.
    pub async fn close(self) {
        let is_lost = !self.is_there();
        let Self { out, listening, carried, .. } = self;
        listening.abort();
        let _ = listening.await;
        drop(out);
        carried.close(is_lost).await;
    }

    fn gone(&self) -> AgentError {
        let why = self.lost.borrow().clone().unwrap_or_else(|| "it takes no orders any more".to_owned());
        AgentError::Lost { agent: self.hello.name.clone(), why }
    }
}

/// Passes a runner's orders to an end on.
async fn relay(
    end: u32,
    mut asked: mpsc::Receiver<RemoteOrder>,
    out: mpsc::Sender<AgentOrder>,
    dispatch: Arc<Dispatch>,
    clock: ClockReading,
) {
    let mut finished = None;
    while let Some(order) = asked.recv().await {
        let order = match order {
            RemoteOrder::Say(Down::Go { at }) => AgentOrder::Say { end, line: Down::Go { at: clock.to_theirs(at) } },
            RemoteOrder::Say(line) => AgentOrder::Say { end, line },
            RemoteOrder::Kill => AgentOrder::Kill { end },
            RemoteOrder::Finish(answer) => {
                finished = Some(answer);
                break;
            }
        };
        if out.send(order).await.is_err() {
            break;
        }
    }
    // A runner that let go of it without a word wants it ended, too.
    let (ended, was) = oneshot::channel();
    let status = if dispatch.await_end(end, ended) && out.send(AgentOrder::Finish { end }).await.is_ok() {
        match timeout(FINISH, was).await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) => Some("lost with its agent".to_owned()),
            Err(_) => Some(format!("not known: its agent did not say within {} s", FINISH.as_secs())),
        }
    } else {
        Some("lost with its agent".to_owned())
    };
    dispatch.close(end);
    if let Some(answer) = finished {
        let _ = answer.send(status);
    }
}

/// What a line of an end's means here, with its times on this clock.
fn heard<F>(line: Up<F>, clock: &ClockReading) -> ParticipantMessage
where
    F: Observable + Translated + Into<Fact>,
{
    let line = match line {
        Up::Saw(seen) => Up::Saw(translated(seen, |t| clock.to_ours(t)).map(Into::into)),
        line => line.of_any(),
    };
    ParticipantMessage::Said(line)
}

/// The time now, which also tells a question from others.
fn now() -> u64 {
    monotonic_nanos()
}
