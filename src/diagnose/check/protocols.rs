//! What it speaks.

use super::{Check, Severity, Told, span};
use crate::diagnose::visit::{StreamKind, Visit};
use crate::trial::Alpn;

/// How many connections a browser opens to a host on HTTP/1.1, all tabs together.
const SIX: u32 = 6;

pub(super) static OLD_HTTP: Check = Check {
    name: "http-1-only",
    look: |visit| {
        visit.main().filter(|_| goes_on(visit) && visit.spoken == [Alpn::H1])?;
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
            change: visit.change("HTTP/2, with TLS", |lines| lines.http2),
        })
    },
};

pub(super) static NO_HTTP_3: Check = Check {
    name: "alt-svc",
    look: |visit| {
        let quic = visit.quic.as_ref()?;
        let (offered, why) = (quic.offered.as_ref()?, quic.handshake.as_ref().err()?);
        Some(Told {
            severity: Severity::Advice,
            says: "HTTP/3 is offered where nobody could be reached over it: browsers try that first.".to_owned(),
            evidence: vec![format!("Alt-Svc: {offered}"), format!("QUIC on UDP port {}: {why}", quic.port)],
            change: "let UDP through to that port, or take the Alt-Svc away".to_owned(),
        })
    },
};

pub(super) static UNTOLD_HTTP_3: Check = Check {
    name: "http-3-untold",
    look: |visit| {
        let quic = visit.quic.as_ref().filter(|quic| quic.offered.is_none() && quic.handshake.is_ok())?;
        // Who asks for a WebSocket looks for no other way to it.
        visit.main().filter(|(reading, _)| goes_on(visit) && reading.alpn != Alpn::H3)?;
        Some(Told {
            severity: Severity::Advice,
            says: "HTTP/3 is spoken, and no browser is told of it.".to_owned(),
            evidence: vec![format!("QUIC on UDP port {} answers; there is no Alt-Svc that offers it", quic.port)],
            change: format!("Alt-Svc: h3=\":{}\"; ma=86400", quic.port),
        })
    },
};

pub(super) static GOAWAY: Check = Check {
    name: "goaway",
    look: |visit| {
        let told = visit.goaways.iter().map(|(alpn, goaway)| {
            let at = goaway.at.map_or_else(String::new, |at| format!(" after {}", span(at)));
            let said = if goaway.said.is_empty() { String::new() } else { format!(": {}", goaway.said) };
            let name = if goaway.code == 0 { String::new() } else { format!(", for {}", goaway.name()) };
            format!("on {}, GOAWAY came{at}{name}{said}", alpn.title())
        });
        let evidence: Vec<String> = told.collect();
        if evidence.is_empty() {
            return None;
        }
        let is_error = visit.goaways.iter().any(|(_, goaway)| goaway.code != 0);
        Some(Told {
            // Without an error, what is under way goes on.
            severity: if is_error { Severity::Delays } else { Severity::Advice },
            says:
                "The server takes no more requests on a connection that is in use: every tab of a browser that shares \
                   it has to come back on another."
                    .to_owned(),
            evidence,
            change: visit.change("a greater limit of a connection's age and requests, or none", |lines| lines.goaway),
        })
    },
};

pub(super) static FEW_STREAMS: Check = Check {
    name: "few-streams",
    look: |visit| {
        if !goes_on(visit) {
            return None;
        }
        let limits = [
            (Alpn::H2, "SETTINGS_MAX_CONCURRENT_STREAMS", visit.settings.and_then(|it| it.max_concurrent_streams)),
            (Alpn::H3, "initial_max_streams_bidi", visit.http3.as_ref().and_then(|it| Some(it.transport?.streams))),
        ];
        let (mut evidence, mut least) = (Vec::new(), u64::MAX);
        for (alpn, name, limit) in limits {
            let streams = visit.streams.iter().find(|streams| streams.alpn == alpn);
            let asked = streams.map_or(SIX, |streams| streams.asked);
            let Some(limit) = limit.filter(|limit| *limit < u64::from(asked)) else { continue };
            least = least.min(limit);
            evidence.push(format!("on {}, {name} is {limit}", alpn.title()));
            evidence.extend(streams.map(|streams| format!("{} were opened of {asked}", streams.opened)));
        }
        if evidence.is_empty() {
            return None;
        }
        Some(Told {
            severity: Severity::Delays,
            says: format!("A browser holds {least} streams to it; what it asks for beyond waits without a word."),
            evidence,
            change: visit.change("allow 100 streams on a connection at least (RFC 9113 section 6.5.2)", |lines| {
                lines.few_streams
            }),
        })
    },
};

/// Whether it is a stream that each reader keeps open.
fn goes_on(visit: &Visit) -> bool {
    visit.kind.is_some_and(|kind| !matches!(kind, StreamKind::Socket | StreamKind::WebTransport))
}
