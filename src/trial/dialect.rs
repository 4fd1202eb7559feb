//! Dialects of WebTransport on HTTP/3: generations of its drafts, which servers and clients tell each other apart by.

use std::fmt;

use schemars::{JsonSchema, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::units::{inline_schema, word_or};

/// Drafts of draft-ietf-webtrans-http3 that are negotiated alike, by the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Dialect {
    /// 02 to 06: `SETTINGS_ENABLE_WEBTRANSPORT`, and fields that name the draft.
    #[serde(rename = "draft-02")]
    Draft02,
    /// 07 to 12: `SETTINGS_WEBTRANSPORT_MAX_SESSIONS`.
    #[serde(rename = "draft-07")]
    Draft07,
    /// 13 and 14: `SETTINGS_WT_MAX_SESSIONS`, and flow control of sessions where more than one is allowed.
    #[serde(rename = "draft-13")]
    Draft13,
    /// 15 and 16: `SETTINGS_WT_ENABLED`, and `webtransport-h3` as the `:protocol`.
    #[serde(rename = "draft-15")]
    Draft15,
}

impl Dialect {
    /// All of them, the oldest first.
    pub const ALL: [Self; 4] = [Self::Draft02, Self::Draft07, Self::Draft13, Self::Draft15];

    /// The word of settings and facts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Draft02 => "draft-02",
            Self::Draft07 => "draft-07",
            Self::Draft13 => "draft-13",
            Self::Draft15 => "draft-15",
        }
    }

    /// The number of the first draft of it.
    pub const fn draft(self) -> u32 {
        match self {
            Self::Draft02 => 2,
            Self::Draft07 => 7,
            Self::Draft13 => 13,
            Self::Draft15 => 15,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some dialects. In a file: a list of words, one word, or `all`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialects(u8);

impl Dialects {
    /// Every one there is.
    pub const ALL: Self = Self(0b1111);

    /// Whether this is one of them.
    pub const fn contains(self, dialect: Dialect) -> bool {
        self.0 & dialect.bit() != 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn newest(self) -> Option<Dialect> {
        self.iter().last()
    }

    /// Each, the oldest first.
    pub fn iter(self) -> impl Iterator<Item = Dialect> {
        Dialect::ALL.into_iter().filter(move |dialect| self.contains(*dialect))
    }
}

impl FromIterator<Dialect> for Dialects {
    fn from_iter<T: IntoIterator<Item = Dialect>>(dialects: T) -> Self {
        Self(dialects.into_iter().fold(0, |bits, dialect| bits | dialect.bit()))
    }
}

impl fmt::Debug for Dialects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

inline_schema!(Dialects, |generator| {
    let one = Dialect::json_schema(generator);
    let some = json_schema!({ "anyOf": [one, { "type": "array", "items": one }] });
    word_or("all", "Every one.", &some)
});

impl Serialize for Dialects {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::ALL {
            return serializer.serialize_str("all");
        }
        let mut list = serializer.serialize_seq(None)?;
        for dialect in self.iter() {
            list.serialize_element(&dialect)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Dialects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words)
    }
}

/// Reads a list of words, or one.
struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Dialects;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`all`, or one or a list of {}", Dialect::ALL.map(Dialect::word).join(", "))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Dialects, E> {
        if word == "all" {
            return Ok(Dialects::ALL);
        }
        let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.word() == word);
        dialect.map(|dialect| Dialects(dialect.bit())).ok_or_else(|| E::invalid_value(de::Unexpected::Str(word), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Dialects, A::Error> {
        let mut dialects = Vec::new();
        while let Some(dialect) = list.next_element::<Dialect>()? {
            dialects.push(dialect);
        }
        Ok(dialects.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_are_written_as_they_are_read() {
        for (text, wanted) in [
            (r#""all""#, Dialects::ALL),
            (r#""draft-07""#, Dialects::from_iter([Dialect::Draft07])),
            (r#"["draft-15","draft-02"]"#, Dialects::from_iter([Dialect::Draft02, Dialect::Draft15])),
            ("[]", Dialects::default()),
        ] {
            let read: Dialects = serde_json::from_str(text).unwrap();
            assert_eq!(read, wanted);
            let written = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Dialects>(&written).unwrap(), wanted, "{written}");
        }
        let error = serde_json::from_str::<Dialects>(r#""draft-01""#).unwrap_err().to_string();
        assert!(error.contains("draft-01") && error.contains("draft-02, draft-07, draft-13, draft-15"), "{error}");
        assert_eq!(Dialect::ALL.map(Dialect::draft), [2, 7, 13, 15]);
    }
}
