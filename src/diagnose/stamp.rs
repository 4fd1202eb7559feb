//! When an event says that it was made.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What such a value is called.
const NAMES: [&str; 14] = [
    "time",
    "timestamp",
    "ts",
    "t",
    "date",
    "at",
    "created",
    "created_at",
    "createdAt",
    "sent",
    "sent_at",
    "sentAt",
    "published",
    "emitted",
];

/// The time in an event's data or id, in seconds since 1970: the data itself, or a value of an object with such a name.
pub(super) fn stamp(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(time) = of_text(text) {
        return Some(time);
    }
    let Value::Object(object) = serde_json::from_str(text).ok()? else { return None };
    NAMES.iter().filter_map(|name| object.get(*name)).find_map(|value| match value {
        Value::Number(number) => number.as_f64().and_then(since_1970),
        Value::String(text) => of_text(text),
        _ => None,
    })
}

fn of_text(text: &str) -> Option<f64> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(time.unix_timestamp_nanos() as f64 / 1e9);
    }
    // As Redis makes ids: milliseconds, a hyphen, a number.
    let number = text.split_once('-').map_or(text, |(before, _)| before);
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if digits && number.len() >= 10 { since_1970(number.parse().ok()?) } else { None }
}

/// A number as seconds, whatever it counts; `None`: it is no time near to ours (2001 to 2100).
fn since_1970(number: f64) -> Option<f64> {
    [1.0, 1e3, 1e6, 1e9].into_iter().map(|scale| number / scale).find(|seconds| (1e9..4.1e9).contains(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_in_the_forms_that_are_common() {
        for (text, seconds) in [
            ("1790000000", 1_790_000_000.0),
            ("1790000000000-3", 1_790_000_000.0),
            ("1790000000.25", 1_790_000_000.25),
            (r#"{"id": 3, "time": 1790000000000000}"#, 1_790_000_000.0),
            (r#"{"createdAt": "2026-09-21T14:13:20.500Z"}"#, 1_790_000_000.5),
            ("2026-09-21T14:13:20Z", 1_790_000_000.0),
        ] {
            assert_eq!(stamp(text), Some(seconds), "{text}");
        }
        for text in ["", "12", "x", "k3f9-18", r#"{"price": 1790000000}"#, r#"{"time": 3}"#, "[1790000000]"] {
            assert_eq!(stamp(text), None, "{text}");
        }
    }
}
