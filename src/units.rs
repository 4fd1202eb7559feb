//! Quantities as people write them in an experiment file: a number that has a unit must carry it.
//!
//! Each type parses from and prints to one canonical text (`"3s"`, `"100 B"`, `"1/s"`), which is also
//! how it travels in the trial contract and stands in a summary's `levels`.

mod bit_rate;
mod percent;
mod word;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use bit_rate::BitRate;
pub use percent::Percent;
pub(crate) use word::{word_or, word_or_quantity};

/// Why a text is not the quantity that was asked for. The message names the text and shows a right one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}; write it like {example}")]
pub struct UnitError {
    text: String,
    wanted: &'static str,
    example: &'static str,
}

impl UnitError {
    fn new(text: &str, wanted: &'static str, example: &'static str) -> Self {
        Self { text: text.to_owned(), wanted, example }
    }
}

/// Splits `"1.5 MiB"` into 1.5 and `"MiB"`; `None` when it does not start with a finite number of 0 or more.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim_start()))
}

/// Prints a number without a fraction that says nothing: `3`, `1.5`.
fn plain(number: f64, unit: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{number}{unit}")
}

/// A length of time: `"250ms"`, `"3s"`, `"2min"`. Whole nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(Duration);

impl Span {
    /// A span of whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// A span of whole nanoseconds.
    pub const fn from_nanos(ns: u64) -> Self {
        Self(Duration::from_nanos(ns))
    }

    /// A span of whole seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }

