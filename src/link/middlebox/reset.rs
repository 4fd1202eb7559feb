//! Forged ends of TCP's connections. Whoever forges one must know the next number that an end expects (RFC 5961 section
//! 3.2), and so waits for a packet that says it.

use std::collections::HashSet;
use std::net::SocketAddrV4;

use crate::link::Way;
use crate::link::packet::{Flow, Segment};

/// The connections that have begun since, by their ends: the client's and the server's.
#[derive(Debug, Default)]
pub(super) struct Resets {
    begun: HashSet<[SocketAddrV4; 2]>,
}

impl Resets {
    /// Whether a segment is of a connection that is to live on, or ends one by itself.
    pub(super) fn spares(&mut self, way: Way, segment: Segment) -> bool {
        let Flow { source, destination, .. } = segment.flow;
        let ends = match way {
            Way::Up => [source, destination],
            Way::Down => [destination, source],
        };
        if segment.syn && way == Way::Up {
            self.begun.insert(ends);
        }
        segment.rst || self.begun.contains(&ends)
    }
}
