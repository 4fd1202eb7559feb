//! What a command is told of NATS.

use std::path::PathBuf;

use clap::Args;

use crate::broker::{BrokerOptions, DEFAULT_PREFIX};

/// What surrounds an address of NATS.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsArgs {
    /// Credentials of NATS: a .creds file, the seed of an NKey, or USER:PASSWORD in one line, which an address without
    /// TLS sends as it is. The file is read again whenever the connection is made anew. They are never printed.
    #[arg(long, value_name = "FILE", env = "TRANSPORT_LAB_NATS_CREDS")]
    pub nats_creds: Option<PathBuf>,
    /// The authority that signed the certificate of a tls:// address, as a PEM file; without one, those that this machine
    /// trusts.
    #[arg(long, value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// What everything of this lab in NATS begins with. Labs with the same one are one lab; two that aren't need two.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PREFIX)]
    pub nats_prefix: String,
}

impl NatsArgs {
    /// NATS at these addresses.
    pub fn at(&self, urls: &[String], replicas: usize) -> BrokerOptions {
        BrokerOptions {
            urls: urls.to_vec(),
            credentials: self.nats_creds.clone(),
            password: None,
            ca: self.nats_ca.clone(),
            prefix: self.nats_prefix.clone(),
            replicas,
        }
    }
}

/// Neither one nor three.
#[derive(Debug, thiserror::Error)]
#[error("write 1 or 3")]
pub(super) struct NotReplicas;

/// How many nodes keep the same.
pub(super) fn replicas(text: &str) -> Result<usize, NotReplicas> {
    text.parse().ok().filter(|replicas| matches!(replicas, 1 | 3)).ok_or(NotReplicas)
}
