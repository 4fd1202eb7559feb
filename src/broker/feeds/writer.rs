//! Hands events to the stream of a feed, in the order in which they came, each without waiting for the one before.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::{self, publish::PublishAck};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::carried;
use super::site::LogSite;
use super::standing::{refusal, stream_name, subject};
use crate::broker::denial::Denial;
use crate::feed::{Done, Draft, DraftData, Epoch, EventId, LogError, Patience};
use crate::text::chain;

/// How many events are on their way at once.
const WINDOW: usize = 256;
/// How long it pauses before it tries again: twice as long each time.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// An event to be handed on, and who is to be told.
pub(super) struct Append {
    pub(super) draft: Draft,
    pub(super) done: Done,
}

/// An event that was handed on.
struct Sent {
    append: Append,
    /// In which place it was handed on.
    nth: u64,
    epoch: Epoch,
}

type Answer = Result<PublishAck, PublishError>;

/// Writes until nothing more can come.
pub(super) async fn write(site: Arc<LogSite>, mut queue: mpsc::Receiver<Append>) {
    let mut writer = Writer { site, next: None, sent: 0 };
    let mut under_way: FuturesUnordered<BoxFuture<'static, (Sent, Answer)>> = FuturesUnordered::new();
    // What wasn't taken and is to be tried again. While there is any, nothing later is handed on.
    let mut left: Vec<Sent> = Vec::new();
    loop {
        if !left.is_empty() && under_way.is_empty() {
            left.sort_by_key(|sent| sent.nth);
            for sent in left.drain(..) {
                writer.insist(sent.append).await;
            }
        }
        tokio::select! {
            Some((sent, answer)) = under_way.next(), if !under_way.is_empty() => {
                left.extend(writer.settle(sent, answer));
            }
            append = queue.recv(), if left.is_empty() && under_way.len() < WINDOW => {
                let Some(append) = append else { break };
                match writer.send(append).await {
                    Ok((sent, ack)) => under_way.push(answered(sent, ack).boxed()),
                    Err(sent) => left.extend(sent),
                }
            }
        }
    }
    while let Some((sent, answer)) = under_way.next().await {
        left.extend(writer.settle(sent, answer));
    }
    left.sort_by_key(|sent| sent.nth);
    for sent in left {
        writer.insist(sent.append).await;
    }
}

async fn answered(sent: Sent, ack: PublishAckFuture) -> (Sent, Answer) {
    (sent, ack.await)
}

struct Writer {
    site: Arc<LogSite>,
    /// The number that the next event gets, if nobody else publishes; `None`: not known.
    next: Option<u64>,
    /// How many were handed on.
    sent: u64,
}

impl Writer {
    /// Hands an event on. `Err`: it wasn't; with the event where it is to be tried again, without where who published it
    /// was told.
    async fn send(&mut self, mut append: Append) -> Result<(Sent, PublishAckFuture), Option<Sent>> {
        if append.draft.patience == Patience::Wait && append.draft.message_id.is_none() {
            // So that it isn't there twice when it is tried again.
            append.draft.message_id = Some(self.site.cluster.broker.client().new_inbox());
        }
        self.sent += 1;
        let nth = self.sent;
        let sent = |append, epoch| Sent { append, nth, epoch };
        let (epoch, next) = match self.place(&append.draft).await {
            Ok(place) => place,
            Err(error) => return Err(self.failed(sent(append, Epoch::NEW), error)),
        };
        let (message, data) = self.message(&append.draft, next);
        let prefix = &self.site.cluster.broker.options().prefix;
        let subject = subject(prefix, &self.site.name, epoch);
        let handed = self.site.cluster.broker.jetstream().publish_with_headers(subject, message, data.into()).await;
        match handed {
            Ok(ack) => {
                self.next = self.next.map(|next| next + 1);
                Ok((sent(append, epoch), ack))
            }
            Err(error) => {
                let meant = self.meant(epoch, &error);
                Err(self.failed(sent(append, epoch), meant))
            }
        }
    }

