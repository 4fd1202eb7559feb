//! Which stream was on which connection, and when: one trial of each combination, for the report's lanes.

use std::collections::BTreeMap;

use super::record::{Record, RecordedSubscription, Step, millis};
use crate::trial::fact::Outcome;
use crate::trial::settings::{Credentials, Urls, Workload};
use crate::trial::{Alpn, Exchanges, JournalLine, Levels, Plan, PlannedTrial, SubscriptionPlan};

/// The connections of one trial. Times are milliseconds from the first subscription that was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrialLanes {
    /// The trial's number in the run.
    pub trial: u32,
    pub levels: Levels,
    /// The client's version, where it was started.
    pub client_version: Option<String>,
    /// T; where the census was never taken, when the last stream came or went.
    pub end: f64,
    /// Connections that carried a stream until T, in the order of their first.
    pub lanes: Vec<ConnectionLane>,
    /// What tells streams apart, in words, where the trial has several of it: `b.localhost, include`.
    pub kinds: Vec<String>,
    /// Streams that were asked for and on no connection at T.
    pub left_out: usize,
    /// What was done on purpose until T, in order.
    pub faults: Vec<LaneFault>,
    /// How many streams were open from each instant on, where there are faults: as the server saw it (nothing where a
    /// subscription is requests that end at once), and as the client did.
    pub open: [Vec<(f64, usize)>; 2],
}

/// Something that was done to a trial on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaneFault {
    /// Its kind: `kill-server`.
    pub name: &'static str,
    pub from: f64,
    /// When it was over; `None`: not until T, or over at once.
    pub until: Option<f64>,
}

/// A connection and the streams on it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionLane {
    /// What it speaks.
    pub alpn: Alpn,
    /// Its streams, those of one kind together, in the order in which they came.
    pub streams: Vec<LaneStream>,
}

/// A stream's time on its connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaneStream {
    /// Its place in [`TrialLanes::kinds`]; `None` where there are none, or the stream doesn't say which it is.
    pub kind: Option<usize>,
    /// When it came.
    pub from: f64,
    /// When it went; `None`: still there at T.
    pub until: Option<f64>,
}

/// What a trial's subscriptions ask for, by their numbers. Ports are told apart by number alone, so that any will
/// do.
pub type Asked<'a> = &'a dyn Fn(&PlannedTrial) -> Vec<SubscriptionPlan>;

/// The lanes of each combination's first completed trial, or else of its first one with a stream, in the order of
/// the plan. Combinations without a stream have none.
pub fn lanes(plan: &Plan, journal: &[JournalLine], asked: Asked<'_>) -> Vec<TrialLanes> {
    let mut by_trial: BTreeMap<u32, Vec<&JournalLine>> = BTreeMap::new();
    for line in journal {
        by_trial.entry(line.trial).or_default().push(line);
    }
    // One entry per combination: the lanes, and whether the trial was completed.
    let mut chosen: Vec<(TrialLanes, bool)> = Vec::new();
    for planned in &plan.trials {
        let record = Record::new(planned, by_trial.remove(&planned.trial).unwrap_or_default());
        let completed = matches!(record.outcome, Some((Outcome::Completed, _)));
        let before = chosen.iter().position(|(lanes, _)| lanes.levels == planned.levels);
        if before.is_some_and(|at| chosen[at].1 || !completed) {
            continue;
        }
        let Some(lanes) = of_trial(planned, &record, asked) else { continue };
        match before {
            Some(at) => chosen[at] = (lanes, completed),
            None => chosen.push((lanes, completed)),
        }
    }
    chosen.into_iter().map(|(lanes, _)| lanes).collect()
}

fn of_trial(planned: &PlannedTrial, record: &Record<'_>, asked: Asked<'_>) -> Option<TrialLanes> {
    let first = record.attachments.iter().map(|attachment| attachment.t);
    let begin = record.requested.values().copied().chain(first).min()?;
    let changes = record.attachments.iter().flat_map(|attachment| [Some(attachment.t), attachment.until]);
    let end = record.last_census().or_else(|| changes.flatten().max())?;
    let (kinds, kind_of) = kinds(planned, asked);
    let stream = |attachment: &RecordedSubscription<'_>| LaneStream {
        kind: attachment.sub.and_then(|sub| kind_of.get(&sub).copied()),
        from: millis(begin, attachment.t),
        until: attachment.until.filter(|&until| until <= end).map(|until| millis(begin, until)),
    };
    // What came after T was let in by others that were closed.
    let in_time = record.attachments.iter().filter(|attachment| attachment.t <= end);
    let mut lanes: Vec<(u64, ConnectionLane)> = Vec::new();
    for attachment in in_time {
        match lanes.iter_mut().find(|(conn, _)| *conn == attachment.conn) {
            Some((_, lane)) => lane.streams.push(stream(attachment)),
            None => {
                lanes.push((
                    attachment.conn,
                    ConnectionLane { alpn: attachment.alpn, streams: vec![stream(attachment)] },
                ));
            }
        }
    }
    let mut lanes: Vec<ConnectionLane> = lanes.into_iter().map(|(_, lane)| lane).collect();
    for lane in &mut lanes {
        lane.streams.sort_by_key(|stream| stream.kind);
    }
    let there = lanes.iter().map(ConnectionLane::at_census).sum();
    let faults = faults(record, begin, end);
    let open = if faults.is_empty() { <[_; 2]>::default() } else { open(record, begin, end) };
    (!lanes.is_empty()).then(|| TrialLanes {
        trial: planned.trial,
        levels: planned.levels.clone(),
        client_version: record.client_version(),
        end: millis(begin, end),
        lanes,
        kinds,
        left_out: record.requested.len().saturating_sub(there),
        faults,
        open,
    })
}

