//! What the repeats of one combination decide together, and how many more it would take.

use super::Datum;
use super::quantity::ClaimComparison;
use crate::stats::number;
use crate::stats::result::Verdict;
use crate::stats::sample::{WANTED, interval, median};

/// What the repeats decide.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// What decided it beside the numbers, or what would.
    pub(super) note: Option<String>,
}

impl Decision {
    const fn plain(verdict: Verdict) -> Self {
        Self { verdict, note: None }
    }
}

/// Decides by all repeats of one combination.
///
/// Where all say the same, that is it. What is counted has no scatter of its own: where the claim allows for none
/// (`equals`, `at-most`, `at-least`), one repeat that contradicts it refutes it, however many agree; beside a range
/// (`within`) a mixture decides nothing. What is measured scatters, and the claim is about
/// its median: that decides if its interval of 95 % lies on one side, which takes six repeats at least; else it is said
/// how many repeats it would take.
pub(super) fn decide(data: &[Datum], comparison: &ClaimComparison, unit: &str) -> Decision {
    let decided: Vec<Option<bool>> =
        data.iter().map(|datum| datum.range.and_then(|range| comparison.holds(range))).collect();
    if let Some(&Some(first)) = decided.first()
        && decided.iter().all(|verdict| *verdict == Some(first))
    {
        return Decision::plain(verdict(first));
    }
    let ranges: Vec<[f64; 2]> = data.iter().filter_map(|datum| datum.range).collect();
    if number::is_counted(unit) {
        let contradicted = !comparison.is_tolerant() && decided.contains(&Some(false));
        return Decision::plain(if contradicted { Verdict::Refuted } else { Verdict::Inconclusive });
    }
    if ranges.is_empty() || ranges.len() < data.len() {
        return Decision::plain(Verdict::Inconclusive);
    }
    if ranges.iter().flatten().any(|end| !end.is_finite()) {
        // Still waiting for an answer is said by the numbers, as is a machine that was late; too small for the clocks is not.
        let below = |datum: &Datum| datum.range.is_some_and(|[low, _]| low == f64::NEG_INFINITY);
        let hidden = data.iter().any(|datum| !datum.limited && below(datum));
        return Decision { verdict: Verdict::Inconclusive, note: hidden.then(|| HIDDEN.to_owned()) };
    }
    let [lower, upper] = [0, 1].map(|end| interval(&ranges.iter().map(|range| range[end]).collect::<Vec<f64>>()));
    if let Some((lower, upper)) = lower.zip(upper).filter(|(interval, _)| interval.coverage >= WANTED)
        && let Some(holds) = comparison.holds([lower.ends[0], upper.ends[1]])
    {
        let (low, high) = (number::plain(lower.ends[0]), number::with_unit(upper.ends[1], unit));
        let sure = number::percent(lower.coverage);
        let note = format!("the median of {} repeats lies between {low} and {high} ({sure})", ranges.len());
        return Decision { verdict: verdict(holds), note: Some(note) };
    }
    // How many it would take is not to be known from a machine that was late.
    let limited = data.iter().any(|datum| datum.limited);
    Decision { verdict: Verdict::Inconclusive, note: needed(&ranges, comparison).filter(|_| !limited) }
}

const fn verdict(holds: bool) -> Verdict {
    if holds { Verdict::Confirmed } else { Verdict::Refuted }
}

const HIDDEN: &str = "the values may be off by that much, so more repeats would not tell";

/// Fewer repeats have no interval of 95 %: even the least and the most of five hold the median 93.75 % of the time.
const LEAST: f64 = 6.0;
/// More repeats than a run may have.
const MOST: f64 = 1000.0;

