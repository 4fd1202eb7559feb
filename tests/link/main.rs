//! The link, with real sockets in real namespaces: what is injected is what is seen, and nothing stays behind.

mod captures;
mod carries;
mod disturbances;
mod lives;
mod trace;
mod trials;
#[path = "../until/mod.rs"]
mod until;

use transport_lab::link::{Conditions, Link};

/// Whether a link can be brought up here; elsewhere a test that needs one says why it is skipped. Where the test command
/// runs as root, that it can't is a failure.
pub(crate) fn can_link() -> bool {
    match Link::start(&Conditions::default(), &Conditions::default(), 1, &[]) {
        Ok(_) => true,
        Err(error) if !nix::unistd::geteuid().is_root() => {
            eprintln!("skipped: {error}");
            false
        }
        Err(error) => panic!("root can bring up a link: {error:?}"),
    }
}
