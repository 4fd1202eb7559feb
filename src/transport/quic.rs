//! Raw QUIC (RFC 9000, RFC 9221), without HTTP: what a session costs by itself. No page can speak it.

use serde::{Deserialize, Serialize};

use super::session::{self, Mode, Publish};
use super::{Opens, Serve, Transport, Upstream};
use crate::trial::Alpn;

/// The row.
pub static TRANSPORT: Transport = Transport {
    name: "quic",
    title: "Raw QUIC",
    alpns: &[Alpn::Quic],
    opens: Opens::Session,
    upstream: Upstream::InBand,
    page: |_| Err("no browser lets a page speak QUIC without HTTP/3"),
    script: "",
    modules: &[],
    check: |table| serde_json::to_value(Settings::deserialize(table)?),
    serve: |table| Serve::new(table, session::serve),
    subscribe: |subscribing| Box::pin(session::subscribe("quic", subscribing)),
};

/// The table `[quic]`.
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
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: Mode::Stream, finish: true, publish: Publish::Stream }
    }
}
