//! How long to wait before coming back.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::trial::settings::{Jitter, Reconnect};

/// The waits of one subscription: a pure count, which is told when it succeeded.
#[derive(Debug)]
pub(super) struct Backoff {
    settings: Reconnect,
    random: SmallRng,
    /// Tries since the subscription was last open.
    tried: u32,
}

impl Backoff {
    /// Waits as these settings say; jitter is drawn from here.
    pub(super) fn new(settings: Reconnect, random: SmallRng) -> Self {
        Self { settings, random, tried: 0 }
    }

    /// It was open: the next wait is a first one.
    pub(super) fn opened(&mut self) {
        self.tried = 0;
    }

    /// How long to wait before the next try; `None`: there is none. `first`: what the server wants the first wait to
    /// be.
    pub(super) fn next(&mut self, first: Option<Duration>) -> Option<Duration> {
        let Reconnect { tries, delay, factor, most, jitter, .. } = self.settings;
        if self.tried >= tries {
            return None;
        }
        let longer = factor.saturating_pow(self.tried);
        self.tried += 1;
        let wait = first.unwrap_or(delay.duration()).saturating_mul(longer).min(most.duration());
        Some(match jitter {
            Jitter::None => wait,
            Jitter::Full => wait.mul_f64(self.random.random_range(0.0..=1.0)),
            Jitter::Equal => wait.mul_f64(self.random.random_range(0.5..=1.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn waits(settings: Reconnect, first: Option<u64>) -> Vec<u64> {
        let mut backoff = Backoff::new(settings, SmallRng::seed_from_u64(1));
        let next = || backoff.next(first.map(Duration::from_millis));
        std::iter::from_fn(next).map(|wait| u64::try_from(wait.as_millis()).unwrap()).take(8).collect()
    }

    fn settings(jitter: Jitter) -> Reconnect {
        Reconnect { tries: 5, most: "6s".parse().unwrap(), jitter, ..Reconnect::default() }
    }

    #[test]
    fn waits_grow_to_the_most_and_end_with_the_tries() {
        assert_eq!(waits(settings(Jitter::None), None), [1000, 2000, 4000, 6000, 6000]);
        assert_eq!(waits(settings(Jitter::None), Some(250)), [250, 500, 1000, 2000, 4000], "the server's own");
        assert_eq!(waits(Reconnect::default(), None), [0; 0], "by default it doesn't come back");
    }

    #[test]
    fn jitter_takes_away_all_or_half_and_the_same_seed_the_same() {
        let whole = waits(settings(Jitter::None), None);
        for (jitter, least) in [(Jitter::Full, 0.0), (Jitter::Equal, 0.5)] {
            let drawn = waits(settings(jitter), None);
            assert!(drawn.iter().zip(&whole).all(|(d, w)| *d <= *w && *d as f64 >= (*w as f64 * least).floor()));
            assert_ne!(drawn, whole);
            assert_eq!(drawn, waits(settings(jitter), None));
        }
    }

    #[test]
    fn what_was_open_waits_like_the_first_time() {
        let mut backoff = Backoff::new(settings(Jitter::None), SmallRng::seed_from_u64(1));
        let _ = (backoff.next(None), backoff.next(None));
        backoff.opened();
        assert_eq!(backoff.next(None), Some(Duration::from_secs(1)));
    }
}
