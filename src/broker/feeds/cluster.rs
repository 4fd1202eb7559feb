//! What the logs of all feeds of one prefix have in common.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use crate::broker::connection::Broker;

/// How many news of logs that were made may wait for who is slow to take them; who misses some looks for itself.
const BIRTHS: usize = 256;

/// The feeds of one prefix, as one server has them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) broker: Broker,
    /// How many events each log holds.
    pub(super) events: usize,
    /// Names of feeds whose log was made just now, by whichever server.
    pub(super) births: broadcast::Sender<Arc<str>>,
    listening: AbortHandle,
}

impl Cluster {
    pub(super) fn start(broker: Broker, events: usize) -> Self {
        let births = broadcast::Sender::new(BIRTHS);
        let listening = tokio::spawn(listen(broker.clone(), births.clone())).abort_handle();
        Self { broker, events, births, listening }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.broker.options().prefix
    }

    /// The subject on which servers tell each other that a log was made.
    pub(super) fn births_subject(&self) -> String {
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
