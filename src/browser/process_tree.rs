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
    zombie: bool,
    /// When it started, in clock ticks after the machine did: with the process id, it is one process only.
    pub(super) started: u64,
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
    let mut children: BTreeMap<Pid, Vec<Process>> = BTreeMap::new();
    for process in all_ids().filter_map(process) {
        children.entry(process.parent).or_default().push(process);
    }
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
        assert_eq!(parse(Pid::from_raw(42), "42 (cut"), None);
    }

    #[test]
    fn this_process_is_found_with_its_parent() {
        let us = process(nix::unistd::getpid()).unwrap();
        assert_eq!(us.parent, nix::unistd::getppid());
        assert!(us.started > 0 && !us.zombie);
    }
}
