//! One trial: both ends started, opened, published to, counted, ended and judged.

mod between;
mod broker;
mod capture;
mod early_end;
mod elsewhere;
mod ends;
mod facts;
mod faults;
mod finish;
mod flows;
pub(super) mod link;
mod server_agents;
mod start;
mod trace;
mod which;

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use self::between::FoundIntermediary;
use self::broker::TrialBroker;
use self::early_end::{EarlyEnd, failed};
use self::ends::Ends;
use self::facts::Possible;
use self::which::Which;
use super::RunError;
use super::interrupt::interrupted;
use super::lab::Lab;
use super::machine::Watch;
use crate::admission::Token;
use crate::agent::ClockReading;
use crate::experiment::plan;
use crate::link::Link;
use crate::participant::{Participant, ParticipantMessage};
use crate::stats;
use crate::trial::clock::monotonic_nanos;
use crate::trial::contract::CONTRACT;
use crate::trial::fact::{Outcome, UsageAt};
use crate::trial::{ClientFact, Down, Fact, JournalLine, LabFact, Observation, PlannedTrial, Role, TrialMessage, Up};

/// From the `go` message to the instant it names: both ends must have it by then.
const LEAD: Duration = Duration::from_millis(50);

/// How many facts' lateness is noted.
const MAX_LATE: usize = 4096;

/// A trial under way.
#[derive(Debug)]
pub(super) struct TrialRunner<'a> {
    lab: &'a mut Lab,
    planned: &'a PlannedTrial,
    interrupt: watch::Receiver<bool>,
    observations: Vec<JournalLine>,
    /// When it must have ended.
    end_by: Instant,
    /// Servers, clients, and whom clients take for the server where that isn't it.
    ends: Ends,
    /// At which port they find an intermediary.
    intermediary_port: Option<u16>,
    /// What that is, once it is started: it may be started again.
    between: Option<FoundIntermediary>,
    /// What servers share their feeds through.
    broker: Option<TrialBroker>,
    /// The intermediary, while it ends on purpose: how it did.
    ending: Option<JoinHandle<Option<String>>>,
    /// What is between them, where it isn't loopback.
    link: Option<Link>,
    /// The control origin, at the client's end of it.
    answering: Option<JoinSet<()>>,
    /// UDP datagrams that the kernel dropped at its two ends, once it is down.
    link_udp_dropped: Option<u64>,
    /// The timeline's 0, once it was said.
    go: Option<u64>,
    /// When it notes what it carried, in nanoseconds, and what that is for.
    link_marks: Vec<(u64, UsageAt)>,
    /// What clients show to read and publish, where other machines reach the servers.
    token: Option<Token>,
    /// How the clock of each end's agent was read before it.
    clocks: Vec<(Which, ClockReading)>,
    /// What the kernel counts since the trial began.
    watch: Watch,
    /// How late each fact was recorded that was told at once, in nanoseconds; the first [`MAX_LATE`].
    late: Vec<u64>,
}

impl<'a> TrialRunner<'a> {
    pub(super) fn new(lab: &'a mut Lab, planned: &'a PlannedTrial, interrupt: watch::Receiver<bool>) -> Self {
        Self {
            lab,
            planned,
            interrupt,
            observations: Vec::new(),
            end_by: Instant::now() + planned.settings.timeout.duration(),
            ends: Ends::default(),
            intermediary_port: None,
            between: None,
            broker: None,
            ending: None,
            link: None,
            answering: None,
            link_udp_dropped: None,
            go: None,
            link_marks: Vec::new(),
            token: None,
            clocks: Vec::new(),
            watch: Watch::start(),
            late: Vec::new(),
        }
    }

    /// Runs it to its end, whichever that is. `None`: it was interrupted. An error is the lab's own.
    pub(super) async fn run(mut self) -> Result<Option<(Outcome, Option<String>)>, RunError> {
        let lived = Box::pin(self.live()).await;
        self.conclude(lived).await
    }

    /// How many servers there are, and how many clients. Each subscription is one client's.
    fn servers_and_clients(&self) -> [u32; 2] {
        [self.planned.settings.servers(), self.planned.settings.workload.agents.max(1)]
    }

    /// The same with both ends there already, and a client that may want everything closed early.
    pub(super) async fn run_between(
        mut self,
        server: Participant,
        client: Participant,
        closing: watch::Receiver<bool>,
    ) -> Result<Option<(Outcome, Option<String>)>, RunError> {
        let lived = self.receive(server, client, closing).await;
        self.conclude(lived).await
    }

