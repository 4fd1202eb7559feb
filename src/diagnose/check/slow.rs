//! A reader that stopped reading for a while.

use std::collections::BTreeSet;

use super::{Check, Severity, Told, count, span};

pub(super) static MISSES: Check = Check {
    name: "slow-reader",
    look: |visit| {
        let (reading, slow) = visit.slow.as_ref().filter(|_| visit.is_event_stream())?;
        let (_, quick) = visit.readings.iter().find(|(quick, _)| quick.alpn == reading.alpn)?;
        let had: BTreeSet<&str> = slow.events.iter().map(|event| event.id.as_str()).collect();
        let sent: Vec<&str> = quick.events.iter().map(|event| event.id.as_str()).collect();
        // From the first that both have on. Without ids, or with the same one again, it can't be told.
        let distinct: BTreeSet<&str> = sent.iter().copied().collect();
        if distinct.len() < sent.len() || distinct.contains("") {
            return None;
        }
        let first = sent.iter().position(|id| had.contains(id))?;
        // One that nobody else had was made after all that others had.
        let went_on = slow.events.last().is_some_and(|event| !distinct.contains(event.id.as_str()));
        let last = if went_on { sent.len() - 1 } else { sent.iter().rposition(|id| had.contains(id))? };
        let missed = sent[first..=last].iter().filter(|id| !had.contains(*id)).count();
        if missed == 0 {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: "A reader that doesn't read for a while never gets some of what others were sent.".to_owned(),
            evidence: vec![format!(
                "in {}, {} of {} were left out for a reader on {} with a full window",
                span(reading.took),
                count(missed, "event"),
                sent.len(),
                reading.alpn.title()
            )],
            change:
                "let each reader have a place in one log of events, rather than a queue that drops what is too much"
                    .to_owned(),
        })
    },
};
