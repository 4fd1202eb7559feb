//! The log behind one feed, as one server has it: who writes to its stream, and who follows it.

use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::cluster::Cluster;
use super::site::{LogSite, Opened, has};
use super::writer::Append;
use super::{tail, writer};
use crate::feed::{After, Done, Draft, Epoch, Feed, LogError, Patience, SharedLog};

/// How many events wait to be handed on; more are refused.
const WAITING: usize = 4096;

/// The log behind one feed. Dropping it ends both tasks.
#[derive(Debug)]
pub(super) struct StreamLog {
    site: Arc<LogSite>,
    queue: mpsc::Sender<Append>,
    tail: AbortHandle,
}

impl StreamLog {
    pub(super) fn start(cluster: &Arc<Cluster>, name: &str, feed: &Weak<Feed>) -> Self {
        let site = Arc::new(LogSite::new(cluster, name, feed));
        let (queue, waiting) = mpsc::channel(WAITING);
        // It ends when all is written that was handed to it.
        tokio::spawn(writer::write(Arc::clone(&site), waiting));
        let tail = tokio::spawn(tail::follow(Arc::clone(&site))).abort_handle();
        Self { site, queue, tail }
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        self.tail.abort();
    }
}

impl SharedLog for StreamLog {
    fn open(&self) -> BoxFuture<'static, Result<(), LogError>> {
        let site = Arc::clone(&self.site);
        async move {
            let standing = site.cluster.make(&site.name).await?;
            site.note(Some(standing.epoch));
            site.opened().await
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
            After::Id(id) if id.epoch != Epoch::NEW => !self.site.feed.upgrade().is_some_and(|feed| has(&feed, id)),
            _ => false,
        };
        if is_open && !unknown {
            return None;
        }
        let site = Arc::clone(&self.site);
        Some(async move { site.settle(after).await }.boxed())
    }
}