    async fn conclude(mut self, lived: Result<(), EarlyEnd>) -> Result<Option<(Outcome, Option<String>)>, RunError> {
        // Whatever happened, all ends are ended.
        let ended = self.end().await;
        let broken = self.take_link_down().await?;
        self.spare()?;
        let (outcome, reason) = match lived {
            // Whatever else went wrong, it went wrong because of that.
            Ok(()) | Err(EarlyEnd::Ended(..)) if broken.is_some() => (Outcome::Failed, broken),
            Err(EarlyEnd::Lab(error)) => return Err(error),
            Err(EarlyEnd::Ended(outcome, reason)) => (outcome, Some(reason)),
            Err(EarlyEnd::Interrupted) => {
                self.note(LabFact::Outcome { outcome: Outcome::Failed, reason: Some("interrupted".to_owned()) })?;
                return Ok(None);
            }
            Ok(()) => match stats::judge(self.planned, &self.observations) {
                Ok(()) => (Outcome::Completed, None),
                Err(broken) => (Outcome::Failed, Some(broken.to_string())),
            },
        };
        ended?;
        self.note(LabFact::Outcome { outcome, reason: reason.clone() })?;
        Ok(Some((outcome, reason)))
    }

    async fn live(&mut self) -> Result<(), EarlyEnd> {
        let planned = self.planned;
        let settings = &planned.settings;
        plan::supports(settings)?;
        let clients = self.find_clients()?;
        self.reach_agents().await?;
        let between = self.find_intermediary().await?;
        self.find_broker()?;
        self.bring_link_up().await?;
        self.note_network()?;
        let folder = self.lab.trial_folder(planned.trial)?;
        Box::pin(self.start_broker(&folder)).await?;
        self.draw_token()?;
        let [servers, _] = self.servers_and_clients();
        let mut asked = Vec::new();
        for number in 0..servers {
            let ports = self.start_server(number, &folder).await?;
            asked.push(self.asked_for(number, ports));
        }
        if let Some(between) = between {
            let ports = self.start_intermediary(between, &asked[0].ports, &folder).await?;
            asked = vec![self.asked_for(0, ports)];
        }
        for (number, client) in (0..).zip(clients) {
            self.start_client(number, client, &asked, &folder).await?;
        }
        self.go(None).await
    }

    async fn receive(
        &mut self,
        server: Participant,
        client: Participant,
        closing: watch::Receiver<bool>,
    ) -> Result<(), EarlyEnd> {
        plan::supports(&self.planned.settings)?;
        self.take_ends(server, client).await?;
        self.go(Some(closing)).await
    }

    /// From `go` to all ends' last words.
    async fn go(&mut self, closing: Option<watch::Receiver<bool>>) -> Result<(), EarlyEnd> {
        self.note_silent_usage(UsageAt::Go).await?;
        // Whoever is far away has to have it by then, too.
        let lead = LEAD + Duration::from_nanos(2 * self.longest_round_trip());
        let go = monotonic_nanos() + u64::try_from(lead.as_nanos()).unwrap_or(0);
        self.ends.iter_mut().filter_map(|end| end.possible.as_mut()).for_each(|possible| possible.begin(go));
        self.go = Some(go);
        self.mark_link(go);
        for participant in self.ends.iter().filter_map(|end| end.participant.as_ref()) {
            participant.order(Down::Go { at: go }).await;
        }
        // The timeline takes its own time, and what was left of the timeout stays.
        self.end_by += lead + Duration::from_nanos(self.timeline_nanos());
        self.timeline(go, closing).await?;
        self.last_words(Which::is_client).await?;
        self.last_words(Which::is_server).await?;
        self.compare_clocks().await
    }

    /// From `go` to the end of the drain.
    fn timeline_nanos(&self) -> u64 {
        let workload = &self.planned.settings.workload;
        workload.census_nanos() + workload.drain.nanos()
    }

    /// This long from now, or when the trial must have ended.
    fn within(&self, most: Duration) -> Instant {
        self.end_by.min(Instant::now() + most)
    }

    /// The next line of any end; an end that is gone, an interrupt or the deadline ends the trial.
    async fn next(&mut self, until: Instant, late: &str) -> Result<(Which, Up<Fact>), EarlyEnd> {
        loop {
            let Ok(heard) = tokio::time::timeout_at(until, self.hear()).await else {
                return Err(EarlyEnd::Ended(Outcome::TimedOut, late.to_owned()));
            };
            if let (which, Some(said)) = self.sort(heard)? {
                return Ok((which, said));
            }
        }
    }

    async fn hear(&mut self) -> Option<(Which, ParticipantMessage)> {
        let Self { ends, interrupt, .. } = self;
        tokio::select! {
            heard = ends.hear() => Some(heard),
            () = interrupted(interrupt) => None,
        }
    }

