//! The stream that agents tell a run's facts over.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};

use super::super::AgentError;
use super::token;
use crate::broker::Broker;

/// How long a stream is kept that no coordinator has removed: the one that made it was killed.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// How much it holds, in bytes; who says more is told that it is full.
const MAX_BYTES: i64 = 4 << 30;

/// The stream of one run. It stays when this is dropped; [`RunStream::remove`] removes it.
#[derive(Debug, Clone)]
pub struct RunStream {
    pub(super) broker: Broker,
    pub(super) run: String,
}

impl RunStream {
    /// Makes it.
    pub async fn create(broker: Broker, run: &str) -> Result<Self, AgentError> {
        let this = Self { broker, run: token(run) };
        let prefix = &this.broker.options().prefix;
        let config = Config {
            name: this.name(),
            description: Some("What agents of Transport Lab said of the trials of one run".to_owned()),
            subjects: vec![format!("{prefix}.runs.{}.>", this.run)],
            max_bytes: MAX_BYTES,
            max_age: MAX_AGE,
            // What doesn't fit any more is refused, and a trial fails by it; nothing that was taken is lost.
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: this.broker.options().replicas,
            metadata: HashMap::from([("transport-lab.run".to_owned(), this.run.clone())]),
            ..Config::default()
        };
        let made = this.broker.jetstream().create_stream(config).await;
        made.map_err(|source| AgentError::nats("make the run's stream", source))?;
        Ok(this)
    }

    /// What it is called.
    pub fn name(&self) -> String {
        format!("{}-run-{}", self.broker.options().prefix, self.run)
    }

    /// Removes it: all that was said has been taken.
    pub async fn remove(self) {
        let name = self.name();
        if let Err(error) = self.broker.jetstream().delete_stream(&name).await {
            tracing::warn!(%error, stream = name, "a run's stream could not be removed; it goes by itself in a week");
        }
    }
}
