//! The stuck neighbour: a subscription that opens and never reads, or a request whose content nobody reads.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tokio::sync::watch;

use crate::transport::{ClientSubscription, Configured, Receipts};
use crate::trial::{ClientFact, SubscriptionPlan};
use crate::wire::dial::Target;
use crate::wire::{Pool, Sink};

/// How much is sent to a server that doesn't read it, in bytes: more than any server's window for one stream.
const UNREAD: usize = 1024 * 1024;

/// Subscribes, and once that is open does nothing more with it until the end. Whatever the server sends fills what
/// there is on the way, its flow control's windows and the kernel's buffers, and then waits.
pub(super) async fn read(
    transport: Arc<dyn Configured>,
    plan: SubscriptionPlan,
    pool: Arc<Pool>,
    mut stop: watch::Receiver<bool>,
) {
    let open = watch::Sender::new(false);
    let mut opened = open.subscribe();
    let sink = Sink::new(move |observation| {
        if matches!(observation.fact, ClientFact::Opened { .. }) {
            open.send_replace(true);
        }
    });
    let mut receipts = Receipts::new(plan.sub, sink);
    let target = Target { host: plan.host, port: plan.port };
    let mut reading = pin!(transport.subscribe(ClientSubscription {
        pool: &pool,
        target: &target,
        path: &plan.path,
        receipts: &mut receipts,
        decodes: false,
        outgoing: None,
        seed: u64::from(plan.sub),
    }));
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => return,
        _ = opened.wait_for(|open| *open) => {}
        reason = &mut reading => {
            tracing::warn!(stuck = plan.sub, reason = reason.to_string(), "a subscription that was to be stuck did not open");
            return;
        }
    }
    // Kept, and never asked for more.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Sends what the server leaves unread. Whatever fits its windows is on its way at once, and the rest waits.
pub(super) async fn send(plan: SubscriptionPlan, pool: Arc<Pool>, mut stop: watch::Receiver<bool>) {
    let target = Target { host: plan.host, port: plan.port };
    let sending = async {
        let connection = pool.connect(&target).await?;
        connection.request(Method::POST, &plan.path, &[], Bytes::from(vec![b'x'; UNREAD])).await
    };
    let answered = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => return,
        answered = sending => answered.map(|response| response.status.as_u16()),
    };
    tracing::warn!(stuck = plan.sub, ?answered, "a request that was to be left unread is over");
    let _ = stop.wait_for(|stop| *stop).await;
}
