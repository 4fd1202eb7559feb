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
mod log;
mod standing;
mod tail;
mod writer;

use std::sync::{Arc, Weak};

use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use super::Broker;
use crate::feed::{Feed, SharedLog};
use log::Log;
pub(super) use standing::stream_name;

/// How many feeds may have a log in JetStream under one prefix: as many as a server has.
const MOST: usize = 64;
/// How many news of logs that were made may wait for who is slow to take them; who misses some looks for itself.
const BIRTHS: usize = 256;

/// The feeds of one prefix, as one server has them.
#[derive(Debug, Clone)]
pub struct SharedFeeds(Arc<Cluster>);

#[derive(Debug)]
struct Cluster {
    broker: Broker,
    /// How many events each log holds.
    events: usize,
    /// Names of feeds whose log was made just now, by whichever server.
    births: broadcast::Sender<Arc<str>>,
    listening: AbortHandle,
}

impl SharedFeeds {
    /// The feeds under the prefix that the connection was made for, each with a log of this many events. To be called
    /// within a runtime.
    pub fn new(broker: Broker, events: usize) -> Self {
        let births = broadcast::Sender::new(BIRTHS);
        let listening = tokio::spawn(listen(broker.clone(), births.clone())).abort_handle();
        Self(Arc::new(Cluster { broker, events, births, listening }))
    }

    /// The connection that they are on.
    pub fn broker(&self) -> &Broker {
        &self.0.broker
    }

    /// The log behind the feed of this name, which is told of its events for as long as it lives.
    pub fn log(&self, name: &str, feed: &Weak<Feed>) -> Box<dyn SharedLog> {
        Box::new(Log::start(&self.0, name, feed))
    }
}

impl Cluster {
    fn prefix(&self) -> &str {
        &self.broker.options().prefix
    }

    /// The subject on which servers tell each other that a log was made.
    fn births_subject(&self) -> String {
        births_subject(self.prefix())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn births_subject(prefix: &str) -> String {
    format!("{prefix}.feeds-made")
}

/// Passes on which logs other servers have made.
async fn listen(broker: Broker, births: broadcast::Sender<Arc<str>>) {
    use futures_util::StreamExt;

    let subject = births_subject(&broker.options().prefix);
    // The client subscribes again by itself when it has come back.
    let Ok(mut made) = broker.client().subscribe(subject).await else { return };
    while let Some(message) = made.next().await {
        if let Ok(name) = std::str::from_utf8(&message.payload) {
            // Nobody may be waiting for any.
            let _ = births.send(name.into());
        }
    }
}