fn faults(record: &Record<'_>, begin: u64, end: u64) -> Vec<LaneFault> {
    let in_time = record.faults_begun.iter().filter(|(t, _)| *t <= end);
    let over = |from: u64| record.faults_ended.iter().copied().filter(|over| *over >= from).min();
    in_time
        .map(|&(t, kind)| LaneFault {
            name: kind.row().name,
            from: millis(begin, t),
            until: over(t).filter(|over| *over <= end).map(|over| millis(begin, over)),
        })
        .collect()
}

/// How many streams were open from each instant on, at the server and at the client.
fn open(record: &Record<'_>, begin: u64, end: u64) -> [Vec<(f64, usize)>; 2] {
    // Each instant with whether a stream came or went.
    let mut changes: [Vec<(u64, bool)>; 2] = Default::default();
    if record.exchanges != Exchanges::Periodic {
        let attachments = record.attachments.iter();
        changes[0].extend(attachments.flat_map(|of| [Some((of.t, true)), of.until.map(|t| (t, false))]).flatten());
    }
    for steps in record.steps.values() {
        let mut is_open = false;
        for &(t, step) in steps {
            let opens = match step {
                Step::Requested => continue,
                Step::Opened => true,
                Step::Closed => false,
            };
            if opens != is_open {
                changes[1].push((t, opens));
                is_open = opens;
            }
        }
        // A client that was killed could not say so.
        let opened = steps.iter().rev().find(|(_, step)| *step == Step::Opened).map_or(0, |(t, _)| *t);
        let killed = record.faults_begun.iter().find(|(t, kind)| kind.kills_client() && *t >= opened);
        changes[1].extend(killed.filter(|_| is_open).map(|(t, _)| (*t, false)));
    }
    changes.map(|mut changes| {
        changes.retain(|(t, _)| *t <= end);
        changes.sort_unstable();
        let mut open = 0_usize;
        let mut count = |(t, came): (u64, bool)| {
            open = if came { open + 1 } else { open.saturating_sub(1) };
            (millis(begin, t), open)
        };
        changes.into_iter().map(&mut count).collect()
    })
}

impl ConnectionLane {
    /// How many of its streams were there at T.
    pub fn at_census(&self) -> usize {
        self.streams.iter().filter(|stream| stream.until.is_none()).count()
    }
}

/// What tells a trial's subscriptions apart, and each one's kind by its number. A trial that has one of each, or
/// whose streams can't be told apart, has no kinds.
fn kinds(planned: &PlannedTrial, asked: Asked<'_>) -> (Vec<String>, BTreeMap<u32, usize>) {
    let workload = &planned.settings.workload;
    let (mut kinds, mut of) = (Vec::new(), BTreeMap::new());
    // Streams of one address don't say whose they are.
    let told_apart = workload.urls == Urls::Distinct;
    for subscription in asked(planned).into_iter().filter(|_| told_apart) {
        let kind = kind(workload, &subscription);
        if kind.is_empty() {
            continue;
        }
        let place = kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        of.insert(subscription.sub, place);
    }
    (kinds, of)
}

