//! Follows the stream of a feed: each of its events is put into this server's ring once, in its order.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, push};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;

use super::carried;
use super::site::{LogSite, Opened};
use super::standing::{Standing, epoch_of, refusal, stream_name};
use crate::broker::connection::BrokerState;
use crate::feed::{Epoch, EventId, Feed, LogError};

/// How often JetStream says in a silence that it still delivers. Two that are missing have the stream followed anew:
/// what delivered is gone, as its node is. On a machine that is late with everything that costs a request, and no event.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long what delivers outlives the connection that it delivers to.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// How often a feed without a stream looks whether it has one, beside being told so.
const LOOK: Duration = Duration::from_secs(5);
/// How long what there is may take to be delivered.
const DUE: Duration = Duration::from_secs(2);
/// How long it pauses after something went wrong: twice as long each time.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

/// How long a stream may be behind what this server has of it before that counts as lost.
const BEHIND: Duration = Duration::from_secs(5);

/// Why a stream isn't followed any further.
enum Stopped {
    /// The feed is gone, and with it all need.
    Gone,
    /// There is no stream yet, or no longer.
    NoStream,
    /// The connection broke, something is missing, or the stream is another one.
    Broken(&'static str),
    Failed(LogError),
}

/// Follows it until the feed is gone.
pub(super) async fn follow(site: Arc<LogSite>, feed: Weak<Feed>) {
    let mut state = site.cluster.broker.state();
    let mut births = site.cluster.births.subscribe();
    let mut pause = PAUSES[0];
    // What was told last of why it can't be read.
    let mut told = None;
    loop {
        if state.wait_for(|state| state.is_there).await.is_err() {
            return;
        }
        let before = progress(&feed);
        let stopped = once(&site, &feed, &mut state).await;
        if progress(&feed) != before {
            pause = PAUSES[0];
            told = None;
        }
        match stopped {
            Stopped::Gone => return,
            Stopped::NoStream => {
                site.note(None);
                site.opened.send_replace(Opened::Yes);
                let born = async {
                    // Who has missed some looks as well.
                    while births.recv().await.is_ok_and(|name| name != site.name) {}
                };
                tokio::select! {
                    () = born => {}
                    () = site.changed.notified() => {}
                    () = tokio::time::sleep(LOOK) => {}
                    _ = state.changed() => {}
                }
            }
            Stopped::Broken(why) => {
                tracing::debug!(feed = &*site.name, why, "the stream is followed anew");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES[1]);
            }
            Stopped::Failed(error) => {
                if !error.is_passing() && told.as_ref() != Some(&error) {
                    told = Some(error.clone());
                    tracing::warn!(feed = &*site.name, %error, "the log of a feed can't be read");
                    site.opened.send_if_modified(|opened| {
                        let is_new = *opened != Opened::Yes;
                        if is_new {
                            *opened = Opened::Refused(error);
                        }
                        is_new
                    });
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES[1]);
            }
        }
    }
}

fn progress(feed: &Weak<Feed>) -> Option<(Epoch, u64)> {
    feed.upgrade().map(|feed| (feed.epoch(), feed.head()))
}

/// Follows it from where the feed is, until something is the matter.
async fn once(site: &LogSite, feed: &Weak<Feed>, state: &mut watch::Receiver<BrokerState>) -> Stopped {
    match try_once(site, feed, state).await {
        Ok(never) => match never {},
        Err(stopped) => stopped,
    }
}

