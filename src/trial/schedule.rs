//! When the events of a trial are due.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::trial::settings::{Arrival, Workload};

/// One event to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledEvent {
    /// Which, from 0.
    pub event: u32,
    /// When, in nanoseconds after `go`.
    pub at: u64,
}

/// The events before the census, in the order they are due. The same seed gives the same schedule.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of 0 to 10^17")]
pub fn schedule(workload: &Workload, seed: u64) -> Vec<ScheduledEvent> {
    let events = &workload.events;
    let start = (workload.ramp.nanos() + workload.settle.nanos()) as f64;
    let (count, interval) = (workload.event_count(), events.rate.interval_nanos());
    let offsets: Vec<f64> = match events.arrival {
        Arrival::Periodic => (0..count).map(|k| f64::from(k) * interval).collect(),
        Arrival::Burst => vec![0.0; count as usize],
        // A pair every two intervals keeps the rate.
        Arrival::Pairs => {
            let gap = events.gap.nanos() as f64;
            (0..count).map(|k| f64::from(k / 2 * 2) * interval + f64::from(k % 2) * gap).collect()
        }
        // Given how many events a Poisson process had, they are spread like independent uniform draws.
        Arrival::Poisson => {
            let window = f64::from(count) * interval;
            let mut random = SmallRng::seed_from_u64(seed);
            let mut offsets: Vec<f64> = (0..count).map(|_| random.random_range(0.0..1.0) * window).collect();
            offsets.sort_by(f64::total_cmp);
            offsets
        }
    };
    offsets.into_iter().zip(0..).map(|(offset, event)| ScheduledEvent { event, at: (start + offset) as u64 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(arrival: Arrival, seed: u64) -> Vec<u64> {
        let mut workload = Workload { settle: "1s".parse().unwrap(), ..Workload::default() };
        workload.events.count = 4.into();
        workload.events.rate = "10/s".parse().unwrap();
        workload.events.arrival = arrival;
        schedule(&workload, seed).iter().map(|due| due.at / 1_000_000).collect()
    }

    #[test]
    fn arrivals_are_spread_as_their_name_says() {
        assert_eq!(at(Arrival::Periodic, 1), [1000, 1100, 1200, 1300]);
        assert_eq!(at(Arrival::Burst, 1), [1000; 4]);
        assert_eq!(at(Arrival::Pairs, 1), [1000, 1001, 1200, 1201]);
        let mut apart = Workload::default();
        (apart.events.arrival, apart.events.gap) = (Arrival::Pairs, "150ms".parse().unwrap());
        (apart.events.count, apart.events.rate) = (4.into(), "10/s".parse().unwrap());
        let dues: Vec<u64> = schedule(&apart, 1).iter().map(|due| due.at / 1_000_000).collect();
        assert_eq!(dues, [0, 150, 200, 350]);
        let poisson = at(Arrival::Poisson, 1);
        assert!(poisson.is_sorted() && poisson[0] >= 1000 && poisson[3] < 1400, "{poisson:?}");
        assert_eq!(poisson, at(Arrival::Poisson, 1), "the same seed, the same schedule");
        assert_ne!(poisson, at(Arrival::Poisson, 2));
    }
}
