//! The lab's own client: a child process that speaks the trial contract. Its engine lives elsewhere; this is its row.

use super::{Client, Found, Launch, words};

/// The row.
pub(super) static CLIENT: Client = Client {
    name: "native",
    title: "Native (Transport Lab)",
    find: || {
        let path = std::env::current_exe().map_err(|error| format!("this program's own path is unknown: {error}"))?;
        Ok(Found { title: CLIENT.title.to_owned(), path, version: env!("CARGO_PKG_VERSION").to_owned() })
    },
    supports: |settings| match settings.workload.pages {
        1 => Ok(()),
        _ => Err("the native client has no pages".to_owned()),
    },
    command: |found, _| Launch::Process(words([&found.path.to_string_lossy(), "child", "native"])),
};
