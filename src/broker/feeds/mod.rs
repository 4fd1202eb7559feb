//! The logs of feeds in JetStream: a stream for each, which every server of a prefix reads once and serves its readers
//! from.
//!
//! - A stream is made by the first event that is published to its feed, and not by readers: who can have a browser load
//!   addresses makes nothing. Its subject ends in the epoch of its events, `PREFIX.feeds.FEED.EPOCH`, drawn when it is
//!   made. So an event says itself which log it is of, and nothing that is meant for one gets into another that was made
//!   in its place.
//! - A server follows the stream with a consumer that is told of each message and acknowledges none; whenever anything is
//!   strange it is made anew behind the last event that the server has.
//! - What a server publishes it numbers nowhere: JetStream does, and says the number in its acknowledgement.

mod carried;
mod cluster;
mod log;
mod site;
mod standing;
mod tail;
mod writer;

use std::sync::Arc;

use super::Broker;
use crate::feed::Feed;
use cluster::Cluster;
use log::StreamLog;
pub(super) use standing::stream_name;

/// The feeds of one prefix, as one server has them.
#[derive(Debug, Clone)]
pub struct SharedFeeds(Arc<Cluster>);

impl SharedFeeds {
    /// The feeds under the prefix that the connection was made for, each with a log of this many events. To be called
    /// within a runtime.
    pub fn new(broker: Broker, events: usize) -> Self {
        Self(Arc::new(Cluster::start(broker, events)))
    }

    /// The connection that they are on.
    pub fn broker(&self) -> &Broker {
        &self.0.broker
    }

    /// Has this server answer to whoever asks who else has these feeds, by this name; gives back who answers at once.
    pub async fn meet(&self, name: &str) -> Vec<String> {
        self.0.meet(name).await
    }

    /// The feed of this name with its log behind it, of which it holds as many events. It is filled for as long as it lives.
    pub fn feed(&self, name: &str, capacity: usize) -> Arc<Feed> {
        let log = Arc::new(StreamLog::start(&self.0, name));
        let feed = Feed::of_shared(name, capacity, Arc::clone(&log) as _);
        log.follow(&feed);
        feed
    }
}
