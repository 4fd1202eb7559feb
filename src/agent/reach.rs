//! Whether a client's machine reaches the servers of its trial: what it counts of one that isn't there says nothing.

use crate::trial::contract::ServerAddress;
use crate::wire::WireError;
use crate::wire::dial::Target;

/// A server that isn't where clients are told that it is.
#[derive(Debug, thiserror::Error)]
#[error(
    "it doesn't reach the server where it is told to: {}; say by which name or address it does, by --bind and --host, or of a \
     server at an agent behind the `=` of --server-agent",
    crate::text::chain(.0)
)]
pub struct Unreached(WireError);

/// Makes sure that each server takes a connection from this machine.
///
/// # Errors
/// One of them doesn't.
pub async fn reaches(servers: &[ServerAddress]) -> Result<(), Unreached> {
    for ServerAddress { host, port } in servers {
        Target { host: host.clone(), port: *port }.is_there().await.map_err(Unreached)?;
    }
    Ok(())
}
