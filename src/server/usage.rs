//! What this process has used so far.

use nix::sys::resource::{UsageWho, getrusage};

use super::Meter;
use crate::trial::ServerFact;
use crate::trial::fact::UsageAt;

/// CPU time of this process (getrusage(2)), its resident memory (`VmRSS` of proc(5)), and what its server has done, now.
pub(super) fn usage(at: UsageAt, meter: &Meter) -> ServerFact {
    let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
        u64::try_from(micros(usage.user_time()) + micros(usage.system_time())).unwrap_or(0)
    });
    let (sent, received) = meter.traffic.bytes();
    let (resident, requests) = (resident().unwrap_or(0), meter.routes.requests());
    ServerFact::Usage { at, cpu, resident, requests, sent, received, server: 0 }
}

fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
