//! What there is of the server before `go`: connections that have answered a request, or tickets of some that are over.

use crate::trial::SubscriptionPlan;
use crate::trial::settings::{Opening, Prepare, Workload};
use crate::wire::dial::Target;
use crate::wire::{Pool, WireError};

/// A pool that can keep what is prepared.
pub(super) fn keeping(pool: Pool, workload: &Workload) -> Pool {
    match workload.prepare {
        Prepare::None | Prepare::Connection => pool,
        Prepare::Ticket => pool.resuming(false),
        Prepare::Early => pool.resuming(true),
    }
}

/// Prepares what the workload wants, one host and port after another in the order in which subscriptions will open.
pub(super) async fn prepare(
    trial: u32,
    workload: &Workload,
    plans: &[SubscriptionPlan],
    pool: &Pool,
) -> Result<(), WireError> {
    let mut asked: Vec<(Target, u64)> = Vec::new();
    for plan in plans {
        let target = Target { host: plan.host.clone(), port: plan.port };
        match asked.iter_mut().find(|(known, _)| *known == target) {
            Some((_, subscriptions)) => *subscriptions += 1,
            None => asked.push((target, 1)),
        }
    }
    let warm = workload.open == Opening::AfterSettings || workload.prepare == Prepare::Connection;
    for (number, (target, subscriptions)) in asked.iter().enumerate() {
        let path = format!("/ping?trial={trial}&warm={number}");
        if warm {
            // On the connection that they will share. Once it has answered, its SETTINGS have come (RFC 9113 section
            // 3.4: they are the first frame), or its transport parameters.
            pool.connect(target).await?.get(&path, &[]).await?;
        }
        pool.gather_tickets(target, *subscriptions, &path).await?;
    }
    pool.make_ready()
}
