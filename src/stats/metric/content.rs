//! What responses carried that events came in, as it was before it was decoded.

use super::{Metric, PLAIN, Sample, delivery};

/// Bytes of content of the responses that events came in, before decoding, ÷ `events-received`. The version of HTTP, TLS and
/// the network add to it.
pub(super) static CONTENT_BYTES_PER_EVENT: Metric = Metric {
    name: "content-bytes-per-event",
    unit: "B",
    definition: "Bytes of content of the responses that events came in, before decoding, ÷ `events-received`. The version of \
                 HTTP, TLS and the network add to it.",
    phrase: "read {} an event",
    compute: |record| {
        if record.content.is_empty() {
            return Sample::absent(NOT_TOLD);
        }
        let bytes: u64 = record.content.values().map(|(bytes, _)| bytes).sum();
        match delivery::received(record) {
            0 => Sample::absent("no event was received"),
            events => Sample::Values(vec![bytes as f64 / events as f64]),
        }
    },
    ..PLAIN
};

/// Subscriptions whose response came in a content coding.
pub(super) static COMPRESSED_STREAMS: Metric = Metric {
    name: "compressed-streams",
    unit: "streams",
    definition: "Subscriptions whose response came in a content coding.",
    phrase: "read {} compressed",
    of_those_asked: true,
    compute: |record| {
        if record.content.is_empty() {
            return Sample::absent(NOT_TOLD);
        }
        Sample::count(record.content.values().filter(|(_, compressed)| *compressed).count())
    },
    ..PLAIN
};

/// Why there is nothing to say.
const NOT_TOLD: &str =
    "nobody said what came: a page can't tell, and other transports than streams of one response have none";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::ClientFact;

    #[test]
    fn content_is_counted_over_all_subscriptions_and_divided_by_events() {
        let mut rig = RecordedTrial::new();
        rig.attach(0, 1).attach(1, 1).open(0).open(1);
        for metric in [&CONTENT_BYTES_PER_EVENT, &COMPRESSED_STREAMS] {
            assert_eq!(rig.metric(metric).absent.as_deref(), Some(NOT_TOLD));
        }
        let content = |sub, coding: Option<&str>, bytes| {
            let coding = coding.map(str::to_owned);
            ClientFact::Content { sub, coding, bytes }
        };
        rig.fact(content(0, Some("gzip"), 100)).fact(content(1, None, 300));
        assert_eq!(rig.metric(&CONTENT_BYTES_PER_EVENT).absent.as_deref(), Some("no event was received"));
        rig.publish(0).receive(0, 0).receive(1, 0);
        assert_eq!(rig.metric(&CONTENT_BYTES_PER_EVENT).median, Some(200.0));
        assert_eq!(rig.metric(&COMPRESSED_STREAMS).median, Some(1.0));
    }
}
