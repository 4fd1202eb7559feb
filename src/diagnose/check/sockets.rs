//! What a WebSocket does that it should not.

use super::{Check, Severity, Told, span};

pub(super) static BROKEN: Check = Check {
    name: "socket-broken",
    look: |visit| {
        let socket = visit.socket.as_ref()?;
        let (why, (at, _)) = (socket.broke.as_ref()?, socket.ended?);
        // A silence before it makes it another row's.
        visit.quiet.is_none().then(|| Told {
            severity: Severity::Loses,
            says: "The WebSocket breaks: what was under way is lost.".to_owned(),
            evidence: vec![format!("after {}: {why}", span(at))],
            change: "write frames as RFC 6455 section 5 has them, and end with a closing frame".to_owned(),
        })
    },
};

pub(super) static CLOSED: Check = Check {
    name: "socket-closed",
    look: |visit| {
        let socket = visit.socket.as_ref()?;
        let (how, (at, _)) = (socket.closed.as_ref()?, socket.ended?);
        visit.quiet.is_none().then(|| Told {
            severity: Severity::Delays,
            says: "The server closes the WebSocket by itself: what happens next waits until each reader is back."
                .to_owned(),
            evidence: vec![format!("after {}, {how}", span(at))],
            change: "keep it open; if it wants a first message or a subprotocol, a diagnosis sends none \
                     (-H 'Sec-WebSocket-Protocol: …' asks for one)"
                .to_owned(),
        })
    },
};
