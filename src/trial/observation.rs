//! Observations: one raw fact each, with its time. They are all that metrics are computed from.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::clock::monotonic_nanos;
use super::{ClientFact, Fact, LabFact, ServerFact};

/// A fact and when it was observed.
///
/// A line has the time as `t`: `{"t":5,"kind":"opened","sub":3}`. Receipts are many facts in one, and there it is a list:
/// `{"t":[5,6],"kind":"received","sub":3,"ids":["k-1","k-2"]}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation<F = Fact> {
    /// Nanoseconds of `CLOCK_MONOTONIC`, except that a page sends microseconds of its `performance.now()`, which the lab
    /// converts by the page's `clock`. Of receipts, the last one's; 0 where there are none.
    pub t: u64,
    /// Nobody says a fact that isn't his: a page's line can be read as a [`ClientFact`] only.
    pub fact: F,
}

/// What can be observed, with a time each where it is many in one.
pub trait Observable: Serialize + DeserializeOwned {
    /// The times of a fact that is many in one; `None` for any other.
    fn times(&self) -> Option<&Vec<u64>> {
        None
    }

    /// The same, to be filled in.
    fn times_mut(&mut self) -> Option<&mut Vec<u64>> {
        None
    }
}

impl Observable for ServerFact {}
impl Observable for LabFact {}

impl Observable for ClientFact {
    fn times(&self) -> Option<&Vec<u64>> {
        match self {
            Self::Received { times, .. } => Some(times),
            _ => None,
        }
    }

    fn times_mut(&mut self) -> Option<&mut Vec<u64>> {
        match self {
            Self::Received { times, .. } => Some(times),
            _ => None,
        }
    }
}

impl Observable for Fact {
    fn times(&self) -> Option<&Vec<u64>> {
        match self {
            Self::Client(fact) => fact.times(),
            Self::Server(_) | Self::Lab(_) => None,
        }
    }

    fn times_mut(&mut self) -> Option<&mut Vec<u64>> {
        match self {
            Self::Client(fact) => fact.times_mut(),
            Self::Server(_) | Self::Lab(_) => None,
        }
    }
}

impl<F: Observable> Observation<F> {
    /// The fact at this time; receipts have their own.
    pub fn at(t: u64, fact: F) -> Self {
        let t = fact.times().map_or(t, |times| times.last().copied().unwrap_or(0));
        Self { t, fact }
    }

    /// The fact now.
    pub fn now(fact: F) -> Self {
        Self::at(monotonic_nanos(), fact)
    }
}

impl<F> Observation<F> {
    /// The same, whoever says it.
    pub fn map<G>(self, of: impl FnOnce(F) -> G) -> Observation<G> {
        Observation { t: self.t, fact: of(self.fact) }
    }
}

/// A line of the contract, or one of the journal, which says its trial.
#[derive(Serialize, Deserialize)]
struct Line<'a, F> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trial: Option<u32>,
    t: Times<'a>,
    #[serde(flatten)]
    fact: F,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "`t` must be whole numbers: one, or for receipts a list")]
enum Times<'a> {
    One(u64),
    Many(Cow<'a, [u64]>),
}

/// Why the times of a line don't fit its fact.
#[derive(Debug, thiserror::Error)]
enum TimesError {
    #[error("`t` must be a list: receipts have a time each")]
    One,
    #[error("`t` must be one time; only receipts have many")]
    Many,
}

impl<F: Observable> Observation<F> {
    fn line(&self, trial: Option<u32>) -> Line<'_, &F> {
        let many = self.fact.times().map(|times| Times::Many(times.into()));
        Line { trial, t: many.unwrap_or(Times::One(self.t)), fact: &self.fact }
    }

    fn read(line: Line<'_, F>) -> Result<Self, TimesError> {
        let mut fact = line.fact;
        match (line.t, fact.times_mut()) {
            (Times::One(t), None) => Ok(Self { t, fact }),
            (Times::Many(all), Some(times)) => {
                *times = all.into_owned();
                Ok(Self::at(0, fact))
            }
            (Times::One(_), Some(_)) => Err(TimesError::One),
            (Times::Many(_), None) => Err(TimesError::Many),
        }
    }
}

impl<F: Observable> Serialize for Observation<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.line(None).serialize(serializer)
    }
}

impl<'de, F: Observable> Deserialize<'de> for Observation<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Line::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// One line of the journal: what was observed in a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalLine {
    /// The trial's number in its run.
    pub trial: u32,
    pub observation: Observation,
}

impl JournalLine {
    /// This fact at this time, in this trial; receipts have their own times.
    pub fn at(trial: u32, t: u64, fact: impl Into<Fact>) -> Self {
        Self { trial, observation: Observation::at(t, fact.into()) }
    }
}

impl Serialize for JournalLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.observation.line(Some(self.trial)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JournalLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = Line::deserialize(deserializer)?;
        let trial = line.trial.ok_or_else(|| D::Error::missing_field("trial"))?;
        let observation = Observation::read(line).map_err(D::Error::custom)?;
        Ok(Self { trial, observation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::contract::Up;

    #[test]
    fn receipts_keep_a_time_each() {
        let (times, ids) = (vec![5, 6], ["a-1", "a-2"].iter().collect());
        let line = JournalLine::at(7, 9, ClientFact::Received { times, sub: 3, ids, wrong: vec![] });
        assert_eq!(line.observation.t, 6, "the last one's, whenever they are told");
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"trial":7,"t":[5,6],"from":"client","kind":"received","sub":3,"ids":["a-1","a-2"]}"#);
        assert_eq!(serde_json::from_str::<JournalLine>(&text).unwrap(), line);
        let empty = r#"{"t":[],"kind":"received","sub":3,"ids":[]}"#;
        assert_eq!(serde_json::from_str::<Observation<ClientFact>>(empty).unwrap().t, 0);
    }

    #[test]
    fn a_time_must_be_one_or_many_as_the_fact_is() {
        for (line, wrong) in [
            (r#"{"t":5,"kind":"received","sub":3,"ids":["a-1"]}"#, "`t` must be a list"),
            (r#"{"t":[5],"kind":"opened","sub":3}"#, "`t` must be one time"),
            (r#"{"t":-5,"kind":"opened","sub":3}"#, "`t`"),
            (r#"{"kind":"opened","sub":3}"#, "missing field `t`"),
        ] {
            let error = serde_json::from_str::<Observation<ClientFact>>(line).unwrap_err().to_string();
            assert!(error.contains(wrong), "{line}: {error}");
        }
        let error = serde_json::from_str::<JournalLine>(r#"{"t":5,"from":"lab","kind":"fault","fault":"refuse"}"#);
        assert!(error.unwrap_err().to_string().contains("missing field `trial`"));
    }

    #[test]
    fn nobody_says_what_is_not_his() {
        let written = r#"{"type":"saw","t":1,"kind":"written","stream":0,"sub":0,"id":"k-1"}"#;
        assert!(serde_json::from_str::<Up<ServerFact>>(written).is_ok());
        let error = serde_json::from_str::<Up<ClientFact>>(written).unwrap_err().to_string();
        assert!(error.contains("unknown variant `written`, expected one of `requested`"), "{error}");
    }
}
