//! What a claim compares with: its metric, its comparison, and quantities in the metric's unit.

use crate::stats::metric::{self, Metric};
use crate::stats::number;
use crate::stats::result::Entry;
use crate::trial::Claim;
use crate::trial::claim::Quantity;
use crate::units::{Rate, Size, Span, UnitError};

/// Why a claim can't be decided by any run: what whoever wrote it has to change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClaimError {
    /// `near` is the name that was meant, perhaps.
    #[error("`{name}` is not a metric{}", near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownMetric { name: String, near: Option<&'static str> },
    #[error("`{reference}`: a metric has {}, not `{given}`", STATISTICS.join(", "))]
    UnknownStatistic { reference: String, given: String },
    #[error("a ratio of {unit} to {other} compares nothing")]
    RatioOfUnits { unit: &'static str, other: &'static str },
    #[error("a claim has exactly one of equals, at-most, at-least and within")]
    ComparisonCount,
    #[error("within = [{low}, {high}] contains nothing")]
    EmptyRange { low: f64, high: f64 },
    #[error("{metric} = {value} needs its unit, such as \"{example}\"")]
    NoUnit { metric: String, value: f64, example: &'static str },
    /// No number that a metric can be held against.
    #[error("{metric} = {value} compares nothing")]
    NoNumber { metric: String, value: f64 },
    #[error(transparent)]
    Quantity(#[from] UnitError),
    #[error("a ratio is a plain number, not `{0}`")]
    RatioWithUnit(String),
    #[error("{metric} counts {unit}: a plain number, not `{text}`")]
    CountWithUnit { metric: String, unit: &'static str, text: String },
}

/// Checks a claim as far as it can be without a run: metrics that exist, exactly one comparison, quantities in
/// the metric's unit (plain numbers for what is counted, and for a ratio).
pub fn check(claim: &Claim) -> Result<(), ClaimError> {
    ClaimComparison::of(claim).map(|_| ())
}

/// One of a metric's values: `latency`, `latency.p99`.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    pub metric: &'static Metric,
    /// `None`: the median, or the only value.
    pub statistic: Option<&'static str>,
}

const STATISTICS: [&str; 5] = ["p50", "p90", "p99", "min", "max"];

impl Reference {
    /// Parses `latency` or `latency.p99`.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let (name, statistic) = text.split_once('.').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let metric = metric::find(name)
            .ok_or_else(|| ClaimError::UnknownMetric { name: name.to_owned(), near: nearest(name) })?;
        let known = |given: &str| {
            STATISTICS
                .into_iter()
                .find(|known| *known == given)
                .ok_or_else(|| ClaimError::UnknownStatistic { reference: text.to_owned(), given: given.to_owned() })
        };
        let statistic = statistic.map(known).transpose()?;
        Ok(Self { metric, statistic })
    }

    /// As it is written: `latency.p99`.
    pub fn name(&self) -> String {
        self.statistic.map_or_else(|| self.metric.name.to_owned(), |s| format!("{}.{s}", self.metric.name))
    }

    /// The value; for a single sample every quantile is that.
    pub fn of(&self, entry: &Entry) -> Option<f64> {
        let value = match self.statistic {
            Some("p90") => entry.p90,
            Some("p99") => entry.p99,
            Some("min") => entry.min,
            Some("max") => entry.max,
            _ => entry.median,
        };
        value.or(entry.median)
    }

    /// How many samples a quantile takes: below, it is only the largest one or between the two largest.
    pub(super) fn least_samples(&self) -> usize {
        match self.statistic {
            Some("p90") => 10,
            Some("p99") => 100,
            _ => 1,
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    let likeness = |known: &&'static str| strsim::jaro_winkler(known, name);
    crate::stats::metric_names()
        .map(|known| (likeness(&known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A claim's comparison, in the metric's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ClaimComparison {
    Equals(f64),
    AtMost(f64),
    AtLeast(f64),
    Within(f64, f64),
}

impl ClaimComparison {
    /// The comparison of a claim.
    pub(super) fn of(claim: &Claim) -> Result<Self, ClaimError> {
        let mut unit = Reference::parse(&claim.metric)?.metric.unit;
        if let Some(than) = &claim.than {
            if let Some(metric) = &than.metric {
                let other = Reference::parse(metric)?.metric.unit;
                if other != unit {
                    return Err(ClaimError::RatioOfUnits { unit, other });
                }
            }
            unit = "";
        }
        let value = |quantity: &Quantity| convert(quantity, unit, &claim.metric);
        let given = [claim.equals.is_some(), claim.at_most.is_some(), claim.at_least.is_some(), claim.within.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            return Err(ClaimError::ComparisonCount);
        }
        match (&claim.equals, &claim.at_most, &claim.at_least, &claim.within) {
            (Some(quantity), ..) => Ok(Self::Equals(value(quantity)?)),
            (_, Some(quantity), ..) => Ok(Self::AtMost(value(quantity)?)),
            (_, _, Some(quantity), _) => Ok(Self::AtLeast(value(quantity)?)),
            (.., Some([low, high])) => {
                let (low, high) = (value(low)?, value(high)?);
                if low > high {
                    return Err(ClaimError::EmptyRange { low, high });
                }
                Ok(Self::Within(low, high))
            }
            _ => Err(ClaimError::ComparisonCount),
        }
    }

    /// Whether it holds for every value of the range, or for none; `None` when only for some.
    pub(super) fn holds(self, [low, high]: [f64; 2]) -> Option<bool> {
        let (least, most) = match self {
            Self::Equals(value) => (value, value),
            Self::AtMost(most) => (f64::NEG_INFINITY, most),
            Self::AtLeast(least) => (least, f64::INFINITY),
            Self::Within(least, most) => (least, most),
        };
        if low >= least && high <= most {
            Some(true)
        } else if high < least || low > most {
            Some(false)
        } else {
            None
        }
    }

    /// Whether what is no more than this could tell: with five asked for nobody sees whether ten are held, and with ten
    /// nobody sees whether eleven would be.
    pub(super) fn is_reached_by(self, most: f64) -> bool {
        match self {
            Self::Equals(value) | Self::AtLeast(value) | Self::Within(value, _) => most >= value,
            Self::AtMost(value) => most > value,
        }
    }

    /// Whether some deviation is part of what is claimed.
    pub(super) const fn is_tolerant(self) -> bool {
        matches!(self, Self::Within(..))
    }

    /// The values to draw lines at.
    pub(super) fn bounds(self) -> Vec<f64> {
        match self {
            Self::Equals(value) | Self::AtMost(value) | Self::AtLeast(value) => vec![value],
            Self::Within(low, high) => vec![low, high],
        }
    }

    /// The sign before a bound; none where it is the value itself.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Equals(_) => "",
            Self::AtMost(_) => "≤",
            Self::AtLeast(_) => "≥",
            Self::Within(..) => "end of",
        }
    }
}

/// A quantity in a metric's unit; an empty unit is a ratio's.
fn convert(quantity: &Quantity, unit: &'static str, metric: &str) -> Result<f64, ClaimError> {
    let metric = || metric.to_owned();
    match (quantity, unit) {
        (Quantity::Number(value), unit) if value.is_finite() && !number::is_written(unit) => Ok(*value),
        (&Quantity::Number(value), "ms" | "µs") => {
            Err(ClaimError::NoUnit { metric: metric(), value, example: "50ms" })
        }
        (&Quantity::Number(value), "B") => Err(ClaimError::NoUnit { metric: metric(), value, example: "4 kB" }),
        (&Quantity::Number(value), "/s") => Err(ClaimError::NoUnit { metric: metric(), value, example: "1000/s" }),
        (&Quantity::Number(value), _) => Err(ClaimError::NoNumber { metric: metric(), value }),
        (Quantity::Text(text), "ms") => Ok(text.parse::<Span>()?.nanos() as f64 / 1e6),
        (Quantity::Text(text), "µs") => Ok(text.parse::<Span>()?.nanos() as f64 / 1e3),
        (Quantity::Text(text), "B") => Ok(text.parse::<Size>()?.bytes() as f64),
        (Quantity::Text(text), "/s") => Ok(1e9 / text.parse::<Rate>()?.interval_nanos()),
        (Quantity::Text(text), "") => Err(ClaimError::RatioWithUnit(text.clone())),
        (Quantity::Text(text), _) => Err(ClaimError::CountWithUnit { metric: metric(), unit, text: text.clone() }),
    }
}
