//! The ledger: the server's own count of connections and streams, by ALPN and by trial. A fold over its facts.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Alpn, ServerFact};

/// How many are open now, were open at most at once, and were ever opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Open now.
    pub open: u64,
    /// Most open at once.
    pub peak: u64,
    /// Ever opened.
    pub total: u64,
}

impl Tally {
    fn begin(&mut self) {
        self.open += 1;
        self.total += 1;
        self.peak = self.peak.max(self.open);
    }

    fn end(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

/// Connections and the subscriptions on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OpenCounts {
    /// Connections.
    pub connections: Tally,
    /// Subscriptions.
    pub streams: Tally,
}

/// The count of one server. Bounded: it remembers open connections and the last 1,000 trials.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ledger {
    /// By ALPN.
    pub alpn: BTreeMap<Alpn, OpenCounts>,
    /// By trial; a connection belongs to a trial from its first subscription on.
    pub trials: BTreeMap<u32, OpenCounts>,
    /// Whether the broker is there that keeps the logs of feeds; left out where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<bool>,
    /// Open connections: their ALPN, and the trial they were first used for.
    #[serde(skip)]
    open: HashMap<u64, (Alpn, Option<u32>)>,
}

/// How many trials the ledger remembers.
const TRIALS: usize = 1000;

impl Ledger {
    /// Takes one fact into the count; facts that are not about connections, subscriptions or the broker change nothing.
    pub fn apply(&mut self, fact: &ServerFact) {
        match fact {
            ServerFact::Connected { conn, alpn, .. } => {
                self.open.insert(*conn, (*alpn, None));
                self.alpn.entry(*alpn).or_default().connections.begin();
            }
            ServerFact::Disconnected { conn, .. } => {
                let Some((alpn, trial)) = self.open.remove(conn) else { return };
                self.alpn.entry(alpn).or_default().connections.end();
                if let Some(counts) = trial.and_then(|trial| self.trials.get_mut(&trial)) {
                    counts.connections.end();
                }
            }
            ServerFact::Attached { conn, alpn, tag, .. } => {
                self.alpn.entry(*alpn).or_default().streams.begin();
                let Some(trial) = *tag else { return };
                let counts = self.trials.entry(trial).or_default();
                counts.streams.begin();
                if let Some((_, of @ None)) = self.open.get_mut(conn) {
                    *of = Some(trial);
                    counts.connections.begin();
                }
                if self.trials.len() > TRIALS {
                    self.trials.pop_first();
                }
            }
            ServerFact::Detached { alpn, tag, .. } => {
                self.alpn.entry(*alpn).or_default().streams.end();
                if let Some(counts) = tag.and_then(|trial| self.trials.get_mut(&trial)) {
                    counts.streams.end();
                }
            }
            ServerFact::Broker { is_there } => self.broker = Some(*is_there),
            _ => {}
        }
    }

    /// Everything that was open is open no more: the server's process is gone, and could not say so.
    pub fn forget_open(&mut self) {
        self.open.clear();
        for counts in self.alpn.values_mut().chain(self.trials.values_mut()) {
            (counts.connections.open, counts.streams.open) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_outlives_the_streams_that_made_it() {
        let mut ledger = Ledger::default();
        let stream = |sub, attach: bool| {
            let stream = u64::from(sub);
            let (conn, alpn, tag, sub, feed) = (1, Alpn::H2, Some(7), Some(sub), "f0".into());
            if attach {
                ServerFact::Attached { conn, stream, alpn, http: None, tag, sub, feed }
            } else {
                ServerFact::Detached { conn, stream, alpn, tag, sub, feed }
            }
        };
        ledger.apply(&ServerFact::Connected { conn: 1, alpn: Alpn::H2 });
        for fact in [stream(0, true), stream(1, true), stream(0, false), stream(1, false)] {
            ledger.apply(&fact);
        }
        ledger.apply(&ServerFact::Disconnected { conn: 1, requests: 2 });
        let expected = OpenCounts {
            connections: Tally { open: 0, peak: 1, total: 1 },
            streams: Tally { open: 0, peak: 2, total: 2 },
        };
        assert_eq!(ledger.alpn[&Alpn::H2], expected);
        assert_eq!(ledger.trials[&7], expected);
    }
}
