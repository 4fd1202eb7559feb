//! A rigged trial for tests: facts written one after another, each a microsecond after the one before.

use crate::stats::metric::Metric;
use crate::stats::{Entry, TrialResult, summarise};
use crate::trial::fact::{Outcome, UsageAt};
use crate::trial::settings::BetweenSettings;
use crate::trial::{
    Alpn, Claim, ClientFact, Fact, JournalLine, LabFact, Levels, Plan, PlannedTrial, Promises, ServerFact, Settings,
};

/// Nanoseconds of a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// One trial's journal, and the clock that the next one will carry.
#[derive(Debug, Clone)]
pub(crate) struct RecordedTrial {
    pub(crate) planned: PlannedTrial,
    pub(crate) journal: Vec<JournalLine>,
    now: u64,
    /// The version of HTTP that subscriptions are asked for in.
    http: f64,
    /// Feed, id and schedule of what was published, in order.
    published: Vec<(String, String, u64)>,
}

impl RecordedTrial {
    pub(crate) fn new() -> Self {
        Self::of(7, 0, "chromium", Alpn::H2)
    }

    pub(crate) fn of(trial: u32, repeat: u32, client: &str, alpn: Alpn) -> Self {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        settings.client = client.to_owned();
        settings.protocol.alpn = alpn;
        let levels = Levels::from([
            ("client".to_owned(), client.into()),
            ("protocol".to_owned(), settings.protocol.to_string().into()),
        ]);
        let planned = PlannedTrial { trial, repeat, seed: 1, levels, settings, promises: Promises::default() };
        Self { planned, journal: Vec::new(), now: 1_000 * MS, http: 1.1, published: Vec::new() }
    }

    /// A trial where `open` of `asked` subscriptions got all of one event and the census, completed.
    pub(crate) fn held(trial: u32, repeat: u32, client: &str, alpn: Alpn, open: u32, asked: u32) -> Self {
        let mut rig = Self::of(trial, repeat, client, alpn);
        rig.planned.settings.workload.subscribers = asked;
        let subs: Vec<u32> = (0..open).collect();
        rig.start("156.0.8078.79");
        for sub in 0..asked {
            rig.request(sub);
        }
        for &sub in &subs {
            rig.attach(sub, if alpn == Alpn::H1 { u64::from(sub) } else { 1 }).wait(1).open(sub);
        }
        rig.publish(0).wait(2).receive_all(0, &subs).census().write(&subs).receive_all_census(&subs);
        rig.end(Outcome::Completed, None);
        rig
    }

    pub(crate) fn plan(rigs: &[Self], claims: Vec<Claim>) -> (Plan, Vec<JournalLine>) {
        let plan = Plan {
            version: Plan::VERSION,
            experiment: "rigged".to_owned(),
            question: "How many event streams can one browser hold open to one server?".to_owned(),
            seed: 1,
            repeats: 1,
            factors: vec!["client".to_owned(), "protocol".to_owned()],
            claims,
            trials: rigs.iter().map(|rig| rig.planned.clone()).collect(),
        };
        (plan, rigs.iter().flat_map(|rig| rig.journal.clone()).collect())
    }

    pub(crate) fn result(&self) -> TrialResult {
        let mut rig = self.clone();
        rig.end(Outcome::Completed, None);
        let (plan, journal) = Self::plan(&[rig], Vec::new());
        summarise(&plan, &journal).trials.remove(0)
    }

    pub(crate) fn metric(&self, metric: &Metric) -> Entry {
        self.result().metrics.remove(metric.name).unwrap()
    }

    /// An intermediary stands between that speaks this with the server.
    pub(crate) fn between(&mut self, origin: Alpn, http: f64) -> &mut Self {
        self.planned.settings.between =
            BetweenSettings { intermediary: "proxy".to_owned(), origin, ..BetweenSettings::default() };
        self.http = http;
        self
    }

    /// This was observed now.
    pub(crate) fn fact(&mut self, fact: impl Into<Fact>) -> &mut Self {
        self.fact_at(self.now, fact)
    }

    /// It was observed at this time.
    pub(crate) fn fact_at(&mut self, t: u64, fact: impl Into<Fact>) -> &mut Self {
        self.journal.push(JournalLine::at(self.planned.trial, t, fact));
        self
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Subscription `sub` sends event `event` now.
    pub(crate) fn send(&mut self, sub: u32, event: u32) -> &mut Self {
        self.fact(ClientFact::Sent { sub, event, scheduled: self.now })
    }

    pub(crate) fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += ms * MS;
        self
    }

    pub(crate) fn start(&mut self, version: &str) -> &mut Self {
        self.start_as("client", version)
    }

