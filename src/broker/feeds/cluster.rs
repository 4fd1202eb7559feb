//! What the logs of all feeds of one prefix have in common.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use crate::broker::connection::Broker;
use crate::feed::LogError;
use crate::text::visible;

/// How many news of logs that were made may wait for who is slow to take them; who misses some looks for itself.
const BIRTHS: usize = 256;
/// How long other servers may take to say that they are there.
const MEETING: Duration = Duration::from_millis(250);
/// How many of them are listened to, and how long a name may be.
const MOST_OTHERS: usize = 16;
const MOST_NAME: usize = 80;

/// The feeds of one prefix, as one server has them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) broker: Broker,
    /// How many events each log holds.
    pub(super) events: usize,
    /// Names of feeds whose log was made just now, by whichever server.
    pub(super) births: broadcast::Sender<Arc<str>>,
    /// What this server is called, once it has said so.
    name: Arc<OnceLock<String>>,
    listening: AbortHandle,
}

impl Cluster {
    pub(super) fn start(broker: Broker, events: usize) -> Self {
        let births = broadcast::Sender::new(BIRTHS);
        let name = Arc::new(OnceLock::new());
        let listening = tokio::spawn(listen(broker.clone(), births.clone(), Arc::clone(&name))).abort_handle();
        Self { broker, events, births, name, listening }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.broker.options().prefix
    }

    /// Does this, unless NATS denies it; that is an error which says what.
    pub(super) async fn permitted<T>(&self, does: impl Future<Output = T>) -> Result<T, LogError> {
        self.broker.unless_denied(does).await.map_err(|error| LogError::Refused(error.to_string()))
    }

    /// The subject on which servers tell each other that a log was made.
    pub(super) fn births_subject(&self) -> String {
        births_subject(self.prefix())
    }
}

impl Cluster {
    /// Who else has these feeds, by what each calls itself; from now on this server is asked, too.
    pub(super) async fn meet(&self, name: &str) -> Vec<String> {
        let client = self.broker.client();
        let inbox = client.new_inbox();
        let mut others = Vec::new();
        if let Ok(mut answers) = client.subscribe(inbox.clone()).await {
            let _ = client.publish_with_reply(servers_subject(self.prefix()), inbox, Bytes::new()).await;
            let gather = async {
                while let Some(answer) = answers.next().await {
                    let Ok(other) = std::str::from_utf8(&answer.payload) else { continue };
                    others.push(visible(&other.chars().take(MOST_NAME).collect::<String>()).into_owned());
                    if others.len() >= MOST_OTHERS {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(MEETING, gather).await;
        }
        // It doesn't meet itself.
        let _ = self.name.set(name.to_owned());
        others.sort();
        others
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

fn servers_subject(prefix: &str) -> String {
    format!("{prefix}.servers")
}

/// Passes on which logs other servers have made, and tells those who ask that this one is here.
async fn listen(broker: Broker, births: broadcast::Sender<Arc<str>>, name: Arc<OnceLock<String>>) {
    let prefix = &broker.options().prefix;
    let client = broker.client();
    // The client subscribes again by itself when it has come back.
    let Ok(mut made) = client.subscribe(births_subject(prefix)).await else { return };
    let Ok(mut asked) = client.subscribe(servers_subject(prefix)).await else { return };
    loop {
        tokio::select! {
            message = made.next() => {
                let Some(message) = message else { return };
                if let Ok(name) = std::str::from_utf8(&message.payload) {
                    // Nobody may be waiting for any.
                    let _ = births.send(name.into());
                }
            }
            message = asked.next() => {
                let Some(message) = message else { return };
                if let (Some(reply), Some(name)) = (message.reply, name.get()) {
                    let _ = client.publish(reply, name.clone().into()).await;
                }
            }
        }
    }
}
