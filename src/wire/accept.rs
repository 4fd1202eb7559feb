//! QUIC connections as they come, each in a task of its own, and no more than are allowed.

use std::error::Error;

use quinn::{Endpoint, Incoming};
use tokio::task::JoinSet;

use super::{MAX_CONNECTIONS, Sink};
use crate::trial::Fact;
use crate::trial::clock::monotonic_nanos;

/// Serves each connection until this is dropped, which ends them all. One too many is refused and counted.
pub(super) async fn accept<F>(endpoint: &Endpoint, sink: &Sink, serve: impl Fn(Incoming) -> F)
where
    F: Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut refused = 0;
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Some(incoming) = incoming else { return };
        if connections.len() >= MAX_CONNECTIONS {
            incoming.refuse();
            refused += 1;
            sink.saw(Fact::BoundReached { t: monotonic_nanos(), bound: "connections".to_owned(), times: refused });
            continue;
        }
        let served = serve(incoming);
        connections.spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "a QUIC connection ended");
            }
        });
    }
}
