//! How a WebSocket begins, and how it is refused: HTTP/1.1 by curl and byte by byte, HTTP/2 by the h2 crate.

use std::io::{Read, Write};

use http::{Method, StatusCode};
use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Target};

use crate::lab::Lab;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION: &str = "Sec-WebSocket-Version: 13";
const UPGRADE: [&str; 2] = ["Upgrade: websocket", "Connection: Upgrade"];

/// curl's options for these fields.
fn with<'a>(fields: &[&'a str]) -> Vec<&'a str> {
    fields.iter().flat_map(|field| ["-H", field]).collect()
}

#[test]
fn an_opening_handshake_that_lacks_something_is_refused_with_what() {
    let lab = Lab::serve(&[]);
    let [upgrade, connection] = UPGRADE;
    let path = "/feeds/news/websocket";
    let refused = |fields: &[&str], status, word| lab.ask(Alpn::H1, path, &with(fields)).assert_refused(status, word);
    refused(&[], 400, "takes an Upgrade");
    refused(&[upgrade, connection, VERSION], 400, "Sec-WebSocket-Key");
    refused(&[upgrade, connection, VERSION, "Sec-WebSocket-Key: c2hvcnQ="], 400, "16 bytes");
    refused(&[upgrade, connection, VERSION, KEY, KEY], 400, "twice");
    refused(&[upgrade, VERSION, KEY], 400, "Connection");
    refused(&["Upgrade: h2c", connection, VERSION, KEY], 400, "takes an Upgrade");
    for version in ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 14", "x: y"] {
        let answer = lab.ask(Alpn::H1, path, &with(&[upgrade, connection, KEY, version]));
        answer.assert_refused(426, "13");
        assert_eq!(answer.head.field("sec-websocket-version"), "13");
        assert_eq!(answer.head.field("upgrade"), "websocket");
    }
    let whole = [upgrade, connection, VERSION, KEY];
    lab.ask(Alpn::H1, path, &[&["-X", "POST"], &with(&whole)[..]].concat()).assert_refused(400, "GET");
    lab.ask(Alpn::H1, path, &[&["-X", "GET", "-d", "x"], &with(&whole)[..]].concat()).assert_refused(400, "no body");
    lab.ask(Alpn::H1, "/feeds/news/sse", &with(&whole)).assert_refused(400, "sse takes a GET");
    lab.ask(Alpn::H1, "/feeds/NEWS/websocket", &with(&whole)).assert_refused(400, "a feed's name");
    lab.ask(Alpn::H1, "/ping", &with(&whole)).assert_refused(404, "no such route");
    // HTTP/1.0 has no Upgrade (RFC 9110 section 7.8).
    let mut tls = lab.tls(Alpn::H1);
    write!(tls, "GET {path} HTTP/1.0\r\nHost: localhost\r\n{}\r\n\r\n", whole.join("\r\n")).unwrap();
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.0 400"), "{}", String::from_utf8_lossy(&answer));
    lab.until_counted("/alpn/h1/streams", [0, 0, 0]);
}

#[test]
fn a_foreign_page_opens_none_on_either_version_of_http() {
    let lab = Lab::serve(&[]);
    let whole = [&UPGRADE[..], &[VERSION, KEY]].concat();
    for (field, status) in [("Origin: https://example.com", 403), ("Origin: null", 403), ("Host: example.com", 421)] {
        let fields = [&whole[..], &[field]].concat();
        let answer = lab.ask(Alpn::H1, "/feeds/news/websocket", &with(&fields));
        answer.assert_refused(status, field.split(' ').next_back().unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let target = Target { host: "localhost".to_owned(), port: lab.port(Alpn::H2) };
        let dialled = ClientConnection::connect(&target, Alpn::H2, &lab.authority()).await.unwrap();
        let ask = async |path: &str, protocol: &'static str, fields: &[(&str, &str)]| {
            let (head, tunnel) = dialled.try_clone().unwrap().tunnel(path, protocol, fields).await.unwrap();
            assert_eq!(tunnel.is_some(), head.status.is_success());
            (head.status, head.headers)
        };
        let version = ("sec-websocket-version", "13");
        let path = "/feeds/news/websocket";
        assert_eq!(ask(path, "websocket", &[version, ("origin", "https://example.com")]).await.0, 403);
        let (status, fields) = ask(path, "websocket", &[("sec-websocket-version", "12")]).await;
        assert_eq!((status.as_u16(), &fields["sec-websocket-version"]), (426, &"13".parse().unwrap()));
        assert!(!fields.contains_key("upgrade"), "HTTP/2 has no such field");
        assert_eq!(ask(path, "webtransport", &[version]).await.0, 501);
        assert_eq!(ask("/feeds/news/sse", "websocket", &[version]).await.0, 400);
        assert_eq!(ask("/ping", "websocket", &[version]).await.0, 404);
        let allowed = format!("https://localhost:{}", lab.base);
        let (status, fields) = ask(path, "websocket", &[version, ("origin", &allowed)]).await;
        assert_eq!((status, fields["access-control-allow-origin"].to_str().unwrap()), (StatusCode::OK, &allowed[..]));
        assert!(!fields.contains_key("sec-websocket-accept"), "HTTP/2 needs no proof (RFC 8441 section 5)");
        // It was one connection, and it goes on.
        let ping = dialled.request(Method::GET, "/ping", &[], bytes::Bytes::new()).await.unwrap();
        assert_eq!(ping.status, 204);
    });
}

#[test]
fn a_server_without_the_setting_is_asked_for_no_tunnel() {
    // The control origin speaks HTTP/2 as well, and takes no extended CONNECT.
    let lab = Lab::serve(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let target = Target { host: "localhost".to_owned(), port: lab.base };
        let dialled = ClientConnection::connect(&target, Alpn::H2, &lab.authority()).await.unwrap();
        let error = dialled.tunnel("/", "websocket", &[]).await.err().expect("refused");
        let error = transport_lab::text::chain(&error);
        assert!(error.contains("takes no extended CONNECT"), "{error}");
    });
}
