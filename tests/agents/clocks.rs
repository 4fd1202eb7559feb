//! Clocks that differ: in offset, which is nothing, and in pace, which decides nothing.

use std::process::{Command, Stdio};

use crate::lab::Lab;
use crate::{PROGRAM, of_kind, piped};

/// Whether processes can be given a clock of their own here (`time_namespaces(7)`).
pub(crate) fn has_time_namespaces() -> bool {
    let tried =
        Command::new("unshare").args(["--time", "--monotonic", "5", "--fork", "true"]).stderr(Stdio::null()).status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: no time namespaces here (they take root's rights and Linux 5.6)");
    }
    can
}

#[test]
fn a_clock_five_seconds_off_is_as_good_as_any() {
    if !has_time_namespaces() {
        return;
    }
    let lab = Lab::new();
    let ahead = format!(
        "--agent=exec:exec unshare --time --monotonic 5 --fork --kill-child {PROGRAM} agent --stdio --name eu-1"
    );
    let ran = lab.run(&[&ahead]).exits(0);
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