    /// The same length as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whole nanoseconds; a span longer than 584 years is cut to that.
    pub fn nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new(text, "a length of time", "\"250ms\", \"3s\" or \"2min\" (ns, us, ms, s, min)");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            _ => return Err(wrong()),
        };
        // Rounded to the nanosecond: 0.3 s must be 300 ms, not 299.999999 ms.
        let nanos = (number * scale * 1e9).round();
        if nanos > 1e17 {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e17 was checked above")]
        Ok(Self(Duration::from_nanos(nanos as u64)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos();
        let (scale, unit) = match nanos {
            0 => (1, "s"),
            n if n % 1_000_000_000 == 0 => (1_000_000_000, "s"),
            n if n % 1_000_000 == 0 => (1_000_000, "ms"),
            n if n % 1_000 == 0 => (1_000, "us"),
            _ => (1, "ns"),
        };
        write!(f, "{}{unit}", nanos / scale)
    }
}

impl std::ops::Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A number of bytes: `"100 B"`, `"16 KiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

impl Size {
    /// A size of so many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new(text, "a number of bytes", "\"100 B\" or \"16 KiB\" (B, kB, KiB, MB, MiB)");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let scale = match unit {
            "B" => 1.0,
            "kB" => 1e3,
            "KiB" => 1024.0,
            "MB" => 1e6,
            "MiB" => 1_048_576.0,
            _ => return Err(wrong()),
        };
        let bytes = number * scale;
        if bytes.fract() != 0.0 || bytes > 1e15 {
            return Err(wrong());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and 0 to 1e15, checked above"
        )]
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % 1_048_576 == 0 => write!(f, "{} MiB", n / 1_048_576),
            n if n > 0 && n % 1024 == 0 => write!(f, "{} KiB", n / 1024),
            n if n > 0 && n % 1_000_000 == 0 => write!(f, "{} MB", n / 1_000_000),
            n if n > 0 && n % 1_000 == 0 => write!(f, "{} kB", n / 1_000),
            n => write!(f, "{n} B"),
        }
    }
}

/// How often something happens: `"1/s"`, `"0.5/s"`. Times per second, more than 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// So many times a second.
    pub const fn per_second(times: f64) -> Self {
        Self(times)
    }

    /// The mean time between two, in nanoseconds.
    pub fn interval_nanos(self) -> f64 {
        1e9 / self.0
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match split(text) {
            Some((number, "/s")) if number > 0.0 => Ok(Self(number)),
            _ => Err(UnitError::new(text, "a rate above 0", "\"1/s\" or \"0.5/s\"")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        plain(self.0, "/s", f)
    }
}

/// A setting that may be left alone: the word `"unset"`, or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Settable<T> {
    /// Nothing is sent; the peer falls back to what its standard says.
    #[default]
    Unset,
    /// This value is sent.
    Set(T),
}

impl<T> Settable<T> {
    /// The value, if one is set.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Unset => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: Serialize> Serialize for Settable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unset => serializer.serialize_str("unset"),
            Self::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Settable<u32> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Settable<u32>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 4294967295, or \"unset\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                match text {
                    "unset" => Ok(Settable::Unset),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Self::Value, E> {
                u32::try_from(n).map(Settable::Set).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(n), &self))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Self::Value, E> {
                u32::try_from(n).map(Settable::Set).map_err(|_| E::invalid_value(de::Unexpected::Signed(n), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Settable<Span> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "unset" => Ok(Self::Unset),
            _ => text.parse().map(Self::Set).map_err(|e| de::Error::custom(format!("{e}, or \"unset\""))),
        }
    }
}

/// The schema of a type that is written as one value, and stands where it is used rather than under a name.
macro_rules! inline_schema {
    ($type:ident, |$generator:ident| $schema:expr) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(crate) use inline_schema;

macro_rules! as_text {
    ($($quantity:ident is $title:literal, like $example:literal, as $pattern:literal;)*) => {$(
        inline_schema!($quantity, |_generator| {
            json_schema!({ "type": "string", "title": $title, "pattern": $pattern, "examples": [$example] })
        });

        impl Serialize for $quantity {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $quantity {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $quantity;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a text with its unit, such as \"3s\", \"100 B\" or \"1/s\"")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$quantity, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    )*};
}
as_text! {
    Span is "a length of time", like "250ms", as r"^\s*[0-9]*\.?[0-9]+\s*(ns|us|µs|ms|s|min)\s*$";
    Size is "a number of bytes", like "16 KiB", as r"^\s*[0-9]*\.?[0-9]+\s*(B|kB|KiB|MB|MiB)\s*$";
    Rate is "a rate", like "10/s", as r"^\s*[0-9]*\.?[0-9]+\s*/s\s*$";
    Percent is "a share", like "2%", as r"^\s*[0-9]*\.?[0-9]+\s*%\s*$";
    BitRate is "a bit rate", like "10 Mbit/s", as r"^\s*[0-9]*\.?[0-9]+\s*(bit/s|kbit/s|Mbit/s|Gbit/s)\s*$";
}

impl<T: JsonSchema> JsonSchema for Settable<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Settable{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        word_or("unset", "Nothing is sent: the peer does what its standard says of that.", &T::json_schema(generator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_prints_as_it_is_best_written() {
        for text in ["3s", "250ms", "1500us", "7ns", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("0.3 s".parse::<Span>().unwrap().to_string(), "300ms");
        assert_eq!("2min".parse::<Span>().unwrap().to_string(), "120s");
        assert_eq!("1 MB".parse::<Size>().unwrap().bytes(), 1_000_000);
        assert_eq!("16 KiB".parse::<Size>().unwrap().to_string(), "16 KiB");
        assert_eq!("0.5/s".parse::<Rate>().unwrap().to_string(), "0.5/s");
    }

    #[test]
    fn a_number_without_its_unit_is_refused_with_an_example() {
        for text in ["3", "", "s", "-1s", "3 h", "1e9s", "nans"] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("3s"), "{error}");
        }
        assert!("1.5 B".parse::<Size>().is_err(), "half a byte");
        assert!("0/s".parse::<Rate>().is_err(), "a rate of nothing");
    }

    #[test]
    fn unset_is_a_level_where_it_means_something() {
        assert_eq!(serde_json::from_str::<Settable<u32>>("\"unset\"").unwrap(), Settable::Unset);
        assert_eq!(serde_json::from_str::<Settable<u32>>("100").unwrap(), Settable::Set(100));
        assert!(serde_json::from_str::<Settable<u32>>("\"unsett\"").is_err());
        assert!(serde_json::from_str::<Settable<u32>>("-1").is_err());
    }
}
