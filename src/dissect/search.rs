//! Events in what a server sent: by their ids, and by their data, which is known.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use data_encoding::BASE64;
use memchr::memmem;

use super::Occurrence;
use super::stream::Stream;

/// How far behind an event's id its data may begin, in bytes, and how far behind its data what ends it.
const NEAR: usize = 256;

/// Events that were published: their ids, such as `k3f9x2-18`, and their data.
#[derive(Debug, Clone, Default)]
pub struct KnownEvents {
    events: Vec<(String, String)>,
    places: BTreeMap<String, usize>,
}

impl FromIterator<(String, String)> for KnownEvents {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(events: T) -> Self {
        let events: Vec<_> = events.into_iter().collect();
        let places = events.iter().zip(0..).map(|((id, _), place)| (id.clone(), place)).collect();
        Self { events, places }
    }
}

impl KnownEvents {
    /// The id of one of them.
    pub fn id(&self, event: usize) -> &str {
        self.events.get(event).map_or("", |(id, _)| id)
    }

    /// What ids begin with, up to and with the hyphen: a feed's each.
    fn beginnings(&self) -> BTreeSet<&str> {
        self.events.iter().filter_map(|(id, _)| Some(&id[..=id.rfind('-')?])).collect()
    }
}

/// An event that is whole on a stream.
#[derive(Debug)]
pub(super) struct FoundEvent {
    event: usize,
    /// From its id to what ends it.
    part: Range<usize>,
    /// Its data.
    pub(super) data: Range<usize>,
}

impl FoundEvent {
    pub(super) fn occurrence(&self, stream: &Stream) -> Occurrence {
        let packets = stream.carriers(&self.part);
        Occurrence { event: self.event, connection: stream.connection, packets }
    }
}

/// Every event that is whole on a stream, in its order.
pub(super) fn events_of(stream: &Stream, known: &KnownEvents) -> Vec<FoundEvent> {
    let bytes = &stream.bytes;
    // By where each ends: of two ids before the same data it is the nearer one's.
    let mut found: BTreeMap<usize, FoundEvent> = BTreeMap::new();
    for beginning in known.beginnings() {
        for start in memmem::find_iter(bytes, beginning) {
            let digits = bytes[start + beginning.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let after = start + beginning.len() + digits;
            let id = std::str::from_utf8(&bytes[start..after]).unwrap_or_default();
            let Some(&event) = known.places.get(id) else { continue };
            let whole = data(bytes, after, &known.events[event].1);
            found.extend(whole.map(|(data, end)| (end, FoundEvent { event, part: start..end, data })));
        }
    }
    found.into_values().collect()
}

/// The data of the event whose id ends there, and where all of it ends: its data comes soon after, as it is, as a
/// string of JSON or in base64, and then what ends it, a brace or line feeds. `None`: what is there is no whole event.
fn data(bytes: &[u8], after: usize, data: &str) -> Option<(Range<usize>, usize)> {
    let near = |from: usize| bytes.get(from..bytes.len().min(from + NEAR)).unwrap_or_default();
    // The check and the number at the beginning of data are the same as text and as JSON.
    let beginning = data.match_indices(' ').nth(1).map_or(data.len(), |(at, _)| at);
    let (quoted, base64) = (serde_json::to_string(data).ok()?, BASE64.encode(data.as_bytes()));
    let forms = [
        (&data[..beginning], data),
        (&data[..beginning], quoted.get(1..quoted.len() - 1)?),
        // Four letters for each three bytes.
        (&base64[..beginning / 3 * 4], &base64),
    ];
    let (data_at, form) = forms.into_iter().find_map(|(beginning, form)| {
        let at = after + memmem::find(near(after), beginning.as_bytes())?;
        bytes[at..].starts_with(form.as_bytes()).then_some((at, form))
    })?;
    let data_end = data_at + form.len();
    let closing = near(data_end).iter().position(|byte| matches!(byte, b'}' | b'\n'));
    let end = closing.map_or(data_end, |at| data_end + at + 1);
    Some((data_at..data_end, end + bytes[end..].iter().take_while(|byte| **byte == b'\n').count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(events: &[(u64, &str)]) -> KnownEvents {
        events.iter().map(|(seq, data)| (format!("k3f9x2-{seq}"), format!("0badcafe {seq} {data}"))).collect()
    }

    #[test]
    fn an_event_is_found_in_any_form_with_all_that_it_needs() {
        let events = known(&[(1, "one \"quoted\""), (11, "eleven"), (12, "twelve")]);
        let written = "{\"last\":\"k3f9x2-1\"}\n\
                       {\"id\":\"k3f9x2-1\",\"data\":\"0badcafe 1 one \\\"quoted\\\"\",\"time\":7}\n\
                       id: k3f9x2-11\ndata: 0badcafe 11 eleven\n\n: beat\n\
                       id: k3f9x2-12\ndata: MGJhZGNhZmUgMTIgdHdlbHZl\n\n";
        let mut stream = Stream::of(3);
        for (place, byte) in written.bytes().enumerate() {
            stream.take(place, &[byte], place);
        }
        let found = events_of(&stream, &events);
        let data: Vec<&str> = found.iter().map(|found| &written[found.data.clone()]).collect();
        assert_eq!(data, ["0badcafe 1 one \\\"quoted\\\"", "0badcafe 11 eleven", "MGJhZGNhZmUgMTIgdHdlbHZl"]);
        let parts = found.iter().map(|found| found.occurrence(&stream)).map(|it| {
            let places = || it.packets.iter().map(|carrier| carrier.packet);
            (it.event, it.connection, &written[places().min().unwrap()..=places().max().unwrap()])
        });
        let expected = [
            (0, 3, "k3f9x2-1\",\"data\":\"0badcafe 1 one \\\"quoted\\\"\",\"time\":7}\n"),
            (1, 3, "k3f9x2-11\ndata: 0badcafe 11 eleven\n\n"),
            (2, 3, "k3f9x2-12\ndata: MGJhZGNhZmUgMTIgdHdlbHZl\n\n"),
        ];
        assert_eq!(parts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_event_that_is_not_whole_is_none() {
        let mut stream = Stream::of(0);
        stream.take(0, b"id: k3f9x2-1\ndata: 0badcafe 1 hal", 0);
        assert!(events_of(&stream, &known(&[(1, "half")])).is_empty());
    }
}
