//! What is wrong with what was seen: a file for each family of findings, a row for each finding.
//!
//! A row asks nobody: what it needs was seen before. It finds nothing where that wasn't enough to tell.

mod buffering;
mod caching;
mod certificate;
mod compression;
mod content;
mod cors;
mod crowd;
mod ending;
mod fields;
mod protocols;
mod quiet;
mod returning;
mod slow;
mod sockets;

use serde::Serialize;

use super::visit::Visit;

/// How bad it is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Some readers never get some events, or get them wrong.
    Loses,
    /// Events come later than they need to.
    Delays,
    /// Nothing is lost or late by it, and something is better done otherwise.
    Advice,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Loses => "loses",
            Self::Delays => "delays",
            Self::Advice => "advice",
        }
    }
}

/// What a check has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Told {
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub says: String,
    /// What that is known by.
    pub evidence: Vec<String>,
    /// The line to change, or what to do.
    pub change: String,
}

/// Something that a diagnosis came upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    pub name: &'static str,
    #[serde(flatten)]
    pub told: Told,
}

impl Finding {
    pub(super) fn severity(&self) -> Severity {
        self.told.severity
    }

    /// Every text of it, changed so.
    pub(super) fn hide(&mut self, hide: &dyn Fn(&str) -> String) {
        let Told { says, evidence, change, .. } = &mut self.told;
        for text in evidence.iter_mut().chain([says, change]) {
            *text = hide(text);
        }
    }
}

/// A finding that there may be.
#[derive(Debug)]
pub(super) struct Check {
    name: &'static str,
    look: fn(&Visit) -> Option<Told>,
}

/// All of them.
static ALL: [&Check; 35] = [
    &certificate::INVALID,
    &certificate::ENDING,
    &protocols::OLD_HTTP,
    &protocols::NO_HTTP_3,
    &protocols::UNTOLD_HTTP_3,
    &protocols::GOAWAY,
    &protocols::FEW_STREAMS,
    &content::TYPE,
    &content::CHARSET,
    &content::NOT_UTF_8,
    &content::BYTE_ORDER_MARK,
    &fields::IGNORED,
    &fields::NO_DATA,
    &fields::TOO_LONG,
    &fields::BAD_RETRY,
    &fields::LONG_RETRY,
    &fields::SHORT_RETRY,
    &caching::CACHEABLE,
    &caching::SILENT,
    &cors::REFUSED,
    &cors::VARY,
    &cors::CREDENTIALS,
    &buffering::HELD_BACK,
    &buffering::CLUMPS,
    &buffering::BURSTS,
    &buffering::TRICKLE,
    &compression::HELD,
    &ending::BROKEN,
    &returning::NO_IDS,
    &returning::MISSED,
    &returning::AGAIN,
    &slow::MISSES,
    &crowd::REFUSED,
    &quiet::CUT,
    &quiet::NO_BEAT,
];

/// What there is of a WebSocket alone.
static SOCKETS: [&Check; 4] = [&sockets::UPGRADE_LOST, &sockets::REFUSED, &sockets::BROKEN, &sockets::CLOSED];

/// What they find, the worst first.
pub(super) fn all(visit: &Visit) -> Vec<Finding> {
    let rows = ALL.iter().chain(&SOCKETS);
    let found = rows.filter_map(|row| (row.look)(visit).map(|told| Finding { name: row.name, told }));
    let mut found: Vec<Finding> = found.collect();
    found.sort_by_key(|finding| finding.told.severity);
    found
}

/// A number and what it counts.
pub(super) fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// A time as people read it.
pub(super) fn span(time: std::time::Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_findings_share_a_name_and_each_is_written_as_others_are() {
        let names: std::collections::BTreeSet<_> = ALL.iter().chain(&SOCKETS).map(|row| row.name).collect();
        assert_eq!(names.len(), ALL.len() + SOCKETS.len());
        assert!(
            names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        );
    }

    #[test]
    fn a_server_of_which_nothing_was_seen_has_no_findings() {
        let visit = Visit::new(super::super::Aim::parse("https://app.example").unwrap(), None);
        assert_eq!(all(&visit), []);
    }
}
