//! What is known of the stream behind one feed, by who writes to it and who follows it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::standing::Standing;
use crate::broker::connection::ANSWER;
use crate::feed::{After, Epoch, EventId, Feed, LogError};

/// How long a reader waits for what another server has already.
const CATCH_UP: Duration = Duration::from_secs(5);
/// For how long a reader's event may be one that the stream hasn't before it is taken for one that never was, and how
/// often that is looked at.
const BEHIND: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(100);

/// What both tasks know.
#[derive(Debug)]
pub(super) struct LogSite {
    pub(super) cluster: Arc<Cluster>,
    /// The feed's name.
    pub(super) name: Arc<str>,
    /// What is filled with the log's events. Who holds it keeps all of this alive, and not the other way round.
    pub(super) feed: OnceLock<Weak<Feed>>,
    /// Whether its readers can be served.
    pub(super) opened: watch::Sender<Opened>,
    /// Has the tail look at the stream again.
    pub(super) changed: Notify,
    /// The epoch of the stream, as far as anybody knows.
    epoch: Mutex<Option<Epoch>>,
    /// The last look at the stream, and when it began.
    looked: tokio::sync::Mutex<Option<(Instant, Option<Standing>)>>,
}

/// Whether readers of a feed can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opened {
    /// Its stream wasn't looked at yet.
    NotYet,
    /// All that it held was taken in, or there is none yet. So it stays, whatever becomes of NATS.
    Yes,
    /// It isn't one that can be read.
    Refused(LogError),
}

impl LogSite {
    pub(super) fn new(cluster: &Arc<Cluster>, name: &str) -> Self {
        Self {
            cluster: Arc::clone(cluster),
            name: name.into(),
            feed: OnceLock::new(),
            opened: watch::Sender::new(Opened::NotYet),
            changed: Notify::new(),
            epoch: Mutex::new(None),
            looked: tokio::sync::Mutex::new(None),
        }
    }

    /// What is filled with the log's events, while it lives.
    pub(super) fn feed(&self) -> Option<Arc<Feed>> {
        self.feed.get()?.upgrade()
    }

    /// The epoch of the stream, as far as anybody knows.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the epoch of the stream is; `None`: that there is no such stream any more.
    pub(super) fn note(&self, epoch: Option<Epoch>) {
        let mut known = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::mem::replace(&mut *known, epoch) != epoch;
        drop(known);
        if changed && epoch.is_some() {
            self.changed.notify_one();
        }
    }

    /// Makes the log if there is none, and waits until readers can be served.
    pub(super) async fn open(&self) -> Result<(), LogError> {
        let standing = self.cluster.make(&self.name).await?;
        self.note(Some(standing.epoch));
        self.opened().await
    }

    /// Waits until readers can be served.
    pub(super) async fn opened(&self) -> Result<(), LogError> {
        if *self.opened.borrow() == Opened::NotYet && !self.cluster.broker.is_there() {
            return Err(LogError::Away);
        }
        let mut opened = self.opened.subscribe();
        let opened = tokio::time::timeout(ANSWER, opened.wait_for(|opened| *opened != Opened::NotYet)).await;
        match opened.map(|opened| opened.map(|opened| opened.clone())) {
            Ok(Ok(Opened::Yes)) => Ok(()),
            Ok(Ok(Opened::Refused(error))) => Err(error),
            Ok(Ok(Opened::NotYet) | Err(_)) | Err(_) => Err(LogError::Away),
        }
    }

    /// Waits until readers can be served, and says where this one begins.
    pub(super) async fn settle(&self, after: After) -> Result<After, LogError> {
        self.opened().await?;
        let feed = self.feed().ok_or(LogError::Away)?;
        match after {
            After::Id(id) if id.epoch != Epoch::NEW && !feed.has(id) => self.ahead(&feed, id).await,
            _ => Ok(after),
        }
    }

    /// Where a reader begins that says it has an event which isn't here. Where the stream has it, it is about to be.
    async fn ahead(&self, feed: &Feed, id: EventId) -> Result<After, LogError> {
        if !self.cluster.broker.is_there() {
            // Nobody can tell; another server may have given it out just before. Of an epoch that isn't known here, that
            // may be all that there is.
            return if id.epoch == feed.epoch() { Ok(After::Ahead(id)) } else { Err(LogError::Away) };
        }
        let until = Instant::now() + BEHIND;
        loop {
            match self.look_since(Instant::now()).await? {
                Some(standing) if standing.epoch == id.epoch && standing.last >= id.seq => break,
                // A node that has begun to lead just now knows of more than it has done.
                Some(standing) if standing.epoch == id.epoch && Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                _ => return Ok(After::Id(id)),
            }
        }
        self.note(Some(id.epoch));
        tokio::time::timeout(CATCH_UP, feed.until_has(id)).await.map_err(|_| LogError::Away)?;
        Ok(After::Id(id))
    }

    /// How the stream stands, by a look that began then or later: all who ask at once share one.
    async fn look_since(&self, then: Instant) -> Result<Option<Standing>, LogError> {
        let mut looked = self.looked.lock().await;
        if let Some((began, standing)) = *looked
            && began >= then
        {
            return Ok(standing);
        }
        let began = Instant::now();
        let standing = self.cluster.look(&self.name).await?;
        *looked = Some((began, standing));
        Ok(standing)
    }
}
