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

/// The count of one server. Bounded: it remembers what is open and the last 1,000 trials.
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
    /// Open subscriptions: their ALPN and trial.
    #[serde(skip)]
    attached: HashMap<u64, (Alpn, Option<u32>)>,
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
            ServerFact::Disconnected { conn, .. } => self.disconnect(*conn),
            ServerFact::Attached { conn, stream, alpn, tag, .. } => {
                self.attached.insert(*stream, (*alpn, *tag));
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
            ServerFact::Detached { stream, .. } => self.detach(*stream),
            ServerFact::Broker { is_there } => self.broker = Some(*is_there),
            _ => {}
        }
    }

    fn disconnect(&mut self, conn: u64) {
        let Some((alpn, trial)) = self.open.remove(&conn) else { return };
        self.counts(alpn, trial).for_each(|counts| counts.connections.end());
    }

    fn detach(&mut self, stream: u64) {
        let Some((alpn, tag)) = self.attached.remove(&stream) else { return };
        self.counts(alpn, tag).for_each(|counts| counts.streams.end());
    }

    fn counts(&mut self, alpn: Alpn, trial: Option<u32>) -> impl Iterator<Item = &mut OpenCounts> {
        let of_trial = trial.and_then(|trial| self.trials.get_mut(&trial));
        self.alpn.get_mut(&alpn).into_iter().chain(of_trial)
    }

    /// Everything that was open at this server of a trial's is open no more: its process is gone, and could not say so.
    pub fn forget_open(&mut self, server: u32) {
        let its = |number: &&u64| ServerFact::server_of(**number) == u64::from(server);
        let streams: Vec<u64> = self.attached.keys().filter(its).copied().collect();
        for stream in streams {
            self.detach(stream);
        }
        let connections: Vec<u64> = self.open.keys().filter(its).copied().collect();
        for conn in connections {
            self.disconnect(conn);
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

    #[test]
    fn a_server_that_is_killed_takes_what_is_its_own() {
        let mut ledger = Ledger::default();
        for server in 0..2 {
            let (conn, alpn) = (3, Alpn::H2);
            let attached = ServerFact::Attached {
                conn,
                stream: 5,
                alpn,
                http: None,
                tag: Some(7),
                sub: Some(server),
                feed: "f0".into(),
            };
            for fact in [ServerFact::Connected { conn, alpn }, attached] {
                ledger.apply(&fact.of_server(server, 0));
            }
        }
        ledger.forget_open(1);
        let one = Tally { open: 1, peak: 2, total: 2 };
        assert_eq!(ledger.trials[&7], OpenCounts { connections: one, streams: one });
    }
}
