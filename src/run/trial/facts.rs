//! What a client's facts are held against as they arrive: times that can be, and subscriptions, events and actors that
//! were planned. What takes both ends to tell, such as an event received before it was published, is judged in the end.

use std::collections::BTreeMap;

use crate::participant::quoted;
use crate::trial::schedule;
use crate::trial::settings::Direction;
use crate::trial::{ClientFact, Observation, PlannedTrial};

/// How far apart the time that an event was due and what a client says of it may be, in nanoseconds: pages count in
/// microseconds.
const ROUNDING: u64 = 1000;

/// An agent's clock that gains more than a part in so many is no clock.
const PACE: u64 = 20;

/// A fact that the client of a trial can't have seen.
#[derive(Debug, thiserror::Error)]
#[error("the client said what can't be: {why}; the line: {line}")]
pub(super) struct ImpossibleFact {
    /// What can't be, and what would be right.
    why: String,
    /// The fact, quoted.
    line: String,
}

/// What the client of one trial can have seen.
#[derive(Debug)]
pub(super) struct Possible {
    /// Subscriptions are numbered from 0 to below this.
    subscriptions: u32,
    /// Which client it is, and of how many: the subscriptions are dealt over them.
    client: [u32; 2],
    /// So are other actors.
    actors: usize,
    /// When each event that the client publishes is due, in nanoseconds after `go`, by the event's number.
    sends: BTreeMap<u32, u64>,
    /// The timeline's 0, once it was said.
    go: Option<u64>,
    /// The largest uncertainty of a page's clock, in nanoseconds; `None` where no page has said its own.
    uncertainty: Option<u64>,
    /// The uncertainty of its agent's clock, and when that was read, where it is an agent's.
    agent: Option<[u64; 2]>,
}

impl Possible {
    /// What this client of so many can have seen.
    pub(super) fn of(planned: &PlannedTrial, number: u32, clients: u32) -> Self {
        let workload = &planned.settings.workload;
        let sends = match workload.direction {
            Direction::Down => BTreeMap::new(),
            Direction::Up | Direction::Echo => {
                schedule(workload, planned.seed).into_iter().map(|due| (due.event, due.at)).collect()
            }
        };
        let (subscriptions, actors) = (workload.subscribers, planned.settings.beside.len());
        Self { subscriptions, client: [number, clients], actors, sends, go: None, uncertainty: None, agent: None }
    }

    /// Notes that its times are by a clock elsewhere, which was read with this uncertainty at this time.
    pub(super) fn by_clock(&mut self, uncertainty: u64, read: u64) {
        self.agent = Some([uncertainty, read]);
    }

    /// Notes what the client is told is the timeline's 0, before it is told.
    pub(super) fn begin(&mut self, go: u64) {
        self.go = Some(go);
    }

    /// Checks a fact that has just arrived; `now` is when, and `page` whether it came from a page.
    pub(super) fn check(&mut self, seen: &Observation<ClientFact>, now: u64, page: bool) -> Result<(), ImpossibleFact> {
        let wrong = self.wrong(seen, now, page);
        if let (ClientFact::Clock { uncertainty, .. }, None) = (&seen.fact, &wrong) {
            self.uncertainty = self.uncertainty.max(Some(*uncertainty));
        }
        let Some(why) = wrong else { return Ok(()) };
        let line = serde_json::to_string(seen).unwrap_or_default();
        Err(ImpossibleFact { why, line: quoted(line.as_bytes()) })
    }

    fn wrong(&self, seen: &Observation<ClientFact>, now: u64, page: bool) -> Option<String> {
        let (t, fact) = (seen.t, &seen.fact);
        match fact {
            ClientFact::Clock { .. } if !page => {
                return Some("only a page compares clocks; a program's times are CLOCK_MONOTONIC's".to_owned());
            }
            // Before `go`: it is what the others are read by.
            ClientFact::Clock { .. } => return self.late(t, now),
            ClientFact::Received { times, ids, .. } if times.len() != ids.len() => {
                let (times, ids) = (times.len(), ids.len());
                return Some(format!("a receipt has one time and one id, and here are {times} times and {ids} ids"));
            }
            ClientFact::Sent { sub, event, scheduled, .. } => {
                if let Some(wrong) = self.not_due(*sub, *event, *scheduled, now) {
                    return Some(wrong);
                }
            }
            ClientFact::BesideSent { actor, .. } | ClientFact::BesideAnswered { actor, .. }
                if *actor as usize >= self.actors =>
            {
                return Some(format!("no actor {actor} was planned; there are {}, numbered from 0", self.actors));
            }
            _ => {}
        }
        if let Some(sub) = fact.subscription().filter(|sub| *sub >= self.subscriptions) {
            let all = self.subscriptions;
            return Some(format!("no subscription {sub} was planned; there are {all}, numbered from 0"));
        }
        if let Some(sub) = fact.subscription().filter(|sub| sub % self.client[1].max(1) != self.client[0]) {
            return Some(format!("subscription {sub} is another client's"));
        }
        match fact {
            ClientFact::Received { times, .. } => times.iter().find_map(|&t| self.never(t, now, page)),
            _ => self.never(t, now, page),
        }
    }

