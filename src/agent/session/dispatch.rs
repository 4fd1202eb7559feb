//! What comes from an agent, to whom it is for.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, interval, sleep_until};

use super::super::clock::{ClockReading, Translated};
use super::super::lines::PipeError;
use super::super::message::{AgentOrder, AgentSaid};
use super::super::serve::SILENCE;
use super::RemoteStartError;
use crate::participant::ParticipantMessage;
use crate::text::chain;
use crate::trial::observation::Observable;
use crate::trial::{Fact, Up};

/// How often an agent is asked for its clock so that each knows that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Questions that wait for an answer; older ones are forgotten.
const QUESTIONS: usize = 64;

/// What a clock said, and when that was heard here.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockHeard {
    pub(super) at: u64,
    pub(super) answered: u64,
}

/// How an end began.
#[derive(Debug)]
pub(super) struct EndBegun {
    pub(super) pid: u32,
    pub(super) page: bool,
    pub(super) version: String,
}

type EndBegunSender = oneshot::Sender<Result<EndBegun, RemoteStartError>>;

/// An end, as it is waited for.
#[derive(Debug)]
pub(super) struct Slot {
    heard: mpsc::Sender<ParticipantMessage>,
    started: Option<EndBegunSender>,
    ended: Option<oneshot::Sender<Option<String>>>,
    /// Whether it is a server: nobody says what only the other end can know.
    serves: bool,
    clock: ClockReading,
    log: File,
}

impl Slot {
    pub(super) fn new(
        heard: mpsc::Sender<ParticipantMessage>,
        started: EndBegunSender,
        serves: bool,
        clock: ClockReading,
        log: File,
    ) -> Self {
        Self { heard, started: Some(started), ended: None, serves, clock, log }
    }
}

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Dispatch(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    ends: HashMap<u32, Slot>,
    questions: HashMap<u64, oneshot::Sender<ClockHeard>>,
    origin: Option<oneshot::Sender<Result<String, OriginRefused>>>,
}

/// An agent has no origin of its own: why.
#[derive(Debug)]
pub(super) struct OriginRefused(pub(super) String);

impl Dispatch {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer; gives back what the question is to be called by, which is when it is asked.
    pub(super) fn ask(&self, answer: oneshot::Sender<ClockHeard>) -> u64 {
        let mut waiting = self.lock();
        if waiting.questions.len() >= QUESTIONS {
            waiting.questions.clear();
        }
        let asked = super::now();
        waiting.questions.insert(asked, answer);
        asked
    }

    /// Waits for where the agent's pages come from.
    pub(super) fn ask_origin(&self, origin: oneshot::Sender<Result<String, OriginRefused>>) {
        self.lock().origin = Some(origin);
    }

    /// Waits for an end to begin.
    pub(super) fn open(&self, end: u32, slot: Slot) {
        self.lock().ends.insert(end, slot);
    }

    /// Waits for an end to have ended; false: nobody will say.
    pub(super) fn await_end(&self, end: u32, ended: oneshot::Sender<Option<String>>) -> bool {
        self.lock().ends.get_mut(&end).map(|slot| slot.ended = Some(ended)).is_some()
    }

    /// Waits for nothing more of an end.
    pub(super) fn close(&self, end: u32) {
        self.lock().ends.remove(&end);
    }

    /// Hears an agent until it is gone, and asks for its clock meanwhile.
    pub(super) async fn listen(
        self: Arc<Self>,
        mut incoming: mpsc::Receiver<Result<AgentSaid, PipeError>>,
        out: mpsc::Sender<AgentOrder>,
        agent: String,
        lost: watch::Sender<Option<String>>,
    ) {
        let mut beat = interval(HEARTBEAT);
        let mut silent_at = Instant::now() + SILENCE;
        let why = loop {
            tokio::select! {
                said = incoming.recv() => match said {
                    Some(Ok(said)) => {
                        silent_at = Instant::now() + SILENCE;
                        self.take(said).await;
                    }
                    Some(Err(error)) => break chain(&error),
                    None => break "it has ended, or its connection has".to_owned(),
                },
                _ = beat.tick() => {
                    // Where the way there is full, that it is emptied tells as much.
                    let _ = out.try_send(AgentOrder::Clock { asked: super::now() });
                }
                () = sleep_until(silent_at) => break format!("it has said nothing for {} s", SILENCE.as_secs()),
            }
        };
        tracing::warn!(agent, why, "an agent is lost");
        lost.send_replace(Some(why.clone()));
        // Whoever waits for an answer sees that there will be none.
        let ends = std::mem::take(&mut *self.lock()).ends;
        for slot in ends.into_values() {
            let _ = slot.heard.send(ParticipantMessage::Lost(format!("is lost with its agent {agent}: {why}"))).await;
        }
    }

