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
    let all = live.flat_map(|(sub, receipts)| receipts.into_iter().map(move |(receipt, of)| (sub, receipt, of)));
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
    all.sort_by_key(|(_, publication)| (publication.t, publication.event));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::{MS, RecordedTrial};
    use crate::trial::fact::{EventPacket, Outcome};
    use crate::trial::settings::LinkSettings;

    fn told(rig: &RecordedTrial, request: &LifeRequest) -> Result<EventLife, LifeError> {
        let mut rig = rig.clone();
        rig.end(Outcome::Completed, None);
        let (plan, journal) = RecordedTrial::plan(&[rig], Vec::new());
        explain(&plan, &journal, request)
    }

    fn lines(life: &EventLife) -> Vec<String> {
        life.steps.iter().map(|step| format!("{} {} {}", step.at, step.place.word(), step.what)).collect()
    }

    fn packet(number: u64, came: u64, arrives: Option<u64>, again: bool) -> EventPacket {
        let dropped = arrives.is_none().then(|| "loss".to_owned());
        let waits = arrives.map(|at| ("delay".to_owned(), at - came)).into_iter().collect();
        EventPacket { number, came, arrives, dropped, waits, again }
    }

    #[test]
    fn the_slowest_event_is_told_of_with_what_became_of_its_packets() {
        let mut rig = RecordedTrial::new();
        rig.planned.settings.link = Some(LinkSettings::default());
        rig.attach(0, 1).open(0).publish(0).receive_at(0, 0, 5_000_000).publish(1);
        let due = rig.now();
        let id = "k3f0-2".to_owned();
        let packets = vec![packet(7, due + MS, None, false), packet(9, due + 20 * MS, Some(due + 45 * MS), true)];
        rig.fact(LabFact::EventOnLink { id, conn: 0, packets });
        rig.receive_at(0, 1, 46_000_000);
        rig.fact(LabFact::LinkTraced { packets: 20, missed: 0, opaque: 0 });
        let life = told(&rig, &LifeRequest::default()).unwrap();
        assert_eq!((life.event.as_str(), life.sub, life.received), ("k3f0-2", 0, Some(46.0)));
        assert_eq!(life.which, "the slowest of 2, whose median took 25.5\u{a0}ms");
        let expected = [
            "0 schedule due",
            "0 server published: in the feed's log",
            "1 link packet 7 comes to the link, and is dropped by loss",
            "20 link packet 9 comes to the link again, 25.000 ms under way (delay 25.000 ms)",
            "45 link packet 9 arrives",
            "46 client received",
        ];
        assert_eq!(lines(&life), expected);
        assert_eq!(life.unknown, [""; 0]);
    }

    #[test]
    fn what_was_lost_before_it_on_its_connection_and_came_after_it_is_what_it_waited_for() {
        let mut rig = RecordedTrial::new();
        rig.planned.settings.link = Some(LinkSettings::default());
        rig.attach(0, 1).open(0).publish(0);
        let due = rig.now();
        rig.publish(1);
        let first = vec![packet(3, due, None, false), packet(6, due + 30 * MS, Some(due + 40 * MS), true)];
        let second = vec![packet(4, due + MS, Some(due + 11 * MS), false)];
        rig.fact(LabFact::EventOnLink { id: "k3f0-1".to_owned(), conn: 0, packets: first });
        rig.fact(LabFact::EventOnLink { id: "k3f0-2".to_owned(), conn: 0, packets: second });
        rig.receive_at(0, 0, 40_000_000).receive_at(0, 1, 41_000_000);
        let request = LifeRequest { event: Some("k3f0-2".to_owned()), ..LifeRequest::default() };
        let told = lines(&told(&rig, &request).unwrap());
        let waited = "30 link packet 6, of k3f0-1 before it, comes to the link again";
        assert!(told.iter().any(|line| line.starts_with(waited)), "{told:?}");
        assert!(told.iter().any(|line| line.contains("packet 3") && line.ends_with("dropped by loss")), "{told:?}");
    }

    #[test]
    fn what_is_not_known_is_said_with_what_would_tell() {
        let mut rig = RecordedTrial::new();
        rig.clock(300_000).attach(0, 1).open(0).publish(0).receive_at(0, 0, 5_000_000);
        let life = told(&rig, &LifeRequest::default()).unwrap();
        assert!(life.unknown[0].contains("went over loopback"), "{:?}", life.unknown);
        assert_eq!(life.steps.last().unwrap().uncertainty, Some(0.3), "a page's clock");
        rig.planned.settings.link = Some(LinkSettings::default());
        assert!(told(&rig, &LifeRequest::default()).unwrap().unknown[0].contains("`run --capture`"));
        rig.fact(LabFact::LinkTraced { packets: 20, missed: 0, opaque: 1 });
        assert!(told(&rig, &LifeRequest::default()).unwrap().unknown[0].contains("could not be decrypted"));
    }

    #[test]
    fn an_event_that_never_came_has_a_life_too() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0).publish(0);
        let life = told(&rig, &LifeRequest::default()).unwrap();
        assert_eq!((life.received, life.which.as_str()), (None, "the first one: none was received"));
        assert_eq!(lines(&life), ["0 schedule due", "0 server published: in the feed's log"]);
    }

    #[test]
    fn who_asks_for_what_is_not_there_is_told_what_is() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).open(0).publish(0).receive(0, 0).publish(1).receive(0, 1);
        rig.planned.settings.workload.subscribers = 1;
        let refused = |request: LifeRequest| told(&rig, &request).unwrap_err().to_string();
        let of = LifeRequest::default;
        assert_eq!(refused(LifeRequest { trial: Some(3), ..of() }), "no trial 3 in this run; it has 7 alone");
        assert_eq!(
            refused(LifeRequest { event: Some("k3-9".to_owned()), ..of() }),
            "no event k3-9 was published in trial 7; there are k3f0-1 to k3f0-2"
        );
        let sub = refused(LifeRequest { sub: Some(1), ..of() });
        assert_eq!(sub, "trial 7 has no subscription 1: it has 1, numbered from 0");
        let (plan, journal) =
            RecordedTrial::plan(&[rig.clone(), RecordedTrial::of(8, 0, "native", crate::trial::Alpn::H1)], Vec::new());
        assert!(explain(&plan, &journal, &of()).unwrap_err().to_string().contains("this run has 7 to 8"));
    }
}
