//! What the bytes on a link were: for each combination whose packets were kept, how many it took to begin, for an event,
//! and in a minute with nothing to say, each as a bar of its parts. Lengths are in units of the drawing.

use super::Title;
use super::lanes::{WIDTH, name, tenth};
use crate::stats::number;
use crate::stats::{PhaseParts, Summary, TrialResult};
use crate::trial::fact::WayParts;
use crate::trial::phase::TrialPhase;

/// Where bars begin, and where the longest ends.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 296.0;
const BAR: f64 = 14.0;
const STEP: f64 = 22.0;
/// How many combinations are drawn.
const MOST_DRAWINGS: usize = 48;

/// A part of what is sent: the class that colours it, what it is called, and how much of it there is.
pub(super) struct PartRow {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    bytes: fn(&WayParts) -> u64,
}

/// Every part, from what it is all about to what nobody asked for.
pub(super) static PARTS: [PartRow; 6] = [
    PartRow { class: "payload", name: "events’ data", bytes: |parts| parts.payload },
    PartRow { class: "framing", name: "framing: HTTP, and what encodes events", bytes: |parts| parts.framing },
    PartRow { class: "protection", name: "TLS or QUIC", bytes: |parts| parts.protection },
    PartRow { class: "headers", name: "headers of IP, TCP and UDP", bytes: |parts| parts.headers },
    PartRow { class: "acknowledgements", name: "packets that only acknowledge", bytes: |parts| parts.acknowledgements },
    PartRow { class: "unknown", name: "not decrypted", bytes: |parts| parts.unknown },
];

/// A bar: the phase that it is of, what stands before it, and what its bytes are divided by (`None`: there is no bar).
struct BarRow {
    phase: TrialPhase,
    label: &'static str,
    /// The same in a sentence, behind the number.
    words: &'static str,
    share: fn(&TrialResult, u64) -> Option<f64>,
}

static BARS: [BarRow; 3] = [
    BarRow { phase: TrialPhase::Handshake, label: "beginning", words: "to begin", share: |_, _| Some(1.0) },
    BarRow {
        phase: TrialPhase::Events,
        label: "event",
        words: "for an event",
        share: |trial, _| metric(trial, "events-received").filter(|events| *events > 0.0).map(|events| 1.0 / events),
    },
    BarRow {
        phase: TrialPhase::Idle,
        label: "idle min.",
        words: "in an idle minute",
        share: |trial, bytes| metric(trial, "idle-bytes-per-minute").filter(|_| bytes > 0).map(|of| of / bytes as f64),
    },
];

/// One combination.
#[derive(Debug)]
pub(super) struct BytesDrawing {
    pub(super) name: String,
    pub(super) words: String,
    pub(super) trial: u32,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) bars: Vec<StackedBar>,
}

#[derive(Debug)]
pub(super) struct StackedBar {
    pub(super) label: &'static str,
    pub(super) y: f64,
    pub(super) height: f64,
    pub(super) text_y: f64,
    pub(super) parts: Vec<StackedPart>,
    /// `1,234 B`, and where it stands.
    pub(super) total: String,
    pub(super) total_x: f64,
}

#[derive(Debug)]
pub(super) struct StackedPart {
    pub(super) class: &'static str,
    pub(super) x: f64,
    pub(super) width: f64,
    pub(super) says: String,
}

/// The combinations, and how many more there are than are drawn.
pub(super) fn bytes(summary: &Summary, factors: &[String], title: Title<'_>) -> (Vec<BytesDrawing>, usize) {
    let mut trials: Vec<&TrialResult> = Vec::new();
    for trial in summary.trials.iter().filter(|trial| !trial.on_link.is_empty()) {
        if trials.iter().all(|other| other.levels != trial.levels) {
            trials.push(trial);
        }
    }
    let longest = BARS.each_ref().map(|bar| {
        let totals = trials.iter().filter_map(|trial| values(trial, bar));
        totals.map(|values| values.iter().sum::<f64>()).fold(0.0, f64::max)
    });
    let drawn = trials.iter().take(MOST_DRAWINGS).map(|trial| drawing(trial, &longest, factors, title));
    (drawn.collect(), trials.len().saturating_sub(MOST_DRAWINGS))
}

