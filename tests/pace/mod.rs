//! How fast a test's trials go: as fast as the machine has time for.
//!
//! A trial happens at instants that its experiment names, whether or not both ends have got there: streams that open
//! after the first event, and a fault that comes before what it is to break, are what such a trial is about, and not
//! what a test of something else is. So whoever wants to know what comes of a trial, and not how fast this machine is,
//! has everything in it take as many times longer as there are others for each processor.

use std::fs;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

/// How many times longer at most.
const SLOWEST: u32 = 4;
/// How often it is looked how many run.
const LOOKS: u32 = 20;
/// What happens at or for a time, in an experiment's file and after `--set workload.`.
const TIMES: [&str; 8] = ["settle", "hold", "drain", "ramp", "at", "for", "retry", "delay"];
/// What happens at a rate.
const RATES: [&str; 2] = ["rate", "events.rate"];

/// A file's text, or `workload.hold=2s`, with its times stretched.
pub(crate) fn paced(text: &str) -> String {
    stretched(text, factor())
}

/// 1 on a machine with nothing else to do; the same for all that a process runs, as what is in a file and what is set
/// besides belong together.
pub(crate) fn factor() -> u32 {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    *FACTOR.get_or_init(measured)
}

fn measured() -> u32 {
    let processors = u32::try_from(thread::available_parallelism().map_or(1, usize::from)).unwrap();
    // On average over a fifth of a second, as a test that waits most of the time wakes many threads for a moment. This
    // process is one of those that run.
    let looks = (0..LOOKS).filter_map(|_| {
        thread::sleep(Duration::from_millis(10));
        running()
    });
    let others = looks.map(|running| running.saturating_sub(1)).sum::<u32>();
    let all = LOOKS * processors;
    (1 + (others + all / 2) / all).min(SLOWEST)
}

/// How many threads run or could (proc(5), `/proc/loadavg`).
fn running() -> Option<u32> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').nth(3)?.split('/').next()?.parse().ok()
}

fn stretched(text: &str, factor: u32) -> String {
    let mut all = String::new();
    let mut rest = text;
    // After each `=` comes a value, quoted or to the end of the word; what is before it says of what.
    while let Some(at) = rest.find('=') {
        let (before, after) = rest.split_at(at + 1);
        all += before;
        let name = before[..at].trim_end();
        let name = name.rsplit(|c: char| !c.is_ascii_alphanumeric() && !['.', '-'].contains(&c)).next().unwrap_or("");
        let name = name.strip_prefix("workload.").unwrap_or(name);
        let lead = after.len() - after.trim_start_matches([' ', '\'', '"']).len();
        let length = after[lead..].find(|c: char| !c.is_ascii_alphanumeric() && !['.', '/'].contains(&c));
        let (value, next) = after[lead..].split_at(length.unwrap_or(after.len() - lead));
        all += &after[..lead];
        all += &stretched_value(name, value, factor).unwrap_or_else(|| value.to_owned());
        rest = next;
    }
    all + rest
}

/// The value of this name, if it is a time or a rate.
fn stretched_value(name: &str, value: &str, factor: u32) -> Option<String> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let number: u32 = number.parse().ok()?;
    match unit {
        "ms" | "s" if TIMES.contains(&name) => Some(format!("{}{unit}", number * factor)),
        "/s" if RATES.contains(&name) => Some(format!("{}/s", f64::from(number) / f64::from(factor))),
        _ => None,
    }
}

#[test]
fn times_and_rates_are_stretched_alike_and_nothing_else_is() {
    let text = "[workload]\nsubscribers = 3\nsettle = \"250ms\"\nhold='1s'\nevents = { count = 3, rate = '20/s' }\n\
                [[fault]]\nat = '300ms'\nkind = 'kill'\n[reconnect]\ndelay = '40ms'\nping = '50ms'\n[expect]\ncounts = 'equal'\n";
    let four = "[workload]\nsubscribers = 3\nsettle = \"1000ms\"\nhold='4s'\nevents = { count = 3, rate = '5/s' }\n\
                [[fault]]\nat = '1200ms'\nkind = 'kill'\n[reconnect]\ndelay = '160ms'\nping = '50ms'\n[expect]\ncounts = 'equal'\n";
    assert_eq!(stretched(text, 4), four);
    assert_eq!(stretched(text, 1), text);
    for (set, three) in [
        ("workload.hold=700ms", "workload.hold=2100ms"),
        ("workload.events.rate=5/s", "workload.events.rate=1.6666666666666667/s"),
        ("workload.hold=3", "workload.hold=3"),
        ("protocol=sse/h1,sse/h2", "protocol=sse/h1,sse/h2"),
        ("timeout=3s", "timeout=3s"),
    ] {
        assert_eq!(stretched(set, 3), three);
    }
}
