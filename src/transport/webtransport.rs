//! WebTransport (W3C WebTransport, draft-ietf-webtrans-http3) on HTTP/3.
//!
//! A session shares its connection with requests; a browser opens a connection for each session all the same, and
//! Firefox opens two of which it uses one. What tells is how many sessions there are, not how many connections.

use serde::{Deserialize, Serialize};

use super::session::{self, Mode, Publish};
use super::{Opens, Serve, Transport, Upstream};
use crate::trial::Alpn;

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
        Self { mode: Mode::Stream, finish: true, publish: Publish::Stream, trust: Trust::Ca }
    }
}
