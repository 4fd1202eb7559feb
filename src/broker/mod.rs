//! NATS, the broker that several machines share: core messages between them, JetStream for logs that outlive them.
//!
//! Enters: where it is, and credentials. Leaves: a connection, the logs of feeds that servers share, and how a node of it
//! is started. What must never happen here: a secret in a log or an error, a stream of somebody else's changed, an event
//! acknowledged that JetStream doesn't have, or a process started.

mod connection;
mod credentials;
mod denial;
mod error;
mod feeds;
pub mod node;
mod nodes;
mod options;
mod trouble;

pub use connection::{Broker, BrokerState};
pub use denial::Denial;
pub use error::BrokerError;
pub use feeds::SharedFeeds;
pub use node::{BrokerNode, NodeCluster, NodeCommand};
pub use options::{DEFAULT_PREFIX, check_prefix, check_url};

pub use crate::trial::contract::{BrokerOptions, BrokerPassword};
