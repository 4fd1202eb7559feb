//! The log behind one feed, as one server has it: who writes to its stream, and who follows it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::site::{LogSite, Opened};
use super::writer::Append;
use super::{tail, writer};
use crate::feed::{After, Done, Draft, Epoch, Feed, LogError, Patience, SharedLog};

/// How many events wait to be handed on; more are refused.
const WAITING: usize = 4096;
/// How long a log that is to be there may take to be made, and how often that is tried.
const OPENING: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(200);

/// The log behind one feed. Dropping it ends both tasks.
#[derive(Debug)]
pub(super) struct StreamLog {
    site: Arc<LogSite>,
    queue: mpsc::Sender<Append>,
    /// What follows the stream, once there is a feed that it fills.
    tail: OnceLock<AbortHandle>,
}

impl StreamLog {
    pub(super) fn start(cluster: &Arc<Cluster>, name: &str) -> Self {
        let site = Arc::new(LogSite::new(cluster, name));
        let (queue, waiting) = mpsc::channel(WAITING);
        // It ends when all is written that was handed to it.
        tokio::spawn(writer::write(Arc::clone(&site), waiting));
        Self { site, queue, tail: OnceLock::new() }
    }

    /// Begins to fill this feed.
    pub(super) fn follow(&self, feed: &Arc<Feed>) {
        let follow = || {
            let _ = self.site.feed.set(Arc::downgrade(feed));
            tokio::spawn(tail::follow(Arc::clone(&self.site), Arc::downgrade(feed))).abort_handle()
        };
        self.tail.get_or_init(follow);
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        if let Some(tail) = self.tail.get() {
            tail.abort();
        }
    }
}

impl SharedLog for StreamLog {
    fn open(&self) -> BoxFuture<'static, Result<(), LogError>> {
        let site = Arc::clone(&self.site);
        async move {
            let until = Instant::now() + OPENING;
            loop {
                match site.open().await {
                    // A cluster that was started just now has nobody yet who says where a log goes.
                    Err(error) if error.is_passing() && Instant::now() < until => tokio::time::sleep(AGAIN).await,
                    opened => return opened,
                }
            }
        }
        .boxed()
    }

    fn append(&self, draft: Draft, done: Done) {
        if draft.patience == Patience::Refuse && !self.site.cluster.broker.is_there() {
            return done(Err(LogError::Away));
        }
        if let Err(error) = self.queue.try_send(Append { draft, done }) {
            let (Append { done, .. }, why) = match error {
                mpsc::error::TrySendError::Full(append) => (append, LogError::Busy),
                mpsc::error::TrySendError::Closed(append) => (append, LogError::Away),
            };
            done(Err(why));
        }
    }

    fn settle(&self, after: After) -> Option<BoxFuture<'static, Result<After, LogError>>> {
        let is_open = *self.site.opened.borrow() == Opened::Yes;
        let unknown = match after {
            After::Id(id) if id.epoch != Epoch::NEW => !self.site.feed().is_some_and(|feed| feed.has(id)),
            _ => false,
        };
        if is_open && !unknown {
            return None;
        }
        let site = Arc::clone(&self.site);
        Some(async move { site.settle(after).await }.boxed())
    }
}
