//! What else the client does: `[[beside]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Something else that the client does: one request to the server under test, to the first host and port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Beside {
    /// When, after `go`.
    pub at: Span,
    pub kind: BesideKind,
    /// The credentials mode of a fetch; the other kinds have none to choose.
    #[serde(default)]
    pub credentials: FetchCredentials,
}

/// What else the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BesideKind {
    /// `fetch()`.
    Fetch,
    /// An `<img>`, of `/ping.svg`: a 204 would be an error to it.
    Image,
    /// A `WebSocket`; answered when the handshake is, be it refused.
    Websocket,
    /// A navigation in an `<iframe>`, to `/ping.html`: a 204 would leave the frame as it was.
    Navigation,
    /// A navigation in another tab (WHATWG HTML, "top-level traversable"), to a page that loads nothing else. It is
    /// answered when that page has told the control origin, and that the trial page.
    Tab,
}

/// The credentials mode of a fetch (WHATWG Fetch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FetchCredentials {
    #[default]
    Omit,
    /// To the page's own origin only, which the server under test is where `workload.page` says so.
    SameOrigin,
    /// Always.
    Include,
}
