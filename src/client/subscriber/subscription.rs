//! One subscription from its opening to the end of the trial: it comes back where it may, and sends what is due.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{mpsc, watch};

use super::backoff::Backoff;
use crate::transport::{ClientSubscription, Configured, Receipts, Upstream};
use crate::trial::clock::{monotonic_nanos, sleep_until};
use crate::trial::contract::ServerAddress;
use crate::trial::settings::Reconnect;
use crate::trial::{ClientFact, SubscriptionPlan};
use crate::wire::dial::{ClientConnection, Target};
use crate::wire::{Pool, Sink};

/// The answer to what was published is an id.
const MAX_ANSWER: usize = 4096;
/// Events that wait within a connection. What waits there when it ends is lost with it, so there is place for one.
const WITHIN: usize = 1;

/// One subscription, and what it needs.
#[derive(Debug)]
pub(super) struct SubscriptionTask {
    pub(super) transport: Arc<dyn Configured>,
    pub(super) upstream: Upstream,
    pub(super) pool: Arc<Pool>,
    pub(super) seed: u64,
    pub(super) reconnect: Reconnect,
    /// Whether to ask for content codings.
    pub(super) decodes: bool,
    pub(super) plan: SubscriptionPlan,
    /// The data of events to publish, as they are due; `None` where the server publishes.
    pub(super) sent: Option<mpsc::Receiver<String>>,
}

/// Subscribes until the end.
pub(super) async fn run(
    mut reading: SubscriptionTask,
    go: u64,
    sink: Sink<ClientFact>,
    mut stop: watch::Receiver<bool>,
) {
    sleep_until(go + reading.plan.open_at).await;
    let mut receipts = Receipts::new(reading.plan.sub, sink);
    if reading.sent.is_some() {
        receipts = receipts.of_clients();
    }
    tokio::select! {
        () = read(&mut reading, &mut receipts) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    receipts.tell();
}

/// Reads, and sends beside or in-band what is to be sent, until the subscription has ended for good.
async fn read(reading: &mut SubscriptionTask, receipts: &mut Receipts) {
    let sent = reading.sent.take();
    match (sent, reading.upstream) {
        (None, _) => subscribe(reading, receipts, None).await,
        (Some(mut sent), Upstream::InBand) => subscribe(reading, receipts, Some(&mut sent)).await,
        (Some(sent), Upstream::Post) => {
            let reading = &*reading;
            // What is sent does not end with what is read.
            tokio::join!(subscribe(reading, receipts, None), post(reading, sent));
        }
    }
}

/// The servers that it may ask, its own first: without end, and in turn.
fn targets(plan: &SubscriptionPlan) -> impl Iterator<Item = Target> {
    let servers: Vec<ServerAddress> = plan.servers().collect();
    servers.into_iter().cycle().map(|ServerAddress { host, port }| Target { host, port })
}

/// Subscribes again and again, as the settings say, and each time at the next server.
async fn subscribe(reading: &SubscriptionTask, receipts: &mut Receipts, mut sent: Option<&mut mpsc::Receiver<String>>) {
    // Its own draws: those of the transport must not depend on how often it came back.
    let mut backoff = Backoff::new(reading.reconnect, SmallRng::seed_from_u64(reading.seed.rotate_left(17)));
    for target in targets(&reading.plan) {
        receipts.requested();
        let opens = receipts.opens();
        let (within, outgoing) = match sent {
            Some(_) => {
                let (within, outgoing) = mpsc::channel(WITHIN);
                (Some(within), Some(outgoing))
            }
            None => (None, None),
        };
        let subscribing = reading.transport.subscribe(ClientSubscription {
            pool: &reading.pool,
            target: &target,
            path: &reading.plan.path,
            receipts,
            outgoing,
            decodes: reading.decodes,
            seed: reading.seed,
        });
        let reason = match (sent.as_deref_mut(), within) {
            (Some(sent), Some(within)) => tokio::select! {
                reason = subscribing => reason,
                never = forward(sent, within) => match never {},
            },
            _ => subscribing.await,
        };
        receipts.closed(&reason);
        if receipts.opens() > opens {
            backoff.opened();
        }
        if receipts.is_finished() {
            return;
        }
        let Some(wait) = backoff.next(receipts.retry_delay()) else { return };
        sleep_until(monotonic_nanos() + u64::try_from(wait.as_nanos()).unwrap_or(0)).await;
    }
}

/// Passes on what is due to the connection that there is. What is due while there is none waits for the next.
async fn forward(sent: &mut mpsc::Receiver<String>, within: mpsc::Sender<String>) -> Infallible {
    // First the place, then the event: one that was taken is never held by nobody.
    while let Ok(place) = within.reserve().await {
        let Some(data) = sent.recv().await else { break };
        place.send(data);
    }
    std::future::pending().await
}

/// Publishes what is due by a POST each, one after another, on the connection that the pool has for it: of its own on
/// HTTP/1.1, shared elsewhere. One that fails is not sent again, as nobody knows whether it was published.
/// The next one goes to the next server.
async fn post(reading: &SubscriptionTask, mut sent: mpsc::Receiver<String>) {
    let path = publish_path(&reading.plan.path);
    let mut targets = targets(&reading.plan);
    let Some(mut target) = targets.next() else { return };
    // There before the first is due, so that no handshake counts as latency.
    let mut kept = reading.pool.connect(&target).await.ok();
    while let Some(data) = sent.recv().await {
        let posted = async {
            let connection = match kept.take().filter(ClientConnection::is_alive) {
                Some(connection) => connection,
                None => reading.pool.connect(&target).await?,
            };
            let answer = connection.request(Method::POST, &path, &[], Bytes::from(data)).await?;
            let status = answer.status;
            let (_, connection) = answer.whole(MAX_ANSWER).await?;
            Ok::<_, crate::wire::WireError>((status, connection))
        };
        match posted.await {
            Ok((status, connection)) => {
                kept = Some(connection);
                if !status.is_success() {
                    tracing::warn!(sub = reading.plan.sub, %status, "an event was not published");
                }
            }
            Err(error) => {
                tracing::warn!(
                    sub = reading.plan.sub,
                    error = &error as &dyn std::error::Error,
                    "an event was not published"
                );
                target = targets.next().unwrap_or(target);
            }
        }
    }
}

/// Where a subscription's feed is published to: `/feeds/f0?trial=7&sub=0` for `/feeds/f0/sse?trial=7&sub=0`.
fn publish_path(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let feed = path.rsplit_once('/').map_or(path, |(feed, _)| feed);
    format!("{feed}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_takes_the_next_server_and_after_the_last_the_first() {
        let plan = serde_json::json!({
            "sub": 0, "page": 0, "host": "localhost", "port": 7, "path": "/", "open-at": 0,
            "others": [{ "host": "10.0.0.2", "port": 8 }, { "host": "10.0.0.3", "port": 9 }]
        });
        let plan: SubscriptionPlan = serde_json::from_value(plan).unwrap();
        let asked: Vec<String> = targets(&plan).map(|target| target.authority()).take(5).collect();
        assert_eq!(asked, ["localhost:7", "10.0.0.2:8", "10.0.0.3:9", "localhost:7", "10.0.0.2:8"]);
    }

    #[test]
    fn a_feed_is_published_to_one_step_above_its_transports() {
        assert_eq!(publish_path("/feeds/f0/sse?trial=7&sub=0"), "/feeds/f0?trial=7&sub=0");
    }
}
