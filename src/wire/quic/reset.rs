//! What lets a server that was started anew end the QUIC connections of the one before it.

use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use ring::digest::{SHA256, digest};
use ring::hmac;

/// How long a connection id is, in bytes.
const ID_BYTES: usize = 8;

/// The static key of a server (RFC 9000 section 10.3.2): whoever has it can reset connections whose state was lost
/// with the process that held it. Without it their clients would wait for their idle timeout.
#[derive(Debug, Clone)]
pub struct ResetKey(hmac::Key);

impl ResetKey {
    /// Derived from what only this server knows.
    pub fn of(secret: &[u8]) -> Self {
        let derived = digest(&SHA256, &[b"transport-lab reset tokens", secret].concat());
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// An endpoint that uses it, once in such an interval at most.
    pub(in crate::wire) fn endpoint(&self, interval: Duration) -> EndpointConfig {
        let mut config = EndpointConfig::new(Arc::new(self.0.clone()));
        config.cid_generator(|| Box::new(AnyId)).min_reset_interval(interval);
        config
    }
}

/// Draws ids, and takes any for its own, as quinn's own takes only what the same process has drawn. What keeps a
/// stranger from having resets sent is their least interval.
#[derive(Debug, Clone, Copy)]
struct AnyId;

impl ConnectionIdGenerator for AnyId {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; ID_BYTES]>())
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
