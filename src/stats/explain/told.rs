//! An event's life as it is told.

use serde::Serialize;

use crate::trial::Levels;

/// Whose life is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LifeRequest {
    /// The trial's number; without one, the only one that there is.
    pub trial: Option<u32>,
    /// The event's id; without one, the one that took longest.
    pub event: Option<String>,
    /// The subscription; without one, the one that had it last.
    pub sub: Option<u32>,
}

/// Why there is nothing to be told.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    #[error("no trial {wanted} in this run; it has {trials}")]
    NoTrial {
        wanted: u32,
        /// Their numbers, in words.
        trials: String,
    },
    #[error("which trial? `--trial` takes its number; this run has {trials}")]
    Several { trials: String },
    #[error("no event {wanted} was published in trial {trial}; {}", if events.is_empty() { "none was" } else { events })]
    NoEvent {
        wanted: String,
        trial: u32,
        /// Some of those that were, in words.
        events: String,
    },
    #[error("no event was published in trial {0}")]
    NothingPublished(u32),
    #[error("trial {trial} has no subscription {sub}: it has {subscriptions}, numbered from 0")]
    NoSubscription { trial: u32, sub: u32, subscriptions: u32 },
}

/// An event's life. Times are milliseconds after it was due.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventLife {
    pub trial: u32,
    pub levels: Levels,
    /// The event's id.
    pub event: String,
    /// The subscription that it was for.
    pub sub: u32,
    /// When it was received; `None`: it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<f64>,
    /// Which of all it is, in words: `the slowest of 50, whose median took 27.1 ms`.
    pub which: String,
    /// What happened, in the order of time.
    pub steps: Vec<LifeStep>,
    /// What isn't known, and what would have to be done to know it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LifeStep {
    pub at: f64,
    pub place: LifePlace,
    pub what: String,
    /// How far the time may be off; `None`: it is the lab's own clock, as that of most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<f64>,
    /// Of a packet, when it arrives; `None`: it is none, or was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// Whether it is a packet that never arrived.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifePlace {
    /// By the schedule.
    Schedule,
    Server,
    Link,
    Client,
    /// What was done on purpose.
    Fault,
}

impl LifePlace {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Server => "server",
            Self::Link => "link",
            Self::Client => "client",
            Self::Fault => "fault",
        }
    }
}