/// How many repeats it would take to tell the median of these values (each a range, both ends included) from the
/// nearest bound of the comparison.
///
/// The median of n values of standard deviation s has a standard error of about √(π/2) · s / √n (for values that are
/// normally distributed, and not too few). Its 95 % interval leaves out a bound at the distance d four times in
/// five when n ≥ ((1.96 + 0.84) · √(π/2) · s / d)², 1.96 and 0.84 being the normal quantiles of 97.5 % and 80 %. Of
/// the distance, what the clocks may be off is taken away first: no number of repeats makes that smaller. [`LEAST`] at
/// least, and more than there were.
fn needed(ranges: &[[f64; 2]], comparison: &ClaimComparison) -> Option<String> {
    let values: Vec<f64> = ranges.iter().map(|[low, high]| f64::midpoint(*low, *high)).collect();
    let off = ranges.iter().map(|[low, high]| (high - low) / 2.0).fold(0.0, f64::max);
    let middle = median(values.iter().copied())?;
    let distance = comparison.bounds().into_iter().map(|bound| (middle - bound).abs()).reduce(f64::min)? - off;
    if distance <= 0.0 {
        let same = "their median is the bound itself, so that more repeats would not tell";
        return Some(if off > 0.0 { HIDDEN } else { same }.to_owned());
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
    let reach = (1.96 + 0.84) * std::f64::consts::FRAC_PI_2.sqrt() * spread / distance;
    let needed = (reach * reach).ceil().max(LEAST).max(n + 1.0);
    let needed = if needed > MOST { format!("more than {MOST}") } else { format!("about {needed}") };
    Some(format!("{needed} repeats would tell, and there were {}", values.len()))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_distr::{Distribution, Normal};

    use super::*;

    fn decided(values: &[f64], off: f64, comparison: ClaimComparison, unit: &str) -> (Verdict, String) {
        let datum = |value: &f64| Datum { range: Some([value - off, value + off]), ..Datum::default() };
        let data: Vec<Datum> = values.iter().map(datum).collect();
        let Decision { verdict, note } = decide(&data, &comparison, unit);
        (verdict, note.unwrap_or_default())
    }

    const AT_MOST_50: ClaimComparison = ClaimComparison::AtMost(50.0);

    #[test]
    fn one_repeat_beyond_the_bound_does_not_outweigh_nine_below() {
        let values = [40.0, 41.0, 42.0, 43.0, 44.0, 40.5, 41.5, 42.5, 43.5, 70.0];
        let (verdict, note) = decided(&values, 0.0, AT_MOST_50, "ms");
        assert_eq!(verdict, Verdict::Confirmed);
        let sure = "the median of 10 repeats lies between 40.5 and 44\u{a0}ms (97.85\u{a0}%)";
        assert_eq!(note, sure);
        // Of eight, even the least and the most are needed to be sure, and of five they are not enough.
        assert_eq!(decided(&values[2..], 0.0, AT_MOST_50, "ms").0, Verdict::Inconclusive);
        assert_eq!(decided(&values[..5], 0.0, AT_MOST_50, "ms").0, Verdict::Confirmed, "all say so");
    }

    #[test]
    fn one_count_that_contradicts_refutes_what_allows_for_none() {
        let verdict = |values: &[f64], comparison| decided(values, 0.0, comparison, "events").0;
        assert_eq!(verdict(&[0.0, 3.0, 17.0], ClaimComparison::Equals(0.0)), Verdict::Refuted);
        assert_eq!(verdict(&[17.0, 0.0, 0.0, 0.0, 0.0], ClaimComparison::AtMost(16.0)), Verdict::Refuted);
        assert_eq!(verdict(&[5.0, 5.0, 4.0], ClaimComparison::AtLeast(5.0)), Verdict::Refuted);
        assert_eq!(verdict(&[0.0; 5], ClaimComparison::Equals(0.0)), Verdict::Confirmed);
        assert_eq!(verdict(&[0.0, 3.0, 17.0], ClaimComparison::Within(0.0, 3.0)), Verdict::Inconclusive, "a tolerance");
        let unknown = Datum::default();
        let known = |value: f64| Datum { range: Some([value, value]), ..Datum::default() };
        let beside = |value| decide(&[unknown.clone(), known(value)], &ClaimComparison::Equals(0.0), "events").verdict;
        assert_eq!([beside(3.0), beside(0.0)], [Verdict::Refuted, Verdict::Inconclusive]);
    }

    #[test]
    fn round_trips_are_measured_and_one_that_is_late_refutes_nothing() {
        let values = [2.1, 2.2, 2.2, 2.1, 2.2, 2.4];
        let (verdict, note) = decided(&values, 0.0, ClaimComparison::AtMost(2.3), "round trips");
        assert_eq!(verdict, Verdict::Inconclusive, "six hold the median between 2.1 and 2.4");
        assert!(note.ends_with("repeats would tell, and there were 6"), "{note}");
    }

    #[test]
    fn repeats_on_both_sides_say_how_many_it_would_take() {
        // Standard deviation 10, distance 4 from the median 46: (2.8 × 1.2533 × 10 / 4)² = 77.0.
        let (verdict, note) = decided(&[36.0, 46.0, 56.0], 0.0, AT_MOST_50, "ms");
        assert_eq!((verdict, note.as_str()), (Verdict::Inconclusive, "about 77 repeats would tell, and there were 3"));
        let (_, half) = decided(&[41.0, 46.0, 51.0], 0.0, AT_MOST_50, "ms");
        assert_eq!(half, "about 20 repeats would tell, and there were 3", "half the spread, a quarter of the repeats");
        let (_, near) = decided(&[30.0, 49.9, 70.0], 0.0, AT_MOST_50, "ms");
        assert_eq!(near, "more than 1000 repeats would tell, and there were 3");
    }

    #[test]
    fn as_many_as_it_says_mostly_tell_and_a_quarter_of_them_mostly_do_not() {
        let mut random = rand::rngs::StdRng::seed_from_u64(3);
        // (2.8 × 1.2533 × 10 / 8)² = 19.2.
        let scatter = Normal::new(42.0, 10.0).unwrap();
        let mut told = |repeats: usize| {
            let draw = |_| {
                let values: Vec<f64> = (0..repeats).map(|_| scatter.sample(&mut random)).collect();
                decided(&values, 0.0, AT_MOST_50, "ms").0 == Verdict::Confirmed
            };
            (0..30).map(draw).filter(|told| *told).count()
        };
        let (enough, few) = (told(20), told(5));
        assert!(enough >= 18 && few <= 12, "{enough} and {few} of 30");
    }

    #[test]
    fn what_the_clocks_hide_no_number_of_repeats_tells() {
        for values in [&[49.5][..], &[49.0, 49.5, 50.5]] {
            let (verdict, note) = decided(values, 1.0, AT_MOST_50, "ms");
            assert_eq!((verdict, note.as_str()), (Verdict::Inconclusive, HIDDEN));
        }
        let (_, note) = decided(&[48.0, 50.0, 52.0], 0.0, AT_MOST_50, "ms");
        assert!(note.contains("the bound itself"), "{note}");
    }
}
