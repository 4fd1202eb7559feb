//! The summary of a run: what each trial gave, what repeats of it say together, and how the claims fared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::{self, Metric};
use super::record::Record;
use super::sample::{Sample, interval, median};
use super::{claim, number};
use crate::trial::claim::ClaimSource;
use crate::trial::observation::Outcome;
use crate::trial::{Alpn, Levels, Observation, Plan, PlannedTrial};

/// A run's summary: `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// The experiment's name.
    pub experiment: String,
    /// The run's seed.
    pub seed: u64,
    /// One per planned trial, in the order of the plan.
    pub trials: Vec<TrialResult>,
    /// One per combination of levels, in the order of the plan.
    pub groups: Vec<Group>,
    /// One per claim, in the order of the file.
    pub claims: Vec<ClaimResult>,
}

/// What one trial gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrialResult {
    /// Its number in the run.
    pub trial: u32,
    /// Which repeat of its combination.
    pub repeat: u32,
    /// Its levels.
    pub levels: Levels,
    /// The client's version, where it was started.
    pub client_version: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, unless it was completed.
    pub reason: Option<String>,
    /// How late the publisher was, in milliseconds, one value per event.
    pub publisher_lateness: Entry,
    /// How much of the processor was idle meanwhile, in percent, where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub idle_percent: Option<f64>,
    /// How many UDP datagrams the kernel dropped meanwhile, whoever they were for; where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_dropped: Option<u64>,
    /// Every metric, by name.
    pub metrics: BTreeMap<String, Entry>,
}

/// What the repeats of one combination say together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// The levels.
    pub levels: Levels,
    /// The client's version, where it was started.
    pub client_version: Option<String>,
    /// How many trials ended how.
    pub outcomes: BTreeMap<Outcome, u32>,
    /// Every metric, by name, over the completed trials.
    pub metrics: BTreeMap<String, GroupEntry>,
}

/// One metric of one trial. `n` is 0 when it was not obtained; then `above` or `absent` says why.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// The unit of all values here.
    pub unit: String,
    /// How many values.
    pub n: usize,
    /// The median.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub median: Option<f64>,
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub min: Option<f64>,
    /// The most.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub max: Option<f64>,
    /// The median again, where there are several values.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub p50: Option<f64>,
    /// Nine in ten are this or less.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub p90: Option<f64>,
    /// 99 in 100 are this or less.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub p99: Option<f64>,
    /// Not there yet when the trial ended: the value is more than this.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub above: Option<f64>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<String>,
    /// How far the client's clock may be off, in this unit; a value below three times that is only `< 3 × that`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub uncertainty: Option<f64>,
    /// Why this value says more about the machine than about the subject, and so decides no claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_limited: Option<String>,
}

/// One metric over repeats: `n` repeats gave a value. `median` is the median of their medians, `p50`, `p90` and
/// `p99` are the medians of theirs, `min` and `max` the least and the most of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// The values.
    #[serde(flatten)]
    pub entry: Entry,
    /// Two of the repeats' medians between which the median of all that there could be lies, by order statistics; the
    /// least and the most where there are fewer than nine. `None` below three of them.
    #[serde(serialize_with = "number::json_pair")]
    pub interval: Option<[f64; 2]>,
    /// In how many of a hundred runs such two hold that median: 75 with three repeats, 93.75 with five, 95 or more from
    /// six on.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "number::json_option")]
    pub coverage: Option<f64>,
}

impl GroupEntry {
    /// The least and the most of what was counted, where repeats differ. What is measured differs always, and has an
    /// interval instead.
    pub fn spread(&self) -> Option<[f64; 2]> {
        let counted = matches!(self.entry.unit.as_str(), "streams" | "connections" | "events");
        let ends = self.entry.min.zip(self.entry.max).filter(|(least, most)| least < most);
        ends.filter(|_| counted && self.entry.n > 1).map(|(least, most)| [least, most])
    }
}

/// How a claim fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClaimResult {
    /// The sentence.
    pub says: String,
    /// Where it stands.
    pub source: ClaimSource,
    /// Over all clients that took part.
    pub verdict: claim::Verdict,
    /// By client.
    pub per_client: BTreeMap<String, claim::ClientResult>,
    /// The numbers, in a sentence.
    pub evidence: String,
}

