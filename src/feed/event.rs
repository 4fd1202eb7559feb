//! One event, and the id it goes by.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use bytes::Bytes;
use data_encoding::BASE64;

use super::draft::Draft;

/// `EPOCH-SEQ` (`k3f9x2-18`): the epoch is drawn when the feed is made, or its server is, so that a restarted one is
/// recognised; that of a shared log is drawn when the log is made, and is the same at every server. The sequence number
/// counts from 1 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId {
    /// Six letters and digits.
    pub epoch: Epoch,
    /// From 1.
    pub seq: u64,
}

/// Up to 8 bytes of `[a-z0-9]`, zero-padded.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; 8]);

impl Epoch {
    const LETTERS: &'static [u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    /// Draws one. Two feeds share theirs once in two thousand million.
    pub fn draw() -> Self {
        let mut epoch = [0; 8];
        for letter in &mut epoch[..6] {
            *letter = Self::LETTERS[rand::random_range(0..Self::LETTERS.len())];
        }
        Self(epoch)
    }

    /// The one that stands for this number.
    pub fn of(mut number: u64) -> Self {
        let mut epoch = [0; 8];
        for letter in &mut epoch[..6] {
            *letter = Self::LETTERS[usize::try_from(number % 36).unwrap_or(0)];
            number /= 36;
        }
        Self(epoch)
    }

    /// What ids say of a shared feed that nothing was published to yet, whose log is made by the first event.
    pub const NEW: Self = Self(*b"new\0\0\0\0\0");

    /// Reads one as it stands in an id.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 8 || !text.bytes().all(|b| Self::LETTERS.contains(&b)) {
            return None;
        }
        let mut padded = [0; 8];
        padded[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self(padded))
    }

    /// In one word of memory.
    pub(super) fn to_bits(self) -> u64 {
        u64::from_ne_bytes(self.0)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits.to_ne_bytes())
    }

    fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch.as_str(), self.seq)
    }
}

/// Why a text is no event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is EPOCH-SEQ, such as k3f9-18")]
pub struct EventIdError;

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let (epoch, seq) = text.split_once('-').ok_or(EventIdError)?;
        let epoch = Epoch::parse(epoch).ok_or(EventIdError)?;
        // `u64::from_str` would take "+1"; an id is digits alone.
        if !seq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EventIdError);
        }
        Ok(Self { epoch, seq: seq.parse().map_err(|_| EventIdError)? })
    }
}

/// How an event is written on a wire: a `static` for each way, which is known by its address.
#[derive(Debug)]
pub struct Encoding {
    /// Its name where a person reads it: `text/event-stream`.
    pub name: &'static str,
    /// Writes an event.
    pub encode: fn(&Event) -> Bytes,
}

/// An event's bytes in one encoding, and behind them those in the next that was asked for.
#[derive(Debug)]
struct Encoded {
    encoding: &'static Encoding,
    bytes: Bytes,
    next: OnceLock<Box<Encoded>>,
}

impl Encoded {
    fn new(encoding: &'static Encoding, event: &Event) -> Self {
        Self { encoding, bytes: (encoding.encode)(event), next: OnceLock::new() }
    }
}

/// One event of a feed.
#[derive(Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its name: `message` unless the publisher said otherwise.
    pub name: String,
    /// Its data, UTF-8.
    pub data: String,
    /// When it was published, in microseconds since 1970.
    pub time: u64,
    /// Whether it is a trial's census.
    pub census: bool,
    /// Whether its data is bytes to its readers. It is text all the same, so that one check does for both.
    pub binary: bool,
    /// As many as there are encodings in use, which are few.
    encoded: OnceLock<Encoded>,
}

/// Whether an event can be called so: 1 to 64 of `A-Z a-z 0-9 - _ .`, and not `gap`, which the server says itself.
pub fn is_event_name(name: &str) -> bool {
    name != "gap" && is_plain(name)
}

/// Whether a word is 1 to 64 of `A-Z a-z 0-9 - _ .`, which goes unescaped wherever events go.
pub fn is_plain(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&word.len()) && word.bytes().all(plain)
}

impl Event {
    pub(super) fn new(id: EventId, name: String, data: String, time: u64, census: bool) -> Self {
        Self { id, name, data, time, census, binary: false, encoded: OnceLock::new() }
    }

    /// What became of a draft under this id.
    pub(super) fn of_draft(id: EventId, draft: Draft) -> Self {
        let Draft { name, data, time, census, binary, .. } = draft;
        Self { binary, ..Self::new(id, name, data.text(id.seq), time, census) }
    }

    /// The same, whose data is bytes to its readers.
    pub(super) fn of_bytes(self) -> Self {
        Self { binary: true, ..self }
    }

    /// What carries text alone carries this: the data, or if that is bytes their base64 (RFC 4648 section 4).
    pub fn as_text(&self) -> Cow<'_, str> {
        if self.binary { BASE64.encode(self.data.as_bytes()).into() } else { (&*self.data).into() }
    }

    /// The event's bytes in this encoding: written for the first reader that asks, shared by all others.
    pub fn encoded(&self, encoding: &'static Encoding) -> Bytes {
        let mut at = self.encoded.get_or_init(|| Encoded::new(encoding, self));
        while !std::ptr::eq(at.encoding, encoding) {
            at = at.next.get_or_init(|| Box::new(Encoded::new(encoding, self)));
        }
        at.bytes.clone()
    }

    /// The same event with other data: for a server that lies.
    #[must_use]
    pub fn with_data(&self, data: String) -> Self {
        let binary = self.binary;
        Self { binary, ..Self::new(self.id, self.name.clone(), data, self.time, self.census) }
    }

    /// What it holds of a log's bound, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.data.len() + self.name.len() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_written() {
        let id = EventId { epoch: Epoch::draw(), seq: 18 };
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        assert_eq!("k3f9-18".parse::<EventId>().unwrap().to_string(), "k3f9-18");
    }

    #[test]
    fn an_event_is_written_once_in_each_encoding_whichever_was_first() {
        static DATA: Encoding = Encoding { name: "data", encode: |event| event.data.clone().into() };
        static NAME: Encoding = Encoding { name: "name", encode: |event| event.name.clone().into() };
        static TWICE: Encoding = Encoding { name: "twice", encode: |event| event.data.repeat(2).into() };
        let id = EventId { epoch: Epoch::draw(), seq: 1 };
        let event = Event::new(id, "news".to_owned(), "x".to_owned(), 0, false);
        let all = || [&NAME, &DATA, &TWICE].map(|encoding| event.encoded(encoding));
        let (first, again) = (all(), all());
        assert_eq!(first, ["news", "x", "xx"]);
        for (first, again) in first.iter().zip(&again) {
            assert_eq!(first.as_ptr(), again.as_ptr());
        }
    }

    #[test]
    fn a_malformed_id_is_refused() {
        for text in
            ["", "-", "k3f9", "k3f9-", "-1", "K3F9-1", "k3f9-+1", "k3f9-1x", "toolongepoch-1", "a-99999999999999999999"]
        {
            let refused = text.parse::<EventId>().is_err();
            assert!(refused, "{text}");
        }
    }
}
