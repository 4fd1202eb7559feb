//! What it speaks.

use super::{Check, Severity, Told};
use crate::diagnose::visit::{StreamKind, Visit};
use crate::trial::Alpn;

/// How many connections a browser opens to a host on HTTP/1.1, all tabs together.
const SIX: u32 = 6;

pub(super) static OLD_HTTP: Check = Check {
    name: "http-1-only",
    look: |visit| {
        visit.main().filter(|_| goes_on(visit) && visit.spoken == [Alpn::H1])?;
        let change = if visit.is_nginx() { "nginx: `http2 on;` in the server, with TLS" } else { "HTTP/2, with TLS" };
        Some(Told {
            severity: Severity::Advice,
            says: format!(
                "Streams are on HTTP/1.1 alone, where a browser opens {SIX} connections to a host: the seventh tab \
                 waits, and so does everything else that it asks of that host."
            ),
            evidence: vec![if visit.aim.is_secure() {
                "HTTP/2 was offered by ALPN and not taken".to_owned()
            } else {
                "without TLS, browsers speak HTTP/1.1 alone".to_owned()
            }],
            change: change.to_owned(),
        })
    },
};

pub(super) static NO_HTTP_3: Check = Check {
    name: "alt-svc",
    look: |visit| {
        let offered = visit.alt_svc.as_ref()?;
        let why = offered.handshake.as_ref().err()?;
        Some(Told {
            severity: Severity::Advice,
            says: "HTTP/3 is offered where nobody could be reached over it: browsers try that first.".to_owned(),
            evidence: vec![format!("Alt-Svc: {}", offered.value), format!("QUIC on UDP port {}: {why}", offered.port)],
            change: "let UDP through to that port, or take the Alt-Svc away".to_owned(),
        })
    },
};

pub(super) static FEW_STREAMS: Check = Check {
    name: "few-streams",
    look: |visit| {
        let limit = visit.settings.filter(|_| goes_on(visit))?.max_concurrent_streams?;
        let asked = visit.streams.as_ref().map_or(SIX, |streams| streams.asked);
        if limit >= u64::from(asked) {
            return None;
        }
        let opened = visit.streams.as_ref().map(|streams| format!("{} were opened of {asked}", streams.opened));
        Some(Told {
            severity: Severity::Delays,
            says: format!("A browser holds {limit} streams to it; what it asks for beyond waits without a word."),
            evidence: std::iter::once(format!("SETTINGS_MAX_CONCURRENT_STREAMS is {limit}")).chain(opened).collect(),
            change: if visit.is_nginx() {
                "nginx: `http2_max_concurrent_streams 128;`".to_owned()
            } else {
                "allow 100 streams on a connection at least (RFC 9113 section 6.5.2)".to_owned()
            },
        })
    },
};

/// Whether it is a stream that each reader keeps open.
fn goes_on(visit: &Visit) -> bool {
    visit.kind.is_some_and(|kind| kind != StreamKind::Socket)
}
