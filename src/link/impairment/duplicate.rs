//! Packets that arrive twice.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Impairment, Node, Packet, Treatment};

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "duplicate",
    stream: 4,
    node: |conditions, random| {
        let share = conditions.duplicate.share();
        (share > 0.0).then(|| Box::new(Duplicate { share, random }) as Box<dyn Node>)
    },
};

#[derive(Debug)]
struct Duplicate {
    /// Of 1.
    share: f64,
    random: SmallRng,
}

impl Node for Duplicate {
    fn treat(&mut self, _: &mut Packet<'_>, now: u64) -> Treatment {
        if self.random.random::<f64>() < self.share { Treatment::LeavesTwice(now) } else { Treatment::Leaves(now) }
    }
}
