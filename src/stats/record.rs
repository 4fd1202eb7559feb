//! One trial's observations, sorted into what the formulas ask for.

mod clients;
mod life;
mod link;
mod seen;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::trial::fact::{Outcome, UsageAt};
use crate::trial::settings::{Direction, FaultKind, Urls};
use crate::trial::{ClientFact, Dialect, Exchanges, Fact, JournalLine, LabFact, PlannedTrial, ServerFact};

pub(super) use clients::{ClientSeen, number as client_number};
pub(super) use life::Step;
pub(super) use link::{LinkRecord, LinkTotal};
pub(super) use seen::{Begun, Census, Publication, Receipt, RecordedConnection, RecordedSubscription, Sent, Usage};

/// Everything that was observed in one trial. All times are nanoseconds of one clock.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    /// When each subscription was first asked for.
    pub(super) requested: BTreeMap<u32, u64>,
    /// When each was first opened.
    pub(super) opened: BTreeMap<u32, u64>,
    /// When each first ended, and why.
    pub(super) closed: BTreeMap<u32, (u64, &'a str)>,
    /// Per subscription, all that it did in the order of time: a client that comes back does each again.
    pub(super) steps: BTreeMap<u32, Vec<(u64, Step)>>,
    /// What clients published, by the event's number from 0.
    pub(super) sent: BTreeMap<u32, Sent>,
    /// Per subscription, its receipts in the order they came.
    pub(super) received: BTreeMap<u32, Vec<Receipt<'a>>>,
    /// Receipts whose content was not what was published: subscription and id.
    pub(super) wrong: Vec<(u32, &'a str)>,
    /// Per subscription, the most bytes that waited to be sent at once.
    pub(super) buffered: BTreeMap<u32, u64>,
    /// Per subscription, the bytes of content that it read, and whether they were compressed.
    pub(super) content: BTreeMap<u32, (u64, bool)>,
    /// When probes were sent, in order.
    pub(super) probes_sent: Vec<u64>,
    /// When they were answered, and with what status, in order.
    pub(super) probes_answered: Vec<(u64, u16)>,
    /// When each other actor, by its place in `beside`, sent what it is there for, in order.
    pub(super) beside_sent: BTreeMap<u32, Vec<u64>>,
    /// When it was answered, in order.
    pub(super) beside_answered: BTreeMap<u32, Vec<u64>>,
    /// How far clients' clocks and servers' may be apart: the most that a page's may be off and the most that an agent's may
    /// be at either end, together; `None` where all of them are the lab's.
    pub(super) uncertainty: Option<u64>,
    /// The most that a page's may be off by itself.
    pub(super) page_uncertainty: Option<u64>,
    /// The most that the clock of an agent may be off, of clients' and of servers'.
    agents_uncertainty: [Option<u64>; 2],
    /// Why an agent's times can't be compared with others'.
    pub(super) clocks_apart: Option<String>,
    pub(super) connections: BTreeMap<u64, RecordedConnection>,
    /// What sessions of WebTransport were opened in, where something said so, in the order they were asked for.
    pub(super) dialects: Vec<Dialect>,
    /// This trial's subscriptions as the server saw them begin, in order of time.
    pub(super) attachments: Vec<RecordedSubscription<'a>>,
    /// Every published event, by id.
    pub(super) published: HashMap<&'a str, Publication<'a>>,
    /// Bytes of events' data that were handed to each subscription that nobody read.
    pub(super) unread: Vec<u64>,
    /// The census event of each feed.
    pub(super) census: BTreeMap<&'a str, Census<'a>>,
    /// Which streams, of which subscriptions, were handed which census event.
    pub(super) written: BTreeSet<(u64, Option<u32>, &'a str)>,
    /// The use of each server before `go`, at T, at the end, and just before the first event was due.
    usage: BTreeMap<u32, [Option<Usage>; 4]>,
    /// The same of what stands between, all its processes together.
    pub(super) between_usage: [Option<Usage>; 4],
    /// The same of each node of what servers share their feeds through.
    broker_usage: BTreeMap<u32, [Option<Usage>; 4]>,
    /// What is known of the link.
    pub(super) link: LinkRecord<'a>,
    /// How many events servers said to clients that they will never get.
    pub(super) told_gone: u64,
    /// How much of the processor was idle meanwhile, in percent.
    pub(super) idle: Option<f64>,
    /// How many UDP datagrams the kernel dropped meanwhile.
    pub(super) udp_dropped: Option<u64>,
    /// How late facts were written to the journal, in nanoseconds.
    pub(super) recorded_late: &'a [u64],
    /// When a server was killed on purpose, and with it what it had not told yet, and which one.
    pub(super) server_killed: Vec<(u64, u32)>,
    /// How many there are.
    pub(super) servers: u32,
    /// When each fault began, and its kind.
    pub(super) faults_begun: Vec<(u64, FaultKind)>,
    /// When each was over.
    pub(super) faults_ended: Vec<u64>,
    /// Whether the server sees an intermediary's connections, and not the client's.
    pub(super) is_between: bool,
    /// Who publishes.
    pub(super) direction: Direction,
    /// Who subscribes.
    clients: clients::Clients<'a>,
    /// Whether subscriptions have one address, so that the server's streams don't say which is whose.
    pub(super) identical: bool,
    /// What a subscription has under way.
    pub(super) exchanges: Exchanges,
    /// How it ended, and why.
    pub(super) outcome: Option<(Outcome, Option<&'a str>)>,
}

impl<'a> Record<'a> {
    /// Sorts the observations of this trial; those of others are passed over.
    pub(super) fn new(planned: &'a PlannedTrial, journal: impl IntoIterator<Item = &'a JournalLine>) -> Self {
        let workload = &planned.settings.workload;
        let identical = workload.urls == Urls::Identical;
        let (exchanges, direction) = (planned.promises.exchanges, workload.direction);
        let (link, is_between) = (LinkRecord::of(planned), planned.settings.between.is_there());
        let (servers, clients) = (planned.settings.servers(), clients::Clients::of(planned));
        let mut record =
            Self { link, servers, is_between, direction, clients, identical, exchanges, ..Self::default() };
        let mut detached = Vec::new();
        for JournalLine { observation, .. } in journal.into_iter().filter(|line| line.trial == planned.trial) {
            match &observation.fact {
                Fact::Client(fact) => record.take_clients(observation.t, fact),
                Fact::Server(fact) => record.take_servers(planned.trial, observation.t, fact, &mut detached),
                Fact::Lab(fact) => record.take_labs(observation.t, fact),
            }
        }
        record.attachments.sort_by_key(|attachment| attachment.t);
        record.probes_sent.sort_unstable();
        record.probes_answered.sort_unstable();
        let beside = record.beside_sent.values_mut().chain(record.beside_answered.values_mut());
        beside.for_each(|times| times.sort_unstable());
        detached.sort_unstable_by_key(|&(t, ..)| t);
        for (t, stream) in detached {
            let of = record.attachments.iter_mut().rev().find(|a| a.stream == stream && a.until.is_none() && a.t <= t);
            if let Some(attachment) = of {
                attachment.until = Some(t);
            }
        }
        record.steps.values_mut().for_each(|steps| steps.sort_unstable());
        record.page_uncertainty = record.uncertainty;
        for agents in record.agents_uncertainty.into_iter().flatten() {
            record.uncertainty = Some(record.uncertainty.unwrap_or(0).saturating_add(agents));
        }
        record.bury();
        record.join();
        record
    }

    fn step(&mut self, sub: u32, t: u64, step: Step) {
        self.steps.entry(sub).or_default().push((t, step));
    }

    fn take_clients(&mut self, t: u64, fact: &'a ClientFact) {
        match fact {
            ClientFact::Requested { sub } => {
                self.requested.entry(*sub).or_insert(t);
                self.step(*sub, t, Step::Requested);
            }
            ClientFact::Opened { sub } => {
                self.opened.entry(*sub).or_insert(t);
                self.step(*sub, t, Step::Opened);
            }
            ClientFact::Closed { sub, reason } => {
                self.closed.entry(*sub).or_insert((t, reason));
                self.step(*sub, t, Step::Closed);
            }
            ClientFact::Sent { sub, event, scheduled } => {
                self.sent.insert(*event, Sent { t, sub: *sub, scheduled: *scheduled });
            }
            ClientFact::Received { times, sub, ids, wrong } => {
                let receipts = ids.iter().zip(times).map(|(id, &t)| Receipt { t, id });
                self.received.entry(*sub).or_default().extend(receipts);
                self.wrong.extend(wrong.iter().map(|id| (*sub, id.as_str())));
            }
            ClientFact::Buffered { sub, most } => {
                let buffered = self.buffered.entry(*sub).or_default();
                *buffered = (*most).max(*buffered);
            }
            ClientFact::Content { sub, coding, bytes } => _ = self.content.insert(*sub, (*bytes, coding.is_some())),
            ClientFact::ProbeSent => self.probes_sent.push(t),
            ClientFact::ProbeAnswered { status } => self.probes_answered.push((t, *status)),
            ClientFact::BesideSent { actor } => self.beside_sent.entry(*actor).or_default().push(t),
            ClientFact::BesideAnswered { actor, .. } => self.beside_answered.entry(*actor).or_default().push(t),
            ClientFact::Clock { uncertainty, .. } => self.uncertainty = self.uncertainty.max(Some(*uncertainty)),
            // What was missed is counted from what came; this is what was said of it. Of an unknown number there is one.
            ClientFact::Gap { missed, .. } => self.told_gone += missed.unwrap_or(1),
            // Stacks are read elsewhere.
            ClientFact::Stack { .. } => {}
        }
    }

    fn take_servers(&mut self, trial: u32, t: u64, fact: &'a ServerFact, detached: &mut Vec<(u64, u64)>) {
        match fact {
            ServerFact::Connected { conn, .. } => {
                self.connections.entry(*conn).or_insert(RecordedConnection { t, requests: None });
            }
            ServerFact::Disconnected { conn, requests } => {
                let of = self.connections.entry(*conn).or_insert(RecordedConnection { t, requests: None });
                of.requests = Some(*requests);
            }
            ServerFact::Unread { bytes, .. } => self.unread.push(*bytes),
            ServerFact::WebtransportDialect { taken, .. } => self.dialects.extend(*taken),
            ServerFact::Attached { conn, stream, alpn, http, tag, sub, feed } if *tag == Some(trial) => {
                let (conn, stream, alpn, http, sub) = (*conn, *stream, *alpn, *http, *sub);
                self.attachments.push(RecordedSubscription { t, until: None, conn, stream, alpn, http, sub, feed });
            }
            ServerFact::Detached { stream, tag, .. } if *tag == Some(trial) => detached.push((t, *stream)),
            ServerFact::Published { feed, id, event, scheduled, census } => {
                let (event, scheduled) = (*event, *scheduled);
                self.published.insert(id, Publication { t, feed, event, scheduled, by: None });
                if *census {
                    self.census.insert(feed, Census { t, id });
                }
            }
            ServerFact::Written { stream, sub, id } => _ = self.written.insert((*stream, *sub, id)),
            ServerFact::Usage { at, cpu, resident, sent, received, server, .. } => {
                let (cpu, resident, bytes) = (*cpu, *resident, sent + received);
                self.usage.entry(*server).or_default()[*at as usize] = Some(Usage { cpu, resident, bytes });
            }
            // Another trial's, or for people who read journals.
            ServerFact::Attached { .. }
            | ServerFact::Detached { .. }
            | ServerFact::Stack { .. }
            | ServerFact::Handshake { .. }
            | ServerFact::Broker { .. }
            | ServerFact::BoundReached { .. } => {}
        }
    }

    fn take_labs(&mut self, t: u64, fact: &'a LabFact) {
        match fact {
            LabFact::Machine { idle, udp_dropped } => (self.idle, self.udp_dropped) = (*idle, *udp_dropped),
            LabFact::Recorded { late } => self.recorded_late = late,
            LabFact::LinkCarried { .. }
            | LabFact::LinkEnded { .. }
            | LabFact::EventOnLink { .. }
            | LabFact::LinkTraced { .. }
            | LabFact::LinkFlow { .. }
            | LabFact::Captured { .. } => self.link.take(fact),
            LabFact::BetweenUsage { at, cpu, resident } => {
                self.between_usage[*at as usize] = Some(Usage { cpu: *cpu, resident: *resident, bytes: 0 });
            }
            LabFact::AgentClock { agent, uncertainty, apart, serves, .. } => {
                let most = &mut self.agents_uncertainty[usize::from(*serves)];
                *most = (*most).max(Some(*uncertainty));
                if let Some(why) = apart {
                    self.clocks_apart = Some(format!("the clock of {agent} can't be compared: {why}"));
                }
            }
            LabFact::BrokerUsage { at, node, cpu, resident } => {
                let used = Usage { cpu: *cpu, resident: *resident, bytes: 0 };
                self.broker_usage.entry(*node).or_default()[*at as usize] = Some(used);
            }
            LabFact::Fault { fault } => {
                let kind = FaultKind::find(fault);
                self.faults_begun.extend(kind.map(|kind| (t, kind)));
                let killed = kind.and_then(FaultKind::killed_server).map(|which| which.of(self.servers));
                self.server_killed.extend(killed.map(|server| (t, server)));
            }
            LabFact::FaultEnded { .. } => self.faults_ended.push(t),
            LabFact::Started { role, version: Some(version), .. } => self.clients.started(role, version),
            LabFact::Outcome { outcome, reason } => self.outcome = Some((*outcome, reason.as_deref())),
            // For people who read journals, or read elsewhere.
            LabFact::Started { .. }
            | LabFact::Between { .. }
            | LabFact::Agent { .. }
            | LabFact::Exited { .. }
            | LabFact::Journal { .. }
            | LabFact::Network { .. }
            | LabFact::LinkTried { .. } => {}
        }
    }

    /// T where several feeds have each their own: the last of them. `None` when no census was taken.
    pub(super) fn last_census(&self) -> Option<u64> {
        self.census.values().map(|census| census.t).max()
    }

    /// The subscriptions that received their feed's census event.
    pub(super) fn open(&self) -> BTreeSet<u32> {
        let has = |receipts: &[Receipt<'_>]| {
            receipts.iter().any(|receipt| self.census.values().any(|census| census.id == receipt.id))
        };
        self.received.iter().filter(|(_, receipts)| has(receipts)).map(|(&sub, _)| sub).collect()
    }

    /// The subscriptions that their feed's census event was written to.
    pub(super) fn server_open(&self) -> BTreeSet<u32> {
        let census = |id: &str| self.census.values().any(|census| census.id == id);
        self.written.iter().filter(|(_, _, id)| census(id)).filter_map(|&(_, sub, _)| sub).collect()
    }

    /// How many subscriptions their feed's census event was written to; streams that don't say whose they are
    /// count each.
    pub(super) fn server_open_count(&self) -> usize {
        let census = |id: &str| self.census.values().any(|census| census.id == id);
        let nameless = self.written.iter().filter(|(_, sub, id)| sub.is_none() && census(id));
        self.server_open().len() + nameless.map(|(stream, ..)| stream).collect::<BTreeSet<_>>().len()
    }

    /// Each subscription's beginning, by subscription: from when on the events of which feed are its own.
    ///
    /// That is the attachment that the client's first answer came from: its last one before the client says that it
    /// opened, as one whose answer never came was none to it; the first where none is before, as the clocks of both
    /// ends may differ. Where addresses are identical, the instant at which it opened by the client's
    /// own word (later by as much as the clocks may differ), which is after its stream was attached.
    pub(super) fn begun(&self) -> BTreeMap<u32, Begun<'a>> {
        if self.identical {
            let begun = |(&sub, &t): (&u32, &u64)| {
                let t = t + self.uncertainty.unwrap_or(0);
                self.feed_of(sub).map(|feed| (sub, Begun { t, feed }))
            };
            return self.opened.iter().filter_map(begun).collect();
        }
        let mut begun: BTreeMap<u32, Begun<'a>> = BTreeMap::new();
        for &RecordedSubscription { t, sub, feed, .. } in &self.attachments {
            let Some(sub) = sub else { continue };
            let of = begun.entry(sub).or_insert(Begun { t, feed });
            if self.opened.get(&sub).is_some_and(|opened| t <= *opened) {
                *of = Begun { t, feed };
            }
        }
        begun
    }

    /// The feed that a subscription reads: the only one that there is, or that of its first receipt.
    fn feed_of(&self, sub: u32) -> Option<&'a str> {
        let feeds: BTreeSet<&str> = self.published.values().map(|publication| publication.feed).collect();
        if feeds.len() < 2 {
            return feeds.first().copied();
        }
        let mut receipts = self.received.get(&sub).into_iter().flatten();
        receipts.find_map(|receipt| self.published.get(receipt.id)).map(|publication| publication.feed)
    }

    /// Per subscription, the first receipt of each event that was published while it was attached (so not what
    /// it caught up on from the log), in the order they came, each with the event. One subscription after another: those
    /// of all together are several times as large as the journal.
    pub(super) fn live_receipts(&self) -> impl Iterator<Item = (u32, Vec<(Receipt<'a>, Publication<'a>)>)> {
        let begun = self.begun();
        let live = move |sub: &u32, receipts: &[Receipt<'a>]| {
            let from = begun.get(sub).map_or(0, |begun| begun.t);
            let mut seen = BTreeSet::new();
            receipts
                .iter()
                .filter(|receipt| seen.insert(receipt.id))
                .filter_map(|receipt| Some((*receipt, *self.published.get(receipt.id)?)))
                .filter(|(_, publication)| publication.t >= from)
                .collect()
        };
        self.received.iter().map(move |(sub, receipts)| (*sub, live(sub, receipts)))
    }

    /// How late each event was published, in milliseconds; of what clients publish, how late it was sent.
    pub(super) fn lateness(&self) -> Vec<f64> {
        let own = self.published.values().filter(|publication| publication.by.is_none());
        let own = own.map(|publication| millis(publication.scheduled, publication.t));
        own.chain(self.sent.values().map(|sent| millis(sent.scheduled, sent.t))).collect()
    }

    /// The use of all servers together; `None` where it is not known of one of them.
    pub(super) fn usage(&self, at: UsageAt) -> Option<Usage> {
        together(&self.usage, at)
    }

    /// The use of all nodes of what servers share their feeds through; `None` where it is not known of one of them.
    pub(super) fn broker_usage(&self, at: UsageAt) -> Option<Usage> {
        together(&self.broker_usage, at)
    }

    /// Whether servers share their feeds through anything.
    pub(super) fn has_broker(&self) -> bool {
        !self.broker_usage.is_empty()
    }
}

fn together(of_each: &BTreeMap<u32, [Option<Usage>; 4]>, at: UsageAt) -> Option<Usage> {
    let mut all = of_each.values().map(|of_one| of_one[at as usize]);
    let first = all.next()??;
    all.try_fold(first, |sum, of_one| Some(sum + of_one?))
}

/// From one instant to another, in milliseconds; below 0 when the second comes first.
pub(super) fn millis(from: u64, to: u64) -> f64 {
    if to >= from { (to - from) as f64 / 1e6 } else { -((from - to) as f64 / 1e6) }
}
