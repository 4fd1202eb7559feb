//! Field sections: what is written is what `h3` reads, and what is taken out leaves the rest as it was.

use http::HeaderMap;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn section(frame: &Bytes) -> Bytes {
    let (_, length) = super::super::h3_frames::varint(&frame[1..]).unwrap();
    frame.slice(1 + length..)
}

#[tokio::test]
async fn a_request_that_is_written_is_read_and_its_protocol_taken_out() {
    for seed in 0..100 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut fields = HeaderMap::new();
        for k in 0..random.random_range(0..12) {
            let name = format!("x-{k}{}", "n".repeat(random.random_range(0..200)));
            let value: String = (0..random.random_range(0..400)).map(|_| random.random_range('!'..='~')).collect();
            fields.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let uri: http::Uri = "https://localhost:8443/feeds/news/websocket?after=0".parse().unwrap();
        let section = section(&connect_frame(&uri, "websocket", &fields));
        let (protocol, rest) = take_protocol(&section).unwrap().unwrap();
        assert_eq!(protocol, Protocol::WebSocket);
        assert_eq!(take_protocol(&rest), None);
        let head = request(&rest).await.unwrap();
        assert_eq!((head.method, head.uri, head.headers), (http::Method::CONNECT, uri, fields), "seed {seed}");
    }
}

#[tokio::test]
async fn a_response_that_is_written_is_read() {
    let mut written = http::Response::new(());
    *written.status_mut() = http::StatusCode::FORBIDDEN;
    written.headers_mut().insert("vary", "origin".parse().unwrap());
    let (written, ()) = written.into_parts();
    let read = response(&section(&response_frame(&written))).await.unwrap();
    assert_eq!((read.status, read.headers), (written.status, written.headers));
}

#[test]
fn a_protocol_is_known_plain_and_in_huffmans_code() {
    // Names from QPACK's static table, with a value and without, before and after it.
    let line = |name: &[u8], coded_name: bool, value: &[u8], coded_value: bool| {
        let mut line = vec![0, 0, 0xc1, 0x50, 1, b'x'];
        let flags = 0x20 | u8::from(coded_name) << 3;
        let length = u8::try_from(name.len()).unwrap();
        if length < 7 {
            line.push(flags | length);
        } else {
            line.extend([flags | 7, length - 7]);
        }
        line.extend(name);
        line.push(u8::from(coded_value) << 7 | u8::try_from(value.len()).unwrap());
        line.extend(value);
        line.push(0xd9);
        line
    };
    let known = [
        (WEBSOCKET, Protocol::WebSocket),
        (WEBTRANSPORT, Protocol::WebTransport),
        (WEBTRANSPORT_H3, Protocol::WebTransport),
        ([b"connect-udp", b"\x01"], Protocol::Other),
    ];
    for (values, protocol) in known {
        for (coded_name, coded_value) in [(false, false), (false, true), (true, false), (true, true)] {
            let value = values[usize::from(coded_value)];
            let section = line(NAME[usize::from(coded_name)], coded_name, value, coded_value);
            let (taken, rest) = take_protocol(&section).unwrap().unwrap();
            assert_eq!((taken, &rest[..]), (protocol, &[0, 0, 0xc1, 0x50, 1, b'x', 0xd9][..]));
        }
    }
    assert_eq!(take_protocol(&line(b"x-value", false, b":protocol", false)), None, "as a value it is none");
    assert_eq!(take_protocol(&line(NAME[1], false, b"x", false)), None, "those bytes as they stand are another name");
}

#[test]
fn no_section_is_read_beyond_its_end() {
    let uri: http::Uri = "https://localhost/".parse().unwrap();
    let whole = section(&connect_frame(&uri, "websocket", &HeaderMap::new()));
    for seed in 0..5000 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut bytes = whole.to_vec();
        for _ in 0..random.random_range(0..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        bytes.truncate(random.random_range(0..=bytes.len()));
        if let Some(Ok((_, rest))) = take_protocol(&bytes) {
            assert!(rest.len() < bytes.len());
        }
    }
    let twice = [&whole[..], &whole[2..]].concat();
    assert_eq!(take_protocol(&twice), Some(Err(H3_MESSAGE_ERROR)));
}
