//! Why NATS can't be used, and what to do about it.

use std::path::PathBuf;

use super::denial::Denial;

/// Why NATS can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("`{url}` is no address of NATS: {why}; write nats://HOST:4222 or tls://HOST:4222")]
    Url {
        /// As it was written, without a password.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What is on a command line is seen by everybody on the machine.
    #[error(
        "`{0}` was written with a name or a password, which a list of processes shows to everybody: put USER:PASSWORD into a \
         file, name it by --nats-creds, and leave it out of the address"
    )]
    Password(String),
    #[error("`{0}` can't be a prefix: write 1 to 32 of a-z 0-9 -")]
    Prefix(String),
    #[error("could not read {} for credentials of NATS or its authority", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(
        "{} holds no credentials of NATS: it takes a .creds file as `nsc` writes it, the seed of an NKey (SU…), or \
         USER:PASSWORD in one line", .0.display()
    )]
    Credentials(PathBuf),
    #[error("no NATS server answers at {urls}; start one there (`nats-server -js`), or correct the address")]
    Unreachable { urls: String, source: async_nats::ConnectError },
    #[error(
        "NATS at {urls} doesn't let us in with {}; {}",
        if *given { "these credentials" } else { "no credentials" },
        if *given { "--nats-creds names a file with others" } else { "name a file with some by --nats-creds" }
    )]
    Denied {
        urls: String,
        /// Whether some were shown.
        given: bool,
        source: async_nats::ConnectError,
    },
    #[error(
        "the token in {} has not been valid since {since}, and NATS at {urls} doesn't let us in with it; have one made \
         that is (`nsc generate creds`)", path.display()
    )]
    Expired {
        urls: String,
        path: PathBuf,
        /// As RFC 3339 writes it.
        since: String,
        source: async_nats::ConnectError,
    },
    #[error("no TLS with NATS at {urls}; {advice}")]
    Tls {
        urls: String,
        /// What to do about it.
        advice: &'static str,
        source: async_nats::ConnectError,
    },
    #[error("{} has no certificate in it: --nats-ca takes those of an authority, as PEM", .0.display())]
    NoAuthority(PathBuf),
    #[error(
        "NATS at {urls} doesn't let us {denial}{}; deploy/cluster/permissions.conf has all that the lab needs",
        if *given { " with these credentials" } else { "" }
    )]
    Forbidden {
        urls: String,
        denial: Denial,
        /// Whether any were shown.
        given: bool,
    },
    #[error("NATS at {url} is nats-server {version}, and this lab needs {least} or later; take a newer one")]
    TooOld { url: String, version: String, least: String },
    #[error(
        "NATS at {url} has no JetStream{}; start nats-server with -js, or with `jetstream {{}}` in its configuration",
        if *account { " for this account" } else { "" }
    )]
    NoJetStream {
        url: String,
        /// Whether it is the account that has none.
        account: bool,
    },
    #[error("NATS at {url} does not answer: {why}")]
    Silent { url: String, why: String },
}

impl BrokerError {
    /// Whether it is what was asked for that is wrong, whatever NATS is.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Url { .. }
                | Self::Password(_)
                | Self::Prefix(_)
                | Self::File { .. }
                | Self::Credentials(_)
                | Self::NoAuthority(_)
        )
    }
}
