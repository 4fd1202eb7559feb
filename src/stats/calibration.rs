//! What the machine and the clocks could tell at the time of a run: `calibration.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric;
use super::number;
use super::record::Record;
use super::sample::Sample;
use crate::trial::fact::Outcome;
use crate::trial::{ClientFact, Fact, JournalLine, LabFact, Plan, PlannedTrial};

/// What the twins' medians are compared in.
const COMPARED: &str = "latency";

/// How long a round trip over a link may take that delays nothing, in milliseconds, before it is said that it takes long.
const AT_MOST: f64 = 2.0;

/// What was found out around a run. What was not is `None`, or missing from its list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Calibration {
    /// How much of the processor was idle before the run, in percent.
    pub idle_percent: Option<f64>,
    /// Two trials that differ in nothing.
    pub aa: Option<Twins>,
    /// How late events were published.
    pub publisher_lateness: Option<Lateness>,
    /// How late facts reached the journal.
    pub recorder_lateness: Option<Lateness>,
    /// How long a round trip over a link takes that delays nothing.
    pub link_round_trip: Option<Lateness>,
    /// The clocks of clients other than the lab's own, one entry per client.
    pub clocks: Vec<ClientClock>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// Two trials that differ in nothing (A/A): how much they differ is what this machine can't tell apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Twins {
    /// The metric whose medians these are.
    pub metric: String,
    pub unit: String,
    /// The first trial's.
    pub first: f64,
    /// The second one's.
    pub second: f64,
    /// How far they are apart; never below 0.
    pub difference: f64,
}

/// How late something was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lateness {
    /// The unit of both.
    pub unit: String,
    pub median: f64,
    /// 99 in 100 were this late or less.
    pub p99: f64,
}

/// A client's clock, the worst of its trials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientClock {
    /// The client's name.
    pub client: String,
    /// In what steps its timer moves, in nanoseconds.
    pub step: u64,
    /// How far its comparison with the lab's clock may be off, in nanoseconds.
    pub uncertainty: u64,
    /// Whether its page was cross-origin isolated.
    pub isolated: bool,
    /// `document.visibilityState`.
    pub visibility: String,
}

/// Computes a run's calibration: `idle` is the machine's before it, in percent; `twins` are the two trials that differ
/// in nothing and `calibrated` what was observed in them, nothing where they were left out; `observations` are the
/// run's own.
pub fn calibrate(
    idle: Option<f64>,
    twins: &[PlannedTrial; 2],
    calibrated: &[JournalLine],
    plan: &Plan,
    journal: &[JournalLine],
) -> Calibration {
    let records = twins.each_ref().map(|planned| Record::new(planned, calibrated));
    let publisher = records.iter().flat_map(Record::lateness).collect();
    let recorder = records.iter().flat_map(|record| record.recorded_late).map(|&nanos| nanos as f64 / 1e6).collect();
    let mut calibration = Calibration {
        idle_percent: idle,
        aa: None,
        publisher_lateness: lateness(publisher),
        recorder_lateness: lateness(recorder),
        link_round_trip: lateness(calibrated.iter().flat_map(tried).collect()),
        clocks: clocks(plan, journal),
        notes: Vec::new(),
    };
    if let Some(slow) = calibration.link_round_trip.as_ref().filter(|took| took.median > AT_MOST) {
        let added = number::with_unit(slow.median, &slow.unit);
        calibration
            .notes
            .push(format!("The link adds {added} to a round trip by itself: all times over it are longer."));
    }
    match compare(&records) {
        Ok(aa) => calibration.aa = Some(aa),
        Err(_) if calibrated.is_empty() => calibration.notes.push("The machine was not calibrated.".to_owned()),
        Err(why) => calibration.notes.push(format!("Two trials that differ in nothing can't be compared: {why}.")),
    }
    calibration
}

/// Why two trials that differ in nothing can't be compared.
#[derive(Debug, thiserror::Error)]
enum Incomparable {
    #[error("there is no such metric")]
    NoMetric,
    /// Why one has no value.
    #[error("{0}")]
    NoValue(String),
    /// One didn't complete.
    #[error("one {}, {reason}", outcome.word())]
    Ended { outcome: Outcome, reason: String },
    #[error("one did not end")]
    NoEnd,
}

/// The medians of both.
fn compare(records: &[Record<'_>; 2]) -> Result<Twins, Incomparable> {
    let metric = metric::find(COMPARED).ok_or(Incomparable::NoMetric)?;
    let median = |record: &Record<'_>| match record.outcome {
        Some((Outcome::Completed, _)) => {
            let entry = (metric.compute)(record).entry(metric.unit);
            entry.median.ok_or_else(|| Incomparable::NoValue(entry.absent.unwrap_or_default()))
        }
        Some((outcome, reason)) => {
            Err(Incomparable::Ended { outcome, reason: reason.unwrap_or("and gave no reason").to_owned() })
        }
        None => Err(Incomparable::NoEnd),
    };
    let (first, second) = (median(&records[0])?, median(&records[1])?);
    let difference = (first - second).abs();
    Ok(Twins { metric: COMPARED.to_owned(), unit: metric.unit.to_owned(), first, second, difference })
}

/// How long words took over a link, in milliseconds.
fn tried(line: &JournalLine) -> Vec<f64> {
    match &line.observation.fact {
        Fact::Lab(LabFact::LinkTried { took }) => took.iter().map(|&nanos| nanos as f64 / 1e6).collect(),
        _ => Vec::new(),
    }
}

