//! The length of the way: each packet is under way for as long as all others, and for a little longer where there is
//! jitter; none overtakes another.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Impairment, Node, Packet, Treatment};
use crate::units::Span;

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "delay",
    stream: 6,
    node: |conditions, random| {
        let [delay, jitter] = [conditions.delay, conditions.jitter].map(Span::nanos);
        (delay > 0 || jitter > 0).then(|| Box::new(Delay { least: delay, jitter, last: 0, random }) as Box<dyn Node>)
    },
};

#[derive(Debug)]
struct Delay {
    /// In nanoseconds.
    least: u64,
    /// The most that is added to it, in nanoseconds.
    jitter: u64,
    /// When the last packet left, in nanoseconds.
    last: u64,
    random: SmallRng,
}

impl Node for Delay {
    fn treat(&mut self, _: &mut Packet<'_>, now: u64) -> Treatment {
        let longer = if self.jitter > 0 { self.random.random_range(0..=self.jitter) } else { 0 };
        self.last = self.last.max(now.saturating_add(self.least).saturating_add(longer));
        Treatment::Leaves(self.last)
    }
}
