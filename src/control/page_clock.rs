//! How a page's `performance.now()` maps to `CLOCK_MONOTONIC`, and facts from the one to the other.

use crate::trial::{ClientFact, Observation};

/// One instant on both clocks. Both count the same seconds on one machine, so a point is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageClock {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    lab: u64,
    /// The same instant in microseconds of the page's `performance.now()`.
    page: u64,
}

impl PageClock {
    /// The clock that a page's `clock` fact describes; `None` for any other fact.
    pub(super) fn of(observation: &Observation<ClientFact>) -> Option<Self> {
        match observation.fact {
            ClientFact::Clock { page, .. } => Some(Self { lab: observation.t, page }),
            _ => None,
        }
    }

    /// Nanoseconds of `CLOCK_MONOTONIC` at so many microseconds of the page. Before boot is 0.
    pub(super) fn to_lab(self, page_us: u64) -> u64 {
        let nanos = i128::from(self.lab) + (i128::from(page_us) - i128::from(self.page)) * 1000;
        u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
    }

    /// Microseconds of the page, rounded, at so many nanoseconds of `CLOCK_MONOTONIC`. Before the page is 0.
    pub(super) fn to_page(self, lab_ns: u64) -> u64 {
        let micros = i128::from(self.page) + (i128::from(lab_ns) - i128::from(self.lab) + 500).div_euclid(1000);
        u64::try_from(micros.max(0)).unwrap_or(u64::MAX)
    }

    /// The same with its times on the lab's clock; `None` for receipts that don't have a time each.
    pub(super) fn place(self, mut observation: Observation<ClientFact>) -> Option<Observation<ClientFact>> {
        match &mut observation.fact {
            // Its `t` is the lab's already: it came from there.
            ClientFact::Clock { .. } => return Some(observation),
            ClientFact::Received { times, ids, .. } if times.len() != ids.len() => return None,
            ClientFact::Received { times, .. } => times.iter_mut().for_each(|t| *t = self.to_lab(*t)),
            ClientFact::Sent { scheduled, .. } => *scheduled = self.to_lab(*scheduled),
            _ => {}
        }
        Some(Observation::at(self.to_lab(observation.t), observation.fact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: PageClock = PageClock { lab: 5_000_000_000, page: 200_000 };

    #[test]
    fn a_time_there_and_back_is_the_same() {
        for page in [0, 199_999, 200_000, 200_001, 9_000_000] {
            assert_eq!(CLOCK.to_page(CLOCK.to_lab(page)), page);
        }
        assert_eq!(CLOCK.to_lab(200_001), 5_000_001_000);
        assert_eq!(CLOCK.to_page(5_000_001_499), 200_001);
        assert_eq!(CLOCK.to_page(5_000_001_500), 200_002);
        assert_eq!(CLOCK.to_page(0), 0, "before the page there is no page time");
    }

    #[test]
    fn every_receipt_is_placed() {
        let received = |times, ids: &[&str]| {
            let ids = ids.iter().collect();
            CLOCK.place(Observation::at(0, ClientFact::Received { times, sub: 3, ids, wrong: vec![] }))
        };
        let placed = received(vec![200_000, 200_010], &["a-1", "a-2"]).unwrap();
        let ClientFact::Received { times, .. } = placed.fact else { panic!("a receipt stays a receipt") };
        assert_eq!((times, placed.t), (vec![5_000_000_000, 5_000_010_000], 5_000_010_000));
        assert!(received(vec![1], &[]).is_none());
    }
}
