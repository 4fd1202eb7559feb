//! HEAD: the fields that a GET would get, and no content, on every version of HTTP.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use transport_lab::transport::Transport;
use transport_lab::trial::Alpn;

use crate::asking::Head;
use crate::lab::{Lab, PATIENCE, transports_by_get};
use crate::raw::Tls;

impl Lab {
    /// Asks with HEAD; content is a failure to curl (status 8 or 92), and to aioquic's reader here.
    fn head(&self, alpn: Alpn, port: u16, path: &str, fields: &[&str]) -> Head {
        let how: &[&str] = if alpn == Alpn::H3 { &["-X", "HEAD"] } else { &["--head"] };
        let options: Vec<_> = how.iter().copied().chain(fields.iter().flat_map(|field| ["-H", field])).collect();
        let mut command = self.client(alpn, port);
        let url = format!("https://localhost:{port}{path}");
        let output = command.args(["--max-time", "60"]).args(options).arg(url).output().unwrap();
        assert!(output.status.success(), "{alpn:?} {path}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(content, "", "{alpn:?} {path}");
        Head::parse(head)
    }
}

#[test]
fn head_is_answered_where_get_is_with_its_fields_and_without_content() {
    let lab = Lab::serve(&[]);
    lab.publish(Alpn::H1, "news", b"x");
    for alpn in Alpn::HTTP {
        let port = lab.port(alpn);
        for (path, status, kind) in [
            ("/ping", 204, ""),
            ("/ping.svg", 200, "image/svg+xml"),
            ("/feeds/news/polling?after=0", 200, "application/json"),
            ("/feeds/news/long-polling?wait=300s", 200, "application/json"),
            ("/feeds/news/sse", 200, "text/event-stream"),
            ("/feeds/news/streaming", 200, "application/x-ndjson"),
            ("/feeds/news/websocket", 400, "application/json"),
            ("/feeds/news/pigeons", 404, "application/json"),
            ("/feeds/News/sse", 400, "application/json"),
            ("/nowhere", 404, "application/json"),
        ] {
            let head = lab.head(alpn, port, path, &[]);
            assert_eq!((head.status, &*head.field("content-type")), (status, kind), "{alpn:?} {path}");
            assert!(head.field("cache-control").contains("no-store"), "{alpn:?} {path}");
        }
        // What is only to be published to has no GET, and so no HEAD.
        let head = lab.head(alpn, port, "/feeds/news", &[]);
        assert_eq!((head.status, &*head.field("allow")), (405, "POST"), "{alpn:?}");
        // A length, where there is one, is that of what a GET gets (RFC 9110 section 8.6).
        let whole = lab.ask(alpn, "/feeds/news/polling?after=0", &[]).body.len().to_string();
        let length = lab.head(alpn, port, "/feeds/news/polling?after=0", &[]).field("content-length");
        assert!(length == whole || alpn == Alpn::H3 && length.is_empty(), "{alpn:?}: {length}");
        assert_eq!(lab.head(alpn, port, "/feeds/news/sse", &[]).field("content-length"), "", "{alpn:?}");
        // Refusals have none either.
        assert_eq!(lab.head(alpn, port, "/ping", &["Host: example.com"]).status, 421);
        assert_eq!(lab.head(alpn, port, "/ping", &["Origin: https://example.com"]).status, 403);
    }
    for alpn in [Alpn::H1, Alpn::H2] {
        for (path, status) in [("/ping", 204), ("/ledger", 200), ("/", 200), ("/nowhere", 404), ("/visits", 404)] {
            assert_eq!(lab.head(alpn, lab.base, path, &[]).status, status, "{alpn:?} {path} of the control origin");
        }
        assert_eq!(lab.head(alpn, lab.base, "/ping", &["Host: example.com"]).status, 421);
        assert_eq!(lab.head(alpn, lab.base, "/ledger", &["Accept: text/event-stream"]).status, 200);
    }
}

#[test]
fn nghttp_takes_what_head_is_answered_for_well_formed() {
    let lab = Lab::serve(&[]);
    for path in ["/feeds/news", "/feeds/news/sse", "/feeds/news/polling", "/ping", "/nowhere"] {
        let output = Command::new("nghttp").args(["-v", "-n", "-H:method: HEAD"]).arg(lab.url(Alpn::H2, path)).output();
        let said = String::from_utf8(output.expect("nghttp is installed").stdout).unwrap();
        // nghttp resets a stream that has content after all.
        assert!(!said.contains("RST_STREAM") && !said.contains("recv DATA"), "{path}: {said}");
        assert!(said.contains(":status: "), "{path}: {said}");
    }
}

#[test]
fn head_is_no_subscription() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        for Transport { name, .. } in transports_by_get() {
            lab.head(alpn, lab.port(alpn), &format!("/feeds/news/{name}?trial=7&sub=0"), &[]);
        }
        let streams = lab.ledger().pointer(&format!("/alpn/{}/streams/total", alpn.name())).cloned();
        assert!(streams.is_none_or(|total| total == 0), "{alpn:?}");
        // One that is a subscription is counted, on the same way to the ledger.
        let stream = lab.subscribe(alpn, "/feeds/news/sse?trial=7&sub=0", &[]);
        lab.until_counted(&format!("/alpn/{}/streams", alpn.name()), [1, 1, 1]);
        stream.end();
        lab.until_counted(&format!("/alpn/{}/streams", alpn.name()), [0, 1, 1]);
    }
}

#[test]
fn a_connection_goes_on_after_head() {
    let lab = Lab::serve(&[]);
    let mut tls: Tls = lab.tls(Alpn::H1);
    let socket: &TcpStream = &tls.sock;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for path in ["/feeds/news/sse", "/feeds/news/polling", "/feeds/news", "/nowhere"] {
        write!(tls, "HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    write!(tls, "GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let said = crate::raw::read_all(&mut tls);
    let statuses: Vec<_> = said.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "405", "404", "204"], "{said}");
    for answer in said.split_inclusive("\r\n\r\n") {
        assert!(answer.starts_with("HTTP/1.1 "), "content: {answer:?}");
    }
}
