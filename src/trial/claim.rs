//! A claim: a sentence that people repeat, where it stands, and the comparison that would prove it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::{inline_schema, word_or};

/// A claim as an experiment file writes it. Exactly one of the four comparisons is given; the experiment's
/// reader refuses a file where it isn't so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    /// The sentence.
    pub says: String,
    /// Who says so: `"own"`, or a table with the words and where they stand.
    pub source: ClaimSource,
    /// Which trials it is about: factor (or `client`, `protocol`) to the levels meant. Empty: all.
    #[serde(rename = "where", default)]
    pub selection: Selection,
    /// A metric's name, with `.p50`, `.p90`, `.p99`, `.min` or `.max` for another quantile than the median.
    pub metric: String,
    /// The metric is this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Quantity>,
    /// It is this or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Quantity>,
    /// It is this or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Quantity>,
    /// It is between these, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<[Quantity; 2]>,
    /// The comparison is of the ratio of `metric` to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub than: Option<Than>,
}

/// Factor to the levels meant.
pub type Selection = BTreeMap<String, OneOrMany>;

/// Where a claim stands: `"own"` where it is a hypothesis of whoever wrote the experiment, or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimSource {
    /// Nobody else says so.
    Own,
    /// Somebody does.
    Cited(Citation),
}

/// Where a claim of somebody else stands, and its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Citation {
    /// The address, where it has one: a book has none, nor has what was said in a talk.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The words that stand there.
    pub quote: String,
}

/// The word for a hypothesis of one's own.
const OWN: &str = "own";

impl ClaimSource {
    /// Where it stands, as one reads it: an address, `own hypothesis`, or nothing.
    pub fn place(&self) -> &str {
        match self {
            Self::Own => "own hypothesis",
            Self::Cited(Citation { url, .. }) => url,
        }
    }

    /// The words that stand there.
    pub fn quote(&self) -> Option<&str> {
        match self {
            Self::Own => None,
            Self::Cited(Citation { quote, .. }) => Some(quote),
        }
    }
}

impl Serialize for ClaimSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own => serializer.serialize_str(OWN),
            Self::Cited(citation) => citation.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClaimSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'de> Visitor<'de> for Source {
            type Value = ClaimSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"own\", or a table with a `quote` and, if there is one, its `url`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ClaimSource, E> {
                if word == OWN { Ok(ClaimSource::Own) } else { Err(E::invalid_value(de::Unexpected::Str(word), &self)) }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ClaimSource, A::Error> {
                Citation::deserialize(MapAccessDeserializer::new(map)).map(ClaimSource::Cited)
            }
        }
        deserializer.deserialize_any(Source)
    }
}

inline_schema!(ClaimSource, |generator| {
    word_or(OWN, "A hypothesis of one's own.", &Citation::json_schema(generator))
});

/// What a ratio divides by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Than {
    /// Which trials.
    #[serde(rename = "where", default)]
    pub selection: Selection,
    /// Which metric; the claim's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
}

/// One level or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    // First: serde takes the first variant that fits, and a list is a value too.
    /// `client = ["chromium", "firefox"]`.
    Many(Vec<serde_json::Value>),
    /// `protocol = "sse/h1"`.
    One(serde_json::Value),
}

impl OneOrMany {
    pub fn levels(&self) -> &[serde_json::Value] {
        match self {
            Self::One(level) => std::slice::from_ref(level),
            Self::Many(levels) => levels,
        }
    }
}

/// A plain number (of streams, events, or a ratio), or a text with its unit (`"50ms"`, `"4 kB"`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Quantity {
    /// Something counted.
    Number(f64),
    /// Something measured.
    Text(String),
}
