//! Packets that are held back, and overtaken by those that come after.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Impairment, Node, Packet, Treatment};

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "reorder",
    stream: 7,
    node: |conditions, random| {
        let (share, by) = (conditions.reorder.share(), conditions.reorder_by.nanos());
        (share > 0.0).then(|| Box::new(Reorder { share, by, random }) as Box<dyn Node>)
    },
};

#[derive(Debug)]
struct Reorder {
    /// Of 1.
    share: f64,
    /// How long one is held back, in nanoseconds.
    by: u64,
    random: SmallRng,
}

impl Node for Reorder {
    fn treat(&mut self, _: &mut Packet<'_>, now: u64) -> Treatment {
        let held = self.random.random::<f64>() < self.share;
        Treatment::Leaves(if held { now.saturating_add(self.by) } else { now })
    }
}