    /// An event that this subscription doesn't publish, or that was due at another time.
    fn not_due(&self, sub: u32, event: u32, scheduled: u64, now: u64) -> Option<String> {
        let Some(at) = self.sends.get(&event).filter(|_| event % self.subscriptions.max(1) == sub) else {
            return Some(format!("subscription {sub} has no event {event} to send"));
        };
        let due = self.go.unwrap_or(0).saturating_add(*at);
        // A page is told `go` by its own clock, and says this by it.
        (scheduled.abs_diff(due) > ROUNDING + self.allowed(now))
            .then(|| format!("event {event} was due at {due} (`go` and {at}), and not at {scheduled}"))
    }

    /// A time at which the client can't have seen anything.
    fn never(&self, t: u64, now: u64, page: bool) -> Option<String> {
        let Some(go) = self.go else { return Some("nothing is to be seen before `go` was said".to_owned()) };
        if t.saturating_add(self.allowed(now)) >= go {
            return self.late(t, now);
        }
        let clock = clock(page);
        Some(format!("the time {t} is {} before `go` ({go}); write what {clock} says", millis(go - t)))
    }

    fn late(&self, t: u64, now: u64) -> Option<String> {
        let clock = clock(self.uncertainty.is_some());
        (t > now.saturating_add(self.allowed(now))).then(|| {
            let after = millis(t - now);
            format!("the time {t} is {after} after the line came ({now}); write what {clock} says when it happens")
        })
    }

    /// How far a page's clock, or an agent's, may be off: beyond three times its uncertainty something is wrong. An agent's
    /// may go by another pace; by which is known once it was read again.
    fn allowed(&self, now: u64) -> u64 {
        let [agent, read] = self.agent.unwrap_or([0, now]);
        let uncertainty = self.uncertainty.unwrap_or(0).saturating_add(agent);
        uncertainty.saturating_mul(3).saturating_add(now.saturating_sub(read) / PACE)
    }
}

const fn clock(page: bool) -> &'static str {
    if page { "the page's `performance.now()`" } else { "CLOCK_MONOTONIC" }
}