    fn sort(&mut self, heard: Option<(Which, ParticipantMessage)>) -> Result<(Which, Option<Up<Fact>>), EarlyEnd> {
        match heard {
            None => Err(EarlyEnd::Interrupted),
            Some((which, ParticipantMessage::Said(said))) => Ok((which, Some(said))),
            // Whoever is killed may be cut short in the middle of a line.
            Some((which, ParticipantMessage::Garbled(_))) if self.ends.of(which).killed => Ok((which, None)),
            Some((which, ParticipantMessage::Garbled(how))) => failed(format!("the {} {how}", self.ends.name(which))),
            Some((which, ParticipantMessage::Lost(why))) => {
                if let Which::Server(number) = which {
                    self.lab.ledger.send_modify(|ledger| ledger.forget_open(number));
                }
                failed(format!("the {which} {why}"))
            }
            Some((which, ParticipantMessage::Ran(why))) => {
                self.reloaded(why)?;
                Ok((which, None))
            }
            Some((which, ParticipantMessage::Exited(status))) => {
                let end = self.ends.of(which);
                end.gone = true;
                let expected = end.killed || end.done;
                self.note(LabFact::Exited { role: which.to_string(), status: status.clone() })?;
                if expected {
                    return Ok((which, None));
                }
                failed(format!(
                    "the {} ended by itself ({status}); see its log in the trial's folder",
                    self.ends.name(which)
                ))
            }
        }
    }

    /// Takes what an end said.
    async fn take(&mut self, which: Which, said: Up<Fact>) -> Result<(), EarlyEnd> {
        match said {
            Up::Saw(observation) => self.take_observation(which, observation),
            Up::Unsupported { reason } => Err(EarlyEnd::Ended(Outcome::Unsupported, reason)),
            // Whatever an end says that was killed on purpose, it says because of that.
            Up::Failed { .. } if self.ends.of(which).killed => Ok(()),
            Up::Failed { reason } => {
                if let Some(participant) = &mut self.ends.of(which).participant
                    && let Some(status) = participant.browser_exited().await
                {
                    self.sort(Some((which, ParticipantMessage::Exited(status))))?;
                    return Ok(());
                }
                failed(format!("the {} broke: {reason}", self.ends.name(which)))
            }
            Up::Done { sent } => {
                let end = self.ends.of(which);
                end.done = true;
                let came = end.came;
                if sent == came {
                    return Ok(());
                }
                failed(format!("the {} said {sent} facts, and {came} arrived", self.ends.name(which)))
            }
            Up::Listening { .. } | Up::Ready { .. } => failed(format!("the {which} began twice")),
        }
    }

    fn take_observation(&mut self, which: Which, Observation { t, fact }: Observation) -> Result<(), EarlyEnd> {
        let end = self.ends.of(which);
        end.came += 1;
        let mut at_once = true;
        let fact = match fact {
            Fact::Client(fact) => {
                let page = end.participant.as_ref().is_some_and(Participant::is_page);
                at_once = !matches!(fact, ClientFact::Received { .. } | ClientFact::Clock { .. });
                let observation = Observation { t, fact };
                if let Some(possible) = &mut end.possible {
                    possible.check(&observation, monotonic_nanos(), page).or_else(|error| failed(error.to_string()))?;
                }
                observation.fact.into()
            }
            Fact::Server(fact) => {
                let fact = fact.of_server(which.number(), end.life);
                self.lab.ledger.send_modify(|ledger| ledger.apply(&fact));
                fact.into()
            }
            fact @ Fact::Lab(_) => fact,
        };
        self.record(Observation { t, fact })?;
        if at_once && self.late.len() < MAX_LATE {
            self.late.push(monotonic_nanos().saturating_sub(t));
        }
        Ok(())
    }

    fn started(&mut self, which: Which, end: Participant, version: Option<String>) -> Result<(), EarlyEnd> {
        let (role, pid) = (which.to_string(), end.pid());
        self.ends.of(which).participant = Some(end);
        self.note(LabFact::Started { role, pid, version })?;
        Ok(())
    }

    async fn order(&mut self, which: Which, order: Down) {
        if let Some(participant) = &self.ends.of(which).participant {
            participant.order(order).await;
        }
    }

    fn message(&self, role: Role) -> Down {
        let PlannedTrial { trial, seed, ref settings, .. } = *self.planned;
        Down::Trial(Box::new(TrialMessage { contract: CONTRACT, trial, seed, settings: settings.clone(), role }))
    }

    fn note(&mut self, fact: LabFact) -> Result<(), RunError> {
        self.record(Observation::now(fact.into()))
    }

    fn record(&mut self, observation: Observation) -> Result<(), RunError> {
        let line = JournalLine { trial: self.planned.trial, observation };
        self.lab.journal.write(&line)?;
        self.observations.push(line);
        Ok(())
    }
}
