//! Reads what machine this is.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::report::Machine;

/// How long the processor is watched for how idle it is.
const WATCHED: Duration = Duration::from_millis(200);

/// The machine as it is before a run. What can't be read is left out.
pub(super) async fn read() -> Machine {
    let watch = Watch::start();
    tokio::time::sleep(WATCHED).await;
    let idle = watch.idle();
    let started = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6] UTC");
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

/// What the kernel counts, from an instant on.
#[derive(Debug)]
pub(super) struct Watch {
    times: Option<(f64, f64)>,
    dropped: Option<u64>,
}

impl Watch {
    /// From now on.
    pub(super) fn start() -> Self {
        Self { times: cpu_times(), dropped: udp_dropped() }
    }

    /// How much of the processor was idle since, in percent, to the tenth; `None` while no tick has passed.
    pub(super) fn idle(&self) -> Option<f64> {
        let (before, after) = self.times.zip(cpu_times())?;
        let (idle, all) = (after.0 - before.0, after.1 - before.1);
        // The kernel may take back some of what it called iowait.
        (all > 0.0).then(|| (1000.0 * idle / all).round().clamp(0.0, 1000.0) / 10.0)
    }

    /// How many UDP datagrams the kernel dropped since.
    pub(super) fn udp_dropped(&self) -> Option<u64> {
        udp_dropped()?.checked_sub(self.dropped?)
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

/// Datagrams that had arrived and were dropped, over IPv4 and IPv6: `InErrors` (RFC 4113, udpInErrors), in which Linux
/// counts those that found no room in the socket's buffer (`RcvbufErrors`). All of the network that this thread is in.
/// `None` where IPv4's can't be read.
pub(super) fn udp_dropped() -> Option<u64> {
    let v4 = udp4_errors(&std::fs::read_to_string("/proc/thread-self/net/snmp").ok()?)?;
    // Without IPv6 there is no such file.
    let v6 =
        std::fs::read_to_string("/proc/thread-self/net/snmp6").ok().and_then(|text| udp6_errors(&text)).unwrap_or(0);
    Some(v4 + v6)
}

/// `/proc/net/snmp` has two lines a protocol: names, then values.
fn udp4_errors(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let place = lines.next()?.split_whitespace().position(|name| name == "InErrors")?;
    lines.next()?.split_whitespace().nth(place)?.parse().ok()
}

/// `/proc/net/snmp6` has a name and a value a line.
fn udp6_errors(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("Udp6InErrors"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_datagrams_are_read_where_the_kernel_writes_them() {
        let four = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\n\
                    Udp: 900 7 12 800 11\nUdpLite: InErrors\nUdpLite: 5\n";
        assert_eq!(udp4_errors(four), Some(12));
        assert_eq!(
            udp6_errors("Udp6InDatagrams 4\nUdp6InErrors                    \t3\nUdp6RcvbufErrors 3\n"),
            Some(3)
        );
        assert_eq!((udp4_errors("Tcp: a\n"), udp6_errors("")), (None, None));
        assert!(udp_dropped().is_some(), "this machine's own");
    }

    #[test]
    fn a_datagram_that_finds_no_room_is_counted() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let watch = Watch::start();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        // More than any socket's buffer has room for by default, and nobody reads.
        for _ in 0..20_000 {
            sender.send_to(&[0; 1200], receiver.local_addr().unwrap()).unwrap();
        }
        assert!(watch.udp_dropped() > Some(0));
    }
}
