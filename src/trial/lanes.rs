//! Lanes: which of a trial's streams are on which connection, as the server counts them. A fold over its facts.

use serde::Serialize;

use super::{Alpn, ServerFact};

/// The lanes of one trial. They stand still from the census on: what is closed after it was held.
///
/// Bounded by what a server lets in: an entry per open connection, and one per open subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Lanes {
    /// Connections that carry a stream, in the order of their first.
    pub lanes: Vec<Lane>,
    /// Streams that are open.
    pub open: u32,
    /// Streams that ended before the census.
    pub ended: u32,
    /// Whether the census was taken.
    pub counted: bool,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// The server's number for it.
    pub conn: u64,
    /// What TLS negotiated.
    pub alpn: Alpn,
    /// Its open streams, each by what its URL says (`&sub=3`), in the order they began.
    pub subs: Vec<Option<u32>>,
    /// The server's numbers of the same, in the same order.
    #[serde(skip)]
    streams: Vec<u64>,
}

impl Lanes {
    /// Takes one fact into the picture; all facts have to be this trial's.
    pub fn apply(&mut self, fact: &ServerFact) {
        match *fact {
            ServerFact::Published { census: true, .. } => self.counted = true,
            _ if self.counted => {}
            ServerFact::Attached { conn, stream, alpn, sub, .. } => {
                let at = self.lanes.iter().position(|lane| lane.conn == conn).unwrap_or_else(|| {
                    self.lanes.push(Lane { conn, alpn, subs: Vec::new(), streams: Vec::new() });
                    self.lanes.len() - 1
                });
                self.lanes[at].subs.push(sub);
                self.lanes[at].streams.push(stream);
                self.open += 1;
            }
            ServerFact::Detached { conn, stream, .. } => {
                let Some(at) = self.lanes.iter().position(|lane| lane.conn == conn) else { return };
                let lane = &mut self.lanes[at];
                let Some(place) = lane.streams.iter().position(|of| *of == stream) else { return };
                lane.subs.remove(place);
                lane.streams.remove(place);
                self.open -= 1;
                self.ended += 1;
                if self.lanes[at].streams.is_empty() {
                    self.lanes.remove(at);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(conn: u64, stream: u64, sub: u32, begins: bool) -> ServerFact {
        let (alpn, tag, sub, feed) = (Alpn::H2, Some(7), Some(sub), "f0".into());
        if begins {
            ServerFact::Attached { conn, stream, alpn, http: None, tag, sub, feed }
        } else {
            ServerFact::Detached { conn, stream, alpn, tag, sub, feed }
        }
    }

    fn shape(lanes: &Lanes) -> Vec<(u64, Vec<Option<u32>>)> {
        lanes.lanes.iter().map(|lane| (lane.conn, lane.subs.clone())).collect()
    }

    #[test]
    fn each_stream_is_on_its_connection_and_leaves_it() {
        let mut lanes = Lanes::default();
        for fact in [stream(4, 1, 0, true), stream(9, 2, 1, true), stream(4, 3, 2, true), stream(4, 1, 0, false)] {
            lanes.apply(&fact);
        }
        assert_eq!(shape(&lanes), [(4, vec![Some(2)]), (9, vec![Some(1)])]);
        assert_eq!((lanes.open, lanes.ended), (2, 1));
        lanes.apply(&stream(9, 2, 1, false));
        assert_eq!(shape(&lanes), [(4, vec![Some(2)])], "a connection without a stream is no lane");
    }

    #[test]
    fn what_closes_after_the_census_was_held() {
        let mut lanes = Lanes::default();
        lanes.apply(&stream(4, 1, 0, true));
        let (feed, id) = ("f0".into(), "k3f9-1".to_owned());
        lanes.apply(&ServerFact::Published { feed, id, event: 0, scheduled: 1, census: true });
        let held = lanes.clone();
        lanes.apply(&stream(4, 1, 0, false));
        lanes.apply(&stream(5, 2, 1, true));
        assert_eq!(lanes, held);
        assert!(held.counted);
    }
}
