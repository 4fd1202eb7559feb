//! How a feed reaches a reader: one file per transport, a constant row each, and its browser script beside it.
//!
//! Enters: exchanges (server side) and dialled connections (client side). Leaves: events, once and in order.
//! What must never happen here: asking which HTTP version one is on.

pub mod sse;

use crate::trial::Alpn;

/// A transport: a constant row of [`ALL`].
#[derive(Debug)]
pub struct Transport {
    /// Its name in files, routes and flags: `sse`.
    pub name: &'static str,
    /// Its name where a person reads it: `Server-sent events`.
    pub title: &'static str,
    /// What it rides on.
    pub alpns: &'static [Alpn],
    /// Its browser script: an ES module that exports `subscribe`.
    pub script: &'static str,
    /// Checks its table of settings, and gives it back with the defaults filled in.
    pub check: fn(&serde_json::Value) -> Result<serde_json::Value, serde_json::Error>,
}

/// Every transport.
pub static ALL: &[&Transport] = &[&sse::TRANSPORT];

/// The transport of this name.
pub fn find(name: &str) -> Option<&'static Transport> {
    ALL.iter().copied().find(|transport| transport.name == name)
}
