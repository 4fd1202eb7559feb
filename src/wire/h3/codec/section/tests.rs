//! Lines are told apart whichever way they are written, and none is read beyond the section's end.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// A literal line, its name and its value in Huffman's code or plain.
fn literal((name, coded_name): (&[u8], bool), (value, coded_value): (&[u8], bool)) -> Vec<u8> {
    let flags = 0x20 | u8::from(coded_name) << 3;
    let length = u8::try_from(name.len()).unwrap();
    let mut line = if length < 7 { vec![flags | length] } else { vec![flags | 7, length - 7] };
    line.extend(name);
    line.push(u8::from(coded_value) << 7 | u8::try_from(value.len()).unwrap());
    line.extend(value);
    line
}

fn plain(name: &str, value: &str) -> Vec<u8> {
    literal((name.as_bytes(), false), (value.as_bytes(), false))
}

fn section(lines: &[&[u8]]) -> Vec<u8> {
    [&[0, 0][..], &lines.concat()].concat()
}

/// `:method: GET` as an entry of the static table, and `:path` with its name from there.
const METHOD: &[u8] = &[0xd1];
const PATH: &[u8] = &[0x51, 1, b'x'];
/// `accept: */*` likewise.
const FIELD: &[u8] = &[0xdd];

#[test]
fn a_protocol_is_known_plain_and_in_huffmans_code() {
    let known = [
        (WEBSOCKET, ConnectProtocol::WebSocket),
        (WEBTRANSPORT, ConnectProtocol::WebTransport),
        (WEBTRANSPORT_H3, ConnectProtocol::WebTransportH3),
        ([b"connect-udp", b"\x01"], ConnectProtocol::Other),
    ];
    let names = PSEUDO[Name::ConnectProtocol as usize].1;
    for (values, protocol) in known {
        for (coded_name, coded_value) in [(false, false), (false, true), (true, false), (true, true)] {
            let name = (names[usize::from(coded_name)], coded_name);
            let line = literal(name, (values[usize::from(coded_value)], coded_value));
            let rest = section(&[METHOD, PATH, FIELD]).into();
            let read = header(&section(&[METHOD, &line, PATH, FIELD]));
            assert_eq!(read, Ok(Header::Extended(protocol, rest)));
        }
    }
    assert_eq!(header(&section(&[&plain("x-value", ":protocol")])), Ok(Header::Plain), "as a value it is none");
    let same_bytes = literal((names[1], false), (b"x", false));
    assert_eq!(header(&section(&[&same_bytes])), Ok(Header::Plain), "those bytes as they stand are another name");
}

#[test]
fn pseudo_fields_come_once_and_first_and_are_a_requests() {
    assert_eq!(header(&section(&[METHOD, PATH, FIELD, FIELD])), Ok(Header::Plain));
    for (name, known) in PSEUDO {
        let bit = name as u8;
        assert!(bit < 8, "{name:?}");
        for coded in [false, true] {
            let line = literal((known[usize::from(coded)], coded), (b"x", false));
            assert_eq!(header(&section(&[&line, &line])), Err(MALFORMED), "{name:?} twice");
            assert_eq!(header(&section(&[FIELD, &line])), Err(MALFORMED), "{name:?} after a field");
            assert_eq!(trailers(&section(&[FIELD, &line])), Err(MALFORMED), "{name:?} in trailers");
        }
    }
    // The same name once from the table and once as a literal; from the table with a literal value.
    assert_eq!(header(&section(&[METHOD, &plain(":method", "GET")])), Err(MALFORMED));
    assert_eq!(header(&section(&[PATH, PATH])), Err(MALFORMED));
    // `:status` from the table, as a literal and in Huffman's code, and one that nobody has heard of.
    let status = literal((b"\xb8\x84\x8d\x36\xa3", true), (b"200", false));
    for wrong in [&[0xd9][..], &[0xff, 0x00], &plain(":status", "200"), &status, &plain(":other", "x"), &plain(":", "")]
    {
        assert_eq!(header(&section(&[METHOD, wrong])), Err(MALFORMED), "{wrong:x?}");
    }
    assert_eq!(trailers(&section(&[FIELD, &plain("x-sum", "1")])), Ok(()));
    assert_eq!(trailers(&section(&[PATH])), Err(MALFORMED));
}

#[test]
fn no_section_is_read_beyond_its_end() {
    let protocol = plain(":protocol", "websocket");
    let whole = section(&[METHOD, PATH, &protocol, FIELD, &plain("x-long-name", "and a value")]);
    for seed in 0..5000 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(0..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        bytes.truncate(random.random_range(0..=bytes.len()));
        if let Ok(Header::Extended(_, rest)) = header(&bytes) {
            assert!(rest.len() < bytes.len());
        }
        let _ = trailers(&bytes);
    }
    for cut in [&[][..], &[0], &section(&[&plain("x", "y")])[..5]] {
        assert_eq!(header(cut), Err(UNREADABLE), "{cut:x?}");
        assert_eq!(trailers(cut), Err(UNREADABLE), "{cut:x?}");
    }
}
