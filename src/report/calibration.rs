//! What the machine could tell, as a person reads it.

use super::Title;
use crate::stats::calibration::{Calibration, ClientClock, Lateness};
use crate::stats::number;

/// What the template shows.
#[derive(Debug)]
pub(super) struct CalibrationView {
    pub(super) lines: Vec<(String, String)>,
    pub(super) clocks: Vec<ClockView>,
    pub(super) notes: Vec<String>,
}

/// A client's clock.
#[derive(Debug)]
pub(super) struct ClockView {
    pub(super) client: String,
    pub(super) step: String,
    pub(super) uncertainty: String,
    pub(super) isolated: &'static str,
    pub(super) visibility: String,
}

impl CalibrationView {
    /// Writes the numbers with their units.
    pub(super) fn new(calibration: &Calibration, title: Title<'_>) -> Self {
        let twins = calibration.aa.as_ref().map(|twins| {
            let of = |value| number::with_unit(value, &twins.unit);
            let (first, second, apart) = (of(twins.first), of(twins.second), of(twins.difference));
            format!("{first} and {second}, {apart} apart: differences below that are noise here")
        });
        let metric = calibration.aa.as_ref().map_or("", |twins| twins.metric.as_str());
        let lines = [
            ("Idle before".to_owned(), calibration.idle_percent.map(|percent| format!("{percent:.1} %"))),
            (format!("{metric} of two trials that differ in nothing"), twins),
            ("Events published late by".to_owned(), calibration.publisher_lateness.as_ref().map(lateness)),
            ("Facts recorded late by".to_owned(), calibration.recorder_lateness.as_ref().map(lateness)),
            (
                "Round trips over a link that delays nothing".to_owned(),
                calibration.link_round_trip.as_ref().map(lateness),
            ),
        ];
        Self {
            lines: lines.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            clocks: calibration.clocks.iter().map(|clock| clock_view(clock, title)).collect(),
            notes: calibration.notes.clone(),
        }
    }
}

/// One line: `Calibration: idle 97 %, A/A latency 0.310 ms vs 0.290 ms (noise 0.0200 ms), …`.
pub fn calibrated(calibration: &Calibration) -> String {
    let late = |who: &str, of: &Option<Lateness>| {
        let of = of.as_ref()?;
        let (median, p99) = (number::with_unit(of.median, &of.unit), number::with_unit(of.p99, &of.unit));
        Some(format!("{who} late {median} (p99 {p99})"))
    };
    let aa = calibration.aa.as_ref().map(|twins| {
        let of = |value| number::with_unit(value, &twins.unit);
        let (first, second, noise) = (of(twins.first), of(twins.second), of(twins.difference));
        format!("A/A {} {first} vs {second} (noise {noise})", twins.metric)
    });
    let parts = [
        calibration.idle_percent.map(|percent| format!("idle {percent:.0} %")),
        aa,
        late("publisher", &calibration.publisher_lateness),
        late("recorder", &calibration.recorder_lateness),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let mut line = format!("Calibration: {}", parts.join(", "));
    for note in &calibration.notes {
        line = format!("{line}. {}", note.trim_end_matches('.'));
    }
    line
}

fn lateness(of: &Lateness) -> String {
    format!("{}, p99 {}", number::with_unit(of.median, &of.unit), number::with_unit(of.p99, &of.unit))
}

fn clock_view(clock: &ClientClock, title: Title<'_>) -> ClockView {
    let micros = |nanos: u64| number::with_unit(nanos as f64 / 1e3, "µs");
    ClockView {
        client: title(&clock.client),
        step: micros(clock.step),
        uncertainty: micros(clock.uncertainty),
        isolated: if clock.isolated { "yes" } else { "no" },
        visibility: clock.visibility.clone(),
    }
}
