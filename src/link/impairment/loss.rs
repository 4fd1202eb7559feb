//! Independent loss: a draw for each packet.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Impairment, Node, Packet, Treatment};

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "loss",
    stream: 1,
    node: |conditions, random| {
        let share = conditions.loss.share();
        (share > 0.0 && conditions.burst.is_none()).then(|| Box::new(Loss { share, random }) as Box<dyn Node>)
    },
};

#[derive(Debug)]
struct Loss {
    /// Of 1.
    share: f64,
    random: SmallRng,
}

impl Node for Loss {
    fn treat(&mut self, _: &mut Packet<'_>, now: u64) -> Treatment {
        // One draw a packet, so that the seed alone says which numbers are lost.
        if self.random.random::<f64>() < self.share { Treatment::Dropped } else { Treatment::Leaves(now) }
    }
}
