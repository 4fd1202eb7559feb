//! Raw QUIC (RFC 9000, RFC 9221), without HTTP: what a session costs by itself. No page can speak it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::configured::{self, Because, Configured};
use super::session::{self, Mode, Publish, SessionSettings};
use super::{BoxFuture, ClientSubscription, EndReason, Opens, Reply, SubscriptionRequest, Transport, Upstream};
use crate::trial::{Alpn, Exchanges, Settings as Trial};
use crate::wire::token;

pub static TRANSPORT: Transport = Transport {
    name: "quic",
    title: "Raw QUIC",
    alpns: &[Alpn::Quic],
    opens: Opens::Session(token::QUIC),
    exchanges: Exchanges::Persistent,
    media_type: None,
    upstream: Upstream::InBand,
    page: |_| Err("no browser lets a page speak QUIC without HTTP/3".into()),
    interface: None,
    script: "",
    modules: &[],
    variants: &["mode = 'stream'", "mode = 'streams'", "mode = 'datagrams'"],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The table `[quic]`.
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
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: Mode::Stream, finish: true, publish: Publish::Stream }
    }
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
        Box::pin(session::subscribe(token::QUIC, subscribing, self.session()))
    }

    fn may_lose(&self) -> Option<Because> {
        self.session().may_lose()
    }

    fn may_reorder(&self) -> bool {
        self.session().may_reorder()
    }

    fn reads(&self, setting: &str, trial: &Trial, _: bool) -> bool {
        self.session().reads(setting, trial)
    }
}
