//! The lab's own client: a child process that speaks the trial contract. Its engine lives elsewhere; this is its row.

use super::{Client, Found, Launch, words};
use crate::trial::settings::{BesideKind, Connections, Opening, Settings, Visibility};
use crate::trial::{Alpn, Unsupported};

pub(super) static CLIENT: Client = Client {
    name: "native",
    title: "Native (Transport Lab)",
    is_browser: false,
    find: || {
        let path = std::env::current_exe().map_err(|error| format!("this program's own path is unknown: {error}"))?;
        Ok(Found { title: CLIENT.title.to_owned(), path, version: env!("CARGO_PKG_VERSION").to_owned() })
    },
    supports,
    command: |found, _| Launch::Process(words([&found.path.to_string_lossy(), "child", "native"])),
};

fn supports(settings: &Settings) -> Result<(), Unsupported> {
    let workload = &settings.workload;
    if workload.pages != 1 {
        return Err("the native client has no pages".into());
    }
    if workload.visibility == Visibility::Hidden {
        return Err("the native client has no page to hide".into());
    }
    let raw = settings.protocol.alpn == Alpn::Quic;
    let alone = raw || workload.connections == Connections::Separate && settings.protocol.alpn != Alpn::H1;
    if workload.open == Opening::AfterSettings && alone {
        return Err("a connection for each subscription is not there before it: nothing can be waited for".into());
    }
    if raw && !settings.beside.is_empty() {
        return Err("raw QUIC has sessions and no requests: nothing can be fetched beside them".into());
    }
    let fetches = |kind| matches!(kind, BesideKind::Fetch | BesideKind::Download);
    if settings.beside.iter().all(|beside| fetches(beside.kind)) {
        return Ok(());
    }
    Err("the native client has no <img>, no WebSocket and no <iframe>; it can only fetch".into())
}
