//! What else the client does: `[[beside]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Settable, Size, Span};

/// The most that a download may be.
pub const MAX_DOWNLOAD: Size = Size::from_bytes(256 << 20);
/// The least and the most that a download may be.
const DOWNLOADS: [Size; 2] = [Size::from_bytes(0), MAX_DOWNLOAD];

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
    /// How long a download is.
    #[serde(default = "one_mebibyte")]
    #[schemars(extend("x-least" = DOWNLOADS[0], "x-most" = DOWNLOADS[1]))]
    pub bytes: Size,
    /// How urgent a download is, from 0, the most, to 7: its `priority` field (RFC 9218 section 4.1; what says nothing is
    /// 3). A page can ask for `high` (below 3) and `low` (above) alone, and its browser makes a field of that, or none.
    #[serde(default = "unset")]
    #[schemars(extend("minimum" = 0, "maximum" = 7))]
    pub urgency: Settable<u32>,
}

fn one_mebibyte() -> Size {
    Size::from_bytes(1 << 20)
}

fn unset() -> Settable<u32> {
    Settable::Unset
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
    /// A download from `/bulk`, by a fetch; answered when all of it is there.
    Download,
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
