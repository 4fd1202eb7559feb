//! Something gathers what was sent, and passes it on later.

use std::time::Duration;

use super::{Check, Severity, Told, count, span};
use crate::diagnose::reading::TOGETHER;
use crate::diagnose::said::Said;
use crate::diagnose::visit::{StreamKind, Visit};

/// A stream that begins with this many events at once may be telling what was before.
const BURST: usize = 3;
/// Time stamps this far apart aren't those of events that were made together.
const APART: f64 = 0.5;
/// Bytes that come so few at a time are nobody's buffer.
const TRICKLE_BYTES: usize = 16;
/// The least that anything gathers, in bytes; who writes an event in two parts has less of it in the first.
const BUFFER_BYTES: usize = 512;

pub(super) static HELD_BACK: Check = Check {
    name: "held-back",
    look: |visit| {
        let silence = visit.silences.first().filter(|_| visit.kind != Some(StreamKind::LongPoll))?;
        let other = match (visit.main(), visit.head_only.as_ref()) {
            (Some((reading, _)), _) => {
                format!("on {} it was there after {}", reading.alpn.title(), span(reading.headed))
            }
            (None, Some((head, took))) => {
                format!("a HEAD of the same was answered {} after {}", head.status.as_u16(), span(*took))
            }
            (None, None) => return None,
        };
        Some(Told {
            severity: Severity::Delays,
            says: "The stream's beginning is held back: a reader isn't even told that it is open.".to_owned(),
            evidence: vec![
                format!("on {} a GET had no header within {}", silence.alpn.title(), span(silence.waited)),
                other,
            ],
            change: line(visit),
        })
    },
};

pub(super) static CLUMPS: Check = Check {
    name: "buffered",
    look: |visit| {
        let read = visit.readings.iter().map(|(reading, said)| (reading.alpn.title(), said));
        let socket = visit.sockets.iter().map(|socket| (socket.alpn.title(), &socket.said));
        let evidence: Vec<String> = read.chain(socket).flat_map(|(over, said)| held(over, said, visit.late)).collect();
        if evidence.is_empty() {
            return None;
        }
        let says = "Events come in clumps, and not when they were made: something gathers them first.".to_owned();
        Some(Told { severity: Severity::Delays, says, evidence, change: line(visit) })
    },
};

pub(super) static BURSTS: Check = Check {
    name: "bursts",
    look: |visit| {
        if (CLUMPS.look)(visit).is_some() {
            return None;
        }
        let (_, said) = visit.main()?;
        let clumps = said.clumps();
        // What comes first may be what was before.
        let later = clumps.get(1..)?;
        let bursts = later.iter().filter(|clump| clump.len() >= BURST).count();
        if bursts < 2 || bursts < later.len() {
            return None;
        }
        Some(Told {
            severity: Severity::Advice,
            says: "Events come in bursts. If they were not made so, something gathers them first.".to_owned(),
            evidence: vec![format!("{} at once, {} times", count(later[0].len(), "event"), bursts)],
            change: line(visit),
        })
    },
};

pub(super) static TRICKLE: Check = Check {
    name: "trickle",
    look: |visit| {
        let (reading, said) = visit.main()?;
        let pauses = trickles(said);
        if pauses < 2 {
            return None;
        }
        Some(Told {
            severity: Severity::Delays,
            says: "Events come a few bytes at a time, with pauses in their middle.".to_owned(),
            evidence: vec![format!("{} bytes in {}, and {pauses} pauses", reading.bytes(), span(reading.took))],
            change: "write an event whole, with its empty line, and flush then".to_owned(),
        })
    },
};

fn trickles(said: &Said) -> usize {
    said.pauses.iter().filter(|pause| pause.after < TRICKLE_BYTES).count()
}

/// What tells that something gathers, of one reading.
fn held(over: &str, said: &Said, late: Duration) -> Vec<String> {
    let mut evidence = Vec::new();
    let pauses: Vec<_> = said.pauses.iter().filter(|pause| pause.after >= BUFFER_BYTES).collect();
    if let Some(longest) = pauses.iter().max_by_key(|pause| pause.length) {
        evidence.push(format!(
            "{over}: {} bytes came at once and stopped in the middle of an event for {}; its rest came with what \
             followed",
            longest.after,
            span(longest.length)
        ));
    }
    // What comes first may be what was before, with the stamps of then.
    for clump in said.clumps().iter().skip(1) {
        let stamps: Vec<f64> = said.events[clump.clone()].iter().filter_map(|event| event.stamp).collect();
        let ends = stamps.iter().fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(*at), high.max(*at)));
        // Twice as far apart as this program itself was late.
        let apart = APART.max(2.0 * late.as_secs_f64());
        if stamps.len() >= 2 && ends.1 - ends.0 >= apart {
            let apart = Duration::from_secs_f64((ends.1 - ends.0).min(1e6));
            evidence.push(format!(
                "{over}: {} came together whose own time stamps are {} apart",
                count(clump.len(), "event"),
                span(apart)
            ));
            break;
        }
    }
    if let Some(beats) = beats_together(said) {
        evidence.push(format!("{over}: {beats} heartbeats came together, which a clock makes one at a time"));
    }
    evidence
}

/// How many signs of life came together, later than at the beginning, where some write a few to get through.
fn beats_together(said: &Said) -> Option<usize> {
    let begun = *said.beats.first()? + TOGETHER;
    let later: Vec<Duration> = said.beats.iter().copied().filter(|at| *at > begun).collect();
    let together = later.chunk_by(|a, b| b.saturating_sub(*a) <= TOGETHER).map(<[Duration]>::len).max()?;
    (together >= BURST).then_some(together)
}

/// The line to change, as far as it is known what stands there.
fn line(visit: &Visit) -> String {
    let own = "flush after each event in the application, and turn buffering off in what stands before it";
    visit.change(own, |lines| lines.gathered)
}
