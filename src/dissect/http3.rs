//! What a server sent on a stream of HTTP/3 to the content of its response (RFC 9114 section 4.1): whoever passes on an
//! event that is longer than its buffer puts it into several frames.

use super::frames::FrameReader;
use super::stream::Stream;

/// Types of frames (section 7.2).
const DATA: u64 = 0;
const HEADERS: u64 = 1;

/// What is carried by DATA frames. `None`: it doesn't begin as a response does, with a HEADERS frame.
pub(super) fn content_of(stream: &Stream) -> Option<Stream> {
    let mut frames = FrameReader(&stream.bytes);
    let mut content = None;
    while let (Some(kind), Some(payload)) = (frames.number(), frames.sized()) {
        let end = stream.bytes.len() - frames.0.len();
        if content.is_none() && kind != HEADERS {
            return None;
        }
        let content = content.get_or_insert_with(|| Stream::of(stream.connection));
        if kind == DATA {
            content.push_part(stream, end - payload.len()..end);
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_several_frames_is_put_together_again() {
        let mut stream = Stream::of(3);
        let frames: [&[u8]; 4] = [b"\x01\x02qp", b"\x00\x04one ", b"\x21\x01?", b"\x00\x03two"];
        let mut offset = 0;
        for (packet, frame) in frames.into_iter().enumerate() {
            assert!(stream.take(offset, frame, packet));
            offset += frame.len();
        }
        let content = content_of(&stream).unwrap();
        assert_eq!((content.connection, content.bytes.as_slice()), (3, &b"one two"[..]));
        assert_eq!(content.held(0..7).collect::<Vec<_>>(), [(0..4, 1), (4..7, 3)]);
    }

    #[test]
    fn what_begins_otherwise_is_no_response() {
        for bytes in [&b"{\"id\":\"k3f9x2-1\"}\n"[..], b"\x00\x01x", b"\x01\x40"] {
            let mut stream = Stream::of(0);
            stream.take(0, bytes, 0);
            assert!(content_of(&stream).is_none());
        }
    }
}
