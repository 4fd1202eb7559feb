//! What a packet goes through on one way, all of it pure.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::impairment::{self, Node, Packet, Treatment};
use super::{Conditions, Way};

/// Where the bits of a trial's seed end; those above tell ways and nodes apart.
const SEED_BITS: u32 = 53;

/// What became of a packet, or of one of the two that it became. Times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then.
    Arrives(u64),
    /// It never does: the impairment of this name dropped it.
    Dropped(&'static str),
}

/// The nodes of one way, in their order.
#[derive(Debug)]
pub struct Pipeline {
    nodes: Vec<Placed>,
    /// How many packets have come.
    came: u64,
    /// What the sender of the last one is told.
    told: Option<Vec<u8>>,
}

/// A node in its place.
#[derive(Debug)]
struct Placed {
    name: &'static str,
    node: Box<dyn Node>,
    /// How long the last packet was to wait here, in nanoseconds; of two that it became, the second.
    waits: u64,
}

impl Pipeline {
    /// Those that these conditions ask for. Each draws from the seed (below 2^53), the way and its own stream alone, so that
    /// what one draws changes nothing for the others.
    pub fn new(conditions: &Conditions, way: Way, seed: u64) -> Self {
        let nodes = impairment::ALL.iter().filter_map(|impairment| {
            let own = seed ^ (impairment.stream << 1 | way as u64) << SEED_BITS;
            let node = (impairment.node)(conditions, SmallRng::seed_from_u64(own))?;
            Some(Placed { name: impairment.name, node, waits: 0 })
        });
        Self { nodes: nodes.collect(), came: 0, told: None }
    }

    /// Takes the next packet, at a time that is not before that of the last, and tells its fate: once, or once for each of
    /// two. What is in it may have been changed by then. Gives back its number.
    pub fn take(&mut self, bytes: &mut [u8], now: u64, tell: &mut dyn FnMut(Fate)) -> u64 {
        let number = self.pass_over();
        self.nodes.iter_mut().for_each(|placed| placed.waits = 0);
        go_on(&mut self.nodes, &mut Packet { number, bytes, told: &mut self.told }, now, tell);
        number
    }

    /// Counts the next packet, which never gets here. Gives back its number.
    pub(super) fn pass_over(&mut self) -> u64 {
        let number = self.came;
        self.came += 1;
        number
    }

    /// What the packet that was taken last has to wait for, and for how many nanoseconds each.
    pub fn waits(&self) -> impl Iterator<Item = Wait> {
        let waiting = self.nodes.iter().filter(|placed| placed.waits > 0);
        waiting.map(|placed| Wait { by: placed.name, nanos: placed.waits })
    }

    /// What the sender of the last packet is told at once: a packet of the link's own.
    pub(super) fn told(&mut self) -> Option<Vec<u8>> {
        self.told.take()
    }
}

/// What made a packet wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The impairment's name.
    pub by: &'static str,
    pub nanos: u64,
}

fn go_on(nodes: &mut [Placed], packet: &mut Packet<'_>, now: u64, tell: &mut dyn FnMut(Fate)) {
    let Some((Placed { name, node, waits }, rest)) = nodes.split_first_mut() else { return tell(Fate::Arrives(now)) };
    let treatment = node.treat(packet, now);
    if let Treatment::Leaves(at) | Treatment::LeavesTwice(at) = treatment {
        *waits = at.saturating_sub(now);
    }
    match treatment {
        Treatment::Leaves(at) => go_on(rest, packet, at, tell),
        Treatment::LeavesTwice(at) => {
            go_on(rest, packet, at, tell);
            go_on(rest, packet, at, tell);
        }
        Treatment::Dropped => tell(Fate::Dropped(name)),
    }
}

#[cfg(test)]
mod tests;
