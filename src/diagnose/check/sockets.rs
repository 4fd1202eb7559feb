//! What a WebSocket, or a WebTransport session, does that it should not.

use http::StatusCode;

use super::{Check, Severity, Told, span};
use crate::diagnose::visit::{SeenSocket, StreamKind, Visit};

pub(super) static BROKEN: Check = Check {
    name: "socket-broken",
    look: |visit| {
        let evidence = ended(visit, |socket| socket.broke.as_ref());
        (!evidence.is_empty()).then(|| Told {
            severity: Severity::Loses,
            says: format!("The {} breaks: what was under way is lost.", title(visit)),
            evidence,
            change: "write frames as RFC 6455 section 5 has them, and end with a closing frame".to_owned(),
        })
    },
};

pub(super) static CLOSED: Check = Check {
    name: "socket-closed",
    look: |visit| {
        let evidence = ended(visit, |socket| socket.closed.as_ref());
        (!evidence.is_empty()).then(|| Told {
            severity: Severity::Delays,
            says: format!(
                "The server closes the {} by itself: what happens next waits until each reader is back.",
                title(visit)
            ),
            evidence,
            change: "keep it open; if it wants a first message or a subprotocol, a diagnosis sends none \
                     (-H 'Sec-WebSocket-Protocol: …' asks for one)"
                .to_owned(),
        })
    },
};

pub(super) static REFUSED: Check = Check {
    name: "socket-refused",
    look: |visit| {
        if visit.refused_sockets.is_empty() || visit.sockets.is_empty() {
            return None;
        }
        let evidence = visit.refused_sockets.iter().map(|(alpn, why)| {
            format!(
                "SETTINGS on {} have SETTINGS_ENABLE_CONNECT_PROTOCOL, and an extended CONNECT: {why}",
                alpn.title()
            )
        });
        Some(Told {
            severity: Severity::Loses,
            says:
                "It offers WebSockets on a connection that browsers share, and refuses them there: a browser that has \
                   such a connection tries no other."
                    .to_owned(),
            evidence: evidence.collect(),
            change: visit
                .change("answer the extended CONNECT (RFC 8441, RFC 9220), or let SETTINGS not offer it", |lines| {
                    lines.connect
                }),
        })
    },
};

pub(super) static UPGRADE_LOST: Check = Check {
    name: "upgrade-lost",
    look: |visit| {
        visit.upgrade_lost.then(|| Told {
            severity: Severity::Loses,
            says: "No WebSocket comes about: something in between takes `Upgrade` out of the request.".to_owned(),
            evidence: vec![format!(
                "a request with `Connection: Upgrade` and `Upgrade: websocket` was answered {}, as one without them is",
                visit.head().map_or(StatusCode::UPGRADE_REQUIRED, |head| head.status)
            )],
            change: visit.change("pass `Connection: Upgrade` and `Upgrade: websocket` on", |lines| lines.upgrade),
        })
    },
};

fn title(visit: &Visit) -> &'static str {
    if visit.kind == Some(StreamKind::WebTransport) { "session" } else { "WebSocket" }
}

/// How those ended of which this says so, each with its ALPN. A quiet time that was asked for makes it another row's.
fn ended(visit: &Visit, how: impl Fn(&SeenSocket) -> Option<&String>) -> Vec<String> {
    if !visit.quiet.is_empty() {
        return Vec::new();
    }
    let told = |socket: &SeenSocket| {
        let (at, _) = socket.ended?;
        Some(format!("on {}, after {}: {}", socket.alpn.title(), span(at), how(socket)?))
    };
    visit.sockets.iter().filter_map(told).collect()
}
