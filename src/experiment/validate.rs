//! Whether a trial can be judged at all: its settings within their bounds, its events due before the census, and
//! its expectations possible under its own faults.

mod faults;

use super::{MAX_REPEATS, MAX_TRIALS, suggest};
use crate::feed::MAX_EVENT_BYTES;
use crate::transport::{Because, Configured};
use crate::trial::schema;
use crate::trial::settings::{
    Arrival, BrokerSettings, CountsRule, DeliveryRule, Direction, HostOrder, IntermediaryConfig, LinkSettings, Workload,
};
use crate::trial::{Plan, Settings};
use crate::units::{Size, Span};

/// What is wrong, and the dotted name of the setting to blame (`fault.0` for the first fault).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) setting: String,
    pub(super) says: String,
}

fn complain<T>(setting: &str, says: String) -> Result<T, Invalid> {
    Err(Invalid { setting: setting.to_owned(), says })
}

/// The most that an event's data may be where a client publishes it: what the server takes.
const MAX_SENT_SIZE: Size = Size::from_bytes(MAX_EVENT_BYTES as u64);
/// How many other actors a trial has at most.
const MAX_BESIDES: usize = 16;
/// What a request takes at most beside what it waits for, on a busy machine.
const REQUEST: Span = Span::from_millis(200);
/// From `go` to the end at most: an hour, in nanoseconds.
const MAX_TIMELINE: u64 = 3_600_000_000_000;

/// Refuses what can't be judged.
pub(super) fn check(settings: &Settings, transport: &dyn Configured) -> Result<(), Invalid> {
    check_bounds(settings)?;
    check_events(settings)?;
    check_drain(settings, transport)?;
    check_besides(settings)?;
    check_loss(settings, transport)?;
    check_between(settings)?;
    check_servers(settings)?;
    faults::check(settings)
}

/// A number in a plan that was read back, which no plan of the lab's has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("more than {MAX_TRIALS} trials")]
    TooManyTrials,
    /// Its own number, or that of its repeat.
    #[error("trial {trial}: a run's trials are numbered from 0 to 99999, and their repeats from 0 to 999")]
    Number { trial: u32 },
    #[error("trial {trial}: {says}")]
    Setting {
        trial: u32,
        /// Which setting, and what would be right.
        says: String,
    },
}

/// A plan that was read back: no number in it may be one that the lab plans nothing with. What else a trial must keep
/// to was checked when it was planned.
pub fn check_plan(plan: &Plan) -> Result<(), PlanError> {
    if plan.trials.len() > MAX_TRIALS {
        return Err(PlanError::TooManyTrials);
    }
    for planned in &plan.trials {
        let trial = planned.trial;
        if trial as usize >= MAX_TRIALS || u64::from(planned.repeat) >= MAX_REPEATS {
            return Err(PlanError::Number { trial });
        }
        check_bounds(&planned.settings).map_err(|complaint| PlanError::Setting { trial, says: complaint.says })?;
    }
    Ok(())
}

fn check_bounds(settings: &Settings) -> Result<(), Invalid> {
    let values = serde_json::to_value(settings).unwrap_or_default();
    schema::check_bounds::<Settings>(&values)
        .map_err(|error| Invalid { says: error.to_string(), setting: error.setting })?;
    let Workload { direction, ref events, .. } = settings.workload;
    if direction != Direction::Down && events.size > MAX_SENT_SIZE {
        return complain(
            "workload.events.size",
            format!(
                "`workload.events.size` can't be {} where clients publish: write 16 B to {MAX_SENT_SIZE}",
                events.size
            ),
        );
    }
    if end_nanos(settings) > MAX_TIMELINE {
        return complain("workload.hold", "the timeline (ramp, hold and drain) is longer than an hour".to_owned());
    }
    Ok(())
}

/// What stands between must be known.
fn check_between(settings: &Settings) -> Result<(), Invalid> {
    let (name, known) = (&settings.between.intermediary, suggest::intermediaries());
    if known.contains(&name.as_str()) {
        let between = &settings.between;
        if between.compression.is_on() && matches!(between.config, IntermediaryConfig::Own(_)) {
            let says =
                "a configuration of one's own says by itself what is compressed: leave `between.compression` out";
            return complain("between.compression", says.to_owned());
        }
        return Ok(());
    }
    let says = format!("unknown intermediary `{}`{}", suggest::short(name), suggest::hint(name, &known));
    complain("between.intermediary", says)
}

/// Several servers share a feed through NATS alone, which has as many nodes as make a majority.
fn check_servers(settings: &Settings) -> Result<(), Invalid> {
    let (servers, BrokerSettings { nodes, replicas }) = (settings.servers(), settings.broker);
    if servers > 1 && !settings.shares_feeds() {
        let says = format!(
            "{servers} servers can't share a feed that is in the memory of one: write `server.feeds = \"nats\"`, or \
             `server.count = 1`"
        );
        return complain("server.count", says);
    }
    for (setting, value) in [("broker.nodes", nodes), ("broker.replicas", replicas)] {
        if value == 2 {
            let says = format!("`{setting}` can't be 2: of two neither is a majority; write 1 or 3");
            return complain(setting, says);
        }
    }
    if replicas > nodes {
        let says = format!("{nodes} node can't keep {replicas} replicas: write `broker.nodes = 3`");
        return complain("broker.replicas", says);
    }
    Ok(())
}

