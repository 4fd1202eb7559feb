//! Observations to a summary: what each trial gave, what repeats of it say together, and how the claims fared.

use std::collections::BTreeMap;

use super::elsewhere::agents;
use super::metric::{self, LATE_OF, Metric};
use super::record::Record;
use super::result::{Entry, Group, GroupEntry, PhaseParts, StoodBetween, Summary, TrialResult};
use super::sample::{Sample, interval, median};
use super::stack;
use super::{claim, number};
use crate::trial::fact::Outcome;
use crate::trial::{Alpn, Exchanges, Fact, JournalLine, LabFact, Plan, PlannedTrial};

/// Computes every metric of every trial, folds repeats, and decides the claims. The same plan and observations
/// always give the same summary.
pub fn summarise(plan: &Plan, journal: &[JournalLine]) -> Summary {
    let mut by_trial: BTreeMap<u32, Vec<&JournalLine>> = BTreeMap::new();
    for line in journal {
        by_trial.entry(line.trial).or_default().push(line);
    }
    let mut clients = BTreeMap::new();
    let mut one = |planned: &PlannedTrial| {
        let of = by_trial.get(&planned.trial).map_or(&[][..], Vec::as_slice);
        let record = Record::new(planned, of.iter().copied());
        clients.insert(planned.trial, record.each_client(planned));
        trial(planned, of, &record)
    };
    let trials: Vec<TrialResult> = plan.trials.iter().map(&mut one).collect();
    let groups = groups(&trials);
    let claims = plan.claims.iter().map(|claim| claim::decide(claim, plan, &trials)).collect();
    let (version, experiment, seed) = (Summary::VERSION, plan.experiment.clone(), plan.seed);
    let (between, agents) = (between(journal), agents(journal, &clients));
    Summary { version, experiment, seed, between, agents, trials, groups, claims }
}

