//! What the standard has readers pass over (WHATWG HTML section 9.2.6).

use super::{Check, Severity, Told, count};
use crate::diagnose::said::Said;
use crate::diagnose::visit::Visit;

/// Below this, everybody who was cut is back at once, and again, and again.
const SHORTEST_RETRY: u64 = 500;
/// Above this, whoever was cut misses what is new for so long.
const LONGEST_RETRY: u64 = 60_000;

pub(super) static IGNORED: Check = Check {
    name: "ignored-lines",
    look: |visit| {
        let ignored = &said(visit)?.ignored;
        if ignored.count == 0 {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: format!("{} of it are passed over by every reader.", count(ignored.count, "line")),
            evidence: ignored.shown.iter().map(|line| format!("`{line}`")).collect(),
            change: "begin each line of data with `data: `, also those after the first; fields are `data`, `event`, \
                     `id` and `retry`, in small letters at the line's beginning"
                .to_owned(),
        })
    },
};

pub(super) static NO_DATA: Check = Check {
    name: "events-without-data",
    look: |visit| {
        let without = &said(visit)?.without_data;
        if without.count == 0 {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: format!("{} no data, and so readers are told nothing of it.", have(without.count)),
            evidence: without.shown.iter().map(|line| format!("`{line}`")).collect(),
            change: "give it a line `data: …`: an empty line before that ends the event".to_owned(),
        })
    },
};

pub(super) static TOO_LONG: Check = Check {
    name: "endless-line",
    look: |visit| {
        if !said(visit)?.too_long {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: "A line or an event has no end: readers keep it all and are told nothing.".to_owned(),
            evidence: vec!["more than 2 MiB came without an end".to_owned()],
            change: "end each event with an empty line".to_owned(),
        })
    },
};

pub(super) static BAD_RETRY: Check = Check {
    name: "bad-retry",
    look: |visit| {
        let bad = &said(visit)?.bad_retries;
        if bad.count == 0 {
            return None;
        }
        Some(Told {
            severity: Severity::Advice,
            says: "`retry` is passed over, as it is milliseconds in digits and nothing else.".to_owned(),
            evidence: bad.shown.iter().map(|line| format!("`{line}`")).collect(),
            change: "retry: 3000".to_owned(),
        })
    },
};

pub(super) static LONG_RETRY: Check = Check {
    name: "long-retry",
    look: |visit| {
        let retry = said(visit)?.retry.filter(|retry| *retry > LONGEST_RETRY)?;
        Some(Told {
            severity: Severity::Delays,
            says: format!("Who is cut comes back after {} s, and gets nothing until then.", retry / 1000),
            evidence: vec![format!("`retry: {retry}`")],
            change: "retry: 3000".to_owned(),
        })
    },
};

pub(super) static SHORT_RETRY: Check = Check {
    name: "short-retry",
    look: |visit| {
        let retry = said(visit)?.retry.filter(|retry| *retry < SHORTEST_RETRY)?;
        Some(Told {
            severity: Severity::Advice,
            says: "Whoever is cut comes back almost at once: after a restart, all of them together.".to_owned(),
            evidence: vec![format!("`retry: {retry}`")],
            change: "retry: 3000".to_owned(),
        })
    },
};

fn said(visit: &Visit) -> Option<&Said> {
    visit.main().filter(|_| visit.is_event_stream()).map(|(_, said)| said)
}

fn have(number: usize) -> String {
    if number == 1 { "1 event has".to_owned() } else { format!("{number} events have") }
}
