//! What can befall a packet: a file each, in the order in which it does.

pub(super) mod block;
mod burst_loss;
mod corrupt;
mod delay;
mod drop;
mod duplicate;
mod loss;
mod mtu;
mod rate;
mod reorder;

use std::fmt::Debug;

use rand::rngs::SmallRng;

use super::Conditions;

/// One thing that can befall a packet.
#[derive(Debug)]
pub(super) struct Impairment {
    /// What it is called where drops are told: `loss`.
    pub(super) name: &'static str,
    /// Which stream of a trial's seed is its own. It stays, whatever comes before or behind, so that a seed goes on meaning
    /// what it meant.
    pub(super) stream: u64,
    /// A node that does it, drawing from this generator alone; `None` where these conditions don't ask for it.
    pub(super) node: fn(&Conditions, SmallRng) -> Option<Box<dyn Node>>,
}

/// Every impairment, in the order in which a packet meets them. What can't pass at all is no matter of chance. What loses packets comes before the queue: who is lost
/// takes no place in it. What delays them comes behind it, as the queue is at the near end.
pub(super) static ALL: &[&Impairment] = &[
    &block::IMPAIRMENT,
    &mtu::IMPAIRMENT,
    &drop::IMPAIRMENT,
    &loss::IMPAIRMENT,
    &burst_loss::IMPAIRMENT,
    &corrupt::IMPAIRMENT,
    &duplicate::IMPAIRMENT,
    &rate::IMPAIRMENT,
    &delay::IMPAIRMENT,
    &reorder::IMPAIRMENT,
];

/// The names of all of them, in their order.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|impairment| impairment.name)
}

/// A packet on its way through the nodes.
#[derive(Debug)]
pub(super) struct Packet<'p> {
    /// Which of its way, from 0.
    pub(super) number: u64,
    /// All of it, IP header included.
    pub(super) bytes: &'p mut [u8],
    /// What its sender is told at once, if anything: a packet too.
    pub(super) told: &'p mut Option<Vec<u8>>,
}

/// What a node does with a packet. Times are nanoseconds, and none is before the packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It goes on then.
    Leaves(u64),
    /// So do two of it.
    LeavesTwice(u64),
    /// It goes no further.
    Dropped,
}

/// What treats packets, one after another, in the order in which they come to it. It knows no clock but `now`, in
/// nanoseconds, which never goes back.
pub(super) trait Node: Debug + Send {
    fn treat(&mut self, packet: &mut Packet<'_>, now: u64) -> Treatment;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_impairments_draw_from_the_same_stream() {
        let mut streams: Vec<u64> = ALL.iter().map(|impairment| impairment.stream).collect();
        streams.sort_unstable();
        assert!(streams.into_iter().eq(0..ALL.len() as u64));
    }
}
