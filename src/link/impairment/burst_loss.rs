//! Loss in bursts: a good state in which nothing is lost and a bad one in which everything is (Gilbert, "Capacity of a
//! Burst-Noise Channel", 1960; of the Gilbert–Elliott model that with losses of 0 and 1).

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Impairment, Node, Packet, Treatment};

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "burst-loss",
    stream: 2,
    node: |conditions, mut random| {
        let share = conditions.loss.share();
        let burst = conditions.burst.filter(|_| share > 0.0)?;
        // In the long run it is bad for `fail ÷ (fail + recover)` of all packets, which is to be the share. Where most are
        // lost, bursts must be longer than was asked for: there is a good packet at least between two.
        let most = if share < 1.0 { (1.0 - share) / share } else { 0.0 };
        let recover = (1.0 / f64::from(burst.max(1))).min(most);
        let fail = if share < 1.0 { recover * share / (1.0 - share) } else { 1.0 };
        // A connection's first packets are as likely to be lost as any.
        let bad = random.random::<f64>() < share;
        Some(Box::new(BurstLoss { fail, recover, bad, random }))
    },
};

#[derive(Debug)]
struct BurstLoss {
    /// How likely each packet is to be the first of a burst, of 1.
    fail: f64,
    /// How likely each packet of a burst is to be its last, of 1.
    recover: f64,
    bad: bool,
    random: SmallRng,
}

impl Node for BurstLoss {
    fn treat(&mut self, _: &mut Packet<'_>, now: u64) -> Treatment {
        let lost = self.bad;
        let draw = self.random.random::<f64>();
        self.bad = if self.bad { draw >= self.recover } else { draw < self.fail };
        if lost { Treatment::Dropped } else { Treatment::Leaves(now) }
    }
}
