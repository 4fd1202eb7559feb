//! Compression, as browsers ask for it.

use super::{Check, Severity, Told, span};

/// With fewer arrivals it can't be told whether something was held back.
const ENOUGH: usize = 3;

pub(super) static HELD: Check = Check {
    name: "compressed",
    look: |visit| {
        let compressed = visit.compressed.as_ref()?;
        let (plain, _) = visit.readings.iter().find(|(plain, _)| plain.alpn == compressed.alpn)?;
        let arrivals = [plain.arrivals(), compressed.arrivals()];
        // A compressor that is flushed sends something for each event.
        if arrivals[0] < ENOUGH || arrivals[1] * 2 > arrivals[0] {
            return None;
        }
        let coding = compressed.compressed().unwrap_or_default();
        Some(Told {
            severity: Severity::Delays,
            says: "The stream is compressed, and the compressor holds events back until it has enough of them."
                .to_owned(),
            evidence: vec![
                format!("asked for as browsers do, it has Content-Encoding: {coding}"),
                format!(
                    "in {} that came in {} parts, and the same uncompressed in {}",
                    span(compressed.took),
                    arrivals[1],
                    arrivals[0]
                ),
            ],
            change: visit.change(
                "flush the compressor after each event, or leave the stream uncompressed (`Cache-Control: no-transform` \
                 asks proxies to)",
                |lines| lines.compressed,
            ),
        })
    },
};
