//! What a metric's formula gives: samples, a bound, or the reason why there is nothing; and the folds over them.

use super::result::Entry;

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

/// Two of the repeats' values, and in how many of a hundred runs such two hold the median of all that there could be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    /// The lower and the upper one.
    pub(super) ends: [f64; 2],
    /// In percent, at least: more where values are equal.
    pub(super) coverage: f64,
}

/// How often an interval should hold the median, in percent.
pub(super) const WANTED: f64 = 95.0;

/// The two innermost of the repeats' values that hold the median 95 times in a hundred; where even the least and the
/// most do so less often, as with five repeats and fewer, these. `None` below three repeats.
///
/// Each value is below the median as often as a coin falls on one side, so that the k-th least and the k-th most of n
/// hold it unless fewer than k fall on one of the sides: with the probability 1 − 2·P(fewer than k of n), whatever the
/// values' distribution is (order statistics; David and Nagaraja, "Order Statistics", 2003, section 7.1). For the least
/// and the most that is 1 − 2^(1−n): 75 % of three, 93.75 % of five, 96.9 % of six.
pub(super) fn interval(medians: &[f64]) -> Option<Interval> {
    if medians.len() < 3 {
        return None;
    }
    let mut sorted = medians.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // ln P(exactly i of n), from i = 0 on; 2^−n itself is too small for a number where n is large.
    let mut ln = -(n as f64) * std::f64::consts::LN_2;
    let mut below = ln.exp();
    let mut best = (0, below);
    for k in 1..n / 2 {
        ln += ((n - k + 1) as f64 / k as f64).ln();
        below += ln.exp();
        if 100.0 * (1.0 - 2.0 * below) < WANTED {
            break;
        }
        best = (k, below);
    }
    let (k, below) = best;
    Some(Interval { ends: [sorted[k], sorted[n - 1 - k]], coverage: 100.0 * (1.0 - 2.0 * below) })
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
    fn an_interval_says_how_often_it_holds_the_median() {
        assert_eq!(interval(&[1.0, 2.0]), None);
        let of = |n: u32| {
            let values: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            let Interval { ends: [low, high], coverage } = interval(&values).unwrap();
            (low, high, (coverage * 100.0).round() / 100.0)
        };
        // David and Nagaraja, section 7.1, and any table of the binomial distribution.
        assert_eq!([of(3), of(5), of(6)], [(1.0, 3.0, 75.0), (1.0, 5.0, 93.75), (1.0, 6.0, 96.88)]);
        assert_eq!([of(8), of(9)], [(1.0, 8.0, 99.22), (2.0, 8.0, 96.09)]);
        assert_eq!([of(10), of(20)], [(2.0, 9.0, 97.85), (6.0, 15.0, 95.86)]);
        assert!(of(1000).2 >= 95.0 && of(1000).0 > 450.0, "{:?}", of(1000));
        assert!(interval(&[6.0; 3]).unwrap().ends.iter().all(|end| end.total_cmp(&6.0).is_eq()));
    }

    #[test]
    fn an_interval_holds_the_median_as_often_as_it_says() {
        use rand::{RngExt, SeedableRng};
        let mut random = rand::rngs::StdRng::seed_from_u64(5);
        for n in [3, 5, 6, 10] {
            let mut said = 0.0;
            // Far from any bell: the square of an even number, whose median is a quarter.
            let mut holds = || {
                let values: Vec<f64> = (0..n).map(|_| random.random_range(0.0..1.0_f64).powi(2)).collect();
                let Interval { ends: [low, high], coverage } = interval(&values).unwrap();
                said = coverage;
                low <= 0.25 && 0.25 <= high
            };
            let held = (0..4000).filter(|_| holds()).count() as f64 / 40.0;
            assert!((held - said).abs() < 2.0, "{held} % of {n} instead of {said} %");
        }
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
