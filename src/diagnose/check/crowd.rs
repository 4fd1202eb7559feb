//! Many readers at once.

use super::{Check, Severity, Told};
use crate::diagnose::visit::SeenStreams;

pub(super) static REFUSED: Check = Check {
    name: "streams-refused",
    look: |visit| {
        // What SETTINGS say is said by another row.
        let by_itself = |streams: &&SeenStreams| {
            let is_by_settings = streams.limit.is_some_and(|limit| limit <= u64::from(streams.opened));
            streams.opened < streams.asked && !is_by_settings
        };
        let few: Vec<&SeenStreams> = visit.streams.iter().filter(by_itself).collect();
        let least = few.iter().map(|streams| streams.opened).min()?;
        let evidence = few.iter().filter_map(|streams| {
            let refused = streams.refused.as_ref()?;
            let (opened, asked) = (streams.opened, streams.asked);
            Some(format!("on {}, {opened} of {asked}; the next one: {refused}", streams.alpn.title()))
        });
        Some(Told {
            severity: Severity::Loses,
            says: format!("It holds {least} streams of one client, and no more."),
            evidence: evidence.collect(),
            change: "raise what a client, and the server in all, may have open: each tab of a browser has a stream"
                .to_owned(),
        })
    },
};