    /// In which epoch an event is published, and under which number where that is asked for.
    async fn place(&mut self, draft: &Draft) -> Result<(Epoch, Option<u64>), LogError> {
        let numbered = matches!(draft.data, DraftData::Numbered(_));
        match (self.site.epoch(), self.next) {
            (Some(epoch), _) if !numbered => Ok((epoch, None)),
            (Some(epoch), Some(next)) => Ok((epoch, Some(next))),
            _ => {
                let standing = self.site.cluster.make(&self.site.name).await?;
                self.site.note(Some(standing.epoch));
                self.next = Some(standing.last + 1);
                Ok((standing.epoch, self.next.filter(|_| numbered)))
            }
        }
    }

    fn message(&self, draft: &Draft, next: Option<u64>) -> (HeaderMap, String) {
        let mut headers = carried::headers(draft);
        let stream = stream_name(&self.site.cluster.broker.options().prefix, &self.site.name);
        headers.insert(NATS_EXPECTED_STREAM, stream);
        let data = match (&draft.data, next) {
            (DraftData::Text(text), _) => text.clone(),
            (DraftData::Numbered(text), next) => {
                let next = next.unwrap_or(1);
                headers.insert(NATS_EXPECTED_LAST_SEQUENCE, (next - 1).to_string());
                text(next)
            }
        };
        (headers, data)
    }

    /// Tells who published it, or gives it back to be tried again.
    fn settle(&mut self, sent: Sent, answer: Answer) -> Option<Sent> {
        match answer {
            Ok(ack) => {
                (sent.append.done)(Ok(EventId { epoch: sent.epoch, seq: ack.sequence }));
                None
            }
            Err(error) => {
                let meant = self.meant(sent.epoch, &error);
                self.failed(sent, meant)
            }
        }
    }

    /// The same of one that wasn't taken.
    fn failed(&mut self, sent: Sent, error: LogError) -> Option<Sent> {
        let patience = sent.append.draft.patience;
        tracing::debug!(feed = &*self.site.name, nth = sent.nth, %error, ?patience, "an event was not taken");
        // Whatever it was, the numbers may be others now.
        self.next = None;
        if error == LogError::Away {
            // Another stream may stand in its place by now.
            self.site.note(None);
        }
        if patience == Patience::Wait {
            return Some(sent);
        }
        if matches!(error, LogError::Away) && sent.epoch != Epoch::NEW && self.site.cluster.broker.is_there() {
            // Nobody took it, as the stream isn't there: once more, when it is made.
            return Some(Sent { epoch: Epoch::NEW, ..sent });
        }
        (sent.append.done)(Err(error));
        None
    }

    /// Hands one on that wasn't taken, and waits for the answer, until it is taken or who published it was told.
    async fn insist(&mut self, append: Append) {
        let mut append = append;
        let mut pause = PAUSES[0];
        loop {
            if append.draft.patience == Patience::Wait {
                self.site.cluster.broker.there().await;
            }
            let left = match self.send(append).await {
                Ok((sent, ack)) => {
                    let (sent, answer) = answered(sent, ack).await;
                    let once = sent.append.draft.patience == Patience::Refuse;
                    let duplicate = answer.as_ref().is_ok_and(|ack| ack.duplicate);
                    if duplicate {
                        // It took no number.
                        self.next = None;
                    }
                    match (once, answer) {
                        (true, Err(error)) => {
                            (sent.append.done)(Err(self.meant(sent.epoch, &error)));
                            None
                        }
                        (_, answer) => self.settle(sent, answer),
                    }
                }
                Err(sent) => sent,
            };
            let Some(sent) = left else { return };
            append = sent.append;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// What it means that an event of this epoch was not taken.
    fn meant(&self, epoch: Epoch, error: &PublishError) -> LogError {
        use std::error::Error as _;

        match error.kind() {
            // Nobody listens on its subject: it was handed to nobody.
            PublishErrorKind::StreamNotFound => LogError::Away,
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                let broker = &self.site.cluster.broker;
                let denied = Denial::Publish(subject(&broker.options().prefix, &self.site.name, epoch));
                // What a node denies it doesn't answer.
                match broker.was_denied_nothing() {
                    Err(error) if broker.denial() == Some(denied) => LogError::Refused(error.to_string()),
                    _ => LogError::Unanswered,
                }
            }
            PublishErrorKind::MaxAckPending => LogError::Busy,
            PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => {
                LogError::Refused("another published in between".to_owned())
            }
            _ => match error.source().and_then(|source| source.downcast_ref::<jetstream::Error>()) {
                Some(error) => refusal(error),
                None => LogError::Refused(chain(error)),
            },
        }
    }
}
