//! Whether who was cut gets what it missed.

use super::{Check, Severity, Told, count};
use crate::diagnose::visit::{Resumed, SeenReturn};

pub(super) static NO_IDS: Check = Check {
    name: "no-ids",
    look: |visit| {
        let (_, said) = visit.main().filter(|_| visit.is_event_stream())?;
        if said.events.is_empty() || said.has_ids() {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: "Events have no ids: a reader that is cut can't say what it has, and misses what comes meanwhile."
                .to_owned(),
            evidence: vec![format!("{}, none with an id", count(said.events.len(), "event"))],
            change: "id: … with each event, and answer Last-Event-ID with what came after it".to_owned(),
        })
    },
};

pub(super) static MISSED: Check = Check {
    name: "not-resumed",
    look: |visit| {
        let missed = visit.resumed.iter().filter_map(|SeenReturn { alpn, resumed }| {
            let missed = match resumed {
                Resumed::Nothing => "none of what had been sent after that id came".to_owned(),
                Resumed::Later { missed } => format!("{} left out", are(*missed)),
                Resumed::Next | Resumed::Again { .. } | Resumed::Untold { .. } => return None,
            };
            let over = alpn.title();
            Some(format!("over {over}, cut, and come back with the id of an event that others had followed: {missed}"))
        });
        let evidence: Vec<String> = missed.collect();
        if evidence.is_empty() {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: "A reader that comes back with Last-Event-ID does not get what it missed.".to_owned(),
            evidence,
            change: "keep a log of events, and begin after the one that Last-Event-ID names".to_owned(),
        })
    },
};

pub(super) static AGAIN: Check = Check {
    name: "told-again",
    look: |visit| {
        let again = visit.resumed.iter().filter_map(|SeenReturn { alpn, resumed }| match resumed {
            Resumed::Again { id } => Some(format!("over {}, the first that came was `{id}`", alpn.title())),
            _ => None,
        });
        let evidence: Vec<String> = again.collect();
        if evidence.is_empty() {
            return None;
        }
        Some(Told {
            severity: Severity::Advice,
            says: "A reader that comes back with Last-Event-ID gets events again that it has.".to_owned(),
            evidence,
            change: "begin after the event that Last-Event-ID names, and not with it".to_owned(),
        })
    },
};

fn are(number: usize) -> String {
    if number == 1 { "1 event was".to_owned() } else { format!("{number} events were") }
}
