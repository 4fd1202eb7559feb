//! What a stream says: its events and when they came, its signs of life, and what readers pass over.

use std::collections::BTreeSet;
use std::time::Duration;

use super::reading::{Piece, TOGETHER};
use super::stamp::stamp;
use crate::text::visible;
use crate::transport::sse::Parser;

/// How many samples of what is wrong are kept, and how long each is.
const SAMPLES: usize = 3;
const SAMPLE_CHARS: usize = 60;
/// A silence this long in the middle of an event is no accident of packets.
const PAUSE: Duration = Duration::from_millis(500);

/// How events are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimited {
    /// `text/event-stream`.
    EventStream,
    /// A line each.
    Lines,
    /// Not at all.
    Opaque,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SaidEvent {
    /// When its end came, from the request on.
    pub(super) at: Duration,
    /// The last id that the stream had said by then.
    pub(super) id: String,
    /// When it says it was made, in seconds since 1970.
    pub(super) stamp: Option<f64>,
}

/// A silence in the middle of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) at: Duration,
    pub(super) length: Duration,
    /// How many bytes had come at once just before.
    pub(super) after: usize,
}

/// Lines or events that are wrong, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) count: usize,
    pub(super) shown: Vec<String>,
}

impl Samples {
    fn add(&mut self, text: &str) {
        self.count += 1;
        if self.shown.len() < SAMPLES {
            let short: String = text.chars().take(SAMPLE_CHARS).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            let shown = format!("{}{more}", visible(&short));
            if !self.shown.contains(&shown) {
                self.shown.push(shown);
            }
        }
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    pub(super) events: Vec<SaidEvent>,
    /// When comments, and other messages that are no events, came.
    pub(super) beats: Vec<Duration>,
    /// The id that was said before any event, and no event's own.
    pub(super) place: Option<String>,
    pub(super) last_id: String,
    /// Milliseconds.
    pub(super) retry: Option<u64>,
    pub(super) bad_retries: Samples,
    /// Lines whose field the standard doesn't know.
    pub(super) ignored: Samples,
    /// Events that have a name and no data, which no reader is given.
    pub(super) without_data: Samples,
    /// Byte order marks where none belongs.
    pub(super) marks: Samples,
    pub(super) not_utf8: Samples,
    /// `LF`, `CRLF`, `CR`.
    pub(super) line_ends: BTreeSet<&'static str>,
    pub(super) begins_with_mark: bool,
    /// Silences in the middle of an event.
    pub(super) pauses: Vec<Pause>,
    /// Whether what came last was the beginning of something.
    pub(super) is_unfinished: bool,
    /// Something is so long that no reader takes it.
    pub(super) too_long: bool,
}

impl Said {
    /// Reads pieces of a stream.
    pub(super) fn read(format: Delimited, pieces: &[Piece]) -> Self {
        let mut scan = Scan::default();
        for (k, piece) in pieces.iter().enumerate() {
            match format {
                Delimited::EventStream => scan.event_stream(piece),
                Delimited::Lines => scan.lines(piece),
                Delimited::Opaque => {}
            }
            scan.piece_ended(piece, pieces.get(k + 1));
        }
        scan.said.is_unfinished = scan.is_in_the_middle();
        scan.said
    }

    /// Groups of events that came together: where they begin and end in `events`.
    pub(super) fn clumps(&self) -> Vec<std::ops::Range<usize>> {
        let mut clumps: Vec<std::ops::Range<usize>> = Vec::new();
        for (k, event) in self.events.iter().enumerate() {
            match clumps.last_mut() {
                Some(last) if event.at.saturating_sub(self.events[last.end - 1].at) <= TOGETHER => last.end = k + 1,
                _ => clumps.push(k..k + 1),
            }
        }
        clumps
    }

    /// The longest time between two signs of life, and how many there were.
    pub(super) fn beat(&self) -> Option<Duration> {
        self.beats.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).filter(|gap| *gap > TOGETHER).max()
    }

    /// Whether any event, or the stream itself, said an id.
    pub(super) fn has_ids(&self) -> bool {
        !self.last_id.is_empty() || self.place.is_some()
    }
}

#[derive(Debug, Default)]
struct Scan {
    said: Said,
    parser: Parser,
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    /// The name of the event under way, and whether it has data.
    name: Option<String>,
    has_data: bool,
    /// Bytes since the last silence.
    together: usize,
    last: Option<Duration>,
}

impl Scan {
    fn is_in_the_middle(&self) -> bool {
        !self.line.is_empty() || self.has_data || self.name.is_some()
    }

    fn event_stream(&mut self, piece: &Piece) {
        let Self { parser, said, .. } = self;
        let pushed = parser.push(&piece.bytes, |message| {
            let stamp = stamp(&message.data).or_else(|| stamp(&message.id));
            said.events.push(SaidEvent { at: piece.at, id: message.id, stamp });
        });
        said.too_long |= pushed.is_err();
        said.retry = parser.retry();
        if said.events.is_empty() && !parser.last_id().is_empty() {
            said.place = Some(parser.last_id().to_owned());
        }
        parser.last_id().clone_into(&mut said.last_id);
        self.each_line(piece, Self::field);
    }

