//! What befalls packets on one way.

use etherparse::IpNumber;

use crate::units::{BitRate, Percent, Size, Span};

/// What befalls packets that go one way; with all at nothing they pass at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// A protocol that nothing passes of.
    pub block: Option<IpNumber>,
    /// The longest packet that passes, in bytes, IP header included; `None`: as long as the devices take.
    pub mtu: Option<u16>,
    /// Whether nobody is told that one was longer.
    pub mtu_silent: bool,
    /// Packets that are dropped whatever else there is, by their numbers from 0, in no order.
    pub drop: Vec<u32>,
    /// How many are lost, each by a draw of its own where `burst` says nothing.
    pub loss: Percent,
    /// How many are lost in a row, in the mean.
    pub burst: Option<u32>,
    /// In how many a bit is flipped.
    pub corrupt: Percent,
    /// How many arrive twice.
    pub duplicate: Percent,
    /// How fast they go; `None`: as fast as this machine.
    pub rate: Option<BitRate>,
    /// How much may wait for its turn where there is a rate.
    pub queue: Size,
    /// How long each is under way.
    pub delay: Span,
    /// How much longer at most: drawn evenly for each, and none overtakes another.
    pub jitter: Span,
    /// How many are held back, and overtaken by what comes after.
    pub reorder: Percent,
    /// For how long.
    pub reorder_by: Span,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            block: None,
            mtu: None,
            mtu_silent: false,
            drop: Vec::new(),
            loss: Percent::default(),
            burst: None,
            corrupt: Percent::default(),
            duplicate: Percent::default(),
            rate: None,
            queue: Size::from_bytes(256 * 1024),
            delay: Span::default(),
            jitter: Span::default(),
            reorder: Percent::default(),
            reorder_by: Span::default(),
        }
    }
}
