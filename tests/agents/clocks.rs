//! Clocks that differ: in offset, which is nothing, and in pace, which decides nothing.

use std::process::{Command, Stdio};

use crate::lab::Lab;
use crate::{PROGRAM, of_kind, piped};

/// How a command line begins whose program has a clock of its own (`time_namespaces(7)`).
const AHEAD: &str = "unshare --time --monotonic 5 --fork --kill-child";

/// An agent of this name whose clock is five seconds ahead; `None`: no process can be given a clock of its own here.
pub(crate) fn five_seconds_ahead(name: &str) -> Option<String> {
    let tried = Command::new("sh").args(["-c", &format!("{AHEAD} true")]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no time namespaces here (they take root's rights and Linux 5.6)");
        return None;
    }
    Some(format!("exec:exec {AHEAD} {PROGRAM} agent --stdio --name {name}"))
}

#[test]
fn a_clock_five_seconds_off_is_as_good_as_any() {
    let Some(ahead) = five_seconds_ahead("eu-1") else { return };
    let lab = Lab::new();
    let ran = lab.run(&[&format!("--agent={ahead}")]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    let clocks = of_kind(&lab.only_run(), "agent-clock");
    let offset = clocks[0]["offset"].as_i64().unwrap();
    // Nothing else moves a clock by seconds.
    assert!((4_000_000_000..6_000_000_000).contains(&offset), "{clocks:?}");
    assert!(clocks[0]["apart"].is_null(), "{clocks:?}");
    let latency = ran.metric(0, "latency");
    assert!(latency < 4000.0, "times were translated: {latency} ms");
    lab.has_nothing_left();
}

#[test]
fn of_clocks_that_drift_no_time_decides_anything() {
    let lab = Lab::new();
    let ran = lab.run(&["--set", "workload.hold=2s", &piped("eu-1", "--rig drifting-clock")]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    let clocks = of_kind(&lab.only_run(), "agent-clock");
    let apart = clocks[0]["apart"].as_str().unwrap();
    assert!(apart.starts_with("its clock gained ") && clocks[0]["drift"].as_f64().unwrap() > 5000.0, "{clocks:?}");
    let summary = ran.summary();
    let limited = summary["trials"][0]["metrics"]["latency"].to_string();
    assert!(limited.contains("the clock of eu-1 can't be compared: its clock gained"), "{limited}");
    assert!(!summary["trials"][0]["metrics"]["open-streams"].to_string().contains("can't be compared"), "counts count");
    lab.has_nothing_left();
}
