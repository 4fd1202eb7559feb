//! What a run does before its trials: two that differ in nothing, to see what this machine can't tell apart.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::RunError;
use super::lab::Lab;
use super::trial::TrialRunner;
use super::trial::link::hidden;
use crate::link::{Conditions, Link, LinkError};
use crate::trial::journal::Journal;
use crate::trial::settings::{
    BetweenSettings, BrokerSettings, Events, Expect, Reconnect, ServerSettings, StackSettings, Workload, default_client,
};
use crate::trial::{JournalLine, LabFact, Levels, Observation, Plan, PlannedTrial, Promises, Protocol, Settings};
use crate::units::{Rate, Span};

/// Where what is observed in them goes, in the run's folder.
pub(super) const JOURNAL: &str = "calibration.jsonl";
/// How many words are sent over a link to try it: enough for a median.
const WORDS: u32 = 101;

/// The two trials: the native client's, of half a second each, the same seed in both. Their numbers follow on the
/// plan's, so that no trial of a run has another's.
pub(super) fn twins(plan: &Plan) -> [PlannedTrial; 2] {
    let first = plan.trials.iter().map(|planned| planned.trial + 1).max().unwrap_or(0);
    [first, first + 1].map(|trial| PlannedTrial {
        trial,
        repeat: trial - first,
        seed: plan.seed,
        levels: Levels::new(),
        settings: settings(),
        promises: Promises::default(),
    })
}

fn settings() -> Settings {
    let workload = Workload {
        subscribers: 10,
        settle: Span::from_millis(50),
        hold: Span::from_millis(500),
        drain: Span::from_millis(100),
        events: Events { count: 20.into(), rate: Rate::per_second(50.0), ..Events::default() },
        ..Workload::default()
    };
    Settings {
        client: default_client(),
        protocol: Protocol::default(),
        timeout: Span::from_secs(5),
        workload,
        server: ServerSettings::default(),
        stack: StackSettings::default(),
        link: None,
        between: BetweenSettings::default(),
        broker: BrokerSettings::default(),
        reconnect: Reconnect::default(),
        expect: Expect::default(),
        fault: Vec::new(),
        beside: Vec::new(),
        transports: BTreeMap::new(),
    }
}

/// Runs them, into a journal of their own. Says whether it was interrupted.
pub(super) async fn run(lab: &mut Lab, plan: &Plan, interrupt: &watch::Receiver<bool>) -> Result<bool, RunError> {
    let journal = Journal::create(&lab.folder.join(JOURNAL))?;
    let journal = std::mem::replace(&mut lab.journal, journal);
    // Whoever lies, it is in the run's own trials.
    let rig = lab.rig.take();
    // What this machine can't tell apart is found out on this machine.
    let aside = lab.agents.servers_here();
    try_link(lab, plan, hidden(rig)).await?;
    let ran = both(lab, plan, interrupt).await;
    lab.journal = journal;
    lab.rig = rig;
    lab.agents.servers_there(aside);
    ran
}

/// Sends words over a link that delays nothing, where trials have one. Where none can be had, they say why.
async fn try_link(lab: &mut Lab, plan: &Plan, hidden: Span) -> Result<(), RunError> {
    let Some(planned) = plan.trials.iter().find(|planned| planned.settings.link.is_some()) else { return Ok(()) };
    let seed = planned.seed;
    let tried = tokio::task::spawn_blocking(move || {
        let conditions = Conditions { delay: hidden, ..Conditions::default() };
        Link::start(&conditions, &conditions, seed, &[])?.round_trips(WORDS)
    });
    match tried.await.unwrap_or(Err(LinkError::Panicked)) {
        Ok(took) => {
            let trial = twins(plan)[0].trial;
            let observation = Observation::now(LabFact::LinkTried { took }.into());
            Ok(lab.journal.write(&JournalLine { trial, observation })?)
        }
        Err(error) => {
            tracing::debug!(%error, "no link to try");
            Ok(())
        }
    }
}

async fn both(lab: &mut Lab, plan: &Plan, interrupt: &watch::Receiver<bool>) -> Result<bool, RunError> {
    for planned in &twins(plan) {
        // How it ended is in its journal, and is told with what was found.
        if TrialRunner::new(lab, planned, interrupt.clone()).run().await?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}
