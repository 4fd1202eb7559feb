//! Reads what machine this is.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::report::Machine;

/// How long the processor is watched for how idle it is.
const WATCHED: Duration = Duration::from_millis(200);

/// The machine as it is before a run. What can't be read is left out.
pub(super) async fn read() -> Machine {
    let before = cpu_times();
    tokio::time::sleep(WATCHED).await;
    let idle = before.zip(cpu_times()).and_then(|(before, after)| {
        let (idle, all) = (after.0 - before.0, after.1 - before.1);
        (all > 0.0).then(|| 100.0 * idle / all)
    });
    let started = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let cores = std::thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok());
    Machine {
        lab: env!("CARGO_PKG_VERSION").to_owned(),
        started: OffsetDateTime::now_utc().format(started).ok(),
        kernel: kernel.map(|release| format!("Linux {}", release.trim())),
        cpu: field("/proc/cpuinfo", "model name"),
        cores,
        memory: field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
            .map(|kib| kib * 1024),
        load: std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next()?.parse().ok()),
        idle,
        ..Machine::default()
    }
}

/// The value of the first line `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().strip_prefix(':')?.trim().to_owned())
}

/// Ticks that the processor was idle, and all ticks (proc(5), `/proc/stat`: idle and iowait are the 4th and 5th).
fn cpu_times() -> Option<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let times: Vec<f64> = text.lines().next()?.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
    Some((times.get(3)? + times.get(4)?, times.iter().take(8).sum()))
}
