//! Open files: a connection takes one, and a shell's usual limit is 1,024.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Room for the descriptors that a connection per subscription takes.
pub const DESCRIPTORS: u64 = 65_536;

/// Raises the limit on open files as far as the system lets us, up to [`DESCRIPTORS`].
pub fn raise_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < DESCRIPTORS.min(hard)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard)
    {
        tracing::warn!(%error, "could not raise the limit on open files");
    }
}
