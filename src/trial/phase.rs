//! The parts of a trial's timeline, by what its packets are for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Settings, schedule};

/// What a packet of a trial is for, by when it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrialPhase {
    /// Connections and subscriptions are opened: before the first event was due, and on a flow that carries events before
    /// the first of them.
    Handshake,
    /// An event was due a moment ago.
    Events,
    /// None was.
    Idle,
    /// After the drain: connections are closed.
    Closing,
}

impl TrialPhase {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Handshake, Self::Events, Self::Idle, Self::Closing];

    /// The word of files and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Events => "events",
            Self::Idle => "idle",
            Self::Closing => "closing",
        }
    }
}

/// For how long an event that was due is what packets are sent for, in nanoseconds: acknowledgements wait 25 ms (RFC 9000
/// section 18.2) to 200 ms, and what is lost is sent again after some round trips.
const MOMENT: u64 = 1_000_000_000;
/// The same in round trips, where those are long.
const ROUND_TRIPS: u64 = 4;

/// Which part of a trial's timeline is which. Times are nanoseconds after `go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phases {
    /// From when to when packets are sent for events, in order, apart from each other.
    busy: Vec<(u64, u64)>,
    /// When the drain is over.
    end: u64,
}

impl Phases {
    /// Those of a trial with these settings and this seed.
    pub fn of(settings: &Settings, seed: u64) -> Self {
        let workload = &settings.workload;
        let round_trip = settings.link.as_ref().map_or(0, |link| link.round_trip().nanos());
        let moment = MOMENT.max(round_trip.saturating_mul(ROUND_TRIPS));
        let end = workload.census_nanos() + workload.drain.nanos();
        // The census is an event too.
        let due = schedule(workload, seed).into_iter().map(|event| event.at).chain([workload.census_nanos()]);
        let mut busy: Vec<(u64, u64)> = Vec::new();
        for at in due {
            let until = at.saturating_add(moment).min(end);
            match busy.last_mut() {
                Some(last) if at <= last.1 => last.1 = until.max(last.1),
                _ => busy.push((at, until)),
            }
        }
        Self { busy, end }
    }

    /// Which part it is by the timeline, so long after `go`; before that nothing but handshakes is sent.
    pub fn at(&self, after: u64) -> TrialPhase {
        let begun = self.busy.partition_point(|(from, _)| *from <= after);
        match begun.checked_sub(1).map(|last| self.busy[last].1) {
            None => TrialPhase::Handshake,
            Some(_) if after >= self.end => TrialPhase::Closing,
            Some(until) if after < until => TrialPhase::Events,
            Some(_) => TrialPhase::Idle,
        }
    }

    /// For how long nothing is due, in nanoseconds.
    pub fn idle(&self) -> u64 {
        let Some((first, _)) = self.busy.first() else { return 0 };
        let busy: u64 = self.busy.iter().map(|(from, until)| until.saturating_sub(*from)).sum();
        self.end.saturating_sub(*first).saturating_sub(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::settings::LinkSettings;
    use crate::units::{Rate, Span};

    const SECOND: u64 = 1_000_000_000;

    fn settings() -> Settings {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        let workload = &mut settings.workload;
        (workload.settle, workload.hold, workload.drain) =
            (Span::from_secs(1), Span::from_secs(30), Span::from_secs(5));
        (workload.events.count, workload.events.rate) = (3.into(), Rate::per_second(2.0));
        settings
    }

    #[test]
    fn packets_are_for_an_event_for_a_moment_after_it_was_due() {
        // Due at 1, 1.5 and 2 s, and the census at 30 s.
        let phases = Phases::of(&settings(), 1);
        let at = |millis: u64| phases.at(Span::from_millis(millis).nanos());
        assert_eq!([0, 999].map(at), [TrialPhase::Handshake; 2]);
        assert_eq!([1000, 1700, 2999, 30_000, 30_500].map(at), [TrialPhase::Events; 5]);
        assert_eq!([3000, 29_000, 31_000, 34_900].map(at), [TrialPhase::Idle; 4]);
        assert_eq!([35_000, 99_000].map(at), [TrialPhase::Closing; 2]);
        assert_eq!(phases.idle(), (27 + 4) * SECOND);
    }

    #[test]
    fn over_a_long_way_a_moment_is_longer() {
        let mut settings = settings();
        settings.link = Some(LinkSettings { delay: Span::from_millis(500), ..LinkSettings::default() });
        let phases = Phases::of(&settings, 1);
        assert_eq!([phases.at(5 * SECOND), phases.at(6 * SECOND)], [TrialPhase::Events, TrialPhase::Idle]);
    }
}
