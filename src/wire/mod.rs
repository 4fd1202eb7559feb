//! Bytes to exchanges and back: TCP, TLS, HTTP/1.1, HTTP/2, QUIC and HTTP/3, for listening and for dialling.
//!
//! Enters: sockets, certificates, a [`Handler`]. Leaves: [`Exchange`]s and facts about connections. What must
//! never happen here: a transport's or a trial's business, or anything without a bound.

mod bound;
pub mod connection;
mod date;
pub mod descriptors;
pub mod dial;
pub(crate) mod early;
pub mod exchange;
pub mod h3;
pub mod listen;
pub mod malformed;
pub(crate) mod parting;
pub mod quic;
mod refusal;
mod rest;
mod stack;
pub mod tcp;
pub mod tls;
pub mod token;
pub mod traffic;
mod upgrade;

use std::time::Duration;

pub use bound::Bound;
pub use connection::{Connection, Sink, SubscriptionGuard, SubscriptionRecord};
pub use dial::pool::Pool;
pub use exchange::{Exchange, Handler, OpenRequest, Request, ResponseBody, Tunnel};
pub use quic::reset::ResetKey;
pub use quic::session::Session;
pub use refusal::{json_response, refusal};
pub use stack::{of_network, versions};
pub use traffic::Traffic;
pub(crate) use upgrade::{key as upgrade_key, proof as upgrade_proof};

/// How many connections one listener holds; more are closed at once and counted.
pub const MAX_CONNECTIONS: usize = 20_000;
/// How long all header fields of a request may be together, in bytes.
pub const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// How long the body of a request may be, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a TLS or QUIC handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to send a request's header: on HTTP/1.1 each, on HTTP/2 the first.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may take to send a request's body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What can go wrong on the wire, with what was tried and the peer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("could not listen on {address}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("could not connect to {peer}")]
    Dial { peer: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the exchange with {peer} failed")]
    Exchange { peer: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("TLS can't use these certificates")]
    Tls(#[from] rustls::Error),
}
