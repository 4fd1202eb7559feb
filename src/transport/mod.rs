//! How a feed reaches a reader: one file per transport, a constant row each, and its browser script beside it.
//!
//! Enters: exchanges (server side) and connections to dial (client side). Leaves: events, once and in order, and what
//! clients publish. What must never happen here: asking which HTTP version one is on.

mod batch;
mod json;
pub mod long_polling;
mod poller;
pub mod polling;
mod publishing;
mod query;
pub mod quic;
mod reader;
mod receipts;
mod rigged;
mod serving;
mod session;
pub mod sse;
pub mod streaming;
pub mod websocket;
pub mod webtransport;

use std::pin::Pin;

pub use json::Told;
pub use publishing::{PublishError, Publishing};
pub use query::{Query, QueryError};
pub use reader::{Beginning, FeedReader};
pub use receipts::Receipts;
pub use serving::{Reply, Serve};
use tokio::sync::mpsc;

use crate::feed::After;
use crate::trial::Alpn;
use crate::wire::dial::Target;
use crate::wire::{Exchange, Pool};

/// What a transport's functions give back that wait.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A transport: a constant row of [`ALL`].
#[derive(Debug)]
pub struct Transport {
    /// Its name in files, routes and flags: `sse`.
    pub name: &'static str,
    /// Its name where a person reads it: `Server-sent events`.
    pub title: &'static str,
    /// What it rides on.
    pub alpns: &'static [Alpn],
    /// Which exchange a reader begins with.
    pub opens: Opens,
    /// How a reader sends events to its feed.
    pub upstream: Upstream,
    /// Whether a page can speak it on this ALPN, and if not, why no browser can. What only some can't is their
    /// clients' to say.
    pub page: fn(Alpn) -> Result<(), &'static str>,
    /// Its browser script: an ES module that exports `subscribe`; empty where no page can speak it at all.
    pub script: &'static str,
    /// What that script imports: file name and text.
    pub modules: &'static [(&'static str, &'static str)],
    /// Checks its table of settings, and gives it back with the defaults filled in.
    pub check: fn(&serde_json::Value) -> Result<serde_json::Value, serde_json::Error>,
    /// The server's side, with a table of settings that was checked: what answers readers.
    pub serve: fn(&serde_json::Value) -> Serve,
    /// The native client's side: reads until the subscription ends, and says why it did.
    pub subscribe: for<'a> fn(Subscribing<'a>) -> Answer<'a, String>,
}

impl Transport {
    /// Whether a subscription has something open for as long as it lasts. What is asked for again and again hasn't:
    /// each answer is small and then over.
    pub fn holds(&self) -> bool {
        !matches!(self.name, "polling" | "long-polling")
    }
}

/// Which exchange a reader begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// A GET, once or again and again.
    Request,
    /// A tunnel of the transport's name.
    Tunnel,
    /// A session of the transport's name.
    Session,
}

/// How a reader sends events to its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// By a POST beside it.
    Post,
    /// On what it reads from.
    InBand,
}

/// What a transport's server side is given: who reads what, from where on.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What the reader asked for, of the kind that the row says.
    pub exchange: Exchange,
    /// What the query's `after` says.
    pub after: After,
    /// All of the query.
    pub query: &'a Query<'a>,
    /// Begins the subscription.
    pub beginning: Beginning,
    /// Publishes what the reader sends.
    pub publishing: Publishing,
}

/// What a transport's client side is given.
#[derive(Debug)]
pub struct Subscribing<'a> {
    /// Connects to the server.
    pub pool: &'a Pool,
    /// Where the server is.
    pub target: &'a Target,
    /// What to ask for: path and query, without `after`.
    pub path: &'a str,
    /// The transport's table of settings, checked.
    pub table: &'a serde_json::Value,
    /// Where receipts go; they know after which event to go on.
    pub receipts: &'a mut Receipts,
    /// Of a transport whose upstream is in-band: the data of events to publish, as they are due.
    pub outgoing: Option<mpsc::Receiver<String>>,
    /// What everything drawn for this subscription is drawn from.
    pub seed: u64,
}

/// Every transport.
pub static ALL: &[&Transport] = &[
    &polling::TRANSPORT,
    &long_polling::TRANSPORT,
    &streaming::TRANSPORT,
    &sse::TRANSPORT,
    &websocket::TRANSPORT,
    &webtransport::TRANSPORT,
    &quic::TRANSPORT,
];

/// The transport of this name.
pub fn find(name: &str) -> Option<&'static Transport> {
    ALL.iter().copied().find(|transport| transport.name == name)
}

/// A path and query with `NAME=VALUE` added to the query. Neither needs escaping.
pub fn with_query(path: &str, name: &str, value: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}{name}={value}")
}
