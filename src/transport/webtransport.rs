//! WebTransport (W3C WebTransport, draft-ietf-webtrans-http3) on HTTP/3.
//!
//! A session shares its connection with requests; a browser opens a connection for each session all the same, and
//! Firefox opens two of which it uses one. What tells is how many sessions there are, not how many connections.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::session::{self, Mode, Publish};
use super::{Opens, Serve, Transport, Upstream};
use crate::trial::{Alpn, Dialects};

/// The row.
pub static TRANSPORT: Transport = Transport {
    name: "webtransport",
    title: "WebTransport",
    alpns: &[Alpn::H3],
    opens: Opens::Session,
    upstream: Upstream::InBand,
    page: |_| Ok(()),
    script: include_str!("webtransport.js"),
    modules: &[],
    check: |table| serde_json::to_value(Settings::deserialize(table)?),
    serve: |table| Serve::new(table, session::serve),
    subscribe: |subscribing| Box::pin(session::subscribe("webtransport", subscribing)),
};

/// The table `[webtransport]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// How the server sends events: `stream`, `streams` or `datagrams`.
    pub mode: Mode,
    /// Whether the server ends each stream of the mode `streams` behind its event. Left open, they add up to as many
    /// as the client lets a server have.
    pub finish: bool,
    /// How the client sends an event: `stream` or `datagram`.
    pub publish: Publish,
    /// How a page comes to trust the server.
    pub trust: Trust,
    /// The dialects that the server offers: `all`, or one or a list of `draft-02`, `draft-07`, `draft-13` and
    /// `draft-15`. The native client speaks each.
    pub dialects: Dialects,
}

/// The dialects that a server offers which has these tables of settings, one per transport.
pub(crate) fn dialects(tables: &BTreeMap<String, serde_json::Value>) -> Dialects {
    let table = tables.get(TRANSPORT.name).and_then(|table| Settings::deserialize(table).ok());
    table.unwrap_or_default().dialects
}

/// How a page comes to trust the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// As with any other request.
    #[default]
    Ca,
    /// By `serverCertificateHashes`: no CA is asked, and the connection is the session's own.
    Hash,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: Mode::Stream, finish: true, publish: Publish::Stream, trust: Trust::Ca, dialects: Dialects::ALL }
    }
}