impl Entry {
    /// Nothing yet.
    pub(super) fn none(unit: &str) -> Self {
        Self { unit: unit.to_owned(), ..Self::default() }
    }

    /// As a person reads it: `6`, `12.3 ms`, `< 0.9 ms`, `> 1500 ms`; a dash where there is none.
    pub fn text(&self) -> String {
        self.text_of(self.median)
    }

    /// The same for another of its values than the median.
    pub fn text_of(&self, value: Option<f64>) -> String {
        self.written(value, &self.unit)
    }

    /// The same without the unit, for a column whose head names it.
    pub fn bare(&self, value: Option<f64>) -> String {
        self.written(value, "")
    }

    fn written(&self, value: Option<f64>, unit: &str) -> String {
        let above = self.above.map(|bound| format!("> {}", number::with_unit(bound, unit)));
        let Some(value) = value else { return above.unwrap_or_else(|| "–".to_owned()) };
        let text = match self.uncertainty {
            Some(off) if value < 3.0 * off => format!("< {}", number::with_unit(3.0 * off, unit)),
            _ => number::with_unit(value, unit),
        };
        above.map_or_else(|| text.clone(), |above| format!("{text}, {above}"))
    }
}

/// Computes every metric of every trial, folds repeats, and decides the claims. The same plan and observations
/// always give the same summary.
pub fn summarise(plan: &Plan, observations: &[Observation]) -> Summary {
    let mut by_trial: BTreeMap<u32, Vec<&Observation>> = BTreeMap::new();
    for observation in observations {
        by_trial.entry(observation.trial).or_default().push(observation);
    }
    let trials: Vec<TrialResult> = plan
        .trials
        .iter()
        .map(|planned| trial(planned, by_trial.get(&planned.trial).map_or(&[][..], Vec::as_slice)))
        .collect();
    let groups = groups(&trials);
    let claims = plan.claims.iter().map(|claim| claim::decide(claim, plan, &trials)).collect();
    Summary { experiment: plan.experiment.clone(), seed: plan.seed, trials, groups, claims }
}

fn trial(planned: &PlannedTrial, observations: &[&Observation]) -> TrialResult {
    let record = Record::new(planned, observations.iter().copied());
    // A lab that was killed wrote no outcome; the trial must not vanish for it.
    let (outcome, reason) = record.outcome.map_or_else(
        || (Outcome::Failed, Some("the run ended before this trial did".to_owned())),
        |(outcome, reason)| (outcome, reason.map(str::to_owned)),
    );
    let lateness = Sample::values(record.lateness(), || "nothing was published".to_owned()).entry("ms");
    let entry = |metric: &&Metric| {
        let mut entry = match outcome {
            Outcome::Unsupported => Sample::absent("the trial ended unsupported"),
            _ => (metric.compute)(&record),
        }
        .entry(metric.unit);
        if (metric.by_client_clock)(&record) && entry.n > 0 {
            entry.uncertainty = record.uncertainty.map(|nanos| nanos as f64 / 1e6);
        }
        entry.machine_limited = machine_limit(metric, &entry, &lateness, planned.settings.protocol.alpn, &record);
        (metric.name.to_owned(), entry)
    };
    let metrics = metric::ALL.iter().map(entry).collect();
    TrialResult {
        trial: planned.trial,
        repeat: planned.repeat,
        levels: planned.levels.clone(),
        client_version: record.client_version.map(str::to_owned),
        outcome,
        reason,
        publisher_lateness: lateness,
        idle_percent: record.idle,
        udp_dropped: record.udp_dropped,
        metrics,
    }
}

