//! Faults, and what they leave possible.

use super::{Invalid, complain, end_nanos};
use crate::trial::Settings;
use crate::trial::settings::{BrokerFault, CountsRule, DeliveryRule, Fault, FaultAct, KilledServer};
use crate::units::Span;

/// Faults within the timeline, and expectations that they leave possible.
///
/// - A server killed at the census or before publishes no census and loses its log: nothing can be delivered
///   exactly once, and there is nothing to count.
/// - One that is started anew has another epoch and an empty log. What it had sent and nobody had received yet is lost
///   for good, so nothing can be delivered exactly once. It takes the census if it is there by then: until the fault is
///   over, there is nothing to count. What was due while there was no server is not published, and so not lost.
/// - A client killed at any time takes its receipts with it, as it keeps them in memory until the drain is over:
///   the same.
/// - One of several that publishes nothing has lost nothing that the others don't have: whoever comes back to them with the
///   last id it saw is given what it missed.
/// - A broker that is away takes nothing; what it had acknowledged it has. A census that is due meanwhile can't be counted.
/// - Streams closed by the server leave both possible: a reader that comes back with the last id it saw is given
///   what it missed (WHATWG HTML section 9.2.4). Whether it is back at the census is what such a trial finds out.
///   So it is where the server turns readers away for a while. With 503 one that doesn't come back misses what comes
///   after; with 204 it is told not to, and what comes after its end is not its own.
/// - What happens on the link or to what stands between leaves both possible too: whoever comes back is given what it
///   missed.
/// - `at-most-once` stays possible under all of them: ids of another epoch are other ids.
pub(super) fn check(settings: &Settings) -> Result<(), Invalid> {
    let census = settings.workload.census_nanos();
    for (index, fault) in settings.fault.iter().enumerate() {
        let setting = format!("fault.{index}");
        check_times(settings, index, fault)?;
        if fault.kind.killed_server() == Some(KilledServer::Last) && settings.servers() < 2 {
            let says = "the last of several servers is killed: write `server.count = 2` or more, or \"kill-server\"";
            return complain(&setting, says.to_owned());
        }
        let over = fault.at.nanos() + fault.length().nanos();
        // What an expectation makes impossible: exactly-once, and equal counts.
        let row = fault.kind.row();
        let (delivery, counts) = match row.act {
            FaultAct::KillServer { which: KilledServer::First, restart } => {
                let before = fault.at.nanos() <= census;
                (before, before && (!restart || census <= over))
            }
            FaultAct::ToBroker(BrokerFault::All) => (false, (fault.at.nanos()..=over).contains(&census)),
            FaultAct::KillClient => (true, true),
            FaultAct::KillServer { which: KilledServer::Last, .. }
            | FaultAct::ToBroker(BrokerFault::Leader)
            | FaultAct::EndStreams { .. }
            | FaultAct::OnLink(_)
            | FaultAct::ToIntermediary(_) => (false, false),
        };
        let why = row.forbids;
        if delivery && settings.expect.delivery == DeliveryRule::ExactlyOnce {
            let says = format!(
                "{why}: `expect.delivery = \"exactly-once\"` is impossible; write \"at-most-once\" or \"observe\""
            );
            return complain(&setting, says);
        }
        if counts && settings.expect.counts == CountsRule::Equal {
            let says = format!("{why}: `expect.counts = \"equal\"` is impossible; write \"observe\"");
            return complain(&setting, says);
        }
    }
    Ok(())
}