async fn try_once(
    site: &LogSite,
    feed: &Weak<Feed>,
    state: &mut watch::Receiver<BrokerState>,
) -> Result<std::convert::Infallible, Stopped> {
    let cluster = &site.cluster;
    let jetstream = cluster.broker.jetstream();
    let standing = standing(site, feed).await?;
    let held = feed.upgrade().ok_or(Stopped::Gone)?;
    let from = reconcile(site, &held, standing);
    drop(held);

    let config = push::Config {
        deliver_subject: cluster.broker.client().new_inbox(),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
        ack_policy: AckPolicy::None,
        replay_policy: ReplayPolicy::Instant,
        flow_control: true,
        idle_heartbeat: HEARTBEAT,
        num_replicas: 1,
        memory_storage: true,
        inactive_threshold: FORGOTTEN,
        ..push::Config::default()
    };
    let stream = stream_name(&cluster.broker.options().prefix, &site.name);
    let consumer = cluster.permitted(jetstream.create_consumer_on_stream(config, stream)).await;
    let consumer = consumer.map_err(Stopped::Failed)?.map_err(|error| undelivered(&error))?;
    let mut messages = consumer.messages().await.map_err(|_| Stopped::Broken("it can't be listened to"))?;
    // Made anew in between, it would be read from a place of the one before.
    let again = cluster.look(&site.name).await.map_err(Stopped::Failed)?.ok_or(Stopped::NoStream)?;
    if again.epoch != standing.epoch {
        return Err(Stopped::Broken("it was made anew"));
    }
    let mut behind = consumer.cached_info().num_pending;
    if behind == 0 {
        caught_up(site, feed, standing.last)?;
    }
    let mut delivered = 0;
    // After a while without a message it looks what there is, and remembers the last number if this server has less.
    let (mut looks, mut owed) = (FuturesUnordered::new(), None);
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            _ = state.changed() => return Err(Stopped::Broken("the connection broke")),
            Some(now) = looks.next() => {
                let (_, ours) = progress(feed).ok_or(Stopped::Gone)?;
                let now: Option<Standing> = Result::ok(now).flatten();
                owed = now.map(|now| now.last).filter(|last| ours < *last);
                continue;
            }
            // A node whose copy of the stream stands still says that it is there, and delivers nothing.
            () = tokio::time::sleep(if owed.is_some() { DUE } else { LOOK }) => {
                let (_, ours) = progress(feed).ok_or(Stopped::Gone)?;
                if owed.take().is_some_and(|last| ours < last) {
                    return Err(Stopped::Broken("there is more than what is delivered"));
                }
                if looks.is_empty() {
                    looks.push(cluster.look(&site.name));
                }
                continue;
            }
        };
        owed = None;
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(_)) => return Err(Stopped::Broken("what delivers it is silent")),
            None => return Err(Stopped::Broken("what delivers it ended")),
        };
        let info = message.info().map_err(|_| Stopped::Broken("a message has no number"))?;
        let (seq, nth, pending) = (info.stream_sequence, info.consumer_sequence, info.pending);
        let came = u64::try_from(info.published.unix_timestamp_nanos() / 1000).unwrap_or(0);
        delivered += 1;
        if nth != delivered {
            return Err(Stopped::Broken("a message was lost on its way"));
        }
        if epoch_of(&message.subject) != Some(standing.epoch) {
            return Err(Stopped::Broken("it was made anew"));
        }
        let feed_now = feed.upgrade().ok_or(Stopped::Gone)?;
        let id = EventId { epoch: standing.epoch, seq };
        match carried::event(&message.message, came) {
            Some(draft) => drop(feed_now.take_in(id, draft)),
            // Its number is gone all the same.
            None => feed_now.advance(seq),
        }
        drop(feed_now);
        if behind > 0 {
            behind = pending;
            if behind == 0 {
                caught_up(site, feed, standing.last)?;
            }
        }
    }
}

/// Why JetStream doesn't deliver. What it says is told, but for what passes.
fn undelivered(error: &ConsumerError) -> Stopped {
    match error.kind() {
        ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Stopped::NoStream,
        ConsumerErrorKind::JetStream(error) if !refusal(&error).is_passing() => Stopped::Failed(refusal(&error)),
        _ => Stopped::Broken("nothing delivers it"),
    }
}

/// How the stream stands. Where it is behind this server, it has a little time to catch up with itself: a node that has
/// begun to lead just now knows of more than it has done.
async fn standing(site: &LogSite, feed: &Weak<Feed>) -> Result<Standing, Stopped> {
    let until = Instant::now() + BEHIND;
    loop {
        let (before, _) = progress(feed).ok_or(Stopped::Gone)?;
        // What is read nowhere else and was never written is in no hurry.
        let looked = match before {
            Epoch::NEW => site.cluster.look(&site.name).await,
            _ => site.cluster.look_for(&site.name).await,
        };
        let standing = looked.map_err(Stopped::Failed)?.ok_or(Stopped::NoStream)?;
        let (epoch, head) = progress(feed).ok_or(Stopped::Gone)?;
        if epoch != standing.epoch || standing.last >= head || Instant::now() >= until {
            return Ok(standing);
        }
        tokio::time::sleep(PAUSES[0]).await;
    }
}

/// All that the stream held when it was looked at is here.
fn caught_up(site: &LogSite, feed: &Weak<Feed>, last: u64) -> Result<(), Stopped> {
    feed.upgrade().ok_or(Stopped::Gone)?.advance(last);
    site.opened.send_replace(Opened::Yes);
    Ok(())
}

/// Has the feed go on with this stream; gives back the number of the first event that it wants of it.
fn reconcile(site: &LogSite, feed: &Feed, standing: Standing) -> u64 {
    let Standing { epoch, last, .. } = standing;
    let (ours, head) = (feed.epoch(), feed.head());
    if ours != epoch {
        if ours != Epoch::NEW {
            tracing::warn!(feed = &*site.name, "the log was made anew: its readers are ended, and told of a gap");
        }
        feed.begin(epoch);
    } else if last < head {
        tracing::warn!(feed = &*site.name, head, last, "the log lost events that were here: its readers are ended");
        feed.begin(epoch);
    }
    site.note(Some(epoch));
    let oldest = (last + 1).saturating_sub(site.cluster.events as u64).max(1);
    oldest.max(feed.head() + 1)
}
