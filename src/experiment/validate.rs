//! Whether a trial can be judged at all: its settings within their bounds, its events due before the census, and
//! its expectations possible under its own faults.

mod faults;

use super::{MAX_REPEATS, MAX_TRIALS, suggest};
use crate::feed::MAX_EVENT_BYTES;
use crate::transport::{Because, Configured};
use crate::trial::schema::{self, schema_of};
use crate::trial::settings::{Arrival, CountsRule, DeliveryRule, Direction, HostOrder, LinkSettings, Workload};
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
    schema::check_bounds(schema_of::<Settings>(), &values)
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
        return Ok(());
    }
    let says = format!("unknown intermediary `{}`{}", suggest::short(name), suggest::hint(name, &known));
    complain("between.intermediary", says)
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
mod tests {
    use serde_json::json;

    use super::*;

    pub(super) fn complaint(settings: serde_json::Value) -> String {
        let settings: Settings = serde_json::from_value(settings).unwrap();
        check(&settings, &*crate::transport::of(&settings).unwrap().1)
            .map_or_else(|c| format!("{}: {}", c.setting, c.says), |()| "fine".to_owned())
    }

    #[test]
    fn a_number_out_of_bounds_is_refused_with_the_bounds() {
        let refused = |name: &str, value: u32, bounds: &str| {
            let says = complaint(json!({ "workload": { (name): value } }));
            assert_eq!(
                says,
                format!("workload.{name}: `workload.{name}` can't be {value}: write a whole number from {bounds}")
            );
        };
        refused("subscribers", 0, "1 to 20000");
        refused("subscribers", 20_001, "1 to 20000");
        refused("pages", 17, "1 to 16");
        refused("hosts", 5, "1 to 4");
        refused("ports", 0, "1 to 16");
        refused("feeds", 17, "1 to 16");
        let size = complaint(json!({ "workload": { "events": { "size": "15 B" } } }));
        assert_eq!(size, "workload.events.size: `workload.events.size` can't be 15 B: write 16 B to 1 MiB");
        assert_eq!(complaint(json!({ "workload": { "subscribers": 20000, "events": { "size": "16 B" } } })), "fine");
    }

    #[test]
    fn a_drain_shorter_than_what_a_poll_waits_for_is_refused() {
        let with = |protocol: &str, drain: &str| {
            complaint(json!({
                "protocol": protocol, "polling": { "interval": "700ms" }, "long-polling": { "gather": "400ms" },
                "workload": { "drain": drain } }))
        };
        for (protocol, enough, short) in
            [("polling/h2", "900ms", "899ms"), ("long-polling/h1", "600ms", "599ms"), ("sse/h1", "1ms", "")]
        {
            assert_eq!(with(protocol, enough), "fine");
            if !short.is_empty() {
                let says = with(protocol, short);
                assert!(
                    says.starts_with("workload.drain: `workload.drain` can't be") && says.contains(enough),
                    "{says}"
                );
            }
        }
        assert!(complaint(json!({ "protocol": "polling/h1" })).contains("write 1200ms or more"));
        assert_eq!(complaint(json!({ "protocol": "long-polling/h1", "workload": { "drain": "1ms" } })), "fine");
    }

    #[test]
    fn a_link_that_no_packet_could_pass_and_a_drain_shorter_than_its_way_are_refused() {
        let with = |link: serde_json::Value| complaint(json!({ "link": link }));
        assert_eq!(with(json!({})), "fine");
        assert_eq!(with(json!({ "loss": "100%", "rate": "1 kbit/s", "delay": "400ms", "jitter": "100ms" })), "fine");
        assert_eq!(with(json!({ "loss": "101%" })), "link.loss: `link.loss` can't be 101%: write 0% to 100%");
        assert_eq!(
            with(json!({ "rate": "0 bit/s" })),
            "link.rate: `link.rate` can't be 0 bit/s: write 1 kbit/s to 100 Gbit/s"
        );
        assert_eq!(
            with(json!({ "queue": "1499 B" })),
            "link.queue: `link.queue` can't be 1499 B: write 1500 B to 64 MiB"
        );
        assert_eq!(with(json!({ "delay": "11s" })), "link.delay: `link.delay` can't be 11s: write 0s to 10s");
        assert_eq!(
            with(json!({ "delay": "400ms", "jitter": "101ms" })),
            "workload.drain: `workload.drain` can't be 500ms: over this link the census is 501ms under way; write 501ms or \
             more"
        );
    }

