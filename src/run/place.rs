//! The networks at a link's ends, as places where ends of a trial are started.

use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use crate::link::Namespace;
use crate::participant::Network;

impl Network for Namespace {
    fn start(&self, command: &mut Command) -> std::io::Result<Child> {
        let runtime = Handle::current();
        let started = self.within(|| {
            // The runtime hears of the child's end, on whichever thread it was started.
            let _entered = runtime.enter();
            command.spawn()
        });
        started.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}