/// A fault begins and ends within the trial. How long one lasts that is over at once isn't read: where the kind is a
/// factor, one `for` stands beside all of them. Nothing happens to a server while there is none.
fn check_times(settings: &Settings, index: usize, fault: &Fault) -> Result<(), Invalid> {
    let setting = format!("fault.{index}");
    let end = end_nanos(settings);
    if fault.at.nanos() > end {
        let says = format!("the fault at {} comes after the end of the trial ({:.3} s)", fault.at, end as f64 / 1e9);
        return complain(&setting, says);
    }
    let over = fault.at.nanos().saturating_add(fault.length().nanos());
    if over > end {
        let says = format!(
            "the fault at {} lasts for {}, but the trial ends at {:.3} s",
            fault.at,
            fault.length(),
            end as f64 / 1e9
        );
        return complain(&setting, says);
    }
    let amid = |other: &&Fault| {
        let kills = other.kind.kills_server();
        let gone = other.at..=Span::from_nanos(other.at.nanos().saturating_add(other.length().nanos()));
        let for_good = !other.kind.row().lasts && fault.at > other.at;
        let of_server = !fault.kind.kills_client()
            && !fault.kind.needs_link()
            && !fault.kind.needs_intermediary()
            && !fault.kind.needs_broker();
        kills && of_server && (for_good || gone.contains(&fault.at))
    };
    let others = settings.fault.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other);
    if let Some(other) = others.clone().find(amid) {
        let says = format!("at {} there is no server: the fault at {} has killed it", fault.at, other.at);
        return complain(&setting, says);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::complaint;

    #[test]
    fn expectations_that_a_fault_makes_impossible_are_refused() {
        let with = |kind: &str, at: &str, delivery: &str, counts: &str| {
            complaint(json!({ "workload": { "hold": "2s", "drain": "1s" }, "fault": [{ "at": at, "kind": kind }],
                "expect": { "delivery": delivery, "counts": counts } }))
        };
        assert_eq!(
            with("kill-server", "1s", "exactly-once", "observe"),
            "fault.0: a server that is killed before the census can't publish it: `expect.delivery = \
             \"exactly-once\"` is impossible; write \"at-most-once\" or \"observe\""
        );
        assert!(
            with("kill-server", "2s", "at-most-once", "equal").contains("`expect.counts = \"equal\"` is impossible")
        );
        assert_eq!(with("kill-server", "2001ms", "exactly-once", "equal"), "fine", "after the census");
        assert_eq!(with("kill-server", "1s", "at-most-once", "observe"), "fine");
        assert!(with("kill-client", "2500ms", "exactly-once", "observe").contains("takes what it received with it"));
        assert!(with("kill-client", "1s", "observe", "equal").contains("impossible"));
        for kind in ["close-streams", "refuse", "no-content", "proxy-reload", "proxy-restart"] {
            assert_eq!(with(kind, "1s", "exactly-once", "equal"), "fine", "{kind}");
        }
        assert_eq!(with("restart-server", "500ms", "at-most-once", "equal"), "fine");
        assert!(with("restart-server", "500ms", "exactly-once", "equal").contains("loses what was on its way"));
        assert!(with("restart-server", "1s", "at-most-once", "equal").contains("not back at the census"));
        assert_eq!(
            with("close-streams", "3001ms", "observe", "observe"),
            "fault.0: the fault at 3001ms comes after the end of the trial (3.000 s)"
        );
    }

    #[test]
    fn a_fault_lasts_only_where_that_has_a_meaning_and_never_beyond_the_trial() {
        let with = |faults: serde_json::Value| {
            complaint(json!({ "workload": { "hold": "2s", "drain": "1s" }, "fault": faults,
                "expect": { "delivery": "observe", "counts": "observe" } }))
        };
        let one = |kind: &str, at: &str, lasts: &str| with(json!([{ "at": at, "kind": kind, "for": lasts }]));
        assert_eq!(one("refuse", "1s", "2s"), "fine");
        assert_eq!(one("close-streams", "1s", "60min"), "fine", "it is over at once, whatever stands there");
        assert_eq!(
            one("refuse", "2s", "1001ms"),
            "fault.0: the fault at 2s lasts for 1001ms, but the trial ends at 3.000 s"
        );
        let amid = with(json!([{ "at": "1s", "kind": "restart-server" }, { "at": "1500ms", "kind": "close-streams" }]));
        assert_eq!(amid, "fault.1: at 1500ms there is no server: the fault at 1s has killed it");
        let amid = with(json!([{ "at": "1s", "kind": "kill-server" }, { "at": "2s", "kind": "refuse" }]));
        assert!(amid.starts_with("fault.1: at 2s there is no server"), "{amid}");
    }
}
