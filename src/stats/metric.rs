//! Every metric, a row each: name, unit, definition, formula. T is the census.

mod beside;
mod between;
mod broker;
mod clump;
mod content;
mod cut;
pub(super) mod delivery;
mod dialect;
mod http;
mod link;
mod prediction;
mod recovery;
mod streams;
mod timing;
mod trace;
mod usage;
mod wire;

use super::record::Record;
use super::sample::Sample;

/// A number computed from the observations of one trial.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what a metric is, is a row of a table")]
pub struct Metric {
    /// Its name in files and tables: `open-streams`.
    pub name: &'static str,
    /// Its unit: `streams`, `connections`, `draft`, `version`, `events`, `packets`,
    /// `round trips`, `ms`, `µs`, `B`, `/s`.
    pub unit: &'static str,
    /// What it is, in a sentence.
    pub definition: &'static str,
    /// A phrase about a client, with `{}` for the number: `held {}`.
    pub phrase: &'static str,
    /// How far its values may be off, in its unit; `None` where they are what they are.
    pub(super) uncertainty: fn(&Record<'_>) -> Option<f64>,
    /// Whether it counts from the schedule, and so means nothing where the publisher is late.
    pub from_schedule: bool,
    /// Whether it can be no more than the subscriptions that were asked for.
    pub(super) of_those_asked: bool,
    /// Whether it is longer where the machine is late, and never shorter.
    pub(super) only_longer: bool,
    /// Whether it is a time on the network, and so longer where the kernel drops datagrams that carry the protocol.
    pub(super) on_network: bool,
    pub(super) compute: fn(&Record<'_>) -> Sample,
}

impl Metric {
    /// Whether it says how long something took, or how much of the processor.
    pub(super) fn is_a_time(&self) -> bool {
        matches!(self.unit, "ms" | "µs")
    }
}

/// A time is the subject's where it is so many times as long as the machine was late.
pub(super) const LATE_OF: f64 = 10.0;

/// Every metric, in the order of tables.
pub static ALL: &[&Metric] = &[
    &streams::REQUESTED,
    &streams::OPEN,
    &streams::SERVER_OPEN,
    &streams::PEAK,
    &streams::CONNECTIONS,
    &streams::STREAMS_PER_CONNECTION,
    &streams::CONNECTIONS_OPENED,
    &streams::CONNECTIONS_UNUSED,
    &http::FIRST_HTTP,
    &http::LAST_HTTP,
    &between::ORIGIN_CONNECTIONS,
    &between::ORIGIN_HTTP,
    &between::UNREAD,
    &dialect::WEBTRANSPORT_DIALECT,
    &timing::BLOCKED_REQUEST,
    &beside::BESIDE_WAIT,
    &timing::TIME_TO_OPEN,
    &timing::FIRST_EVENT,
    &link::ROUND_TRIPS,
    &delivery::RECEIVED,
    &delivery::RATE,
    &delivery::LOST,
    &delivery::TOLD_GONE,
    &delivery::DUPLICATED,
    &delivery::REORDERED,
    &delivery::BUFFERED,
    &timing::LATENCY,
    &timing::ROUND_TRIP,
    &timing::STALL,
    &prediction::PREDICTION_ERROR,
    &clump::CLUMP,
    &cut::CUT_AFTER,
    &recovery::STREAMS_CUT,
    &recovery::RECONNECT_INTERVAL,
    &recovery::RECOVERY_TIME,
    &recovery::NEVER_BACK,
    &recovery::CLIENT_NOTICES,
    &recovery::SERVER_NOTICES,
    &recovery::CLIENT_UNAWARE,
    &recovery::HANDSHAKES,
    &usage::CPU_PER_EVENT,
    &usage::CPU_PER_DELIVERY,
    &usage::MEMORY_PER_STREAM,
    &usage::BYTES_PER_EVENT,
    &between::PROXY_CPU_PER_DELIVERY,
    &between::PROXY_MEMORY_PER_STREAM,
    &broker::BROKER_CPU_PER_DELIVERY,
    &content::CONTENT_BYTES_PER_EVENT,
    &content::COMPRESSED_STREAMS,
    &link::WIRE_BYTES_PER_EVENT,
    &link::PACKETS_PER_EVENT,
    &link::PACKETS_DROPPED,
    &link::PACKETS_TOLD,
    &trace::HOL_DELAY,
    &trace::OWN_LOSS_DELAY,
    &trace::EVENT_PACKETS_DROPPED,
    &wire::HANDSHAKE_BYTES,
    &wire::IDLE_BYTES,
    &wire::OVERHEAD_PER_EVENT,
    &wire::ACKNOWLEDGEMENTS_PER_EVENT,
];

/// The metric of this name.
pub fn find(name: &str) -> Option<&'static Metric> {
    ALL.iter().copied().find(|metric| metric.name == name)
}

/// How far the comparison of the client's clock with the server's may be off, in milliseconds.
fn clocks(record: &Record<'_>) -> Option<f64> {
    record.uncertainty.map(|nanos| nanos as f64 / 1e6)
}

/// What most metrics are; rows say where they differ.
const PLAIN: Metric = Metric {
    name: "",
    unit: "",
    definition: "",
    phrase: "",
    uncertainty: |_| None,
    from_schedule: false,
    of_those_asked: false,
    only_longer: false,
    on_network: false,
    compute: |_| Sample::Absent(String::new()),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole_and_no_two_share_a_name() {
        for (at, metric) in ALL.iter().enumerate() {
            assert!(metric.definition.ends_with('.'), "{}", metric.name);
            assert!(metric.phrase.contains("{}"), "{}", metric.name);
            assert!(
                [
                    "streams",
                    "connections",
                    "draft",
                    "version",
                    "events",
                    "packets",
                    "round trips",
                    "ms",
                    "µs",
                    "B",
                    "/s"
                ]
                .contains(&metric.unit),
                "{}",
                metric.name
            );
            assert!(ALL[..at].iter().all(|other| other.name != metric.name), "{}", metric.name);
            assert!(std::ptr::eq(find(metric.name).unwrap(), *metric));
        }
        assert!(find("open-stream").is_none());
    }
}
