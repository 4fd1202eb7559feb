//! Server-sent events (WHATWG HTML section 9.2), on HTTP/1.1, HTTP/2 and HTTP/3.

use serde::{Deserialize, Serialize};

use super::Transport;
use crate::trial::Alpn;
use crate::units::{Settable, Span};

/// The row.
pub static TRANSPORT: Transport = Transport {
    name: "sse",
    title: "Server-sent events",
    alpns: &[Alpn::H1, Alpn::H2, Alpn::H3],
    script: include_str!("sse.js"),
    check: |table| serde_json::to_value(Settings::deserialize(table)?),
};

/// The table `[sse]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// What the server tells a reader to wait before it reconnects (the `retry` field).
    pub retry: Settable<Span>,
}
