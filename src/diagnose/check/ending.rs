//! Streams that end while they are listened to.

use super::{Check, Severity, Told, span};
use crate::diagnose::reading::Finish;
use crate::diagnose::visit::StreamKind;

pub(super) static BROKEN: Check = Check {
    name: "ends",
    look: |visit| {
        if visit.kind == Some(StreamKind::LongPoll) {
            return None;
        }
        let (mut evidence, mut loses) = (Vec::new(), false);
        for (reading, said) in &visit.readings {
            let how = match &reading.finish {
                Finish::Open | Finish::Enough => continue,
                Finish::Ended if said.is_unfinished => "the server ended it in the middle of an event",
                Finish::Ended => "the server ended it in order",
                Finish::Broke(why) => why,
            };
            loses |= said.is_unfinished;
            evidence.push(format!("on {}, after {}: {how}", reading.alpn.title(), span(reading.took)));
        }
        if evidence.is_empty() {
            return None;
        }
        Some(Told {
            severity: if loses { Severity::Loses } else { Severity::Delays },
            says: "The stream ends by itself: what happens next waits until each reader has come back.".to_owned(),
            evidence,
            change: visit
                .change("keep the answer open, and let no time limit of a server or proxy end it", |lines| lines.ended),
        })
    },
};
