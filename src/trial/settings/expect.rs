//! What a trial must keep to: `[expect]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a trial must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Expect {
    /// How often each event may reach an open subscription.
    pub delivery: DeliveryRule,
    /// Whether both ends must count the same open streams.
    pub counts: CountsRule,
}

impl Default for Expect {
    fn default() -> Self {
        Self { delivery: DeliveryRule::ExactlyOnce, counts: CountsRule::Equal }
    }
}

/// How often each event may reach an open subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryRule {
    /// None lost, none twice, none out of order.
    ExactlyOnce,
    /// None twice.
    AtMostOnce,
    /// Whatever happens is a metric.
    Observe,
}

/// Whether both ends must count the same open streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CountsRule {
    /// `open-streams` equals `server-open-streams`.
    Equal,
    /// Whatever they are is a metric.
    Observe,
}
