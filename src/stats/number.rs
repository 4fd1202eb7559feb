//! Numbers as people read them, and as JSON carries them.

use serde::{Serialize, Serializer};

/// Whole numbers without a fraction, thousands apart by a thin space from 10,000 on; others with three
/// significant digits.
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return apart(&format!("{value:.0}"));
    }
    let size = value.abs();
    let text = match size {
        s if s >= 99.95 => format!("{value:.0}"),
        s if s >= 9.995 => format!("{value:.1}"),
        s if s >= 0.9995 => format!("{value:.2}"),
        s if s >= 0.0995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    };
    apart(&text)
}

/// The number with its unit where the unit is a measure; what is counted is named by its metric.
pub fn with_unit(value: f64, unit: &str) -> String {
    if is_written(unit) { format!("{}\u{a0}{unit}", plain(value)) } else { plain(value) }
}

/// Whether a unit is written behind its number; others are named by their metric.
pub fn is_written(unit: &str) -> bool {
    matches!(unit, "ms" | "µs" | "B" | "/s")
}

/// Whether what has this unit is counted, and so has no scatter of its own. The rest is measured.
pub fn is_counted(unit: &str) -> bool {
    matches!(unit, "streams" | "connections" | "events" | "packets" | "draft" | "version")
}

/// A share in a hundred with as many decimals as it takes to tell 93.75 from 96.88: `75 %`, `93.75 %`.
pub fn percent(value: f64) -> String {
    let text = format!("{value:.2}");
    format!("{}\u{a0}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Groups of three from 10,000 on: `12 345`.
fn apart(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("−", rest));
    if digits.contains('.') || digits.len() < 5 {
        return format!("{sign}{digits}");
    }
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    format!("{sign}{out}")
}

/// Serialises a number, as a whole one where it is whole: `6`, not `6.0`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `serialize_with` passes a reference")]
pub(super) fn json<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match whole(*value) {
        Some(whole) => serializer.serialize_i64(whole),
        None => serializer.serialize_f64(*value),
    }
}

/// The same for a number that may be missing.
#[expect(clippy::ref_option, reason = "serde's `serialize_with` passes a reference")]
pub(super) fn json_option<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => json(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// The same for the two ends of an interval.
#[expect(clippy::ref_option, reason = "serde's `serialize_with` passes a reference")]
pub(super) fn json_pair<S: Serializer>(value: &Option<[f64; 2]>, serializer: S) -> Result<S::Ok, S::Error> {
    struct Number(f64);
    impl Serialize for Number {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            json(&self.0, serializer)
        }
    }
    value.map(|pair| pair.map(Number)).serialize(serializer)
}

fn whole(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, checked here")]
    (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i64)
}

/// `1 event`, `12 events`.
pub fn plural(count: usize, word: &str) -> String {
    let number = plain(count as f64);
    if count == 1 { format!("{number} {word}") } else { format!("{number} {word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_written_whole() {
        assert_eq!(plain(6.0), "6");
        assert_eq!(plain(1500.0), "1500");
        assert_eq!(plain(-0.25), "-0.250".replace('-', "−"));
        assert_eq!(plain(1_234_567.0), "1\u{202f}234\u{202f}567");
        assert_eq!(plain(12.345), "12.3");
        assert_eq!(plain(0.012_34), "0.0123");
        assert_eq!(with_unit(3.5, "ms"), "3.50\u{a0}ms");
        assert_eq!(with_unit(100.0, "streams"), "100");
    }
}