/// Lateness of the publisher above a tenth of what counts from its schedule is the machine's, not the subject's; so is
/// what waits for datagrams that the kernel threw away, where these carry the protocol. How idle the machine was is
/// told with it: who is busy is late.
fn machine_limit(metric: &Metric, entry: &Entry, lateness: &Entry, alpn: Alpn, record: &Record<'_>) -> Option<String> {
    let median = entry.median?;
    let late = lateness.p99.or(lateness.median).unwrap_or(0.0);
    let reason = match record.udp_dropped.filter(|_| metric.on_network && alpn.over_quic()) {
        _ if metric.from_schedule && late > median.abs() / 10.0 => format!(
            "events were published up to {} late (p99), more than a tenth of {}",
            number::with_unit(late, "ms"),
            number::with_unit(median, &entry.unit)
        ),
        Some(dropped @ 1..) => format!("the kernel dropped {dropped} UDP datagrams"),
        _ => return None,
    };
    let idle = record.idle.map(|idle| format!(", with {} % of the processor idle", number::plain(idle)));
    Some(format!("{reason}{}", idle.unwrap_or_default()))
}

fn groups(trials: &[TrialResult]) -> Vec<Group> {
    let mut members: Vec<Vec<&TrialResult>> = Vec::new();
    for trial in trials {
        match members.iter_mut().find(|group| group[0].levels == trial.levels) {
            Some(group) => group.push(trial),
            None => members.push(vec![trial]),
        }
    }
    members.iter().map(|trials| group(trials)).collect()
}

fn group(trials: &[&TrialResult]) -> Group {
    let mut outcomes = BTreeMap::new();
    for trial in trials {
        *outcomes.entry(trial.outcome).or_default() += 1;
    }
    let completed: Vec<&TrialResult> =
        trials.iter().copied().filter(|trial| trial.outcome == Outcome::Completed).collect();
    let metrics = metric::ALL
        .iter()
        .map(|metric| {
            let entries: Vec<&Entry> = completed.iter().filter_map(|trial| trial.metrics.get(metric.name)).collect();
            (metric.name.to_owned(), over_repeats(metric.unit, &entries))
        })
        .collect();
    let client_version = trials.iter().find_map(|trial| trial.client_version.clone());
    Group { levels: trials[0].levels.clone(), client_version, outcomes, metrics }
}

