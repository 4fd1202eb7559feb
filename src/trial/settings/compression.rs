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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compression_is_a_coding_or_off() {
        for compression in [Compression::Off, Compression::Gzip, Compression::Br] {
            let word = serde_json::to_value(compression).unwrap();
            assert_eq!(word, compression.coding().unwrap_or("off"));
            assert_eq!(serde_json::from_value::<Compression>(word).unwrap(), compression);
        }
        let said = serde_json::from_str::<Compression>("\"zstd\"").unwrap_err().to_string();
        assert!(said.contains("`zstd`, expected one of `off`, `gzip`, `br`"), "{said}");
    }
}
