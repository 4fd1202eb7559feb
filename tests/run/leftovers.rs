//! Trial after trial, the lab holds no more than before, and in the end nothing.

use std::collections::BTreeMap;
use std::fs;

use crate::lab::{Lab, Started};

/// How many descriptors the lab had open at least after its nth trial had ended and before the next had.
fn descriptors(run: &mut Started) -> BTreeMap<usize, usize> {
    let folder = format!("/proc/{}/fd", run.pid());
    let mut least = BTreeMap::new();
    while !run.has_ended() {
        let open = fs::read_dir(&folder).map_or(0, Iterator::count);
        let trial = run.said().matches("] ").count();
        // A process that is ending has none.
        if open > 0 {
            let entry = least.entry(trial).or_insert(open);
            *entry = open.min(*entry);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    least
}

/// What is open swings by a few while trials run; one descriptor more for each trial is more than that.
#[track_caller]
fn is_flat(least: &BTreeMap<usize, usize>) {
    let least_of = |trials| least.range(trials).map(|(_, open)| *open).min().unwrap();
    assert!(least_of(7..=9) < least_of(1..=3) + 5, "{least:?}");
}

#[test]
fn ten_trials_leave_as_many_descriptors_as_one() {
    let lab = Lab::new();
    let quick = ["--repeats", "10", "--set", "workload.settle=50ms", "--set", "workload.hold=200ms"];
    let mut run = Started::new(&mut lab.running("small", &quick));
    is_flat(&descriptors(&mut run));
    assert_eq!(run.end().exits(0).outcomes(), ["completed"; 10]);
    lab.has_nothing_left();
}

#[test]
fn ten_browsers_that_crash_leave_as_many_descriptors_as_one() {
    let lab = Lab::new();
    let crashes = lab.browser("chromium", "mkdir $HOME/some; sleep 1000 & exit 7");
    let mut command = lab.running("small", &["--repeats", "10", "--client", "chromium"]);
    let mut run = Started::new(command.env("TRANSPORT_LAB_CHROMIUM", crashes));
    is_flat(&descriptors(&mut run));
    assert_eq!(run.end().exits(3).outcomes().len(), 10);
    lab.has_nothing_left();
}
