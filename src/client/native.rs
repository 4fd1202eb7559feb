//! The lab's own client: a child process that speaks the trial contract. Its engine lives elsewhere; this is its row.

use super::{Client, Found, Launch, anywhere, words};
use crate::transport::{self, Opens, Upstream};
use crate::trial::settings::{BesideKind, Connections, Direction, Opening, Prepare, Settings, Visibility};
use crate::trial::{Alpn, Unsupported};
use crate::wire::dial::TICKETS_OF_ONE;

pub(super) static CLIENT: Client = Client {
    name: "native",
    title: "Native (Transport Lab)",
    is_browser: false,
    find: || {
        let path = std::env::current_exe().map_err(|error| format!("this program's own path is unknown: {error}"))?;
        Ok(Found { title: CLIENT.title.to_owned(), path, version: env!("CARGO_PKG_VERSION").to_owned() })
    },
    supports,
    reaches: anywhere,
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
    let one_each = alone || settings.protocol.alpn == Alpn::H1;
    let warm = workload.open == Opening::AfterSettings && alone || workload.prepare == Prepare::Connection && one_each;
    if warm {
        return Err("a connection for each subscription is not there before it: nothing can be waited for".into());
    }
    prepares(settings, one_each)?;
    if raw && !settings.beside.is_empty() {
        return Err("raw QUIC has sessions and no requests: nothing can be fetched beside them".into());
    }
    let fetches = |kind| matches!(kind, BesideKind::Fetch | BesideKind::Download);
    if settings.beside.iter().all(|beside| fetches(beside.kind)) {
        return Ok(());
    }
    Err("the native client has no <img>, no WebSocket and no <iframe>; it can only fetch".into())
}

/// Whether it can come back as these settings want it; `one_each`: every subscription has a connection of its own.
fn prepares(settings: &Settings, one_each: bool) -> Result<(), Unsupported> {
    let workload = &settings.workload;
    if matches!(workload.prepare, Prepare::None | Prepare::Connection) {
        return Ok(());
    }
    if workload.ports > 1 {
        return Err("a ticket names no port: with several it would be shown to a server that doesn't know it".into());
    }
    if one_each && workload.subscribers > TICKETS_OF_ONE {
        return Err(
            format!("a client keeps {TICKETS_OF_ONE} tickets of a server, and each connection takes one").into()
        );
    }
    let Some(row) = transport::find(&settings.protocol.transport) else { return Ok(()) };
    let early = workload.prepare == Prepare::Early;
    // Raw QUIC has a word for it of its own: what a session brings waits for the end of the handshake.
    if early && settings.protocol.alpn != Alpn::Quic && row.opens != Opens::Request {
        let name = row.name;
        return Err(format!("what opens {name} is not safe to be said twice, and so no early data (RFC 8470)").into());
    }
    if early && workload.direction != Direction::Down && row.upstream == Upstream::Post {
        return Err("a POST is not safe to be said twice, and so no early data (RFC 8470)".into());
    }
    Ok(())
}
