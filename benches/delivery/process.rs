//! What a process, and those that it started, have used so far (proc(5)).

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// What the kernel counts CPU time in for us: `USER_HZ` is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A process and its children.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    [pid].into_iter().chain(children.split_whitespace().filter_map(|child| child.parse().ok())).collect()
}

/// The first processor is the server's; the last is the load's, and of all else here. Where there is only one, they
/// share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processor {
    First,
    Last,
}

/// Keeps this thread, and what it starts from now on, on one processor: where the scheduler happens to put two
/// processes that wake each other would decide how late events are.
pub(crate) fn stay_on(processor: Processor) {
    // Those that were allowed to begin with: by now this thread may be kept on one of them.
    static ALLOWED: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    let this = Pid::from_raw(0);
    let allowed = ALLOWED.get_or_init(|| {
        let set = sched_getaffinity(this).unwrap_or_default();
        (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
    });
    let one = match processor {
        Processor::First => allowed.first(),
        Processor::Last => allowed.last(),
    };
    let mut set = CpuSet::new();
    if let Some(one) = one
        && set.set(*one).is_ok()
    {
        let _ = sched_setaffinity(this, &set);
    }
}

/// Starts a server: on its own processor.
pub(crate) fn start_server(command: &mut Command) -> std::io::Result<Child> {
    stay_on(Processor::First);
    let child = command.spawn();
    stay_on(Processor::Last);
    child
}

/// CPU time, user and system, of all their threads.
pub(crate) fn cpu(pids: &[u32]) -> Duration {
    pids.iter().map(|pid| cpu_of(*pid)).sum()
}

fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name is in parentheses and may hold anything; utime and stime are fields 14 and 15, the state is the third.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// Resident bytes of all of them (`VmRSS`).
pub(crate) fn resident(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| resident_of(*pid).unwrap_or(0)).sum()
}

fn resident_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The machine, in words: processor, kernel.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, m)| m);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} × {model}, Linux {}", kernel.trim())
}
