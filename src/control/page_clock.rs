//! How a page's `performance.now()` maps to `CLOCK_MONOTONIC`, and facts from the one to the other.

use crate::trial::Fact;

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
    pub(super) fn of(fact: &Fact) -> Option<Self> {
        match *fact {
            Fact::Clock { t, page, .. } => Some(Self { lab: t, page }),
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

    /// The fact with its times on the lab's clock; `Err` with the fact's kind when a page can't know such a fact.
    pub(super) fn place(self, mut fact: Fact) -> Result<Fact, &'static str> {
        match &mut fact {
            // Its `t` is the lab's already: it came from there.
            Fact::Clock { .. } => {}
            Fact::Received { t, ids, .. } if t.len() != ids.len() => {
                return Err("a receipt with as many times as ids");
            }
            Fact::Received { t, .. } => t.iter_mut().for_each(|t| *t = self.to_lab(*t)),
            Fact::Sent { t, scheduled, .. } => (*t, *scheduled) = (self.to_lab(*t), self.to_lab(*scheduled)),
            Fact::Requested { t, .. }
            | Fact::Opened { t, .. }
            | Fact::Closed { t, .. }
            | Fact::Gap { t, .. }
            | Fact::Buffered { t, .. }
            | Fact::ProbeSent { t }
            | Fact::ProbeAnswered { t, .. }
            | Fact::BesideSent { t, .. }
            | Fact::BesideAnswered { t, .. } => *t = self.to_lab(*t),
            _ => return Err("a fact that a client observes"),
        }
        Ok(fact)
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
    fn a_page_never_speaks_for_the_server() {
        let fact = Fact::Written { t: 1, stream: 0, sub: Some(0), id: "k3f9-18".into() };
        assert!(CLOCK.place(fact).is_err());
        let uneven = Fact::Received { t: vec![1], sub: 0, ids: vec![], wrong: vec![] };
        assert!(CLOCK.place(uneven).is_err());
    }

    #[test]
    fn every_receipt_is_placed() {
        let fact =
            Fact::Received { t: vec![200_000, 200_010], sub: 3, ids: vec!["a-1".into(), "a-2".into()], wrong: vec![] };
        let Ok(Fact::Received { t, .. }) = CLOCK.place(fact) else { panic!("a receipt stays a receipt") };
        assert_eq!(t, [5_000_000_000, 5_000_010_000]);
    }
}
