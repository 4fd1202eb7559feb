//! Trial after trial: the lab's own memory and descriptors stay as they were, and in the end nothing is left.
//!
//! Twelve trials of the native client by default. `TRANSPORT_LAB_SOAK=100` makes it so many of every client and
//! protocol in turn, real browsers among them: `make soak`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Pid, geteuid};

use crate::lab::{Lab, Started, names, until};

/// How much resident memory the lab may gain from one trial to the next, in KiB, from the fourth of its trials on:
/// by then its code is paged in and its allocator has the arenas that it uses. What a trial of this size observes
/// takes 200 KiB in memory, so one that were kept would show.
const MOST_KIB: f64 = 100.0;
/// How many descriptors it may gain. One that a trial left open would be 1.
const MOST_DESCRIPTORS: f64 = 0.2;

/// What the lab held right after a trial's end.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: f64,
    kib: f64,
}

impl Held {
    /// What it holds now; `None` when it has ended.
    fn by(pid: Pid) -> Option<Self> {
        let of = PathBuf::from(format!("/proc/{pid}"));
        let descriptors = fs::read_dir(of.join("fd")).ok()?.count();
        let status = fs::read_to_string(of.join("status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u32 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
        (descriptors > 0).then(|| Self { descriptors: f64::from(u32::try_from(descriptors).unwrap()), kib: kib.into() })
    }
}

/// The least that the lab held while its `n`-th trial ran, by `n`: what comes and goes within a trial is not kept.
fn watch(run: &mut Started) -> BTreeMap<usize, Held> {
    let mut least = BTreeMap::new();
    while !run.has_ended() {
        let trials = run.said().matches("] ").count();
        if let Some(held) = Held::by(run.pid()) {
            let entry = least.entry(trials).or_insert(held);
            *entry = Held { descriptors: entry.descriptors.min(held.descriptors), kib: entry.kib.min(held.kib) };
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    least
}

/// How much more there is from one trial to the next: the slope of the line with the least squares.
fn slope(of: &[(f64, f64)]) -> f64 {
    let count = of.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| of.iter().map(pick).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (xy, xx) = of.iter().fold((0.0, 0.0), |(xy, xx), p| (xy + (p.0 - x) * (p.1 - y), xx + (p.0 - x).powi(2)));
    xy / xx
}

#[track_caller]
fn is_flat(least: &BTreeMap<usize, Held>, trials: usize) {
    // After the last trial the journal is read back as a whole, which is no trial's.
    let of = |pick: fn(&Held) -> f64| -> Vec<(f64, f64)> {
        least.range(3..trials).map(|(&n, held)| (f64::from(u32::try_from(n).unwrap()), pick(held))).collect()
    };
    let (descriptors, kib) = (of(|held| held.descriptors), of(|held| held.kib));
    eprintln!("a trial: {:.2} descriptors, {:.1} KiB more", slope(&descriptors), slope(&kib));
    assert!(slope(&descriptors) < MOST_DESCRIPTORS, "{descriptors:?}");
    assert!(slope(&kib) < MOST_KIB, "{kib:?}");
}

/// What a display, a socket or a browser leaves outside the folder for temporary files, of this user's.
fn outside() -> BTreeSet<PathBuf> {
    let own = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|file| file.uid() == geteuid().as_raw());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        let of = [".X", ".org.chromium", "org.chromium", "rust_mozprofile", "mozilla", "Temp-", "dbus-", ".xfsm"];
        of.iter().any(|prefix| name.starts_with(prefix))
    };
    let in_temporary = names(Path::new("/tmp")).into_iter().filter(is_ours);
    let shared = names(Path::new("/dev/shm"));
    let sockets = names(Path::new("/tmp/.X11-unix"));
    in_temporary.chain(shared).chain(sockets).filter(own).filter(|path| !is_live_display(path)).collect()
}

/// Whether it is the lock (`.X99-lock`, which holds a process id) or the socket (`X99`) of a display that runs: that
/// none of the lab's does is another question's answer.
fn is_live_display(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    let number: String =
        name.trim_start_matches('.').trim_start_matches('X').chars().take_while(char::is_ascii_digit).collect();
    let pid = fs::read_to_string(format!("/tmp/.X{number}-lock")).unwrap_or_default();
    !pid.trim().is_empty() && Path::new("/proc").join(pid.trim()).exists()
}

#[test]
fn a_soak_leaves_no_process_file_descriptor_or_memory() {
    let lab = Lab::new();
    let wanted: usize = std::env::var("TRANSPORT_LAB_SOAK").map_or(12, |trials| trials.parse().unwrap());
    let browsers = wanted > 12;
    let clients = if browsers { "native,chromium,firefox,webkit" } else { "native" };
    let each = if browsers { 12 } else { 3 };
    let repeats = wanted.div_ceil(each).to_string();
    let protocols = "protocol=sse/h1,sse/h2,sse/h3";
    let of_each = ["--client", clients, "--set", protocols, "--repeats", &repeats];
    // Enough observations in each that keeping them would be seen.
    let large = [
        "--set",
        "workload.subscribers=100",
        "--set",
        "workload.events.count=20",
        "--set",
        "workload.events.rate=100/s",
    ];
    let counts = ["--set", "expect.counts=equal", "--set", "server.max-concurrent-streams=100"];
    // Both ends agree only about streams that had the time to open and events that had the time to arrive, and one
    // hundred trials meet every other load that the machine has.
    let times =
        if browsers { ["settle=1s", "hold=2s", "drain=1s"] } else { ["settle=500ms", "hold=800ms", "drain=1s"] };
    let times: Vec<String> = times.iter().flat_map(|time| ["--set".to_owned(), format!("workload.{time}")]).collect();
    let times: Vec<&str> = times.iter().map(String::as_str).collect();
    let before = outside();
    let mut run = Started::new(&mut lab.running("small", &[&of_each[..], &large, &counts, &times].concat()));
    let held = watch(&mut run);
    let ran = run.end().exits(0);
    let outcomes = ran.outcomes();
    assert!(outcomes.len() >= wanted, "{}", outcomes.len());
    let cannot = |outcome: &String| browsers && outcome == "unsupported: WebKitGTK has no HTTP/3";
    let odd: Vec<_> = outcomes.iter().filter(|outcome| *outcome != "completed" && !cannot(outcome)).collect();
    assert_eq!(odd, [""; 0], "both ends of every trial agree");
    is_flat(&held, outcomes.len());
    lab.has_nothing_left();
    if browsers {
        // Other programs of this user may begin and end meanwhile; what is left of theirs is gone soon, a leak isn't.
        until("everything outside to be as before", || outside().is_subset(&before).then_some(()));
    }
}
