//! Many readers at once.

use super::{Check, Severity, Told};

pub(super) static REFUSED: Check = Check {
    name: "streams-refused",
    look: |visit| {
        let streams = visit.streams.as_ref().filter(|streams| streams.opened < streams.asked)?;
        // What SETTINGS say is said by another row.
        let refused = streams.refused.as_ref().filter(|_| !is_by_settings(visit, streams.opened))?;
        Some(Told {
            severity: Severity::Loses,
            says: format!("It holds {} streams of one client, and no more.", streams.opened),
            evidence: vec![format!("of {} on {}, the next one: {refused}", streams.asked, streams.alpn.title())],
            change: "raise what a client, and the server in all, may have open: each tab of a browser has a stream"
                .to_owned(),
        })
    },
};

fn is_by_settings(visit: &crate::diagnose::visit::Visit, opened: u32) -> bool {
    let limit = visit.settings.and_then(|settings| settings.max_concurrent_streams);
    limit.is_some_and(|limit| limit <= u64::from(opened))
}
