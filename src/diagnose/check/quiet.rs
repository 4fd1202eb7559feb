//! A stream on which nothing happens for a while (`--quiet`).

use std::time::Duration;

use super::{Check, Severity, Told, span};
use crate::diagnose::visit::Visit;

/// What is cut after a shorter silence than this was not cut for its silence.
const SILENCE: u64 = 3_000;
/// What proxies and networks let pass of silence at the least, in milliseconds: nginx's, `HAProxy`'s and AWS's load
/// balancers' own time limits are 50 to 60 s.
const PATIENT: u64 = 45_000;

pub(super) static CUT: Check = Check {
    name: "idle-cut",
    look: |visit| {
        let (silence, how) = visit.quiet.as_ref()?.cut.as_ref()?;
        if *silence < SILENCE {
            return None;
        }
        let returns = visit.resumed == Some(crate::diagnose::visit::Resumed::Next);
        Some(Told {
            severity: if returns { Severity::Delays } else { Severity::Loses },
            says: "A stream on which nothing happens is cut.".to_owned(),
            evidence: vec![format!("after {} without a byte: {how}", shown(*silence))],
            change: change(visit),
        })
    },
};

pub(super) static NO_BEAT: Check = Check {
    name: "no-heartbeat",
    look: |visit| {
        let quiet = visit.quiet.as_ref().filter(|quiet| quiet.cut.is_none() && quiet.longest >= PATIENT)?;
        Some(Told {
            severity: Severity::Advice,
            says: "Nothing is sent while nothing happens: a proxy or network in between may cut it without a word."
                .to_owned(),
            evidence: vec![format!("{} without a byte", shown(quiet.longest))],
            change: change(visit),
        })
    },
};

fn change(visit: &Visit) -> String {
    let beat = if visit.is_event_stream() { "a comment (`:` and two line feeds)" } else { "a ping or an empty line" };
    let timeout =
        if visit.is_nginx() { "; or nginx: `proxy_read_timeout 1h;` in the location of the stream" } else { "" };
    format!("send {beat} every 15 s{timeout}")
}

fn shown(millis: u64) -> String {
    span(Duration::from_millis(millis))
}
