//! Streams that the server compresses as they come: curl decodes them.

use serde_json::json;
use transport_lab::transport::coding::MAX_COMPRESSED;
use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Target};

use crate::lab::{Lab, until};

const CODINGS: [&str; 2] = ["gzip", "br"];

fn compressing(coding: &str) -> Lab {
    Lab::trial(&json!({ "server": { "compression": coding } }))
}

#[test]
fn each_event_can_be_decoded_before_the_next_comes() {
    for coding in CODINGS {
        let lab = compressing(coding);
        let mut readers: Vec<_> =
            [Alpn::H1, Alpn::H2].map(|alpn| lab.subscribe(alpn, "/feeds/news/sse", &["--compressed"])).into();
        // curl 7.88 decodes 16 KiB of Brotli at a time, and keeps what is beyond that until more comes.
        let long = "x".repeat(15_000);
        for data in ["one", "two", &long, "three"] {
            lab.publish(Alpn::H2, "news", data.as_bytes());
            for reader in &mut readers {
                assert_eq!(reader.head.field("content-encoding"), coding);
                assert!(reader.next().data == data, "{coding} {data:.20}");
            }
        }
    }
}

#[test]
fn only_a_stream_is_compressed_and_only_for_who_asks_for_that() {
    let lab = compressing("gzip");
    let open = |lab: &Lab, path: &str, asked: &str| {
        let field = format!("accept-encoding: {asked}");
        let head = lab.open(Alpn::H2, lab.port(Alpn::H2), path, &["-H", &field]).head.clone();
        assert_eq!(head.status, 200, "{path} {asked}");
        (head.field("content-encoding"), head.field("vary"))
    };
    for (asked, coding) in [("gzip, deflate, br, zstd", "gzip"), ("br;q=1, gzip;q=0", ""), ("br", ""), ("identity", "")]
    {
        for path in ["/feeds/news/sse", "/feeds/news/streaming", "/feeds/news/multipart"] {
            let (given, vary) = open(&lab, path, asked);
            assert_eq!((given.as_str(), vary.as_str()), (coding, "Accept-Encoding, Origin"), "{path} {asked}");
        }
    }
    assert_eq!(open(&lab, "/feeds/news/polling", "gzip"), (String::new(), "Origin".to_owned()));
    let plain = Lab::trial(&json!({}));
    assert_eq!(open(&plain, "/feeds/news/sse", "gzip"), (String::new(), "Origin".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_so_many_a_stream_is_served_uncompressed_and_counted() {
    // Nothing is written, so that no compressor takes its memory.
    let lab = Lab::trial(&json!({
        "server": { "compression": "br", "max-concurrent-streams": 1000, "heartbeat": "off" }, "sse": { "greeting": false } }));
    let target = Target { host: "localhost".to_owned(), port: lab.port(Alpn::H2) };
    let connection = ClientConnection::connect(&target, Alpn::H2, &lab.authority()).await.unwrap();
    let asked = [("accept-encoding", "br")];
    let mut open = Vec::new();
    for stream in 0..=MAX_COMPRESSED {
        let response = connection.try_clone().unwrap().get("/feeds/news/sse", &asked).await.unwrap();
        let is_compressed = response.head.headers.contains_key("content-encoding");
        assert_eq!(is_compressed, stream < MAX_COMPRESSED, "{stream}");
        open.push(response);
    }
    until("the bound to be told of", || lab.reached("compressed-streams") == 1);
    // One that ends makes room for another.
    open.clear();
    until("all to be gone", || lab.attached() == 0);
    let response = connection.get("/feeds/news/sse", &asked).await.unwrap();
    assert_eq!(response.head.headers.get("content-encoding").unwrap(), "br");
}