/// How many bytes each part has, in the order of [`PARTS`].
fn values(trial: &TrialResult, bar: &BarRow) -> Option<[f64; PARTS.len()]> {
    let PhaseParts { up, down, .. } = trial.on_link.iter().find(|parts| parts.phase == bar.phase)?;
    let share = (bar.share)(trial, up.bytes + down.bytes)?;
    Some(PARTS.each_ref().map(|part| ((part.bytes)(up) + (part.bytes)(down)) as f64 * share))
}

fn metric(trial: &TrialResult, name: &str) -> Option<f64> {
    trial.metrics.get(name)?.median
}

fn drawing(trial: &TrialResult, longest: &[f64; BARS.len()], factors: &[String], title: Title<'_>) -> BytesDrawing {
    let (mut bars, mut words): (Vec<StackedBar>, Vec<String>) = (Vec::new(), Vec::new());
    for (bar, longest) in BARS.iter().zip(longest) {
        let Some(values) = values(trial, bar) else { continue };
        let scale = (RIGHT - LEFT) / longest.max(f64::MIN_POSITIVE);
        let mut x = LEFT;
        let mut parts = Vec::new();
        for (part, value) in PARTS.iter().zip(values).filter(|(_, value)| *value > 0.0) {
            let width = value * scale;
            let says = format!("{}: {}", part.name, number::with_unit(value.round(), "B"));
            parts.push(StackedPart { class: part.class, x: tenth(x), width: tenth(width), says });
            x += width;
        }
        let y = STEP * bars.len() as f64 + 4.0;
        let total = number::with_unit(values.iter().sum::<f64>().round(), "B");
        let (height, text_y) = (BAR, y + BAR - 3.0);
        words.push(format!("{total} {}", bar.words));
        bars.push(StackedBar { label: bar.label, y, height, text_y, parts, total, total_x: tenth(x + 5.0) });
    }
    BytesDrawing {
        name: name(&trial.levels, trial.client_version.as_deref(), factors, title),
        words: words.join(", "),
        trial: trial.trial,
        width: WIDTH,
        height: STEP * bars.len() as f64 + 4.0,
        bars,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::fact::Outcome;
    use crate::trial::{Alpn, LabFact};

    fn trial(number: u32, alpn: Alpn, payload: u64) -> RecordedTrial {
        let mut rig = RecordedTrial::of(number, 0, "native", alpn);
        rig.attach(0, 1).open(0).publish(0).receive(0, 0).publish(1).receive(0, 1);
        let way =
            |bytes, payload| WayParts { packets: 1, bytes, headers: bytes - payload, payload, ..WayParts::default() };
        for (phase, payload) in [(TrialPhase::Handshake, 0), (TrialPhase::Events, payload)] {
            let (up, down) = (way(40, 0), way(100 + payload, payload));
            rig.fact(LabFact::LinkFlow { over: "tcp".to_owned(), client: 1, server: 2, phase, up, down });
        }
        rig.end(Outcome::Completed, None);
        rig
    }

    #[test]
    fn bars_are_as_long_as_their_bytes_and_made_of_their_parts() {
        let (plan, journal) = RecordedTrial::plan(&[trial(0, Alpn::H1, 100), trial(1, Alpn::H2, 340)], Vec::new());
        let summary = summarise(&plan, &journal);
        let (drawings, left_out) = bytes(&summary, &[], &str::to_owned);
        assert_eq!((drawings.len(), left_out), (2, 0));
        assert_eq!(drawings[0].words, "140\u{a0}B to begin, 120\u{a0}B for an event");
        let [begin, event] = &drawings[0].bars[..] else { panic!("{drawings:?}") };
        assert_eq!(begin.parts.iter().map(|part| (part.class, part.width)).collect::<Vec<_>>(), [("headers", 234.0)]);
        // The other's event takes 240 bytes, of which these are half.
        let parts: Vec<_> = event.parts.iter().map(|part| (part.class, part.x, part.width)).collect();
        assert_eq!(parts, [("payload", 62.0, 48.8), ("headers", 110.8, 68.3)]);
        assert_eq!(event.parts[0].says, "events’ data: 50\u{a0}B");
    }

    #[test]
    fn without_packets_there_is_no_picture() {
        let (plan, journal) = RecordedTrial::plan(&[RecordedTrial::held(0, 0, "native", Alpn::H1, 1, 1)], Vec::new());
        assert!(bytes(&summarise(&plan, &journal), &[], &str::to_owned).0.is_empty());
    }
}
