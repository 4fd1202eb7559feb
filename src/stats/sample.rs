//! What a metric's formula gives: samples, a bound, or the reason why there is nothing; and the folds over them.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::summary::Entry;

/// What a formula gives for one trial.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sample {
    /// Values in the metric's unit, in no order, at least one.
    Values(Vec<f64>),
    /// Not there yet when the trial ended: the value is more than this.
    Above(f64),
    /// Nothing, and why.
    Absent(String),
}

impl Sample {
    /// A single count.
    pub(super) fn count(count: usize) -> Self {
        Self::Values(vec![count as f64])
    }

    /// Nothing, and why.
    pub(super) fn absent(reason: impl Into<String>) -> Self {
        Self::Absent(reason.into())
    }

    /// These values, or this reason where there is none.
    pub(super) fn values(values: Vec<f64>, none: impl FnOnce() -> String) -> Self {
        if values.is_empty() { Self::Absent(none()) } else { Self::Values(values) }
    }

    /// The entry of a trial: least, median and most; p50, p90 and p99 where there are several values.
    pub(super) fn entry(self, unit: &str) -> Entry {
        let mut entry = Entry::none(unit);
        match self {
            Self::Values(mut values) => {
                values.retain(|value| value.is_finite());
                values.sort_by(f64::total_cmp);
                let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
                    entry.absent = Some("no value was a number".to_owned());
                    return entry;
                };
                entry.n = values.len();
                entry.median = Some(quantile(&values, 0.5));
                entry.min = Some(min);
                entry.max = Some(max);
                if values.len() > 1 {
                    entry.p50 = entry.median;
                    entry.p90 = Some(quantile(&values, 0.9));
                    entry.p99 = Some(quantile(&values, 0.99));
                }
            }
            Self::Above(bound) => entry.above = Some(bound),
            Self::Absent(reason) => entry.absent = Some(reason),
        }
        entry
    }
}

/// The quantile `q` of sorted values, at least one, between neighbours in proportion (Hyndman and Fan, "Sample
/// Quantiles in Statistical Packages", 1996, type 7).
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * q;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the length of a slice")]
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The median of values in no order; `None` without any.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| quantile(&values, 0.5))
}

/// How often the bootstrap draws.
const DRAWS: usize = 2000;

/// The 95 % interval of the median of the repeats' medians, by the percentile bootstrap; `None` below three
/// repeats, where it would say nothing.
pub(super) fn interval(medians: &[f64], seed: u64) -> Option<[f64; 2]> {
    if medians.len() < 3 {
        return None;
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .filter_map(|_| median((0..medians.len()).map(|_| medians[random.random_range(0..medians.len())])))
        .collect();
    drawn.sort_by(f64::total_cmp);
    Some([quantile(&drawn, 0.025), quantile(&drawn, 0.975)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours_in_proportion() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert!((quantile(&sorted, 0.5) - 2.5).abs() < 1e-12);
        assert!((quantile(&sorted, 0.9) - 3.7).abs() < 1e-12);
        assert!((quantile(&[7.0], 0.99) - 7.0).abs() < 1e-12);
        assert_eq!(median([]), None);
    }

    #[test]
    fn an_interval_needs_three_repeats_and_is_the_same_for_the_same_seed() {
        assert_eq!(interval(&[1.0, 2.0], 1), None);
        let repeats = [10.0, 11.0, 12.0, 13.0, 30.0];
        let [low, high] = interval(&repeats, 7).unwrap();
        assert!((10.0..=12.0).contains(&low) && (12.0..=30.0).contains(&high), "{low} to {high}");
        assert_eq!(interval(&repeats, 7), Some([low, high]));
        assert_eq!(interval(&[6.0, 6.0, 6.0], 1), Some([6.0, 6.0]));
    }

    #[test]
    fn a_single_value_has_no_quantiles_and_no_value_is_never_nought() {
        let one = Sample::count(6).entry("streams");
        assert_eq!((one.n, one.median, one.p99), (1, Some(6.0), None));
        let none = Sample::absent("nothing came").entry("ms");
        assert_eq!((none.n, none.median, none.absent.as_deref()), (0, None, Some("nothing came")));
        let nan = Sample::Values(vec![f64::NAN]).entry("ms");
        assert_eq!((nan.n, nan.median), (0, None));
        assert!(nan.absent.is_some());
    }
}