fn lateness(millis: Vec<f64>) -> Option<Lateness> {
    let entry = Sample::Values(millis).entry("ms");
    let median = entry.median?;
    Some(Lateness { unit: entry.unit, median, p99: entry.p99.unwrap_or(median) })
}

/// One entry per client that sent its clock, in order of name.
fn clocks(plan: &Plan, journal: &[JournalLine]) -> Vec<ClientClock> {
    let clients: BTreeMap<u32, &str> =
        plan.trials.iter().map(|planned| (planned.trial, planned.settings.client.as_str())).collect();
    let mut clocks: BTreeMap<&str, ClientClock> = BTreeMap::new();
    for JournalLine { trial, observation } in journal {
        let Fact::Client(ClientFact::Clock { uncertainty, step, visibility, isolated, .. }) = &observation.fact else {
            continue;
        };
        let Some(client) = clients.get(trial) else { continue };
        let worst = clocks.entry(client).or_insert_with(|| ClientClock {
            client: (*client).to_owned(),
            step: *step,
            uncertainty: *uncertainty,
            isolated: *isolated,
            visibility: visibility.clone(),
        });
        worst.step = worst.step.max(*step);
        worst.uncertainty = worst.uncertainty.max(*uncertainty);
        worst.isolated &= isolated;
        if worst.visibility == "visible" {
            worst.visibility.clone_from(visibility);
        }
    }
    clocks.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::{MS, RecordedTrial};
    use crate::trial::Alpn;

    /// A trial whose event was `late` ms late and `under_way` ms under way, recorded 3 ms late.
    fn twin(trial: u32, late: u64, under_way: u64) -> RecordedTrial {
        let mut rig = RecordedTrial::of(trial, 0, "native", Alpn::H2);
        rig.attach(0, 1).open(0).publish_late(0, late * MS).wait(under_way).receive(0, 0);
        rig.fact_at(1, LabFact::Recorded { late: vec![3 * MS, 3 * MS] });
        rig.end(Outcome::Completed, None);
        rig
    }

    fn of(twins: &[RecordedTrial; 2], run: &[RecordedTrial]) -> Calibration {
        let observations = |rigs: &[RecordedTrial]| rigs.iter().flat_map(|rig| rig.journal.clone()).collect::<Vec<_>>();
        let (plan, own) = RecordedTrial::plan(run, Vec::new());
        calibrate(Some(97.0), &twins.each_ref().map(|rig| rig.planned.clone()), &observations(twins), &plan, &own)
    }

    #[test]
    fn what_two_equal_trials_differ_by_is_noise() {
        let calibration = of(&[twin(3, 1, 4), twin(4, 1, 6)], &[]);
        let aa = calibration.aa.unwrap();
        assert_eq!((aa.metric.as_str(), aa.first, aa.second, aa.difference), ("latency", 5.0, 7.0, 2.0));
        let late = |median, p99| Some(Lateness { unit: "ms".to_owned(), median, p99 });
        assert_eq!(calibration.publisher_lateness, late(1.0, 1.0));
        assert_eq!(calibration.recorder_lateness, late(3.0, 3.0));
        assert_eq!(calibration.idle_percent, Some(97.0));
        assert!(calibration.notes.is_empty());
    }

    #[test]
    fn a_link_that_is_slow_by_itself_is_told() {
        let with = |millis: u64| {
            let mut twins = [twin(3, 1, 4), twin(4, 1, 6)];
            twins[0].fact_at(1, LabFact::LinkTried { took: vec![millis * MS; 9] });
            of(&twins, &[])
        };
        let quick = with(1);
        assert_eq!((quick.link_round_trip.unwrap().median, quick.notes.len()), (1.0, 0));
        let notes = with(10).notes;
        assert!(
            notes.len() == 1 && notes[0].starts_with("The link adds 10\u{a0}ms to a round trip by itself"),
            "{notes:?}"
        );
    }

    #[test]
    fn a_twin_that_failed_is_told_and_no_noise_of_nought_is_made_up() {
        let mut failed = twin(4, 1, 6);
        failed.end(Outcome::Failed, Some("2 events lost"));
        let calibration = of(&[twin(3, 1, 4), failed], &[]);
        assert_eq!(calibration.aa, None);
        assert_eq!(
            calibration.notes,
            ["Two trials that differ in nothing can't be compared: one failed, 2 events lost."]
        );
    }

    #[test]
    fn a_run_without_calibration_says_so_and_still_has_its_clocks() {
        let mut rigs = [
            RecordedTrial::of(0, 0, "firefox", Alpn::H2),
            RecordedTrial::of(1, 0, "chromium", Alpn::H2),
            RecordedTrial::new(),
        ];
        rigs[0].clock(700_000);
        rigs[2].planned.settings.client = "firefox".to_owned();
        rigs[2].clock(900_000);
        let none = [RecordedTrial::of(8, 0, "native", Alpn::H2), RecordedTrial::of(9, 0, "native", Alpn::H2)];
        let calibration = of(&none, &rigs);
        assert_eq!(calibration.notes, ["The machine was not calibrated."]);
        let clocks: Vec<_> =
            calibration.clocks.iter().map(|clock| (clock.client.as_str(), clock.uncertainty)).collect();
        assert_eq!(clocks, [("firefox", 900_000)], "the worst of its trials; chromium's page never compared clocks");
    }
}