    pub(crate) fn start_as(&mut self, role: &str, version: &str) -> &mut Self {
        let (role, version) = (role.to_owned(), Some(version.to_owned()));
        self.fact(LabFact::Started { role, pid: 1, version })
    }

    /// This end is run at this agent, and a server reached by this host there.
    pub(crate) fn at_agent(&mut self, role: &str, agent: &str, host: Option<&str>) -> &mut Self {
        let (role, agent, host) = (role.to_owned(), agent.to_owned(), host.map(str::to_owned));
        let (version, kernel) = ("0.1.0".to_owned(), "Linux 6.1.0".to_owned());
        self.fact(LabFact::Agent { role, agent, version, cores: 2, kernel, offset: 7, host })
    }

    pub(crate) fn end(&mut self, outcome: Outcome, reason: Option<&str>) -> &mut Self {
        let reason = reason.map(str::to_owned);
        self.fact(LabFact::Outcome { outcome, reason })
    }

    pub(crate) fn request(&mut self, sub: u32) -> &mut Self {
        self.fact(ClientFact::Requested { sub })
    }

    pub(crate) fn open(&mut self, sub: u32) -> &mut Self {
        self.fact(ClientFact::Opened { sub })
    }

    pub(crate) fn close(&mut self, sub: u32) -> &mut Self {
        self.fact(ClientFact::Closed { sub, reason: "closed by the rig".to_owned() })
    }

    pub(crate) fn clock(&mut self, uncertainty: u64) -> &mut Self {
        let visibility = "visible".to_owned();
        self.fact(ClientFact::Clock { page: 0, uncertainty, step: 5_000, visibility, isolated: true })
    }

    pub(crate) fn buffered(&mut self, sub: u32, most: u64) -> &mut Self {
        self.fact(ClientFact::Buffered { sub, most })
    }

    pub(crate) fn probe_sent(&mut self) -> &mut Self {
        self.fact(ClientFact::ProbeSent)
    }

    pub(crate) fn probe_answered(&mut self, status: u16) -> &mut Self {
        self.fact(ClientFact::ProbeAnswered { status })
    }

    pub(crate) fn beside_sent(&mut self, actor: u32) -> &mut Self {
        self.fact(ClientFact::BesideSent { actor })
    }

    pub(crate) fn beside_answered(&mut self, actor: u32, how: &str) -> &mut Self {
        let how = how.to_owned();
        self.fact(ClientFact::BesideAnswered { actor, how })
    }

    pub(crate) fn connect(&mut self, conn: u64) -> &mut Self {
        self.fact(ServerFact::Connected { conn, alpn: Alpn::H2 })
    }

    pub(crate) fn disconnect(&mut self, conn: u64, requests: u64) -> &mut Self {
        self.fact(ServerFact::Disconnected { conn, requests })
    }

    pub(crate) fn attach(&mut self, sub: u32, conn: u64) -> &mut Self {
        self.attach_to("f0", sub, conn)
    }

    pub(crate) fn attach_to(&mut self, feed: &str, sub: u32, conn: u64) -> &mut Self {
        let (tag, alpn) = (Some(self.planned.trial), self.planned.settings.protocol.alpn);
        self.attached(feed, tag, sub, conn, alpn)
    }

    pub(crate) fn attach_tagged(&mut self, tag: Option<u32>, sub: u32, conn: u64) -> &mut Self {
        self.attached("f0", tag, sub, conn, self.planned.settings.protocol.alpn)
    }

    pub(crate) fn attach_on(&mut self, alpn: Alpn, sub: u32, conn: u64) -> &mut Self {
        self.attached("f0", Some(self.planned.trial), sub, conn, alpn)
    }

    /// A stream whose address says its trial and no subscription.
    pub(crate) fn attach_nameless(&mut self, stream: u64, conn: u64) -> &mut Self {
        self.now += 1000;
        let (tag, alpn) = (Some(self.planned.trial), self.planned.settings.protocol.alpn);
        let feed = "f0".into();
        self.fact(ServerFact::Attached { conn, stream, alpn, http: None, tag, sub: None, feed })
    }

    fn attached(&mut self, feed: &str, tag: Option<u32>, sub: u32, conn: u64, alpn: Alpn) -> &mut Self {
        self.now += 1000;
        let feed = feed.into();
        self.fact(ServerFact::Attached {
            conn,
            stream: sub.into(),
            alpn,
            http: Some(self.http),
            tag,
            sub: Some(sub),
            feed,
        })
    }

    pub(crate) fn detach(&mut self, sub: u32, conn: u64) -> &mut Self {
        self.now += 1000;
        let (tag, alpn, feed) = (Some(self.planned.trial), self.planned.settings.protocol.alpn, "f0".into());
        self.fact(ServerFact::Detached { conn, stream: sub.into(), alpn, tag, sub: Some(sub), feed })
    }

