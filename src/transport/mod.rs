//! How a feed reaches a reader: one file per transport, a constant row each, and its browser script beside it.
//!
//! Enters: exchanges (server side) and dialled connections (client side). Leaves: events, once and in order.
//! What must never happen here: asking which HTTP version one is on.

mod receipts;
pub mod sse;

use std::pin::Pin;
use std::sync::Arc;

pub use receipts::Receipts;

use crate::feed::{After, Feed};
use crate::trial::Alpn;
use crate::wire::dial::Dialled;
use crate::wire::{Attaching, ResponseBody};

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
    /// What that script imports: file name and text.
    pub modules: &'static [(&'static str, &'static str)],
    /// Checks its table of settings, and gives it back with the defaults filled in.
    pub check: fn(&serde_json::Value) -> Result<serde_json::Value, serde_json::Error>,
    /// The server's side: answers a reader.
    pub serve: fn(Reading<'_>) -> http::Response<ResponseBody>,
    /// The native client's side: reads until the subscription ends, and says why it did.
    pub subscribe: fn(Subscribing<'_>) -> Pin<Box<dyn Future<Output = String> + Send + '_>>,
}

/// What a transport's server side is given: who reads what, from where on.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The request's method, target and fields.
    pub head: &'a http::request::Parts,
    /// The feed.
    pub feed: &'a Arc<Feed>,
    /// What the query's `after` says.
    pub after: After,
    /// The transport's table of settings, checked.
    pub table: &'a serde_json::Value,
    /// Begins the subscription's guard, which the response's body holds; not before there is a cursor.
    pub attaching: Attaching,
}

/// What a transport's client side is given.
#[derive(Debug)]
pub struct Subscribing<'a> {
    /// A connection to the server.
    pub dialled: Dialled,
    /// What to ask for: path and query.
    pub path: &'a str,
    /// Where receipts go.
    pub receipts: &'a mut Receipts,
}

/// Every transport.
pub static ALL: &[&Transport] = &[&sse::TRANSPORT];

/// The transport of this name.
pub fn find(name: &str) -> Option<&'static Transport> {
    ALL.iter().copied().find(|transport| transport.name == name)
}
