//! Which dialect of WebTransport was spoken.

use super::{Metric, PLAIN, Sample};

/// The first draft of the dialect that each session was opened in.
pub(super) static WEBTRANSPORT_DIALECT: Metric = Metric {
    name: "webtransport-dialect",
    unit: "draft",
    definition: "The first draft of draft-ietf-webtrans-http3 in the dialect that a WebTransport session was opened in: \
                 2 (02 to 06), 7 (07 to 12), 13 (13 and 14) or 15 (15 and 16); by the request's `:protocol` and \
                 fields, and by the settings of both ends.",
    phrase: "spoke draft {}",
    compute: |record| {
        let drafts = record.dialects.iter().map(|dialect| f64::from(dialect.draft())).collect();
        Sample::values(drafts, || "no WebTransport session was asked for".to_owned())
    },
    ..PLAIN
};
