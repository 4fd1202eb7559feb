//! A stream on which nothing happens for a while (`--quiet`).

use std::time::Duration;

use super::{Check, Severity, Told, span};
use crate::diagnose::visit::{Resumed, Visit};

/// What is cut after a shorter silence than this was not cut for its silence.
const SILENCE: u64 = 3_000;
/// What proxies and networks let pass of silence at the least, in milliseconds: nginx's, `HAProxy`'s and AWS's load
/// balancers' own time limits are 50 to 60 s.
const PATIENT: u64 = 45_000;

pub(super) static CUT: Check = Check {
    name: "idle-cut",
    look: |visit| {
        let evidence: Vec<String> = visit
            .quiet
            .iter()
            .filter_map(|quiet| {
                let (silence, how) = quiet.cut.as_ref().filter(|(silence, _)| *silence >= SILENCE)?;
                Some(format!("on {}, after {} without a byte: {how}", quiet.alpn.title(), shown(*silence)))
            })
            .collect();
        if evidence.is_empty() {
            return None;
        }
        let returns = !visit.resumed.is_empty() && visit.resumed.iter().all(|seen| seen.resumed == Resumed::Next);
        Some(Told {
            severity: if returns { Severity::Delays } else { Severity::Loses },
            says: "A stream on which nothing happens is cut.".to_owned(),
            evidence,
            change: change(visit),
        })
    },
};

pub(super) static NO_BEAT: Check = Check {
    name: "no-heartbeat",
    look: |visit| {
        let quiet = visit.quiet.iter().find(|quiet| quiet.cut.is_none() && quiet.longest >= PATIENT)?;
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
    let timeout = visit.change("let a proxy before it wait longer", |lines| lines.cut);
    format!("send {beat} every 15 s; or {timeout}")
}

fn shown(millis: u64) -> String {
    span(Duration::from_millis(millis))
}
