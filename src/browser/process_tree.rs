//! Processes as the kernel shows them (proc(5)): who descends from whom, and who still holds to a profile.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, Uid};

/// One line of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pid: Pid,
    parent: Pid,
    /// It has ended, and its parent has not asked how.
    pub(super) zombie: bool,
    /// When it started, in clock ticks after the machine did: with the process id, it is one process only.
    pub(super) started: u64,
    /// What it and those of its children that have ended have had of the processor, in clock ticks.
    cpu: u64,
}

/// What a process and all below it have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeUsage {
    /// CPU time, user and system, in microseconds, in steps of the kernel's clock ticks.
    pub cpu: u64,
    /// Memory in bytes, of which what several processes share is counted once (`Pss` of proc(5)).
    pub resident: u64,
}

/// How long a clock tick of proc(5) is, in microseconds: there are a hundred a second on every architecture that Linux
/// still has (`USER_HZ`).
const TICK_MICROS: u64 = 10_000;

/// What this process and all below it have used so far; `None` where it is gone.
pub fn tree_usage(root: Pid) -> Option<TreeUsage> {
    let first = process(root)?;
    let mut children = children();
    let mut usage = TreeUsage { cpu: 0, resident: 0 };
    let mut left = vec![first];
    while let Some(process) = left.pop() {
        usage.cpu += process.cpu * TICK_MICROS;
        usage.resident += resident(process.pid).unwrap_or(0);
        left.extend(children.remove(&process.pid).into_iter().flatten());
    }
    Some(usage)
}

fn resident(pid: Pid) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// All processes, by their parents.
fn children() -> BTreeMap<Pid, Vec<Process>> {
    let mut children: BTreeMap<Pid, Vec<Process>> = BTreeMap::new();
    for process in all_ids().filter_map(process) {
        children.entry(process.parent).or_default().push(process);
    }
    children
}

/// The process with this id.
pub(super) fn process(pid: Pid) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: Pid, stat: &str) -> Option<Process> {
    // The name is in parentheses and may hold any byte, so what counts is what follows the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Process {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: Pid::from_raw(fields.get(1)?.parse().ok()?),
        started: fields.get(19)?.parse().ok()?,
        cpu: fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum(),
    })
}

fn all_ids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw)
}

/// Every process below this one, except the display's. Orphans that ended are reaped; `ours` is the child whose end
/// the runtime wants to learn itself.
///
/// A zombie counts until it is reaped: its other threads may still be ending, and with them its sockets.
pub(super) fn below_us(display: Option<Pid>, ours: Option<u32>) -> Vec<Pid> {
    let us = nix::unistd::getpid();
    let mut children = children();
    let mut below = Vec::new();
    let mut parents = vec![us];
    while let Some(parent) = parents.pop() {
        for process in children.remove(&parent).into_iter().flatten() {
            if Some(process.pid) == display {
                continue;
            }
            parents.push(process.pid);
            let reaped = process.zombie
                && parent == us
                && Some(process.pid) != super::pid(ours)
                && waitpid(process.pid, Some(WaitPidFlag::WNOHANG)) != Ok(WaitStatus::StillAlive);
            if !reaped {
                below.push(process.pid);
            }
        }
    }
    below
}

/// This user's processes whose HOME is this profile, or that were told to keep their data in it.
pub(super) fn holding(profile: &Path) -> Vec<Pid> {
    all_ids().filter(|pid| *pid != nix::unistd::getpid() && holds(*pid, profile)).collect()
}

fn holds(pid: Pid, profile: &Path) -> bool {
    let folder = Path::new("/proc").join(pid.to_string());
    if fs::metadata(&folder).map_or(true, |meta| meta.uid() != Uid::effective().as_raw()) {
        return false;
    }
    let profile = profile.as_os_str().as_encoded_bytes();
    let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
    let home = [b"HOME=", profile].concat();
    // Chromium writes its title over its environment, but the title has `--user-data-dir=PROFILE/chromium`.
    let option = [b"--user-data-dir=", profile, b"/"].concat();
    read("environ").split(|byte| *byte == 0).any(|entry| entry == home)
        || read("cmdline").windows(option.len()).any(|window| window == option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_hide_the_parent() {
        let stat = "42 (a) R 7 (b)) S 41 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        let process = parse(Pid::from_raw(42), stat).unwrap();
        assert_eq!((process.parent, process.zombie, process.started), (Pid::from_raw(41), false, 98765));
        assert_eq!(process.cpu, 5 + 6 + 7 + 8);
        assert_eq!(parse(Pid::from_raw(42), "42 (cut"), None);
    }

    #[test]
    fn this_process_is_found_with_its_parent() {
        let us = process(nix::unistd::getpid()).unwrap();
        assert_eq!(us.parent, nix::unistd::getppid());
        assert!(us.started > 0 && !us.zombie);
    }

    #[test]
    fn a_tree_has_used_at_least_what_its_root_has() {
        let us = nix::unistd::getpid();
        let alone = resident(us).unwrap();
        let usage = tree_usage(us).unwrap();
        assert!(usage.resident >= alone / 2 && alone > 100_000, "{usage:?} {alone}");
        assert_eq!(tree_usage(Pid::from_raw(i32::MAX)), None);
    }
}
