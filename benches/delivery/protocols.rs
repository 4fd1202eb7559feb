//! What is measured: every protocol that the lab speaks, and by what name nchan speaks it too.

use serde::{Deserialize, Serialize};
use transport_lab::transport;
use transport_lab::trial::{Alpn, Protocol};

/// Subscriptions on a connection that carries many: as a proxy's has, where a browser's own has as many as its page
/// opens.
const MANY: usize = 100;

/// A protocol to measure.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) protocol: Protocol,
    /// How nchan's configuration calls the same; none where it can't.
    pub(crate) rival: Option<&'static str>,
    pub(crate) reader: Reader,
    /// Subscriptions on each connection.
    pub(crate) per_connection: usize,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Lab,
    Nchan,
    /// The lab with the logs of its feeds in NATS JetStream.
    Shared,
}

impl Subject {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Lab => "Transport Lab",
            Self::Nchan => "nginx with nchan",
            Self::Shared => "Transport Lab on NATS JetStream",
        }
    }
}

/// How the load reads: as cheaply as it can, and both servers in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reader {
    /// One response, or one WebSocket, that goes on: its bytes are searched for stamps.
    Stream,
    /// One response after another; each says where the next one begins.
    LongPolling,
    /// By the transport's own `subscribe`. Only what nchan doesn't speak is read like that.
    Native,
}

impl Case {
    /// Who takes turns: the lab, and who it is held against.
    pub(crate) fn subjects(&self, other: Subject) -> impl Iterator<Item = Subject> {
        let is_able = other != Subject::Nchan || self.rival.is_some();
        [Some(Subject::Lab), is_able.then_some(other)].into_iter().flatten()
    }
}

/// All of them, in the order of the lab's list; what can share a connection twice, with one each, as users have, and
/// with many on each.
pub(crate) fn all() -> Vec<Case> {
    let rows = transport::ALL.iter().flat_map(|row| row.alpns.iter().map(|alpn| (row.name, *alpn)));
    let cases = rows.flat_map(|(name, alpn)| {
        let sharing: &[usize] = match alpn {
            Alpn::H1 | Alpn::Quic => &[1],
            Alpn::H2 | Alpn::H3 => &[1, MANY],
        };
        sharing.iter().map(move |per_connection| (name, alpn, *per_connection))
    });
    cases
        .map(|(name, alpn, per_connection)| {
            let rival = rival(name, alpn);
            let reader = match name {
                _ if rival.is_none() => Reader::Native,
                "long-polling" => Reader::LongPolling,
                _ => Reader::Stream,
            };
            Case { protocol: Protocol::new(name, alpn), rival, reader, per_connection }
        })
        .collect()
}

/// The word of `nchan_subscriber`. nginx 1.22 speaks neither HTTP/3 nor RFC 8441, so that WebSocket needs HTTP/1.1.
fn rival(transport: &str, alpn: Alpn) -> Option<&'static str> {
    match (transport, alpn) {
        ("sse", Alpn::H1 | Alpn::H2) => Some("eventsource"),
        ("long-polling", Alpn::H1 | Alpn::H2) => Some("longpoll"),
        ("streaming", Alpn::H1) => Some("http-chunked"),
        // On HTTP/2 there are no chunks (RFC 9113 section 8.1): a response that goes on is all there is.
        ("streaming", Alpn::H2) => Some("http-raw-stream"),
        ("websocket", Alpn::H1) => Some("websocket"),
        _ => None,
    }
}