    #[test]
    fn an_intermediary_that_nobody_knows_is_refused_with_the_nearest() {
        let with = |name: &str| complaint(json!({ "between": { "intermediary": name } }));
        assert_eq!(with("none"), "fine");
        assert_eq!(with("ngnix"), "between.intermediary: unknown intermediary `ngnix`; did you mean `nginx`?");
        assert!(with("squid").contains("write `none`"), "{}", with("squid"));
    }

    #[test]
    fn events_that_are_not_all_due_before_the_census_are_refused() {
        let with = |arrival: &str, hold: &str| {
            complaint(json!({ "workload": {
                "settle": "1s", "hold": hold, "events": { "count": 4, "rate": "2/s", "arrival": arrival } } }))
        };
        for (arrival, enough, short) in [
            ("periodic", "2500ms", "2499ms"),
            ("poisson", "3s", "2999ms"),
            ("pairs", "2001ms", "2s"),
            ("burst", "1s", "999ms"),
        ] {
            assert_eq!(with(arrival, enough), "fine", "{arrival}");
            assert!(with(arrival, short).starts_with("workload.hold: the last event can be due"), "{arrival}");
        }
    }

    #[test]
    fn another_actor_acts_before_the_census() {
        let with = |at: &str| {
            complaint(json!({ "workload": { "hold": "3s" }, "beside": [
                { "at": "0s", "kind": "image" }, { "at": at, "kind": "fetch" }] }))
        };
        assert_eq!(with("2999ms"), "fine");
        assert_eq!(
            with("3s"),
            "beside.1.at: `beside.1.at` can't be 3s: the census is 3.000 s after `go`, and what comes later is not \
             measured"
        );
        let many = complaint(json!({ "beside": vec![json!({ "at": "0s", "kind": "fetch" }); 17] }));
        assert_eq!(many, "beside: `beside` can't have 17 entries: write 16 or fewer");
    }

    #[test]
    fn nobody_expects_every_datagram_to_arrive() {
        let with = |mode: &str, delivery: &str, counts: &str| {
            complaint(json!({ "protocol": "quic/quic", "quic": { "mode": mode },
                "expect": { "delivery": delivery, "counts": counts } }))
        };
        assert_eq!(with("stream", "exactly-once", "equal"), "fine");
        assert_eq!(with("streams", "exactly-once", "equal"), "fine");
        assert_eq!(
            with("datagrams", "exactly-once", "observe"),
            "quic.mode: datagrams may be lost on their way: `expect.delivery = \"exactly-once\"` can't be expected; \
             write \"at-most-once\" or \"observe\""
        );
        assert!(with("datagrams", "at-most-once", "equal").contains("`expect.counts = \"equal\"` can't be expected"));
        assert_eq!(with("datagrams", "at-most-once", "observe"), "fine");
    }

    #[test]
    fn the_second_of_a_pair_comes_before_the_next_pair() {
        let with = |gap: &str, arrival: &str| {
            let events = json!({ "rate": "5/s", "gap": gap, "arrival": arrival, "count": "fill" });
            complaint(json!({ "workload": { "events": events } }))
        };
        assert_eq!(with("400ms", "pairs"), "fine");
        assert_eq!(with("401ms", "periodic"), "fine");
        assert_eq!(
            with("401ms", "pairs"),
            "workload.events.gap: `workload.events.gap` can't be 401ms: at 5/s there is a pair every 0.400 s, and the \
             next would begin before it"
        );
    }

    #[test]
    fn an_order_of_hosts_needs_two() {
        let with = |hosts: u32| complaint(json!({ "workload": { "hosts": hosts, "host-order": "reverse" } }));
        assert_eq!(with(2), "fine");
        assert!(with(1).starts_with("workload.host-order: one host has no order"));
        let per_host = json!({ "server": { "certificate": "per-host" } });
        assert_eq!(complaint(per_host), "fine", "one host can have a certificate of its own");
    }

    #[test]
    fn a_client_never_floods_the_server_and_sends_no_more_than_it_takes() {
        let delay = complaint(json!({ "reconnect": { "delay": "0s" } }));
        assert_eq!(delay, "reconnect.delay: `reconnect.delay` can't be 0s: write 1ms to 3600s");
        assert!(complaint(json!({ "reconnect": { "tries": 1001 } })).starts_with("reconnect.tries"));
        let size = |direction: &str| {
            complaint(json!({ "workload": { "direction": direction, "events": { "size": "65 KiB" } } }))
        };
        assert_eq!(size("down"), "fine");
        assert!(size("up").ends_with("write 16 B to 64 KiB"), "{}", size("up"));
    }
}
