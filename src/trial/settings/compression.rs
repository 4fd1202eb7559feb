//! How a response that goes on is compressed: `server.compression`, `between.compression`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A content coding (RFC 9110 section 8.4.1), or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    #[default]
    Off,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `br`: Brotli (RFC 7932).
    Br,
}

impl Compression {
    /// Its name in `Content-Encoding`; `None`: there is no coding.
    pub const fn coding(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Gzip => Some("gzip"),
            Self::Br => Some("br"),
        }
    }

    /// Whether anything is compressed.
    pub const fn is_on(self) -> bool {
        self.coding().is_some()
    }
}