/// What stood between, each once.
fn between(journal: &[JournalLine]) -> Vec<StoodBetween> {
    let mut all = Vec::new();
    for line in journal {
        let Fact::Lab(LabFact::Between { intermediary, version, config, compression, changes }) =
            &line.observation.fact
        else {
            continue;
        };
        let (intermediary, version, changes) = (intermediary.clone(), version.clone(), changes.clone());
        let one = StoodBetween { intermediary, version, config: config.clone(), compression: *compression, changes };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

fn trial(planned: &PlannedTrial, journal: &[&JournalLine], record: &Record<'_>) -> TrialResult {
    // A lab that was killed wrote no outcome; the trial must not vanish for it.
    let (outcome, reason) = record.outcome.map_or_else(
        || (Outcome::Failed, Some("the run ended before this trial did".to_owned())),
        |(outcome, reason)| (outcome, reason.map(str::to_owned)),
    );
    let lateness = Sample::values(record.lateness(), || "nothing was published".to_owned()).entry("ms");
    let entry = |metric: &&Metric| {
        let mut entry = match outcome {
            Outcome::Unsupported => Sample::absent("the trial ended unsupported"),
            _ => (metric.compute)(record),
        }
        .entry(metric.unit);
        entry.uncertainty = (metric.uncertainty)(record).filter(|_| entry.n > 0);
        if let Some((limit, late)) = machine_limit(metric, &entry, &lateness, planned.settings.protocol.alpn, record) {
            // Where a request has to be there for it, what comes late may just find one. What is between two events that
            // were due is shorter where the first was late.
            let persistent = record.exchanges == Exchanges::Persistent;
            entry.late = late.filter(|_| persistent && (metric.only_longer || !metric.from_schedule));
            entry.upper_bound = entry.late.is_some() && metric.only_longer;
            entry.machine_limited = Some(limit);
        }
        (metric.name.to_owned(), entry)
    };
    let metrics = metric::ALL.iter().map(entry).collect();
    TrialResult {
        trial: planned.trial,
        repeat: planned.repeat,
        levels: planned.levels.clone(),
        client_version: record.client_version(),
        outcome,
        reason,
        publisher_lateness: lateness,
        idle_percent: record.idle,
        udp_dropped: record.udp_dropped,
        page_clock: record.page_uncertainty.map(|nanos| nanos as f64 / 1e6),
        on_link: record.link.parts.iter().map(|(&phase, &[up, down])| PhaseParts { phase, up, down }).collect(),
        stack: stack::found(planned, journal.iter().copied()),
        metrics,
    }
}

/// Lateness of the publisher above a tenth of what counts from its schedule is the machine's, not the subject's, and so is
/// that of the link above a tenth of a time on the network; so is what waits for datagrams that the kernel threw away,
/// where these carry the protocol, and every time while packets were captured, which takes time itself. How idle the
/// machine was is told with it: who is busy is late. Says too how late, usually and at most, in milliseconds, where nothing
/// else was wrong.
fn machine_limit(
    metric: &Metric,
    entry: &Entry,
    lateness: &Entry,
    alpn: Alpn,
    record: &Record<'_>,
) -> Option<(String, Option<[f64; 2]>)> {
    let median = entry.median?;
    let late = lateness.p99.or(lateness.median).unwrap_or(0.0);
    let link = record.link.late.map(|pair| pair.map(|nanos| nanos as f64 / 1e6));
    let link = link.filter(|_| metric.on_network && entry.unit == "ms").unwrap_or_default();
    let dropped = record.udp_dropped.filter(|dropped| *dropped > 0 && metric.on_network && alpn.over_quic());
    // A rate is events by the time that they took.
    let took = match metric.unit {
        "/s" => 1000.0 * metric::delivery::received(record) as f64 / median,
        _ => median.abs(),
    };
    let how_late;
    let reason = match dropped {
        _ if record.clocks_apart.is_some() && metric.is_a_time() => return Some((record.clocks_apart.clone()?, None)),
        _ if record.link.captured && metric.is_a_time() => {
            how_late = None;
            "packets were captured meanwhile".to_owned()
        }
        _ if metric.from_schedule && late > took / LATE_OF => {
            how_late = Some([late, lateness.max.unwrap_or(late)]);
            format!(
                "events were published up to {} late (p99), more than a tenth of {}",
                number::with_unit(late, "ms"),
                number::with_unit(took, "ms")
            )
        }
        _ if link[0] > median.abs() / LATE_OF => {
            how_late = Some(link);
            format!(
                "the link handed packets on {} late (median), more than a tenth of {}",
                number::with_unit(link[0], "ms"),
                number::with_unit(median, &entry.unit)
            )
        }
        Some(dropped) => {
            how_late = None;
            format!("the kernel dropped {dropped} UDP datagrams")
        }
        None => return None,
    };
    let idle = record.idle.map(|idle| format!(", with {} % of the processor idle", number::plain(idle)));
    Some((format!("{reason}{}", idle.unwrap_or_default()), how_late.filter(|_| dropped.is_none())))
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
    let outcomes = Outcome::counted(trials.iter().map(|trial| trial.outcome));
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
    // One that decides nothing says so for all.
    let limited = repeats.iter().filter(|entry| entry.machine_limited.is_some());
    if let Some(limited) = limited.min_by_key(|entry| (entry.late.is_some(), entry.upper_bound)) {
        entry.machine_limited.clone_from(&limited.machine_limited);
        (entry.late, entry.upper_bound) = (limited.late, limited.upper_bound);
    }
    let interval = interval(&medians);
    GroupEntry { entry, interval: interval.map(|of| of.ends), coverage: interval.map(|of| of.coverage) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::Alpn;
    use crate::trial::settings::{Compression, IntermediaryConfig};

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
        let observations: Vec<JournalLine> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(serde_json::to_string_pretty(&summarise(&plan, &observations)).unwrap(), first);
        let read: Summary = serde_json::from_str(&first).unwrap();
        assert_eq!(serde_json::to_string_pretty(&read).unwrap(), first);
    }

    #[test]
    fn what_stood_between_is_told_once_for_each_way_in_which_it_did() {
        let between = |config: IntermediaryConfig, changes: &[&str]| {
            let mut rig = opened_in(0, 3);
            let changes = changes.iter().map(|&line| line.to_owned()).collect();
            let (intermediary, version) = ("p".to_owned(), "1".to_owned());
            let compression = Compression::Off;
            rig.fact(LabFact::Between { intermediary, version, config, compression, changes });
            rig
        };
        let as_documented = between(IntermediaryConfig::Default, &[]);
        let rigs =
            [as_documented.clone(), between(IntermediaryConfig::Streaming, &["+ x"]), as_documented, opened_in(0, 3)];
        let (plan, journal) = RecordedTrial::plan(&rigs, Vec::new());
        let told = summarise(&plan, &journal).between;
        assert_eq!(told.iter().map(|one| one.changes.len()).collect::<Vec<_>>(), [0, 1]);
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
