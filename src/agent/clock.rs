//! Two machines' clocks: how far apart they are, how well that is known, and times of one on the other.

use crate::trial::observation::Observable;
use crate::trial::{ClientFact, Observation, ServerFact};

/// How long the shortest of the round trips may take for a comparison to mean anything, in nanoseconds.
const LONGEST: u64 = 1_000_000_000;
/// How far apart the two shortest may be, in nanoseconds.
const UNEVEN: u64 = 50_000_000;
/// How much one clock may gain on the other, in parts per million. NTP sets a clock's pace by 500 at most (adjtimex(2)).
const DRIFT: f64 = 1000.0;

/// One question of what another machine's clock says, and its answer. Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockAnswer {
    /// When it was asked, here.
    pub asked: u64,
    /// What the clock there said.
    pub theirs: u64,
    /// When the answer was here.
    pub answered: u64,
}

/// What some questions told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// When, here.
    at: u64,
    /// What is to be added to a time here for the same time there.
    offset: i64,
    /// The shortest round trip, and the second shortest.
    round_trips: [u64; 2],
}

impl ClockReading {
    /// By the answer that came soonest: whatever delayed the others delayed that the least. `None` of fewer than two.
    pub fn of(answers: &[ClockAnswer]) -> Option<Self> {
        let took = |answer: &ClockAnswer| answer.answered.saturating_sub(answer.asked);
        let mut answers = answers.to_vec();
        answers.sort_by_key(took);
        let [first, second, ..] = answers[..] else { return None };
        let at = first.asked + took(&first) / 2;
        let offset = i128::from(first.theirs) - i128::from(at);
        let offset = i64::try_from(offset).ok()?;
        Some(Self { at, offset, round_trips: [took(&first), took(&second)] })
    }

    /// How far off the offset may be: the answer may have been given at either end of the round trip.
    pub fn uncertainty(&self) -> u64 {
        self.round_trips[0].div_ceil(2)
    }

    /// How many nanoseconds the clock there is ahead.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// How long a word takes there and back at best.
    pub fn round_trip(&self) -> u64 {
        self.round_trips[0]
    }

    /// A time here on the clock there. Before boot is 0.
    pub fn to_theirs(&self, ours: u64) -> u64 {
        ours.saturating_add_signed(self.offset)
    }

    /// A time there on the clock here.
    pub fn to_ours(&self, theirs: u64) -> u64 {
        theirs.saturating_add_signed(self.offset.saturating_neg())
    }

    /// What this and a later reading tell together of the time between.
    pub fn until(&self, later: &Self) -> ClockComparison {
        let gained = later.offset.saturating_sub(self.offset);
        let read = self.uncertainty().max(later.uncertainty());
        let elapsed = later.at.saturating_sub(self.at).max(1);
        // What both readings may be off by is not yet drift.
        let sure = gained.unsigned_abs().saturating_sub(self.uncertainty() + later.uncertainty());
        let drift = gained as f64 * 1e6 / elapsed as f64;
        let longest = self.round_trips[0].max(later.round_trips[0]);
        let uneven = [self, later].map(|reading| reading.round_trips[1] - reading.round_trips[0]).into_iter().max();
        let uneven = uneven.unwrap_or(0);
        let apart = if longest > LONGEST {
            Some(format!("a word takes {} ms there and back", longest / 1_000_000))
        } else if uneven > UNEVEN {
            Some(format!("round trips differ by {} ms", uneven / 1_000_000))
        } else if sure as f64 * 1e6 / elapsed as f64 > DRIFT {
            let (by, within) = (gained as f64 / 1e6, elapsed as f64 / 1e6);
            Some(format!("its clock gained {by:.3} ms on this one in {within:.0} ms"))
        } else {
            None
        };
        ClockComparison { offset: self.offset, uncertainty: read + gained.unsigned_abs(), drift, apart }
    }
}

/// How another machine's clock and this one's went together during a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockComparison {
    /// What its times had been ahead by, in nanoseconds, when the trial began: they were translated by that.
    pub offset: i64,
    /// How far off translated times may be: half a round trip, and what one clock gained on the other, in nanoseconds.
    pub uncertainty: u64,
    /// How much its clock gained, in parts per million.
    pub drift: f64,
    /// Why times can't be compared, if they can't, as a sentence's part.
    pub apart: Option<String>,
}

/// A fact whose times can be told by another clock.
pub trait Translated: Sized {
    /// It with each of its own times on that clock.
    #[must_use]
    fn by(self, to: impl Fn(u64) -> u64) -> Self;
}

