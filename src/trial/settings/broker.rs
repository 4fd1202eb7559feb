//! The broker that a trial's servers share their feeds through: `[broker]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// NATS as it is started for a trial whose servers keep their feeds there (`server.feeds = "nats"`): nodes of
/// `nats-server` on this machine, with stores of their own that are gone with the trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BrokerSettings {
    /// How many nodes there are: 1, or 3, of which one may be away.
    #[schemars(range(min = 1, max = 3))]
    pub nodes: u32,
    /// How many of them keep each feed's log: 1, or 3. Each event is acknowledged when most of them have it.
    #[schemars(range(min = 1, max = 3))]
    pub replicas: u32,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self { nodes: 1, replicas: 1 }
    }
}
