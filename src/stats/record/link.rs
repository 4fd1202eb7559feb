//! What a link did, both ways together.

use crate::trial::fact::WayCarried;

/// What it had carried at an instant.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct LinkTotal {
    pub(in crate::stats) packets: u64,
    /// Their bytes, IP headers included.
    pub(in crate::stats) bytes: u64,
}

impl LinkTotal {
    pub(super) fn of(up: &WayCarried, down: &WayCarried) -> Self {
        Self { packets: up.packets + down.packets, bytes: up.bytes + down.bytes }
    }
}

/// What it came to in the end.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct LinkEnd {
    /// Packets that it dropped.
    pub(in crate::stats) dropped: u64,
    /// To how many of their senders it said so.
    pub(in crate::stats) told: u64,
    /// How late it handed packets on, at the median, in nanoseconds; `None` where it handed on none.
    pub(in crate::stats) late: Option<u64>,
}

impl LinkEnd {
    pub(super) fn of(up: &WayCarried, down: &WayCarried, late: Option<u64>) -> Self {
        let dropped = [up, down].into_iter().flat_map(|way| way.dropped.values()).sum();
        Self { dropped, told: up.told + down.told, late }
    }
}