/// Other actors act before the census, which is what their answers are held against; and an order needs two.
fn check_besides(settings: &Settings) -> Result<(), Invalid> {
    let workload = &settings.workload;
    if workload.host_order == HostOrder::Reverse && workload.hosts < 2 {
        let says = "one host has no order: `workload.host-order = \"reverse\"` needs `workload.hosts = 2` or more";
        return complain("workload.host-order", says.to_owned());
    }
    if settings.beside.len() > MAX_BESIDES {
        return complain(
            "beside",
            format!("`beside` can't have {} entries: write {MAX_BESIDES} or fewer", settings.beside.len()),
        );
    }
    let census = workload.census_nanos();
    for (index, beside) in settings.beside.iter().enumerate() {
        if beside.at.nanos() >= census {
            let says = format!(
                "`beside.{index}.at` can't be {}: the census is {:.3} s after `go`, and what comes later is not measured",
                beside.at,
                census as f64 / 1e9
            );
            return complain(&format!("beside.{index}.at"), says);
        }
    }
    Ok(())
}

/// Where an event may be lost on its way, the census may like any other: nobody may expect each to arrive.
fn check_loss(settings: &Settings, transport: &dyn Configured) -> Result<(), Invalid> {
    let Some(Because { setting, says: why }) = transport.may_lose() else { return Ok(()) };
    let setting = format!("{}.{setting}", settings.protocol.transport);
    let says =
        |what: &str, instead: &str| complain(&setting, format!("{why}: {what} can't be expected; write {instead}"));
    if settings.expect.delivery == DeliveryRule::ExactlyOnce {
        return says("`expect.delivery = \"exactly-once\"`", "\"at-most-once\" or \"observe\"");
    }
    if settings.expect.counts == CountsRule::Equal {
        return says("`expect.counts = \"equal\"`", "\"observe\"");
    }
    Ok(())
}

/// Every event must be due at the census or before.
fn check_events(settings: &Settings) -> Result<(), Invalid> {
    let workload = &settings.workload;
    let events = &workload.events;
    if events.arrival == Arrival::Pairs && events.gap.nanos() as f64 > 2.0 * events.rate.interval_nanos() {
        let says = format!(
            "`workload.events.gap` can't be {}: at {} there is a pair every {:.3} s, and the next would begin before it",
            events.gap,
            events.rate,
            2.0 * events.rate.interval_nanos() / 1e9
        );
        return complain("workload.events.gap", says);
    }
    let last = workload.settle.nanos() as f64 + last_arrival_nanos(workload);
    let hold = workload.hold.nanos() as f64;
    if last > hold {
        let says = format!(
            "the last event can be due {:.3} s after the ramp, but the census is {:.3} s after it: \
             hold longer, or publish fewer events or faster",
            last / 1e9,
            hold / 1e9
        );
        return complain("workload.hold", says);
    }
    Ok(())
}

/// How long after the census the last subscription may be handed it by its transport's own rules: the drain can't be
/// shorter. 0 where it is handed to all at once.
pub fn least_drain(transport: &dyn Configured) -> Span {
    transport
        .waits()
        .map_or_else(Span::default, |(_, wait)| Span::from_millis(wait.nanos().div_ceil(1_000_000)) + REQUEST)
}

/// The census must reach every subscription before the end.
fn check_drain(settings: &Settings, transport: &dyn Configured) -> Result<(), Invalid> {
    let (drain, least) = (settings.workload.drain, least_drain(transport));
    let one_way = settings.link.as_ref().map_or_else(Span::default, LinkSettings::longest_down);
    if drain < least + one_way && one_way > Span::default() {
        let says = format!(
            "`workload.drain` can't be {drain}: over this link the census is {one_way} under way; write {} or more",
            least + one_way
        );
        return complain("workload.drain", says);
    }
    if drain >= least {
        return Ok(());
    }
    let why = transport.waits().map_or("", |(setting, _)| setting);
    let says = format!(
        "`workload.drain` can't be {drain}: with this `{}.{why}` the census may take longer to reach the last \
         subscription; write {least} or more",
        settings.protocol.transport
    );
    complain("workload.drain", says)
}

/// When the last event is due at the latest, in nanoseconds after the first moment that one can be.
fn last_arrival_nanos(workload: &Workload) -> f64 {
    let events = &workload.events;
    let interval = events.rate.interval_nanos();
    let count = workload.event_count();
    match events.arrival {
        _ if count == 0 => 0.0,
        Arrival::Periodic => f64::from(count - 1) * interval,
        Arrival::Poisson => f64::from(count) * interval,
        // Pairs come at half the rate.
        Arrival::Pairs => {
            let gap = if count.is_multiple_of(2) { events.gap.nanos() as f64 } else { 0.0 };
            f64::from((count - 1) / 2) * 2.0 * interval + gap
        }
        Arrival::Burst => 0.0,
    }
}

/// From `go` to the end.
fn end_nanos(settings: &Settings) -> u64 {
    settings.workload.census_nanos() + settings.workload.drain.nanos()
}

#[cfg(test)]
mod tests;
