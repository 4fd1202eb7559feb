//! One event's life: when it was due, what became of it on the way to one subscription, and when that had it.

mod life;
mod told;

use std::collections::BTreeMap;

pub use told::{EventLife, LifeError, LifePlace, LifeRequest, LifeStep};

use self::life::{Chosen, Life, OnLink};
use super::number;
use super::record::{Publication, Record, millis};
use super::sample::median;
use crate::trial::{Fact, JournalLine, LabFact, Plan, PlannedTrial};

/// Tells it.
pub fn explain(plan: &Plan, journal: &[JournalLine], request: &LifeRequest) -> Result<EventLife, LifeError> {
    let planned = trial(plan, request.trial)?;
    let record = Record::new(planned, journal);
    let of_trial: Vec<&JournalLine> = journal.iter().filter(|line| line.trial == planned.trial).collect();
    let subscriptions = planned.settings.workload.subscribers;
    if let Some(sub) = request.sub.filter(|sub| *sub >= subscriptions) {
        return Err(LifeError::NoSubscription { trial: planned.trial, sub, subscriptions });
    }
    let chosen = choose(&record, planned.trial, request)?;
    let links = links(&of_trial);
    let mut life = Life::new(&record, &chosen);
    life.publication();
    life.subscription();
    let known = life.packets(&links, late_most(&of_trial));
    life.receipts();
    life.faults();
    let steps = life.told();
    Ok(EventLife {
        trial: planned.trial,
        levels: planned.levels.clone(),
        event: chosen.id.to_owned(),
        sub: chosen.sub,
        received: chosen.received.map(|t| millis(chosen.publication.scheduled, t)),
        which: chosen.which.clone(),
        steps,
        unknown: unknown(planned, &of_trial, known),
    })
}

fn trial(plan: &Plan, wanted: Option<u32>) -> Result<&PlannedTrial, LifeError> {
    let trials = || match (plan.trials.first(), plan.trials.last()) {
        (Some(first), Some(last)) if first.trial != last.trial => format!("{} to {}", first.trial, last.trial),
        (Some(only), _) => format!("{} alone", only.trial),
        _ => "none".to_owned(),
    };
    match (wanted, plan.trials.as_slice()) {
        (Some(wanted), all) => {
            let found = all.iter().find(|planned| planned.trial == wanted);
            found.ok_or_else(|| LifeError::NoTrial { wanted, trials: trials() })
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(LifeError::Several { trials: trials() }),
    }
}

fn choose<'a>(record: &Record<'a>, trial: u32, request: &LifeRequest) -> Result<Chosen<'a>, LifeError> {
    // Every event of every subscription that received it, with how long that took.
    let live = record.live_receipts();
    let all = live.iter().flat_map(|(sub, receipts)| receipts.iter().map(move |(receipt, of)| (*sub, *receipt, *of)));
    let all: Vec<_> = all.filter(|(sub, ..)| request.sub.is_none_or(|wanted| wanted == *sub)).collect();
    let took = |receipt: u64, of: &Publication<'_>| millis(of.scheduled, receipt);
    if let Some(wanted) = &request.event {
        let Some((id, publication)) = record.published.get_key_value(wanted.as_str()) else {
            return Err(LifeError::NoEvent { wanted: wanted.clone(), trial, events: some(record) });
        };
        let mut of_it: Vec<_> = all.iter().filter(|(_, receipt, _)| receipt.id == *id).collect();
        of_it.sort_by_key(|(_, receipt, _)| receipt.t);
        // What was caught up on from the log was received too.
        let last =
            of_it.last().map(|(sub, receipt, _)| (*sub, receipt.t)).or_else(|| caught_up(record, id, request.sub));
        let sub = last.map(|(sub, _)| sub).or(request.sub).unwrap_or(0);
        let which = match (last, of_it.len()) {
            (None, _) => "asked for, and never received".to_owned(),
            (Some(_), 0 | 1) => "asked for".to_owned(),
            (Some(_), many) => format!("asked for; of {many} subscriptions that received it, the last one"),
        };
        return Ok(Chosen { id, publication: *publication, sub, received: last.map(|(_, t)| t), which });
    }
    let slowest = all.iter().max_by(|a, b| took(a.1.t, &a.2).total_cmp(&took(b.1.t, &b.2)));
    let Some(&(sub, receipt, publication)) = slowest else {
        let first = record.published.iter().min_by_key(|(_, publication)| publication.scheduled);
        let (id, publication) = first.ok_or(LifeError::NothingPublished(trial))?;
        let which = "the first one: none was received".to_owned();
        return Ok(Chosen { id, publication: *publication, sub: request.sub.unwrap_or(0), received: None, which });
    };
    let middle = median(all.iter().map(|(_, receipt, of)| took(receipt.t, of))).unwrap_or(0.0);
    let which = format!("the slowest of {}, whose median took {}", all.len(), number::with_unit(middle, "ms"));
    Ok(Chosen { id: receipt.id, publication, sub, received: Some(receipt.t), which })
}

fn caught_up(record: &Record<'_>, id: &str, sub: Option<u32>) -> Option<(u32, u64)> {
    let of = record.received.iter().filter(|(of, _)| sub.is_none_or(|sub| sub == **of));
    of.filter_map(|(sub, receipts)| Some((*sub, receipts.iter().find(|receipt| receipt.id == id)?.t)))
        .max_by_key(|(_, t)| *t)
}

/// `there are k3f9-1 to k3f9-50`.
fn some(record: &Record<'_>) -> String {
    let mut all: Vec<_> = record.published.iter().collect();
    all.sort_by_key(|(_, publication)| publication.t);
    match (all.first(), all.last()) {
        (Some((first, _)), Some((last, _))) if first != last => format!("there are {first} to {last}"),
        (Some((only, _)), _) => format!("there is {only}"),
        _ => String::new(),
    }
}

fn links<'a>(journal: &[&'a JournalLine]) -> BTreeMap<&'a str, Vec<OnLink<'a>>> {
    let mut links: BTreeMap<&str, Vec<OnLink<'_>>> = BTreeMap::new();
    for line in journal {
        if let Fact::Lab(LabFact::EventOnLink { id, conn, packets }) = &line.observation.fact {
            links.entry(id).or_default().push((*conn, packets));
        }
    }
    links
}

/// How late the link was at most, in nanoseconds.
fn late_most(journal: &[&JournalLine]) -> Option<u64> {
    journal.iter().find_map(|line| match &line.observation.fact {
        Fact::Lab(LabFact::LinkEnded { late_most, .. }) => *late_most,
        _ => None,
    })
}

/// What is not in the journal.
fn unknown(planned: &PlannedTrial, journal: &[&JournalLine], on_link: bool) -> Vec<String> {
    let traced = journal.iter().any(|line| matches!(line.observation.fact, Fact::Lab(LabFact::LinkTraced { .. })));
    let says = match (&planned.settings.link, traced, on_link) {
        (None, ..) => {
            "what became of it on the way: this trial went over loopback. A table [link], be it empty, and `run \
             --capture` tell"
        }
        (Some(_), false, _) => {
            "which packets carried it, and what became of them: they were not kept. `run --capture`, or `trace = true` \
             in [link], keeps them"
        }
        (Some(_), true, false) => {
            "which packets carried it: it was not found whole in what the server sent, or could not be decrypted"
        }
        (Some(_), true, true) => return Vec::new(),
    };
    vec![says.to_owned()]
}
