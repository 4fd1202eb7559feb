//! What is published, and when: `[workload.events]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::feed::payload;
use crate::units::{Rate, Size, Span, inline_schema, word_or};

/// The least and the most that an event's data may be: the content check needs 16 B for what tells it from every other
/// event.
const SIZES: [Size; 2] = [Size::from_bytes(16), Size::from_bytes(1 << 20)];
/// The least and the most between the two of a pair.
const GAPS: [Span; 2] = [Span::from_millis(0), Span::from_secs(60)];

/// What is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Events {
    /// How many events before the census.
    pub count: EventCount,
    /// How often.
    pub rate: Rate,
    /// How long the data of each is. What a client publishes may be no longer than the server takes, 64 KiB.
    #[schemars(extend("x-least" = SIZES[0], "x-most" = SIZES[1]))]
    pub size: Size,
    /// How they are spread.
    pub arrival: Arrival,
    /// What the data of those is that the server publishes.
    pub payload: Payload,
    /// How long after the first of a pair the second is due.
    #[schemars(extend("x-least" = GAPS[0], "x-most" = GAPS[1]))]
    pub gap: Span,
    /// Which feeds each goes to. The census goes to all.
    pub feeds: EventFeeds,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            count: EventCount::Exactly(3),
            rate: Rate::per_second(1.0),
            size: Size::from_bytes(100),
            arrival: Arrival::Periodic,
            payload: Payload::Text,
            gap: Span::from_millis(1),
            feeds: EventFeeds::All,
        }
    }
}

/// How many events there are: a whole number, or `"fill"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventCount {
    /// So many, however long they take.
    Exactly(u32),
    /// As many as the rate gives from the first moment that one can be due to the census.
    Fill,
}

impl EventCount {
    /// The most that there may be.
    pub const MOST: u32 = 100_000;
}

impl From<u32> for EventCount {
    fn from(count: u32) -> Self {
        Self::Exactly(count)
    }
}

inline_schema!(EventCount, |_generator| {
    let number = schemars::json_schema!({ "type": "integer", "minimum": 0, "maximum": Self::MOST });
    word_or("fill", "As many as the rate gives until the census.", &number)
});

impl Serialize for EventCount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exactly(count) => serializer.serialize_u32(*count),
            Self::Fill => serializer.serialize_str("fill"),
        }
    }
}

impl<'de> Deserialize<'de> for EventCount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl serde::de::Visitor<'_> for Count {
            type Value = EventCount;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number, or \"fill\"")
            }

            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<EventCount, E> {
                // More than a plan may have is refused with the bounds.
                Ok(EventCount::Exactly(u32::try_from(count).unwrap_or(u32::MAX)))
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<EventCount, E> {
                u64::try_from(count)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(count), &self))
                    .and_then(|count| self.visit_u64(count))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<EventCount, E> {
                match word {
                    "fill" => Ok(EventCount::Fill),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Count)
    }
}

/// What an event's data is to its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Text.
    Text,
    /// Bytes. A WebSocket has them in a binary message as they are; JSON and an event stream, which are text, as base64
    /// (RFC 4648 section 4), which is a third more.
    Binary,
    /// Text that compresses as an application's JSON does: names that come again and again, and values that differ.
    Json,
}

impl Payload {
    /// The data of the event with this sequence number.
    pub fn data(self, seed: u64, seq: u64, size: u64) -> String {
        match self {
            Self::Text | Self::Binary => payload::text(seed, seq, size),
            Self::Json => payload::json(seed, seq, size),
        }
    }
}

/// How events are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Event k at k ÷ rate.
    Periodic,
    /// A Poisson process, given its count: `count` independent uniform instants of the first count ÷ rate seconds.
    Poisson,
    /// Two at a time, `gap` apart, at half the rate.
    Pairs,
    /// All at once.
    Burst,
}

/// Which feeds an event goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventFeeds {
    /// Every one.
    All,
    /// One: event k to feed k modulo their number, so that readers of several feeds have events of their own.
    InTurn,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::settings::Workload;

    #[test]
    fn a_count_is_a_number_or_as_many_as_there_is_time_for() {
        let of = |count: &str| serde_json::from_str::<EventCount>(count);
        assert_eq!(of("7").unwrap(), EventCount::Exactly(7));
        assert_eq!(of("\"fill\"").unwrap(), EventCount::Fill);
        for wrong in ["-1", "1.5", "\"full\"", "true"] {
            assert!(of(wrong).unwrap_err().to_string().contains("a whole number, or \"fill\""), "{wrong}");
        }
        let mut workload = Workload { hold: Span::from_secs(5), settle: Span::from_secs(1), ..Workload::default() };
        workload.events.count = EventCount::Fill;
        for (rate, count) in [("0.1/s", 0), ("0.3/s", 1), ("2/s", 8), ("100/s", 400)] {
            workload.events.rate = rate.parse().unwrap();
            assert_eq!(workload.event_count(), count, "{rate}");
        }
        workload.settle = Span::from_secs(6);
        assert_eq!(workload.event_count(), 0, "there is no time at all");
    }
}
