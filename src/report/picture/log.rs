//! The logarithmic axis: between round numbers, so that a microsecond and a second are both to be seen.

use super::axis::{Tick, round};

/// How many steps are labelled; of more, only powers of ten are.
const MOST_TICKS: usize = 9;

/// Where a value stands.
#[derive(Debug)]
pub(super) struct LogScale {
    /// The axis's ends, 1, 2 or 5 times a power of ten each.
    low: f64,
    high: f64,
    /// Where they stand.
    left: f64,
    right: f64,
}

impl LogScale {
    /// Room for all of these from `left` to `right`; `None` where none is above 0.
    pub(super) fn new(left: f64, right: f64, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let positive = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let ends = positive.fold(None, |ends: Option<[f64; 2]>, value| {
            Some(ends.map_or([value; 2], |[least, most]| [least.min(value), most.max(value)]))
        });
        let [least, most] = ends?;
        let low = steps(least).into_iter().rev().find(|step| *step <= least * (1.0 + 1e-9)).unwrap_or(least);
        let high = steps(most).into_iter().find(|step| *step >= most * (1.0 - 1e-9) && *step > low).unwrap_or(most);
        Some(Self { low, high, left, right })
    }

    /// Where the value stands, to the hundredth; at the axis's end where it is beyond.
    pub(super) fn x(&self, value: f64) -> f64 {
        let share = (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln();
        ((self.left + (self.right - self.left) * share.clamp(0.0, 1.0)) * 100.0).round() / 100.0
    }

    /// The round numbers between its ends.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let mut values = vec![self.low];
        while let Some(next) = values.last().and_then(|last| steps(*last).into_iter().find(|step| *step > last * 1.01))
        {
            if next > self.high * 1.01 {
                break;
            }
            values.push(next);
        }
        if values.len() > MOST_TICKS {
            values.retain(|value| (value.log10() - value.log10().round()).abs() < 1e-6);
        }
        values.into_iter().map(|value| Tick::new(self.x(value), round(value))).collect()
    }
}

/// Round numbers around a value, least first.
fn steps(value: f64) -> Vec<f64> {
    let power = value.log10().floor();
    let of = |power: f64| [1.0, 2.0, 5.0].map(|times| times * 10_f64.powf(power));
    [power - 1.0, power, power + 1.0].into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[f64]) -> Vec<String> {
        LogScale::new(0.0, 100.0, values.iter().copied()).unwrap().ticks().into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn an_axis_runs_between_round_numbers_and_has_few_of_them() {
        assert_eq!(texts(&[0.3, 4.0]), ["0.2", "0.5", "1", "2", "5"]);
        assert_eq!(texts(&[1.0]), ["1", "2"]);
        assert_eq!(texts(&[0.02, 7000.0]), ["0.1", "1", "10", "100", "1000", "10\u{202f}000"]);
        assert!(LogScale::new(0.0, 1.0, [0.0, -1.0, f64::INFINITY]).is_none());
    }

    #[test]
    fn a_label_at_the_drawings_edge_is_not_cut_off() {
        for (left, at_left) in [(4.0, 11.1), (200.0, 200.0)] {
            let ticks = LogScale::new(left, 300.0, [200.0, 900.0]).unwrap().ticks();
            let first = &ticks[0];
            assert_eq!((first.text.as_str(), ticks.len()), ("200", 3));
            assert!((first.x - left).abs() < 0.01 && (first.text_x - at_left).abs() < 0.01, "{first:?}");
            assert!(ticks[1..].iter().all(|tick| (tick.text_x - tick.x).abs() < 0.01));
        }
    }

    #[test]
    fn ten_times_as_much_is_as_far_everywhere() {
        let scale = LogScale::new(0.0, 300.0, [1.0, 1000.0]).unwrap();
        for (value, x) in [(1.0, 0.0), (10.0, 100.0), (100.0, 200.0), (1000.0, 300.0), (0.0, 0.0), (1e9, 300.0)] {
            assert!((scale.x(value) - x).abs() < 0.01, "{value} is at {}, and nothing leaves the axis", scale.x(value));
        }
    }
}
