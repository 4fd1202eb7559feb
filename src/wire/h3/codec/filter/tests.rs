//! What passes is the same however it is cut, and what must not pass doesn't.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::wire::h3::frames::{H3_MESSAGE_ERROR, H3_SETTINGS_ERROR};

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    put_head(&mut bytes, kind, payload.len());
    bytes.extend_from_slice(payload);
    bytes.to_vec()
}

/// All that passes of these pieces.
fn pass<'a>(place: FilteredStream, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, FilterError> {
    let (mut filter, mut passed) = (Filter::new(place, 0), Vec::new());
    for piece in pieces {
        passed.extend(filter.pass(Bytes::copy_from_slice(piece))?);
        assert!(filter.front.len() <= MAX_HEADER_BYTES as usize + 16, "it keeps no more than one frame");
    }
    filter.end().map(|()| passed)
}

fn pieces<'a>(bytes: &'a [u8], random: &mut SmallRng) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(random.random_range(1..=rest.len().min(99)));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

const UNKNOWN: u64 = 0x21;
/// A field of the static table, and one of its pseudo-header fields.
const TRAILERS: &[u8] = &[0, 0, 0xdd];
const PSEUDO: &[u8] = &[0, 0, 0xd1];

#[test]
fn what_means_something_passes_however_it_is_cut() {
    for seed in 0..500 {
        let mut random = SmallRng::seed_from_u64(seed);
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for _ in 0..random.random_range(0..8) {
            let payload = vec![7; random.random_range(0..5000)];
            let data = random.random();
            let piece = frame(if data { DATA } else { UNKNOWN }, &payload);
            bytes.extend(&piece);
            if data {
                wanted.extend(piece);
            }
        }
        for last in [frame(HEADERS, TRAILERS), frame(UNKNOWN, b"behind")] {
            bytes.extend(last);
        }
        wanted.extend(frame(HEADERS, TRAILERS));
        assert_eq!(pass(FilteredStream::Request, pieces(&bytes, &mut random)), Ok(wanted), "seed {seed}");
    }
}

#[test]
fn on_a_requests_stream_trailers_are_the_last_and_have_only_fields() {
    let (trailers, data) = (frame(HEADERS, TRAILERS), frame(DATA, b"x"));
    let refused = |bytes: Vec<u8>| pass(FilteredStream::Request, [&bytes[..]]).unwrap_err();
    let unexpected = FilterError::Connection(H3_FRAME_UNEXPECTED);
    assert_eq!(refused([&trailers[..], &data].concat()), unexpected);
    assert_eq!(refused([&trailers[..], &trailers].concat()), unexpected);
    for kind in [CANCEL_PUSH, SETTINGS, GOAWAY, MAX_PUSH_ID, 2, 5, 6, 8, 9] {
        assert_eq!(refused(frame(kind, b"")), unexpected, "{kind}");
    }
    assert_eq!(refused(frame(BI, b"")), FilterError::Connection(H3_FRAME_ERROR));
    assert_eq!(refused(frame(HEADERS, PSEUDO)), FilterError::Stream(H3_MESSAGE_ERROR));
    assert_eq!(refused(frame(HEADERS, &vec![0; 20_000])), FilterError::Stream(H3_EXCESSIVE_LOAD));
    for cut in [&data[..2], &trailers[..2], &[DATA.to_le_bytes()[0]]] {
        assert_eq!(refused(cut.to_vec()), FilterError::Connection(H3_FRAME_ERROR), "{cut:x?}");
    }
}

#[test]
fn a_control_stream_begins_with_settings_and_says_what_may_be_said() {
    let settings = frame(SETTINGS, &[6, 5]);
    let after = |bytes: &[u8]| [&settings[..], bytes].concat();
    let client = |bytes: &[u8]| {
        pass(FilteredStream::ControlOfClient, [bytes]).map_err(|refused| match refused {
            FilterError::Connection(code) => code,
            FilterError::Stream(code) => panic!("{code} ends a stream"),
        })
    };
    for kind in [UNKNOWN, DATA, HEADERS, GOAWAY, MAX_PUSH_ID, BI] {
        assert_eq!(client(&frame(kind, b"")), Err(H3_MISSING_SETTINGS), "{kind}");
    }
    for kind in [DATA, HEADERS, SETTINGS, 2, 5, 6, 8, 9] {
        assert_eq!(client(&after(&frame(kind, b""))), Err(H3_FRAME_UNEXPECTED), "{kind}");
    }
    let integers = [frame(GOAWAY, &[3]), frame(UNKNOWN, b"?"), frame(MAX_PUSH_ID, &[3]), frame(MAX_PUSH_ID, &[3])];
    assert_eq!(client(&after(&integers.concat())), Ok(after(&integers[0])));
    for kind in [GOAWAY, MAX_PUSH_ID, CANCEL_PUSH] {
        for payload in [&b""[..], &[0x40], &[3, 3], &[0; 9]] {
            assert_eq!(client(&after(&frame(kind, payload))), Err(H3_FRAME_ERROR), "{kind} {payload:x?}");
        }
    }
    assert_eq!(client(&after(&[frame(MAX_PUSH_ID, &[3]), frame(MAX_PUSH_ID, &[2])].concat())), Err(H3_ID_ERROR));
    assert_eq!(client(&after(&frame(CANCEL_PUSH, &[0]))), Err(H3_ID_ERROR));
    for (payload, code) in [
        (&[6][..], H3_FRAME_ERROR),
        (&[6, 0x40], H3_FRAME_ERROR),
        (&[0x33, 2], H3_SETTINGS_ERROR),
        (&[0x40, 0x33, 2], H3_SETTINGS_ERROR),
        (&[8, 2], H3_SETTINGS_ERROR),
    ] {
        assert_eq!(client(&frame(SETTINGS, payload)), Err(code), "{payload:x?}");
    }
    let server = |bytes: &[u8]| pass(FilteredStream::ControlOfServer, [&after(bytes)[..]]);
    assert_eq!(server(&frame(GOAWAY, &[4])), Ok(after(&frame(GOAWAY, &[4]))));
    assert_eq!(server(&frame(GOAWAY, &[3])), Err(FilterError::Connection(H3_ID_ERROR)));
    assert_eq!(server(&frame(MAX_PUSH_ID, &[3])), Err(FilterError::Connection(H3_FRAME_UNEXPECTED)));
}

#[test]
fn any_bytes_pass_or_are_refused_however_they_are_cut() {
    for seed in 0..2000 {
        let mut random = SmallRng::seed_from_u64(seed);
        let bytes: Vec<u8> = (0..random.random_range(0..64)).map(|_| random.random()).collect();
        for place in [FilteredStream::Request, FilteredStream::ControlOfClient, FilteredStream::ControlOfServer] {
            let whole = pass(place, [&bytes[..]]);
            assert_eq!(whole, pass(place, pieces(&bytes, &mut random)), "seed {seed}");
            assert!(whole.map_or(0, |passed| passed.len()) <= bytes.len());
        }
    }
}
