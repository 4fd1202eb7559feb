//! WebTransport (W3C WebTransport, draft-ietf-webtrans-http3) on HTTP/3.
//!
//! A session shares its connection with requests; a browser opens a connection for each session all the same, and
//! Firefox opens two of which it uses one. What tells is how many sessions there are, not how many connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::configured::{self, Because, Configured};
use super::session::{self, Mode, Publish, SessionSettings};
use super::{BoxFuture, ClientSubscription, EndReason, Opens, Reply, SubscriptionRequest, Transport, Upstream};
use crate::trial::{Alpn, Dialects, Exchanges, Settings as Trial};
use crate::wire::token;

pub static TRANSPORT: Transport = Transport {
    name: "webtransport",
    title: "WebTransport",
    alpns: &[Alpn::H3],
    opens: Opens::Session(token::WEBTRANSPORT),
    exchanges: Exchanges::Persistent,
    media_type: None,
    upstream: Upstream::InBand,
    page: |_| Ok(()),
    interface: Some("WebTransport"),
    script: include_str!("webtransport.js"),
    modules: &[("lines.js", include_str!("lines.js"))],
    variants: &["mode = 'stream'", "mode = 'streams'", "mode = 'datagrams'"],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The table `[webtransport]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl Settings {
    /// What it shares with the other transport in sessions.
    const fn session(self) -> SessionSettings {
        SessionSettings { mode: self.mode, finish: self.finish, publish: self.publish }
    }
}

impl Configured for Settings {
    fn table(&self) -> serde_json::Value {
        configured::table(self)
    }

    fn serve(&self, reading: SubscriptionRequest<'_>) -> Reply {
        session::serve(reading, self.session())
    }

    fn subscribe<'a>(&'a self, subscribing: ClientSubscription<'a>) -> BoxFuture<'a, EndReason> {
        Box::pin(session::subscribe(token::WEBTRANSPORT, subscribing, self.session()))
    }

    fn may_lose(&self) -> Option<Because> {
        self.session().may_lose()
    }

    fn may_reorder(&self) -> bool {
        self.session().may_reorder()
    }

    fn reads(&self, setting: &str, trial: &Trial, by_page: bool) -> bool {
        match setting {
            "trust" => by_page,
            _ => self.session().reads(setting, trial),
        }
    }

    fn dialects(&self) -> Option<Dialects> {
        Some(self.dialects)
    }
}

/// How a page comes to trust the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