fn over_repeats(unit: &str, repeats: &[&Entry]) -> GroupEntry {
    let medians: Vec<f64> = repeats.iter().filter_map(|entry| entry.median).collect();
    let of = |pick: fn(&Entry) -> Option<f64>| median(repeats.iter().filter_map(|entry| pick(entry).or(entry.median)));
    let mut entry = Entry::none(unit);
    entry.n = medians.len();
    entry.above = repeats.iter().filter_map(|entry| entry.above).min_by(f64::total_cmp);
    if medians.is_empty() {
        if entry.above.is_none() {
            let reason = repeats.iter().find_map(|entry| entry.absent.clone());
            entry.absent = Some(reason.unwrap_or_else(|| "no trial was completed".to_owned()));
        }
        return GroupEntry { entry, interval: None, coverage: None };
    }
    entry.median = of(|entry| entry.median);
    entry.min = repeats.iter().filter_map(|entry| entry.min).min_by(f64::total_cmp);
    entry.max = repeats.iter().filter_map(|entry| entry.max).max_by(f64::total_cmp);
    entry.p50 = of(|entry| entry.p50);
    entry.p90 = of(|entry| entry.p90);
    entry.p99 = of(|entry| entry.p99);
    entry.uncertainty = repeats.iter().filter_map(|entry| entry.uncertainty).max_by(f64::total_cmp);
    entry.machine_limited = repeats.iter().find_map(|entry| entry.machine_limited.clone());
    let interval = interval(&medians);
    GroupEntry { entry, interval: interval.map(|of| of.ends), coverage: interval.map(|of| of.coverage) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::Alpn;

    /// A repeat whose time to open is so many milliseconds.
    fn opened_in(repeat: u32, ms: u64) -> RecordedTrial {
        let mut rig = RecordedTrial::of(repeat, repeat, "chromium", Alpn::H2);
        rig.start("156.0.8078.79").request(0).attach(0, 1).wait(ms).open(0).census().write(&[0]).receive_last(0);
        rig.end(Outcome::Completed, None);
        rig
    }

    #[test]
    fn a_rebuilt_summary_equals_the_first_one() {
        let rigs: Vec<RecordedTrial> =
            [3, 4, 5, 9].iter().zip(0..).map(|(&ms, repeat)| opened_in(repeat, ms)).collect();
        let (plan, observations) = RecordedTrial::plan(&rigs, Vec::new());
        let first = serde_json::to_string_pretty(&summarise(&plan, &observations)).unwrap();
        let plan: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        let lines: Vec<String> = observations.iter().map(|o| serde_json::to_string(o).unwrap()).collect();
        let observations: Vec<Observation> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(serde_json::to_string_pretty(&summarise(&plan, &observations)).unwrap(), first);
        let read: Summary = serde_json::from_str(&first).unwrap();
        assert_eq!(serde_json::to_string_pretty(&read).unwrap(), first);
    }

    #[test]
    fn repeats_are_folded_into_one_group_with_an_interval() {
        let rigs: Vec<RecordedTrial> =
            [3, 4, 5, 9].iter().zip(0..).map(|(&ms, repeat)| opened_in(repeat, ms)).collect();
        let (plan, observations) = RecordedTrial::plan(&rigs, Vec::new());
        let summary = summarise(&plan, &observations);
        assert_eq!((summary.trials.len(), summary.groups.len()), (4, 1));
        let group = &summary.groups[0];
        assert_eq!(group.outcomes, BTreeMap::from([(Outcome::Completed, 4)]));
        assert_eq!(group.client_version.as_deref(), Some("156.0.8078.79"));
        let GroupEntry { entry, interval, coverage } = &group.metrics["time-to-open"];
        // The rig's clock steps by a microsecond at each attachment.
        assert_eq!((entry.n, entry.median, entry.min, entry.max), (4, Some(4.501), Some(3.001), Some(9.001)));
        assert_eq!((*interval, *coverage), (Some([3.001, 9.001]), Some(87.5)), "four repeats: all of them");
    }

    #[test]
    fn whole_numbers_are_whole_in_json_and_a_trial_has_the_shape_that_was_agreed() {
        let (plan, observations) = RecordedTrial::plan(&[opened_in(0, 3)], Vec::new());
        let summary = serde_json::to_value(summarise(&plan, &observations)).unwrap();
        let trial = &summary["trials"][0];
        let expected = serde_json::json!({"unit": "streams", "n": 1, "median": 1, "min": 1, "max": 1});
        assert_eq!(trial["metrics"]["open-streams"], expected);
        assert_eq!(trial["outcome"], "completed");
        let group = &summary["groups"][0]["metrics"]["open-streams"];
        assert_eq!((&group["median"], &group["interval"]), (&serde_json::json!(1), &serde_json::Value::Null));
        assert_eq!(summary["groups"][0]["outcomes"], serde_json::json!({"completed": 1}));
    }

    #[test]
    fn a_trial_that_did_not_complete_keeps_its_row_and_counts_in_no_group() {
        let mut failed = opened_in(1, 500);
        failed.end(Outcome::Failed, Some("2 events lost"));
        let mut unsupported = RecordedTrial::of(2, 0, "webkit", Alpn::H2);
        unsupported.end(Outcome::Unsupported, Some("not on this machine"));
        let cut_short = RecordedTrial::of(3, 0, "firefox", Alpn::H2);
        let (plan, observations) = RecordedTrial::plan(&[opened_in(0, 3), failed, unsupported, cut_short], Vec::new());
        let summary = summarise(&plan, &observations);
        let outcomes: Vec<Outcome> = summary.trials.iter().map(|trial| trial.outcome).collect();
        assert_eq!(outcomes, [Outcome::Completed, Outcome::Failed, Outcome::Unsupported, Outcome::Failed]);
        assert_eq!(summary.trials[1].metrics["time-to-open"].median, Some(500.001), "its numbers are still told");
        assert_eq!(summary.groups[0].metrics["time-to-open"].entry.max, Some(3.001));
        let none = &summary.groups[1].metrics["open-streams"].entry;
        assert_eq!((none.n, none.absent.as_deref()), (0, Some("no trial was completed")));
        assert!(summary.trials[3].reason.as_deref().unwrap().contains("ended before"), "a killed lab hides no trial");
    }
}
