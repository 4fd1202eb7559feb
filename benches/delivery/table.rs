//! The results as a Markdown table: medians over rounds, and ratios where there are two servers.

use super::measure::Measured;
use super::protocols::{Case, Subject};
use super::{Extent, process};

/// Prints it.
pub(crate) fn print(extent: &Extent, cases: &[Case], measured: &[Measured]) {
    let Extent { subscribers, events, rate, pause, rounds, shared, .. } = extent;
    println!("{subscribers} TLS subscribers, {events} events of 100 B at {rate}/s; {}.", process::machine());
    if cfg!(debug_assertions) {
        println!("Not optimised: `cargo bench` is.");
    }
    let (other, short) = (extent.other(), if *shared { "on NATS" } else { "nchan" });
    println!("{}: medians of {rounds} rounds in turn; what it doesn't speak is measured once, each", other.title());
    println!(
        "subscriber then being the lab's own client. Polling asks every second; who polls long asks again after {pause} ms."
    );
    println!("A ratio is the lab's number to the other's.");
    println!();
    println!(
        "| protocol | on a connection | received | CPU per delivery | {short} | ratio | memory per subscriber | {short} | ratio | delay p50, p99 | {short} |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for case in cases {
        let of = |subject| {
            let mine = |one: &&Measured| {
                one.protocol == case.protocol && one.per_connection == case.per_connection && one.subject == subject
            };
            let rounds: Vec<_> = measured.iter().filter(mine).collect();
            (!rounds.is_empty()).then_some(rounds)
        };
        let (lab, nchan) = (of(Subject::Lab), of(other));
        let cpu = |one: &Measured| one.cpu;
        let memory = |one: &Measured| one.memory / 1000.0;
        let cells = [
            format!("`{}`", case.protocol),
            case.per_connection.to_string(),
            received(lab.as_deref(), nchan.as_deref()),
            number(lab.as_deref(), cpu, "µs"),
            number(nchan.as_deref(), cpu, "µs"),
            ratio(lab.as_deref(), nchan.as_deref(), cpu),
            number(lab.as_deref(), memory, "kB"),
            number(nchan.as_deref(), memory, "kB"),
            ratio(lab.as_deref(), nchan.as_deref(), memory),
            delays(lab.as_deref()),
            delays(nchan.as_deref()),
        ];
        println!("| {} |", cells.join(" | "));
    }
}

type Rounds<'a> = Option<&'a [&'a Measured]>;

fn received(lab: Rounds<'_>, nchan: Rounds<'_>) -> String {
    let total = |rounds: Rounds<'_>| rounds.map(|rounds| rounds.iter().map(|one| one.report.received).sum::<usize>());
    match (total(lab), total(nchan)) {
        (Some(lab), Some(nchan)) if lab != nchan => format!("{lab}, {nchan}"),
        (Some(count), _) | (None, Some(count)) => count.to_string(),
        (None, None) => "failed".to_owned(),
    }
}

/// The median of the rounds in which there was such a value.
fn median<V: Into<Option<f64>>>(rounds: Rounds<'_>, value: impl Fn(&Measured) -> V) -> Option<f64> {
    let mut values: Vec<f64> = rounds?.iter().filter_map(|one| value(one).into()).collect();
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    Some(if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) })
}

fn number(rounds: Rounds<'_>, value: impl Fn(&Measured) -> f64, unit: &str) -> String {
    median(rounds, value).map_or_else(|| "–".to_owned(), |value| format!("{value:.1} {unit}"))
}

fn ratio(lab: Rounds<'_>, nchan: Rounds<'_>, value: impl Fn(&Measured) -> f64 + Copy) -> String {
    match (median(lab, value), median(nchan, value)) {
        (Some(lab), Some(nchan)) if nchan > 0.0 => format!("**{:.2}**", lab / nchan),
        _ => "–".to_owned(),
    }
}

fn delays(rounds: Rounds<'_>) -> String {
    match (median(rounds, |one| one.report.p50), median(rounds, |one| one.report.p99)) {
        (Some(p50), Some(p99)) => format!("{p50:.1}, {p99:.1} ms"),
        _ => "–".to_owned(),
    }
}
