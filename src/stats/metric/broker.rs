//! What of a trial's cost is that of what its servers share their feeds through.

use super::usage::{self, Spender};
use super::{Metric, PLAIN, Sample};
use crate::trial::fact::UsageAt;

/// The CPU time of all of the broker's nodes, user and system, from just before the first event was due to the end ÷
/// `events-received`. Absent below 200 ms of it, as the kernel tells it in steps of 10 ms, and where one subscription in
/// twenty opened later than that.
pub(super) static BROKER_CPU_PER_DELIVERY: Metric = Metric {
    name: "broker-cpu-per-delivery",
    unit: "µs",
    definition: "The CPU time of all of the broker's nodes, user and system, from just before the first event was due to \
                 the end ÷ `events-received`. Absent below 200 ms of it, as the kernel tells it in steps of 10 ms, and \
                 where one subscription in twenty or more opened later than that.",
    phrase: "cost the broker {} of CPU a delivery",
    compute: |record| {
        if !record.has_broker() {
            return Sample::absent("feeds are shared through no broker");
        }
        match usage::opened_late(record) {
            Some(late) => Sample::absent(late),
            None => BROKER.cpu(record, UsageAt::First, usage::LEAST_CPU_MICROS),
        }
    },
    ..PLAIN
};

const BROKER: Spender =
    Spender { name: "broker", fell: "a node was started again", usage: |record, at| record.broker_usage(at) };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::LabFact;

    #[test]
    fn what_all_nodes_used_is_divided_by_what_servers_delivered() {
        let mut rig = RecordedTrial::new();
        assert!(rig.metric(&BROKER_CPU_PER_DELIVERY).absent.unwrap().contains("no broker"));
        let used = |rig: &mut RecordedTrial, at, node, cpu| {
            rig.fact(LabFact::BrokerUsage { at, node, cpu, resident: 0 });
        };
        rig.attach(0, 1).open(0);
        for node in 0..3 {
            used(&mut rig, UsageAt::First, node, 1_000_000);
        }
        rig.publish(0).receive(0, 0).publish(1).receive(0, 1);
        used(&mut rig, UsageAt::End, 0, 1_400_000);
        used(&mut rig, UsageAt::End, 1, 1_300_000);
        assert!(rig.metric(&BROKER_CPU_PER_DELIVERY).absent.unwrap().contains("not read at both ends"));
        used(&mut rig, UsageAt::End, 2, 1_300_000);
        assert_eq!(rig.metric(&BROKER_CPU_PER_DELIVERY).median, Some(500_000.0));
    }
}
