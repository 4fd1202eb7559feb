//! What a server sent on an HTTP/2 connection to what it sent on each of its streams (RFC 9113 section 4.1): an event that
//! is longer than a frame may be is cut, and frames of other streams come between its parts.

use std::collections::BTreeMap;

use super::stream::Stream;

/// Bytes before a frame's payload: its length, type, flags, stream.
const FRAME_HEADER: usize = 9;
/// Types of frames (section 6).
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
/// A flag of DATA: its first byte says how many at its end are padding (section 6.1).
const PADDED: u8 = 8;
/// Bytes that each setting takes (section 6.5.1).
const SETTING: usize = 6;

/// What is carried by DATA frames, by stream. `None`: it doesn't begin as a server's HTTP/2 does, with settings of its
/// own on stream 0 (section 3.4).
pub(super) fn streams_of(connection: &Stream) -> Option<Vec<Stream>> {
    let first = Frame::at(&connection.bytes, 0)?;
    if (first.kind, first.flags, first.stream) != (SETTINGS, 0, 0) || !first.payload.len().is_multiple_of(SETTING) {
        return None;
    }
    let mut streams = BTreeMap::new();
    let mut start = 0;
    while let Some(frame) = Frame::at(&connection.bytes, start) {
        start = frame.payload.end;
        let Some(data) = frame.data(&connection.bytes) else { continue };
        let stream = streams.entry(frame.stream).or_insert_with(|| Stream::of(connection.connection));
        stream.push_part(connection, data);
    }
    Some(streams.into_values().collect())
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: std::ops::Range<usize>,
}

impl Frame {
    /// The one that begins there, if it is whole.
    fn at(bytes: &[u8], start: usize) -> Option<Self> {
        let header: &[u8; FRAME_HEADER] = bytes.get(start..)?.first_chunk()?;
        let [high, middle, low, kind, flags, stream @ ..] = *header;
        let body = start + FRAME_HEADER;
        let payload = body..body + u32::from_be_bytes([0, high, middle, low]) as usize;
        // The first bit of a stream's number is reserved.
        let stream = u32::from_be_bytes(stream) & u32::MAX >> 1;
        (payload.end <= bytes.len()).then_some(Self { kind, flags, stream, payload })
    }

    /// Where its data is, if it is one that carries data.
    fn data(&self, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
        if self.kind != DATA {
            return None;
        }
        if self.flags & PADDED == 0 {
            return Some(self.payload.clone());
        }
        let padding = usize::from(*bytes[self.payload.clone()].first()?);
        let end = self.payload.end.checked_sub(padding)?;
        (self.payload.start < end).then_some(self.payload.start + 1..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn what_frames_of_other_streams_cut_is_put_together_again() {
        let frames = [
            frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(DATA, 0, 1, b"one is c"),
            frame(DATA, PADDED, 3, b"\x02three..."),
            frame(1, 4, 5, b"no data"),
            frame(DATA, 1, 1, b"ut"),
        ];
        let mut connection = Stream::of(7);
        let mut offset = 0;
        for (packet, frame) in frames.iter().enumerate() {
            assert!(connection.take(offset, frame, packet));
            offset += frame.len();
        }
        let streams = streams_of(&connection).unwrap();
        let said: Vec<_> = streams.iter().map(|stream| (stream.connection, stream.bytes.as_slice())).collect();
        assert_eq!(said, [(7, &b"one is cut"[..]), (7, b"three.")]);
        let carried: Vec<_> = streams[0].carriers(&(0..10)).iter().map(|carrier| carrier.packet).collect();
        assert_eq!(carried, [1, 4]);
        assert_eq!(streams[0].held(6..10).collect::<Vec<_>>(), [(6..8, 1), (8..10, 4)]);
    }

    #[test]
    fn what_begins_otherwise_is_no_http_2() {
        for bytes in [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), frame(SETTINGS, 1, 0, &[]), frame(DATA, 0, 1, b"x")] {
            let mut connection = Stream::of(0);
            connection.take(0, &bytes, 0);
            assert!(streams_of(&connection).is_none());
        }
    }
}
