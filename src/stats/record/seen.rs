//! What a record is made of.

use crate::trial::Alpn;

/// One receipt of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stats) struct Receipt<'a> {
    pub(in crate::stats) t: u64,
    pub(in crate::stats) id: &'a str,
}

/// An event that a client published.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct Sent {
    /// When it was sent.
    pub(in crate::stats) t: u64,
    pub(in crate::stats) sub: u32,
    /// When it was due.
    pub(in crate::stats) scheduled: u64,
}

/// A connection to the server.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct RecordedConnection {
    pub(in crate::stats) t: u64,
    /// The requests it carried; `None` until it ended.
    pub(in crate::stats) requests: Option<u64>,
}

/// A subscription on a connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct RecordedSubscription<'a> {
    pub(in crate::stats) t: u64,
    pub(in crate::stats) until: Option<u64>,
    pub(in crate::stats) conn: u64,
    pub(in crate::stats) stream: u64,
    pub(in crate::stats) alpn: Alpn,
    /// The version of HTTP of its request.
    pub(in crate::stats) http: Option<f64>,
    pub(in crate::stats) sub: Option<u32>,
    pub(in crate::stats) feed: &'a str,
}

/// A subscription's beginning.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct Begun<'a> {
    pub(in crate::stats) t: u64,
    pub(in crate::stats) feed: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct Publication<'a> {
    pub(in crate::stats) t: u64,
    pub(in crate::stats) feed: &'a str,
    pub(in crate::stats) event: u32,
    pub(in crate::stats) scheduled: u64,
    /// The subscription that sent it; `None`: the server's own.
    pub(in crate::stats) by: Option<u32>,
}

/// A feed's census event.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct Census<'a> {
    pub(in crate::stats) t: u64,
    pub(in crate::stats) id: &'a str,
}

/// What the server's process had used.
#[derive(Debug, Clone, Copy)]
pub(in crate::stats) struct Usage {
    /// Microseconds of CPU.
    pub(in crate::stats) cpu: u64,
    pub(in crate::stats) resident: u64,
    /// Bytes sent and received.
    pub(in crate::stats) bytes: u64,
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, resident: self.resident + other.resident, bytes: self.bytes + other.bytes }
    }
}
