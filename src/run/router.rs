//! Hands facts of a server that serves many to the measurements that they belong to.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::trial::{Alpn, Observation, ServerFact};

/// How many facts of one measurement wait to be taken. Its 1,200 streams begin, are written the census and end: with
/// room for a browser that comes back again and again.
const WAITING: usize = 16_384;

/// Sees every fact of a server. Bounded: it remembers what is open.
#[derive(Debug, Default)]
pub struct FactRouter(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    /// Connections: since when, and their ALPN.
    connections: HashMap<u64, (u64, Alpn)>,
    /// Streams that belong to a measurement.
    streams: HashMap<u64, u32>,
    measurements: HashMap<u32, RoutedTrial>,
    /// What carries connections on each ALPN, which the server tells once.
    stacks: HashMap<Alpn, Observation<ServerFact>>,
}

#[derive(Debug)]
struct RoutedTrial {
    alpn: Alpn,
    /// Connections that it was told of.
    told: HashSet<u64>,
    facts: FactQueue,
}

/// Where a measurement's facts go. It never blocks: what finds no room is counted instead.
#[derive(Debug, Clone)]
pub(super) struct FactQueue {
    sender: mpsc::Sender<Observation<ServerFact>>,
    lost: Arc<AtomicU64>,
}

impl FactQueue {
    pub(super) fn send(&self, observation: Observation<ServerFact>) {
        if self.sender.try_send(observation).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl RoutedTrial {
    fn tell(&mut self, conn: u64, t: u64, alpn: Alpn) {
        if self.told.insert(conn) {
            self.facts.send(Observation::at(t, ServerFact::Connected { conn, alpn }));
        }
    }
}

impl FactRouter {
    /// Begins to hand over what belongs to this measurement: its streams by their tag, their connections, and every
    /// connection on its ALPN that is made meanwhile, as its browser may have made it for nothing.
    pub(super) fn watch(&self, trial: u32, alpn: Alpn) -> (FactQueue, mpsc::Receiver<Observation<ServerFact>>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let facts = FactQueue { sender, lost: Arc::default() };
        let mut open = self.lock();
        open.stacks.get(&alpn).into_iter().for_each(|stack| facts.send(stack.clone()));
        open.measurements.insert(trial, RoutedTrial { alpn, told: HashSet::new(), facts: facts.clone() });
        drop(open);
        (facts, receiver)
    }

    /// Ends it.
    pub(super) fn forget(&self, trial: u32) {
        let mut open = self.lock();
        open.measurements.remove(&trial);
        open.streams.retain(|_, of| *of != trial);
    }

    /// Takes a fact of the server.
    pub fn record(&self, observation: &Observation<ServerFact>) {
        let mut open = self.lock();
        let Open { connections, streams, measurements, stacks } = &mut *open;
        let t = observation.t;
        match observation.fact {
            ServerFact::Connected { conn, alpn } => {
                connections.insert(conn, (t, alpn));
                for measurement in measurements.values_mut().filter(|measurement| measurement.alpn == alpn) {
                    measurement.tell(conn, t, alpn);
                }
            }
            ServerFact::Stack { alpn, .. } => {
                stacks.insert(alpn, observation.clone());
                for measurement in measurements.values().filter(|measurement| measurement.alpn == alpn) {
                    measurement.facts.send(observation.clone());
                }
            }
            ServerFact::Disconnected { conn, .. } => {
                connections.remove(&conn);
                for measurement in measurements.values_mut() {
                    if measurement.told.remove(&conn) {
                        measurement.facts.send(observation.clone());
                    }
                }
            }
            ServerFact::WebtransportDialect { conn, .. } | ServerFact::Handshake { conn, .. } => {
                for measurement in measurements.values().filter(|measurement| measurement.told.contains(&conn)) {
                    measurement.facts.send(observation.clone());
                }
            }
            ServerFact::Attached { conn, stream, tag: Some(trial), .. } => {
                let Some(measurement) = measurements.get_mut(&trial) else { return };
                // A browser may come back on a connection that it kept from an earlier measurement.
                if let Some(&(t, alpn)) = connections.get(&conn) {
                    measurement.tell(conn, t, alpn);
                }
                streams.insert(stream, trial);
                measurement.facts.send(observation.clone());
            }
            ServerFact::Written { stream, .. } => {
                if let Some(measurement) = streams.get(&stream).and_then(|trial| measurements.get(trial)) {
                    measurement.facts.send(observation.clone());
                }
            }
            ServerFact::Detached { stream, .. } => {
                if let Some(measurement) = streams.remove(&stream).and_then(|trial| measurements.get(&trial)) {
                    measurement.facts.send(observation.clone());
                }
            }
            ServerFact::BoundReached { .. } => {
                for measurement in measurements.values() {
                    measurement.facts.send(observation.clone());
                }
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(conn: u64, stream: u64, trial: u32) -> Observation<ServerFact> {
        let (feed, alpn) = ("visit-0".into(), Alpn::H2);
        Observation::at(
            9,
            ServerFact::Attached { conn, stream, alpn, http: None, tag: Some(trial), sub: Some(0), feed },
        )
    }

    fn kinds(facts: &mut mpsc::Receiver<Observation<ServerFact>>) -> Vec<String> {
        let name =
            |seen: Observation<ServerFact>| serde_json::to_value(seen).unwrap()["kind"].as_str().unwrap().to_owned();
        std::iter::from_fn(|| facts.try_recv().ok()).map(name).collect()
    }

    #[test]
    fn each_measurement_is_told_of_its_own_streams_and_the_connections_under_them() {
        let witness = FactRouter::default();
        witness.record(&Observation::at(1, ServerFact::Connected { conn: 1, alpn: Alpn::H2 }));
        let (_, mut seven) = witness.watch(7, Alpn::H2);
        let (_, mut eight) = witness.watch(8, Alpn::H1);
        witness.record(&attached(1, 5, 7));
        witness.record(&attached(1, 6, 99));
        for stream in [5, 6] {
            witness.record(&Observation::at(2, ServerFact::Written { stream, sub: Some(0), id: "k-1".into() }));
        }
        assert_eq!(kinds(&mut seven), ["connected", "attached", "written"], "the connection was there before");
        assert_eq!(kinds(&mut eight), [""; 0]);
        witness.record(&Observation::at(3, ServerFact::Connected { conn: 2, alpn: Alpn::H1 }));
        assert_eq!((kinds(&mut seven), kinds(&mut eight)), (vec![], vec!["connected".to_owned()]));
        witness.forget(7);
        witness.record(&attached(1, 7, 7));
        assert_eq!(kinds(&mut seven), [""; 0]);
    }

    #[test]
    fn a_measurement_that_is_not_listened_to_costs_a_bounded_room_and_says_what_was_lost() {
        let witness = FactRouter::default();
        let (facts, mut receiver) = witness.watch(7, Alpn::H2);
        for stream in 0..WAITING as u64 + 10 {
            witness.record(&attached(1, stream, 7));
        }
        assert_eq!(facts.lost(), 10);
        assert_eq!(kinds(&mut receiver).len(), WAITING);
    }
}
