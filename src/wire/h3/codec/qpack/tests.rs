//! Field sections: what is written is what `h3` reads.

use http::HeaderMap;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::wire::h3::codec::section::{ConnectProtocol, Header, header};

fn section(frame: &Bytes) -> Bytes {
    let (_, length) = crate::wire::h3::frames::varint(&frame[1..]).unwrap();
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
        let Header::Extended(protocol, rest) = header(&section).unwrap() else { panic!("it has a protocol") };
        assert_eq!(protocol, ConnectProtocol::WebSocket);
        assert_eq!(header(&rest), Ok(Header::Plain));
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
