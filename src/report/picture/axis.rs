//! The axis: from 0 in round steps.

use super::Shape;
use crate::stats::number;

/// Where a value stands.
#[derive(Debug)]
pub(super) struct Scale {
    /// The axis's last value.
    pub(super) end: f64,
    step: f64,
    shape: Shape,
}

/// How wide a digit of an axis's label is at most.
const CHARACTER: f64 = 7.4;

/// A place of the axis.
#[derive(Debug)]
pub(in crate::report) struct Tick {
    pub(in crate::report) x: f64,
    pub(in crate::report) text: String,
    /// Where the middle of the text is: so far from the drawing's edge that none of it is cut off.
    pub(in crate::report) text_x: f64,
}

impl Tick {
    pub(super) fn new(x: f64, text: String) -> Self {
        let half = (text.chars().count() as f64 * CHARACTER * 50.0).round() / 100.0;
        Self { x, text_x: x.max(half), text }
    }
}

impl Scale {
    /// The least number of steps that the shape asks for or somewhat more, each 1, 2 or 5 times a power of ten; the
    /// last is at `most` or beyond.
    pub(super) fn new(shape: Shape, most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let power = 10_f64.powf((most / shape.ticks).log10().floor());
        let fits = |times: f64| most / (times * power) >= shape.ticks - 1e-9;
        let step = [5.0, 2.0, 1.0].into_iter().find(|&times| fits(times)).unwrap_or(1.0) * power;
        Self { end: (most / step - 1e-9).ceil() * step, step, shape }
    }

    /// Where the value stands, to the hundredth.
    pub(super) fn x(&self, value: f64) -> f64 {
        let Shape { left, right, .. } = self.shape;
        ((left + (right - left) * value / self.end) * 100.0).round() / 100.0
    }

    /// All steps, from 0.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two to ten steps")]
        let steps = (self.end / self.step).round() as u32;
        let tick = |at: u32| {
            // Steps such as 0.1 don't add up exactly.
            let value = (f64::from(at) * self.step * 1e9).round() / 1e9;
            Tick::new(self.x(value), round(value))
        };
        (0..=steps).map(tick).collect()
    }
}

/// `0.5`, `20`: a round number without the digits that say nothing.
pub(super) fn round(value: f64) -> String {
    let text = number::plain(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_steps_and_room_for_the_most() {
        for (shape, fewest) in [(Shape::WIDE, 5), (Shape::NARROW, 3)] {
            for most in [0.0, 0.37, 1.0, 6.0, 100.0, 150.0, 12_345.0] {
                let scale = Scale::new(shape, most);
                let ticks = scale.ticks();
                assert!(scale.end >= most, "{most}");
                assert!((fewest..=11).contains(&ticks.len()), "{most}: {} ticks", ticks.len());
            }
        }
        let texts: Vec<String> = Scale::new(Shape::WIDE, 100.0).ticks().into_iter().map(|tick| tick.text).collect();
        assert_eq!(texts, ["0", "20", "40", "60", "80", "100"]);
        assert_eq!([0.5, 1.5, 0.02, 12_000.0].map(round), ["0.5", "1.5", "0.02", "12\u{202f}000"]);
    }
}