    /// Publishes event `event` of `f0`, due now.
    pub(crate) fn publish(&mut self, event: u32) -> &mut Self {
        self.published("f0", event, 0, false)
    }

    /// Publishes it now, though it was due before.
    pub(crate) fn publish_late(&mut self, event: u32, late: u64) -> &mut Self {
        self.published("f0", event, late, false)
    }

    pub(crate) fn census(&mut self) -> &mut Self {
        self.census_of("f0")
    }

    pub(crate) fn census_of(&mut self, feed: &str) -> &mut Self {
        self.published(feed, 1000, 0, true)
    }

    /// Publishes event `event` of `f0` under this id, due now.
    pub(crate) fn publish_as(&mut self, id: &str, event: u32) -> &mut Self {
        self.now += 1000;
        let (feed, id) = ("f0".into(), id.to_owned());
        self.fact(ServerFact::Published { feed, id, event, scheduled: self.now, census: false })
    }

    fn published(&mut self, feed: &str, event: u32, late: u64, census: bool) -> &mut Self {
        // `wait` counts whole milliseconds from here: no microsecond is added before what waits.
        let scheduled = self.now - late;
        let id = format!("k3{feed}-{}", event + 1);
        self.published.push((feed.to_owned(), id.clone(), scheduled));
        let feed = feed.into();
        self.fact(ServerFact::Published { feed, id, event, scheduled, census })
    }

    pub(crate) fn write(&mut self, subs: &[u32]) -> &mut Self {
        let id = self.published.last().unwrap().1.clone();
        for &sub in subs {
            self.fact(ServerFact::Written { stream: sub.into(), sub: Some(sub), id: id.clone() });
        }
        self
    }

    pub(crate) fn write_nameless(&mut self, streams: &[u64]) -> &mut Self {
        let id = self.published.last().unwrap().1.clone();
        for &stream in streams {
            self.fact(ServerFact::Written { stream, sub: None, id: id.clone() });
        }
        self
    }

    /// Subscription `sub` receives event `event` of `f0` now.
    pub(crate) fn receive(&mut self, sub: u32, event: u32) -> &mut Self {
        self.receive_id(sub, &format!("k3f0-{}", event + 1))
    }

    /// It does so this many nanoseconds after it was due.
    pub(crate) fn receive_at(&mut self, sub: u32, event: u32, after: i64) -> &mut Self {
        let id = format!("k3f0-{}", event + 1);
        let due = self.published.iter().find(|published| published.1 == id).unwrap().2;
        let (times, wrong) = (vec![due.checked_add_signed(after).unwrap()], Vec::new());
        self.fact(ClientFact::Received { times, sub, ids: [id].iter().collect(), wrong })
    }

    pub(crate) fn receive_id(&mut self, sub: u32, id: &str) -> &mut Self {
        let ids = [id].iter().collect();
        self.fact(ClientFact::Received { times: vec![self.now], sub, ids, wrong: Vec::new() })
    }

    /// It receives what was published last.
    pub(crate) fn receive_last(&mut self, sub: u32) -> &mut Self {
        let id = self.published.last().unwrap().1.clone();
        self.receive_id(sub, &id)
    }

    pub(crate) fn receive_all(&mut self, event: u32, subs: &[u32]) -> &mut Self {
        for &sub in subs {
            self.receive(sub, event);
        }
        self
    }

    pub(crate) fn receive_all_census(&mut self, subs: &[u32]) -> &mut Self {
        for &sub in subs {
            self.receive_last(sub);
        }
        self
    }

    /// What the machine had left: percent idle, and datagrams dropped.
    pub(crate) fn machine(&mut self, idle: f64, dropped: u64) -> &mut Self {
        self.fact(LabFact::Machine { idle: Some(idle), udp_dropped: Some(dropped) })
    }

    pub(crate) fn usage(&mut self, at: UsageAt, cpu: u64, resident: u64) -> &mut Self {
        self.fact(ServerFact::Usage { at, cpu, resident, requests: 0, sent: 0, received: 0, server: 0 })
    }

    pub(crate) fn between_usage(&mut self, at: UsageAt, cpu: u64, resident: u64) -> &mut Self {
        self.fact(LabFact::BetweenUsage { at, cpu, resident })
    }

    pub(crate) fn traffic(&mut self, at: UsageAt, sent: u64, received: u64) -> &mut Self {
        self.fact(ServerFact::Usage { at, cpu: 0, resident: 0, requests: 0, sent, received, server: 0 })
    }
}
