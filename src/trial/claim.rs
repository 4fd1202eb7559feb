//! A claim: a sentence that people repeat, where it stands, and the comparison that would prove it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A claim as an experiment file writes it. Exactly one of the four comparisons is given; the experiment's
/// reader refuses a file where it isn't so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    /// The sentence.
    pub says: String,
    /// Who says so.
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

/// Where a claim stands, and its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClaimSource {
    /// The address.
    pub url: String,
    /// The words that stand there.
    pub quote: String,
}

/// What a ratio divides by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    /// Something counted.
    Number(f64),
    /// Something measured.
    Text(String),
}
