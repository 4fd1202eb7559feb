//! What NATS says of its own nodes.

use async_nats::jetstream::stream::{Config, StorageType};

use super::feeds::stream_name;
use super::{Broker, BrokerError};
use crate::text::chain;

impl Broker {
    /// Whether as many nodes are there and agree as a log takes: one is made and removed again.
    ///
    /// # Errors
    /// They are not, or not yet; says what NATS says.
    pub async fn can_keep(&self) -> Result<(), BrokerError> {
        let name = stream_name(&self.options().prefix, "_try");
        let wanted = Config {
            name: name.clone(),
            subjects: vec![format!("{}.try", self.options().prefix)],
            num_replicas: self.options().replicas,
            storage: StorageType::Memory,
            ..Config::default()
        };
        let jetstream = self.jetstream();
        jetstream.get_or_create_stream(wanted).await.map_err(|error| self.silent(&error))?;
        jetstream.delete_stream(name).await.map_err(|error| self.silent(&error))?;
        Ok(())
    }

    /// The name of the node that leads the log of this feed; `None` where there is one node, or nobody leads just now.
    ///
    /// # Errors
    /// There is no such log, or nobody answers.
    pub async fn leader(&self, feed: &str) -> Result<Option<String>, BrokerError> {
        let name = stream_name(&self.options().prefix, feed);
        let stream = self.jetstream().get_stream(name).await.map_err(|error| self.silent(&error))?;
        Ok(stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.clone()))
    }

    fn silent(&self, error: &(dyn std::error::Error + 'static)) -> BrokerError {
        BrokerError::Silent { url: self.options().addresses(), why: chain(error) }
    }
}