    async fn take(&self, said: AgentSaid) {
        match said {
            AgentSaid::Clock { asked, at } => {
                let answered = super::now();
                if let Some(answer) = self.lock().questions.remove(&asked) {
                    let _ = answer.send(ClockHeard { at, answered });
                }
            }
            AgentSaid::Origin { origin } => self.origin(Ok(origin)),
            AgentSaid::NoOrigin { why } => self.origin(Err(OriginRefused(why))),
            AgentSaid::Started { end, pid, version, page, .. } => self.begun(end, Ok(EndBegun { pid, page, version })),
            AgentSaid::Unsupported { end, reason } => self.begun(end, Err(RemoteStartError::Unsupported(reason))),
            AgentSaid::NotStarted { end, reason } => self.begun(end, Err(RemoteStartError::NotStarted(reason))),
            AgentSaid::Said { end, line: Up::Saw(_) } if self.serves(end) => self.pass(end, other_end()).await,
            AgentSaid::Served { end, .. } if !self.serves(end) => self.pass(end, other_end()).await,
            AgentSaid::Said { end, line } => self.hand_on(end, line).await,
            AgentSaid::Served { end, line } => self.hand_on(end, line).await,
            AgentSaid::Garbled { end, how } => self.pass(end, ParticipantMessage::Lost(how)).await,
            AgentSaid::Exited { end, status } => self.pass(end, ParticipantMessage::Exited(status)).await,
            AgentSaid::Ended { end, status, log } => {
                let Some(mut slot) = self.lock().ends.remove(&end) else { return };
                // What an end printed is for people; a trial doesn't fail for it.
                let _ = slot.log.write_all(log.as_bytes());
                if let Some(ended) = slot.ended {
                    let _ = ended.send(status);
                }
            }
            AgentSaid::Hello(_) | AgentSaid::Refused { .. } => {}
        }
    }

    fn origin(&self, origin: Result<String, OriginRefused>) {
        if let Some(asked) = self.lock().origin.take() {
            let _ = asked.send(origin);
        }
    }

    fn begun(&self, end: u32, begun: Result<EndBegun, RemoteStartError>) {
        let started = {
            let mut waiting = self.lock();
            let started = waiting.ends.get_mut(&end).and_then(|slot| slot.started.take());
            if begun.is_err() {
                waiting.ends.remove(&end);
            }
            started
        };
        if let Some(started) = started {
            let _ = started.send(begun);
        }
    }

    /// Whether this end is a server.
    fn serves(&self, end: u32) -> bool {
        self.lock().ends.get(&end).is_some_and(|slot| slot.serves)
    }

    async fn hand_on<F>(&self, end: u32, line: Up<F>)
    where
        F: Observable + Translated + Into<Fact>,
    {
        let slot = self.lock().ends.get(&end).map(|slot| (slot.heard.clone(), slot.clock));
        if let Some((to, clock)) = slot {
            let _ = to.send(super::heard(line, &clock)).await;
        }
    }

    async fn pass(&self, end: u32, message: ParticipantMessage) {
        let to = self.lock().ends.get(&end).map(|slot| slot.heard.clone());
        if let Some(to) = to {
            let _ = to.send(message).await;
        }
    }
}

fn other_end() -> ParticipantMessage {
    ParticipantMessage::Lost("said what only the trial's other end can know".to_owned())
}