impl Translated for ClientFact {
    fn by(mut self, to: impl Fn(u64) -> u64) -> Self {
        match &mut self {
            Self::Received { times, .. } => times.iter_mut().for_each(|t| *t = to(*t)),
            Self::Sent { scheduled, .. } => *scheduled = to(*scheduled),
            _ => {}
        }
        self
    }
}

impl Translated for ServerFact {
    fn by(mut self, to: impl Fn(u64) -> u64) -> Self {
        if let Self::Published { scheduled, .. } = &mut self {
            *scheduled = to(*scheduled);
        }
        self
    }
}

/// What was observed, with each of its times on another clock.
pub fn translated<F: Observable + Translated>(observation: Observation<F>, to: impl Fn(u64) -> u64) -> Observation<F> {
    Observation::at(to(observation.t), observation.fact.by(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Two answers of a clock that is `ahead`, asked at `at`.
    fn reading(at: u64, ahead: i64, took: [u64; 2]) -> ClockReading {
        let answer = |took: u64| ClockAnswer {
            asked: at,
            theirs: (at + took / 2).saturating_add_signed(ahead),
            answered: at + took,
        };
        ClockReading::of(&took.map(answer)).unwrap()
    }

    #[test]
    fn the_shortest_round_trip_counts() {
        let slow = ClockAnswer { asked: 0, theirs: 900 * MS, answered: 40 * MS };
        let fast = ClockAnswer { asked: 100 * MS, theirs: 5101 * MS, answered: 102 * MS };
        let read = ClockReading::of(&[slow, fast, slow]).unwrap();
        assert_eq!((read.offset, read.uncertainty(), read.round_trip()), (5_000_000_000, MS, 2 * MS));
        assert_eq!(read.to_theirs(100 * MS), 5100 * MS);
        assert_eq!(read.to_ours(read.to_theirs(123)), 123);
        assert_eq!(ClockReading::of(&[fast]), None);
    }

    #[test]
    fn a_clock_far_off_is_as_good_as_a_near_one() {
        for ahead in [-5_000_000_000, 0, 5_000_000_000] {
            let at = 20_000 * MS;
            let told = reading(at, ahead, [2 * MS; 2]).until(&reading(at + 1000 * MS, ahead, [4 * MS; 2]));
            assert_eq!((told.offset, told.uncertainty, told.apart), (ahead, 2 * MS, None));
        }
    }

    #[test]
    fn what_a_clock_gains_is_uncertain_and_too_much_of_it_decides_nothing() {
        let before = reading(1000 * MS, 0, [MS; 2]);
        let told = before.until(&reading(11_000 * MS, 2_000_000, [MS; 2]));
        assert_eq!((told.uncertainty, told.apart), (2 * MS + MS / 2, None));
        assert!((told.drift - 200.0).abs() < 1.0, "{}", told.drift);
        let apart = before.until(&reading(11_000 * MS, 20_000_000, [MS; 2])).apart.unwrap();
        assert_eq!(apart, "its clock gained 20.000 ms on this one in 10000 ms");
        // Within what the readings themselves may be off by, it may be none.
        assert_eq!(before.until(&reading(1010 * MS, 900_000, [MS; 2])).apart, None);
    }

    #[test]
    fn long_and_uneven_round_trips_decide_nothing() {
        let (good, at) = (reading(5000 * MS, 7, [MS; 2]), 10_000 * MS);
        let apart = |took| good.until(&reading(at, 7, took)).apart.unwrap_or_default();
        assert_eq!(apart([1200 * MS, 1210 * MS]), "a word takes 1200 ms there and back");
        assert_eq!(apart([2 * MS, 80 * MS]), "round trips differ by 78 ms");
        assert_eq!(apart([900 * MS, 940 * MS]), "");
    }

    #[test]
    fn every_time_of_a_fact_is_translated() {
        let to = |t| t + 10;
        let (times, ids) = (vec![1, 2], ["a-1", "a-2"].iter().collect());
        let received = Observation::at(0, ClientFact::Received { times, sub: 0, ids, wrong: Vec::new() });
        let ClientFact::Received { times, .. } = translated(received, to).fact else { panic!("a receipt") };
        assert_eq!(times, [11, 12]);
        let sent = translated(Observation::at(5, ClientFact::Sent { sub: 0, event: 1, scheduled: 4 }), to);
        assert_eq!((sent.t, sent.fact), (15, ClientFact::Sent { sub: 0, event: 1, scheduled: 14 }));
        let (id, feed) = ("a-1".to_owned(), "f0".into());
        let published = ServerFact::Published { feed, id, event: 1, scheduled: 4, census: false };
        let published = translated(Observation::at(5, published), to);
        assert!(matches!(published.fact, ServerFact::Published { scheduled: 14, .. }) && published.t == 15);
    }
}