    fn lines(&mut self, piece: &Piece) {
        self.each_line(piece, |this, line, at| {
            let text = String::from_utf8_lossy(line);
            if text.trim().is_empty() {
                this.said.beats.push(at);
            } else {
                this.said.events.push(SaidEvent { at, id: String::new(), stamp: stamp(&text) });
            }
        });
    }

    fn each_line(&mut self, piece: &Piece, mut each: impl FnMut(&mut Self, &[u8], Duration)) {
        for &byte in &piece.bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {
                    self.said.line_ends.remove("CR");
                    self.said.line_ends.insert("CRLF");
                    continue;
                }
                b'\n' => _ = self.said.line_ends.insert("LF"),
                b'\r' => _ = self.said.line_ends.insert("CR"),
                other => {
                    self.line.push(other);
                    continue;
                }
            }
            let line = std::mem::take(&mut self.line);
            if std::str::from_utf8(&line).is_err() {
                self.said.not_utf8.add(&String::from_utf8_lossy(&line));
            }
            each(self, &line, piece.at);
        }
    }

    /// A line of an event stream, as the standard has it (WHATWG HTML section 9.2.6).
    fn field(&mut self, line: &[u8], at: Duration) {
        let mut line = String::from_utf8_lossy(line).into_owned();
        let begun = std::mem::replace(&mut self.begun, true);
        if let Some(rest) = line.strip_prefix('\u{feff}') {
            if begun {
                self.said.marks.add(&line);
                return;
            }
            self.said.begins_with_mark = true;
            line = rest.to_owned();
        }
        if line.is_empty() {
            if let Some(name) = self.name.take().filter(|_| !self.has_data) {
                self.said.without_data.add(&format!("event: {name}"));
            }
            self.has_data = false;
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.said.beats.push(at),
            "data" => self.has_data = true,
            "event" => self.name = Some(value.to_owned()),
            "id" if !value.contains('\0') => {}
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {}
            "retry" => self.said.bad_retries.add(&line),
            _ => self.said.ignored.add(&line),
        }
    }

    fn piece_ended(&mut self, piece: &Piece, next: Option<&Piece>) {
        if self.last.is_some_and(|last| piece.at.saturating_sub(last) > TOGETHER) {
            self.together = 0;
        }
        self.last = Some(piece.at);
        self.together += piece.bytes.len();
        let Some(next) = next else { return };
        let length = next.at.saturating_sub(piece.at);
        if length >= PAUSE && self.is_in_the_middle() {
            self.said.pauses.push(Pause { at: piece.at, length, after: self.together });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of a stream, each with the millisecond at which it came.
    fn said(pieces: &[(u64, &str)]) -> Said {
        let piece = |&(ms, text): &(u64, &str)| Piece {
            at: Duration::from_millis(ms),
            bytes: bytes::Bytes::copy_from_slice(text.as_bytes()),
        };
        Said::read(Delimited::EventStream, &pieces.iter().map(piece).collect::<Vec<_>>())
    }

    #[test]
    fn events_ids_and_signs_of_life_are_read_with_their_times() {
        let said = said(&[
            (5, ":\nid: a-1\nretry: 250\n\n"),
            (100, "id: a-2\ndata: x\n\n"),
            (1000, ":\n\n"),
            (1010, "data: y\n"),
            (2000, ":\n\nevent: z\r\n\r\n"),
        ]);
        assert_eq!((said.place.as_deref(), said.last_id.as_str(), said.retry), (Some("a-1"), "a-2", Some(250)));
        let at = |event: &SaidEvent| (event.at.as_millis(), event.id.clone());
        assert_eq!(said.events.iter().map(at).collect::<Vec<_>>(), [(100, "a-2".into()), (2000, "a-2".into())]);
        assert_eq!(said.beats, [5, 1000, 2000].map(Duration::from_millis));
        assert_eq!(said.beat(), Some(Duration::from_secs(1)));
        assert_eq!(said.without_data.shown, ["event: z"]);
        assert_eq!(said.line_ends, BTreeSet::from(["LF", "CRLF"]));
        let pause = said.pauses[0];
        assert_eq!((said.pauses.len(), pause.length.as_millis(), pause.after), (1, 990, 11), "data without its end");
        assert!(!said.is_unfinished && !said.begins_with_mark);
    }

    #[test]
    fn what_readers_pass_over_is_kept_as_samples() {
        let said = said(&[(
            0,
            "\u{feff}data: x\n\n\u{feff}data: y\n\nData: z\n data: z\n{\"a\": 1}\nretry: 3s\nid: a\0b\n\ndata: \u{1b}[2Jend",
        )]);
        assert!(said.begins_with_mark && said.is_unfinished);
        assert_eq!(said.marks.count, 1);
        assert_eq!(said.bad_retries.shown, ["retry: 3s"]);
        assert_eq!(said.ignored.count, 4);
        assert_eq!(said.ignored.shown, ["Data: z", " data: z", "{\"a\": 1}"]);
        assert_eq!(said.events.len(), 1);
    }

    #[test]
    fn events_that_come_together_are_a_clump_however_they_are_cut() {
        let one = "data: x\n\n";
        let said = said(&[(0, one), (10, one), (19, "data: x\n"), (30, "\n"), (500, one), (900, one)]);
        assert_eq!(said.clumps(), [0..3, 3..4, 4..5]);
        assert!(said.pauses.is_empty(), "no silence is in the middle of one: {:?}", said.pauses);
    }
}