fn millis(nanos: u64) -> String {
    format!("{} ms", nanos as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::fact::EventIds;
    use crate::trial::{Levels, Promises, Settings};

    const GO: u64 = 5_000_000_000;

    fn planned(direction: Direction) -> PlannedTrial {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        settings.workload.subscribers = 3;
        settings.workload.direction = direction;
        settings.workload.events.count = 4.into();
        PlannedTrial { trial: 0, repeat: 0, seed: 1, levels: Levels::new(), settings, promises: Promises::default() }
    }

    fn begun(direction: Direction) -> Possible {
        let mut possible = Possible::of(&planned(direction), 0, 1);
        possible.begin(GO);
        possible
    }

    fn said(possible: &mut Possible, t: u64, fact: ClientFact, now: u64) -> String {
        possible.check(&Observation::at(t, fact), now, false).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn received(times: &[u64], ids: &[&str]) -> ClientFact {
        let ids = ids.iter().collect();
        ClientFact::Received { times: times.to_vec(), sub: 0, ids, wrong: Vec::new() }
    }

    #[test]
    fn a_time_before_go_or_after_its_line_is_refused_with_the_line() {
        let mut possible = begun(Direction::Down);
        let now = GO + 10;
        for t in [GO, now] {
            assert_eq!(said(&mut possible, t, ClientFact::Requested { sub: 0 }, now), "");
            assert_eq!(said(&mut possible, 0, received(&[GO, t], &["a-1", "a-2"]), now), "");
        }
        assert_eq!(
            said(&mut possible, now + 1_000_000, ClientFact::Opened { sub: 2 }, now),
            "the client said what can't be: the time 5001000010 is 1 ms after the line came (5000000010); write what \
             CLOCK_MONOTONIC says when it happens; the line: \
             \"{\\\"t\\\":5001000010,\\\"kind\\\":\\\"opened\\\",\\\"sub\\\":2}\""
        );
        let early = said(&mut possible, GO - 1, ClientFact::Closed { sub: 0, reason: "\u{1b}[2J".to_owned() }, now);
        assert!(early.contains("before `go`") && early.contains("closed") && !early.contains('\u{1b}'), "{early}");
        // Anywhere among many, and the line is not quoted whole.
        let (mut t, ids) = (vec![GO; 100_000], vec!["a-1"; 100_000]);
        t[77_000] = now + 1;
        let among = said(&mut possible, 0, received(&t, &ids), now);
        assert!(among.contains("5000000011 is 0.000001 ms after") && among.len() < 600, "{among}");
    }

    #[test]
    fn nothing_is_seen_before_go_was_said() {
        let mut possible = Possible::of(&planned(Direction::Down), 0, 1);
        let early = said(&mut possible, GO, ClientFact::Requested { sub: 0 }, GO);
        assert!(early.contains("before `go` was said"), "{early}");
    }

    #[test]
    fn a_page_may_be_off_by_its_clock_and_no_program_has_one() {
        let visibility = "visible".to_owned();
        let clock = ClientFact::Clock { page: 7, uncertainty: 1000, step: 5, visibility, isolated: true };
        let clock = |t| Observation::at(t, clock.clone());
        let mut possible = Possible::of(&planned(Direction::Down), 0, 1);
        let refused = possible.check(&clock(GO), GO, false).unwrap_err().to_string();
        assert!(refused.contains("only a page compares clocks"), "{refused}");
        assert!(possible.check(&clock(GO + 1), GO, true).is_err());
        possible.check(&clock(GO - 9), GO, true).unwrap();
        possible.begin(GO);
        let mut at = |t| possible.check(&Observation::at(t, ClientFact::Requested { sub: 0 }), GO + 10, true).is_ok();
        assert_eq!([GO - 3001, GO - 3000, GO + 3010, GO + 3011].map(&mut at), [false, true, true, false]);
    }

    #[test]
    fn a_receipt_without_a_time_is_refused() {
        let uneven = said(&mut begun(Direction::Down), 0, received(&[GO], &["a-1", "a-2"]), GO);
        assert!(uneven.contains("here are 1 times and 2 ids"), "{uneven}");
    }

    #[test]
    fn what_nobody_planned_is_refused() {
        let mut possible = begun(Direction::Down);
        for fact in [
            ClientFact::Opened { sub: 3 },
            ClientFact::Gap { sub: 3, missed: None, first: None },
            ClientFact::Buffered { sub: 3, most: 1 },
            ClientFact::Received { times: Vec::new(), sub: 3, ids: EventIds::default(), wrong: Vec::new() },
        ] {
            let strange = said(&mut possible, GO, fact, GO);
            assert!(strange.contains("no subscription 3 was planned; there are 3"), "{strange}");
        }
        let strange = said(&mut possible, GO, ClientFact::BesideSent { actor: 0 }, GO);
        assert!(strange.contains("no actor 0 was planned"), "{strange}");
    }

    #[test]
    fn a_client_has_seen_nothing_of_anothers_subscriptions() {
        let mut second = Possible::of(&planned(Direction::Down), 1, 2);
        second.begin(GO);
        assert_eq!(said(&mut second, GO, ClientFact::Opened { sub: 1 }, GO), "");
        let strange = said(&mut second, GO, ClientFact::Opened { sub: 2 }, GO);
        assert!(strange.contains("subscription 2 is another client's"), "{strange}");
    }

    #[test]
    fn a_client_sends_what_is_its_own_when_it_is_due() {
        let mut possible = begun(Direction::Echo);
        let (&event, &at) = possible.sends.last_key_value().unwrap();
        let now = GO + at + 5;
        let mut sent =
            |sub, event, scheduled| said(&mut possible, now, ClientFact::Sent { sub, event, scheduled }, now);
        assert_eq!(sent(event % 3, event, GO + at), "");
        assert_eq!(sent(event % 3, event, GO + at + 1000), "", "pages count in microseconds");
        assert!(sent(event % 3, event, GO + at + 1001).contains("was due at"));
        assert!(sent((event + 1) % 3, event, GO + at).contains("has no event 3 to send"));
        assert!(sent(0, 99, GO).contains("has no event 99 to send"));
        let down = said(&mut begun(Direction::Down), GO, ClientFact::Sent { sub: 0, event: 0, scheduled: GO }, GO);
        assert!(down.contains("has no event 0 to send"), "{down}");
    }
}
