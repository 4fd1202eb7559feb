//! How a feed reaches a reader: one file per transport, a constant row each, and its browser script beside it.
//!
//! Enters: exchanges (server side) and connections to dial (client side). Leaves: events, once and in order, and what
//! clients publish. What must never happen here: asking which HTTP version one is on.
//!
//! A transport is its file, its script and its line in [`ALL`]. Nobody else asks for its name: what is special about it
//! is said by its row and by what that makes of its table of settings ([`Configured`]).

mod batch;
pub mod coding;
mod configured;
mod end_reason;
mod json;
mod lines;
pub mod long_polling;
mod misbehaviour;
pub mod multipart;
mod poller;
pub mod polling;
mod publishing;
mod query;
pub mod quic;
mod reader;
mod receipts;
mod reply;
mod session;
pub mod sse;
mod stream;
pub mod streaming;
pub mod websocket;
pub mod webtransport;

pub use futures_util::future::BoxFuture;

pub use configured::{Because, Configuration, ConfigureError, Configured, of};
pub use end_reason::EndReason;
pub use json::ServerMessage;
pub use publishing::{PublishError, Published, Publishing};
pub use query::{Query, QueryError};
pub use reader::{FeedReader, PendingSubscription};
pub use receipts::Receipts;
pub use reply::Reply;
pub use stream::StreamOptions;
use tokio::sync::mpsc;

use crate::feed::After;
use crate::trial::{Alpn, Exchanges, Unsupported};
use crate::wire::dial::Target;
use crate::wire::{Exchange, Pool};

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
    /// What a subscription has under way.
    pub exchanges: Exchanges,
    /// What a reader is answered with, as its `Content-Type` says; `None`: with no content, but a tunnel or a session.
    pub media_type: Option<&'static str>,
    /// How a reader sends events to its feed.
    pub upstream: Upstream,
    /// Whether a page can speak it on this ALPN, and if not, why no browser can. What only some can't is their
    /// clients' to say.
    pub page: fn(Alpn) -> Result<(), Unsupported>,
    /// The interface that a page needs for it, where not every browser has it: `WebTransport`.
    pub interface: Option<&'static str>,
    /// Its browser script: an ES module that exports `subscribe`; empty where no page can speak it at all.
    pub script: &'static str,
    /// What that script imports: file name and text.
    pub modules: &'static [(&'static str, &'static str)],
    /// The ways in which it works, a table of settings (TOML) for each: they are quick enough for a short trial, and
    /// what holds for every transport has to hold for each of them.
    pub variants: &'static [&'static str],
    /// Reads its table of settings.
    pub configure: fn(&serde_json::Value) -> Result<Box<dyn Configured>, serde_json::Error>,
    /// What that table may be, as a JSON schema.
    pub schema: fn() -> &'static serde_json::Value,
}

impl Transport {
    /// Whether a subscription is one response that goes on.
    pub fn goes_on(&self) -> bool {
        self.opens == Opens::Request && self.exchanges == Exchanges::Persistent
    }
}

/// Which exchange a reader begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// A GET, once or again and again.
    Request,
    /// A tunnel that is asked for as this ([`crate::wire::token`]).
    Tunnel(&'static str),
    /// A session that is asked for as this.
    Session(&'static str),
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
pub struct SubscriptionRequest<'a> {
    /// What the reader asked for, of the kind that the row says.
    pub exchange: Exchange,
    /// Where it begins.
    pub after: After,
    /// All of the query.
    pub query: &'a Query<'a>,
    /// Begins the subscription.
    pub pending: PendingSubscription,
    /// What its answer is, where that goes on.
    pub stream: StreamOptions,
    /// Publishes what the reader sends.
    pub publishing: Publishing,
}

/// What a transport's client side is given.
#[derive(Debug)]
pub struct ClientSubscription<'a> {
    /// Connects to the server.
    pub pool: &'a Pool,
    /// Where the server is.
    pub target: &'a Target,
    /// What to ask for: path and query, without `after`.
    pub path: &'a str,
    /// Where receipts go; they know after which event to go on.
    pub receipts: &'a mut Receipts,
    /// Whether to ask for content codings, and so to decode them.
    pub decodes: bool,
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
    &multipart::TRANSPORT,
    &sse::TRANSPORT,
    &websocket::TRANSPORT,
    &webtransport::TRANSPORT,
    &quic::TRANSPORT,
];

/// One whose subscription is a plain response that goes on, for who needs any.
pub static PLAIN_STREAM: &Transport = &streaming::TRANSPORT;

/// The transport of this name.
pub fn find(name: &str) -> Option<&'static Transport> {
    ALL.iter().copied().find(|transport| transport.name == name)
}

/// A path and query with `NAME=VALUE` added to the query. Neither needs escaping.
pub fn with_query(path: &str, name: &str, value: &str) -> String {
    let mark = if path.contains('?') { '&' } else { '?' };
    format!("{path}{mark}{name}={value}")
}