fn kind(workload: &Workload, subscription: &SubscriptionPlan) -> String {
    let credentials = if subscription.sub.is_multiple_of(2) { "omit" } else { "include" };
    let parts = [
        (workload.pages > 1, format!("page {}", subscription.page + 1)),
        (workload.hosts > 1, subscription.host.clone()),
        (workload.ports > 1, format!("port {}", subscription.port)),
        (workload.credentials == Credentials::Both, credentials.to_owned()),
    ];
    let parts = parts.into_iter().filter(|(several, _)| *several).map(|(_, text)| text);
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::LabFact;

    /// Hosts in turn, as if there were two.
    fn asked(planned: &PlannedTrial) -> Vec<SubscriptionPlan> {
        let (page, port, path, open_at) = (0, 1, String::new(), 0);
        let host = |sub: u32| if sub.is_multiple_of(2) { "a.localhost" } else { "b.localhost" }.to_owned();
        let subscription = |sub| {
            let (host, path, sends) = (host(sub), path.clone(), vec![]);
            SubscriptionPlan { sub, page, host, port, others: Vec::new(), path, open_at, sends }
        };
        (0..planned.settings.workload.subscribers).map(subscription).collect()
    }

    fn of(rigs: &[RecordedTrial]) -> Vec<TrialLanes> {
        let (plan, observations) = RecordedTrial::plan(rigs, Vec::new());
        lanes(&plan, &observations, &asked)
    }

    #[test]
    fn six_connections_carry_one_stream_each_and_one_carries_a_hundred() {
        let lanes = of(&[
            RecordedTrial::held(0, 0, "chromium", Alpn::H1, 6, 150),
            RecordedTrial::held(1, 0, "chromium", Alpn::H2, 100, 150),
        ]);
        let loads: Vec<Vec<usize>> =
            lanes.iter().map(|lanes| lanes.lanes.iter().map(ConnectionLane::at_census).collect()).collect();
        assert_eq!(loads, [vec![1; 6], vec![100]]);
        assert_eq!((lanes[0].left_out, lanes[1].left_out), (144, 50));
        assert_eq!(lanes[0].lanes[0].alpn, Alpn::H1);
        assert_eq!(lanes[0].client_version.as_deref(), Some("156.0.8078.79"));
    }

    #[test]
    fn a_stream_ends_where_it_was_detached_and_those_after_the_census_are_none() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).wait(5).detach(0, 1).attach(1, 1).wait(5).census().attach(2, 1);
        let lanes = of(&[rig]);
        let streams = &lanes[0].lanes[0].streams;
        assert_eq!(streams.len(), 2);
        assert!((streams[0].until.unwrap() - 5.002).abs() < 1e-9 && streams[1].until.is_none());
        assert!((lanes[0].end - 10.003).abs() < 1e-9, "{}", lanes[0].end);
    }

    #[test]
    fn streams_of_several_hosts_or_credentials_are_told_apart() {
        let mut rig = RecordedTrial::new();
        rig.planned.settings.workload.hosts = 2;
        rig.planned.settings.workload.subscribers = 4;
        for sub in 0..4 {
            rig.request(sub).attach(sub, 1);
        }
        rig.census();
        let both = of(&[rig.clone()]).remove(0);
        assert_eq!(both.kinds, ["a.localhost", "b.localhost"]);
        let kinds: Vec<Option<usize>> = both.lanes[0].streams.iter().map(|stream| stream.kind).collect();
        assert_eq!(kinds, [Some(0), Some(0), Some(1), Some(1)], "those of one kind stand together");
        rig.planned.settings.workload.credentials = Credentials::Both;
        assert_eq!(of(&[rig]).remove(0).kinds, ["a.localhost, omit", "b.localhost, include"]);
    }

    #[test]
    fn what_was_open_is_counted_at_both_ends_where_something_was_done_on_purpose() {
        let mut rig = RecordedTrial::new();
        rig.request(0).request(1).attach(0, 1).open(0).attach(1, 1).open(1).wait(5);
        let before = of(&[{
            let mut quiet = rig.clone();
            quiet.census();
            quiet
        }]);
        assert!(before[0].faults.is_empty() && before[0].open.iter().all(Vec::is_empty), "nothing was done");
        rig.fact(LabFact::Fault { fault: "kill-server".to_owned() }).wait(1).close(0).close(1);
        rig.fact(LabFact::FaultEnded { fault: "kill-server".to_owned() }).wait(3).attach(0, 2).open(0).census();
        let lanes = of(&[rig]).remove(0);
        let counts = lanes.open.each_ref().map(|of| of.iter().map(|(_, open)| *open).collect::<Vec<usize>>());
        // The server was killed and could say nothing; its streams ended with it.
        assert_eq!(counts, [[1, 2, 1, 0, 1], [1, 2, 1, 0, 1]]);
        let fault = lanes.faults[0];
        assert_eq!((lanes.faults.len(), fault.name), (1, "kill-server"));
        let until = fault.until.unwrap();
        assert!((until - fault.from - 1.0).abs() < 0.1 && lanes.open[1][2].0 >= fault.from, "{lanes:?}");
    }

    #[test]
    fn the_first_completed_repeat_stands_for_its_combination() {
        let mut failed = RecordedTrial::held(0, 0, "chromium", Alpn::H2, 3, 5);
        failed.end(Outcome::Failed, Some("it broke"));
        let none = RecordedTrial::of(3, 0, "webkit", Alpn::H3);
        let rigs = [
            failed,
            RecordedTrial::held(1, 1, "chromium", Alpn::H2, 4, 5),
            RecordedTrial::held(2, 2, "chromium", Alpn::H2, 5, 5),
            none,
        ];
        let trials: Vec<u32> = of(&rigs).iter().map(|lanes| lanes.trial).collect();
        assert_eq!(trials, [1]);
        assert_eq!(of(&rigs[..1]).len(), 1, "a failed one is better than none");
    }
}
