//! A trial's timeline, and what goes wrong on it on purpose.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;

use super::{EarlyEnd, TrialRunner, Which};
use crate::trial::clock::{monotonic_nanos, sleep_until};
use crate::trial::fact::UsageAt;
use crate::trial::settings::{FaultAct, FaultKind, KilledServer};
use crate::trial::{Down, LabFact, schedule};

/// How long a killed server's last lines may take to arrive.
const LAST_LINES: Duration = Duration::from_secs(5);

/// What is due on the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin(FaultKind),
    Participant(FaultKind),
    /// What stands between is asked what it has used.
    Usage(UsageAt),
}

impl TrialRunner<'_> {
    /// From `go` to the end of the drain, faults included. Closed early, the census is taken then, by the server.
    pub(super) async fn timeline(
        &mut self,
        go: u64,
        mut closing: Option<watch::Receiver<bool>>,
    ) -> Result<(), EarlyEnd> {
        let settings = &self.planned.settings;
        let mut steps = VecDeque::from(self.steps(go));
        let mut end = go + self.timeline_nanos();
        loop {
            let step_at = steps.front().map(|(at, _)| *at).filter(|at| *at <= end);
            tokio::select! {
                () = sleep_until(step_at.unwrap_or(end)) => {
                    let Some((_, step)) = step_at.and_then(|_| steps.pop_front()) else { break };
                    match step {
                        Step::Begin(kind) => self.begin_fault(kind).await?,
                        Step::Participant(kind) => self.end_fault(kind, go).await?,
                        Step::Usage(at) => self.note_silent_usage(at).await?,
                    }
                }
                () = closed(&mut closing) => {
                    closing = None;
                    end = end.min(monotonic_nanos() + settings.workload.drain.nanos());
                }
                heard = self.hear() => {
                    let (which, said) = self.sort(heard)?;
                    if let Some(said) = said {
                        self.take(which, said).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What is due when, in order; equal times in the order of the file.
    fn steps(&self, go: u64) -> Vec<(u64, Step)> {
        let mut steps = Vec::new();
        for fault in &self.planned.settings.fault {
            let at = go + fault.at.nanos();
            steps.push((at, Step::Begin(fault.kind)));
            if fault.kind.row().lasts {
                steps.push((at + fault.length().nanos(), Step::Participant(fault.kind)));
            }
        }
        if self.between.is_some() || self.broker.is_some() {
            let workload = &self.planned.settings.workload;
            let census = workload.census_nanos();
            let first = schedule(workload, self.planned.seed).first().map_or(census, |due| due.at);
            let usage = [(UsageAt::First, first), (UsageAt::Census, census), (UsageAt::End, self.timeline_nanos())];
            steps.extend(usage.map(|(at, after)| (go + after, Step::Usage(at))));
        }
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    async fn begin_fault(&mut self, kind: FaultKind) -> Result<(), EarlyEnd> {
        let row = kind.row();
        self.note(LabFact::Fault { fault: row.name.to_owned() })?;
        match row.act {
            FaultAct::KillServer { which, .. } => self.kill(self.killed_server(which)),
            FaultAct::KillClient => self.ends.some(Which::is_client).into_iter().for_each(|client| self.kill(client)),
            FaultAct::EndStreams { .. } => self.order_servers(&Down::Inject { fault: kind }).await,
            FaultAct::OnLink(fault) => self.begin_on_link(fault)?,
            FaultAct::ToIntermediary(fault) => return self.begin_on_intermediary(fault).await,
            FaultAct::ToBroker(fault) => self.begin_on_broker(fault).await?,
        }
        if row.lasts { Ok(()) } else { self.fault_ended(kind) }
    }

    async fn end_fault(&mut self, kind: FaultKind, go: u64) -> Result<(), EarlyEnd> {
        match kind.row().act {
            FaultAct::KillServer { which, .. } => self.restart_server(self.killed_server(which), go).await?,
            FaultAct::OnLink(fault) => self.end_on_link(fault),
            FaultAct::ToIntermediary(_) => self.restart_intermediary().await?,
            FaultAct::ToBroker(_) => self.restart_broker().await?,
            FaultAct::KillClient | FaultAct::EndStreams { .. } => {
                self.order_servers(&Down::Cease { fault: kind }).await;
            }
        }
        self.fault_ended(kind)
    }

    pub(super) fn fault_ended(&mut self, kind: FaultKind) -> Result<(), EarlyEnd> {
        Ok(self.note(LabFact::FaultEnded { fault: kind.row().name.to_owned() })?)
    }

    async fn order_servers(&mut self, order: &Down) {
        for server in self.ends.some(Which::is_server) {
            self.order(server, order.clone()).await;
        }
    }

    const fn killed_server(&self, which: KilledServer) -> Which {
        Which::Server(which.of(self.planned.settings.server.count))
    }

    pub(super) fn kill(&mut self, which: Which) {
        let end = self.ends.of(which);
        end.killed = true;
        if let Some(participant) = &mut end.participant {
            participant.kill();
        }
        if let Which::Server(number) = which {
            // It can't say any more that its connections ended.
            self.lab.ledger.send_modify(|ledger| ledger.forget_open(number));
        }
    }

    /// A new server at the ports of the one that was killed, which goes on with the schedule.
    async fn restart_server(&mut self, server: Which, go: u64) -> Result<(), EarlyEnd> {
        self.bury(server).await?;
        let folder = self.lab.trial_folder(self.planned.trial)?;
        self.start_server(server.number(), &folder).await?;
        self.order(server, Down::Go { at: go }).await;
        Ok(())
    }

    /// Takes the last lines of an end that was killed, waits for its end, and makes room for another one in its place.
    pub(super) async fn bury(&mut self, which: Which) -> Result<(), EarlyEnd> {
        let until = self.within(LAST_LINES);
        while !self.ends.of(which).gone {
            let heard = tokio::time::timeout_at(until, self.hear()).await;
            let Ok(heard) = heard else { return super::failed(format!("the killed {which} did not end")) };
            if let (from, Some(said)) = self.sort(heard)? {
                self.take(from, said).await?;
            }
        }
        if let Some(dead) = self.ends.of(which).participant.take() {
            dead.finish().await;
        }
        self.ends.of(which).again();
        Ok(())
    }
}

/// Waits until everything is to be closed early; for ever where nobody can want that.
async fn closed(closing: &mut Option<watch::Receiver<bool>>) {
    if let Some(closing) = closing
        && closing.wait_for(|closing| *closing).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
