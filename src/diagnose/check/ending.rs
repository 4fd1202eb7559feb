//! Streams that end while they are listened to.

use super::{Check, Severity, Told, span};
use crate::diagnose::reading::Finish;
use crate::diagnose::visit::StreamKind;

pub(super) static BROKEN: Check = Check {
    name: "ends",
    look: |visit| {
        let (reading, said) = visit.main()?;
        if visit.kind == Some(StreamKind::LongPoll) {
            return None;
        }
        let how = match &reading.finish {
            Finish::Open | Finish::Enough => return None,
            Finish::Ended if said.is_unfinished => "the server ended it in the middle of an event".to_owned(),
            Finish::Ended => "the server ended it in order".to_owned(),
            Finish::Broke(why) => why.clone(),
        };
        let severity = if said.is_unfinished { Severity::Loses } else { Severity::Delays };
        Some(Told {
            severity,
            says: "The stream ends by itself: what happens next waits until each reader has come back.".to_owned(),
            evidence: vec![format!("after {}: {how}", span(reading.took))],
            change: "keep the answer open, and let no time limit of a server or proxy end it".to_owned(),
        })
    },
};
