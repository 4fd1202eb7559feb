//! Connections whose every byte is a test's own.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use transport_lab::trial::Alpn;
use transport_lab::wire::{HANDSHAKE_TIMEOUT, HEADER_TIMEOUT, tls};

use crate::lab::{Lab, PATIENCE};

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Lab {
    fn tcp(&self, alpn: Alpn) -> TcpStream {
        Self::tcp_at(self.port(alpn))
    }

    fn tcp_at(port: u16) -> TcpStream {
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp
    }

    /// A TLS connection, its handshake finished.
    pub(crate) fn tls(&self, alpn: Alpn) -> Tls {
        self.tls_at(self.port(alpn), alpn)
    }

    pub(crate) fn tls_at(&self, port: u16, alpn: Alpn) -> Tls {
        handshake(Self::tcp_at(port), tls::client(self.authority(), alpn).unwrap())
    }

    /// One that offers no ALPN.
    pub(crate) fn tls_without_alpn(&self, port: u16) -> Tls {
        let mut config = tls::client(self.authority(), Alpn::H1).unwrap();
        config.alpn_protocols.clear();
        handshake(Self::tcp_at(port), config)
    }
}

/// The same on any.
pub(crate) fn handshake(tcp: TcpStream, config: ClientConfig) -> Tls {
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut tls = StreamOwned::new(client, tcp);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock).unwrap();
    }
    tls
}

/// All that comes until the server has nothing more to say.
pub(crate) fn read_all(tls: &mut Tls) -> String {
    let mut whole = Vec::new();
    // How it ends is other tests' to look at.
    let _ = tls.read_to_end(&mut whole);
    String::from_utf8_lossy(&whole).into_owned()
}

/// Writes a byte a second (or nothing, when there is none) until the connection is closed; says how long that took.
/// TLS has to say `close_notify` (RFC 8446 section 6.1), or its end is an error.
fn closed_after(mut connection: impl Read + Write, begun: Instant, byte: Option<u8>, sock: &TcpStream) -> Duration {
    sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut buffer = [0; 4096];
    while begun.elapsed() < 2 * HEADER_TIMEOUT + PATIENCE {
        match connection.read(&mut buffer) {
            Ok(0) => return begun.elapsed(),
            // A farewell, or HTTP/2's SETTINGS.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("it was cut off after {:?}: {error}", begun.elapsed()),
        }
        if let Some(byte) = byte {
            // What the server said before it closed is still to be read.
            let _ = connection.write_all(&[byte]).and_then(|()| connection.flush());
        }
    }
    panic!("still open after {:?}", begun.elapsed())
}

#[track_caller]
fn assert_within(what: &str, bound: Duration, took: Duration) {
    assert!(took + Duration::from_secs(1) > bound, "{what} was sent away after {took:?}, before its time");
    assert!(took < bound + PATIENCE, "{what} was sent away after {took:?}");
}

#[test]
fn who_takes_for_ever_to_ask_is_sent_away() {
    let lab = Lab::serve(&[]);
    let begun = Instant::now();
    thread::scope(|scope| {
        for alpn in [Alpn::H1, Alpn::H2] {
            let lab = &lab;
            scope.spawn(move || {
                let tcp = lab.tcp(alpn);
                assert_within("no TLS", HANDSHAKE_TIMEOUT, closed_after(&tcp, begun, None, &tcp));
            });
            scope.spawn(move || {
                let tls = lab.tls(alpn);
                let sock = tls.sock.try_clone().unwrap();
                assert_within("no request", HEADER_TIMEOUT, closed_after(tls, begun, None, &sock));
            });
        }
        scope.spawn(|| {
            let mut tls = lab.tls(Alpn::H1);
            tls.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nx-slow: ").unwrap();
            let sock = tls.sock.try_clone().unwrap();
            assert_within("a slow header", HEADER_TIMEOUT, closed_after(tls, begun, Some(b'x'), &sock));
        });
        // Meanwhile others are answered.
        assert_eq!(lab.ask(Alpn::H1, "/ping", &[]).head.status, 204);
        assert_eq!(lab.ask(Alpn::H2, "/ping", &[]).head.status, 204);
    });
}

#[test]
fn a_connection_that_was_asked_is_let_go_once_it_is_quiet_and_not_while_it_is_answered() {
    let lab = Lab::serve(&[]);
    let begun = Instant::now();
    thread::scope(|scope| {
        for (what, next) in [("an idle connection", ""), ("a slow second header", "GET /ping HTTP/1.1\r\nx-slow: ")] {
            let lab = &lab;
            scope.spawn(move || {
                let mut tls = lab.tls(Alpn::H1);
                write!(tls, "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n{next}").unwrap();
                let sock = tls.sock.try_clone().unwrap();
                let byte = (!next.is_empty()).then_some(b'x');
                // It is looked at once in that time, and let go when nothing was asked since the last look.
                let took = closed_after(tls, begun, byte, &sock);
                assert!((HEADER_TIMEOUT..2 * HEADER_TIMEOUT + PATIENCE).contains(&took), "{what}: after {took:?}");
            });
        }
        let mut tls = lab.tls(Alpn::H1);
        write!(tls, "GET /feeds/news/sse HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        tls.sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut buffer = [0; 4096];
        while begun.elapsed() < 2 * HEADER_TIMEOUT + Duration::from_secs(3) {
            match tls.read(&mut buffer) {
                Ok(0) => panic!("a stream was ended after {:?}", begun.elapsed()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                other => drop(other.unwrap()),
            }
        }
    });
}

#[test]
fn what_is_no_http_is_answered_400_or_with_silence_and_harms_nobody() {
    let mut lab = Lab::serve(&[]);
    for bytes in [
        &b"\x16\x03\x01 again \x00\xff\r\n\r\n"[..],
        b"GET /ping\r\n\r\n",
        b"GET /ping HTTP/9.9\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"POST /feeds/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /feeds/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\nx",
        b"POST /feeds/news HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut tls = lab.tls(Alpn::H1);
        tls.write_all(bytes).unwrap();
        tls.flush().unwrap();
        let mut answer = Vec::new();
        let _ = tls.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    for bytes in [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0xff; 4096]] {
        let mut tls = lab.tls(Alpn::H2);
        tls.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = tls.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"));
    }
    lab.assert_alive();
    let id = lab.publish(Alpn::H1, "news", b"x");
    assert!(id.ends_with("-1"), "none of that was published: {id}");
}

#[test]
fn a_request_that_names_two_hosts_is_refused() {
    let lab = Lab::serve(&[]);
    // Another reader of the same bytes may believe the other one.
    let mut tls = lab.tls(Alpn::H1);
    tls.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\nConnection: close\r\n\r\n").unwrap();
    let answer = read_all(&mut tls);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn a_request_on_http_1_says_once_and_well_formed_whom_it_asks() {
    let lab = Lab::serve(&[]);
    for (target, fields, status) in [
        ("/ping", "", "400"),
        ("/ping", "Host:\r\n", "400"),
        ("/ping", "Host: localhost\r\nHost: localhost\r\n", "400"),
        ("/ping", "Host: evil.example@localhost\r\n", "400"),
        ("/ping", "Host: localhost:abc\r\n", "400"),
        ("/ping", "Host: localhost:99999999\r\n", "400"),
        ("/ping", "Host: a..localhost\r\n", "400"),
        ("/ping", "Host: local\u{f6}\r\n", "400"),
        ("https://localhost/ping", "", "400"),
        ("https://evil.example@localhost/ping", "Host: localhost\r\n", "400"),
        ("https://example.com/ping", "Host: localhost\r\n", "421"),
        ("https://localhost/ping", "Host: localhost\r\n", "204"),
        ("/ping", "Host: example.com\r\n", "421"),
        ("/ping", "Host:   LocalHost:8441  \r\n", "204"),
        // Two origins, one of which may be let in, are not one.
        ("/ping", "Host: localhost\r\nOrigin: OWN\r\n", "204"),
        ("/ping", "Host: localhost\r\nOrigin: OWN\r\nOrigin: OWN\r\n", "403"),
        ("/ping", "Host: localhost\r\nOrigin: OWN\r\nOrigin: https://example.com\r\n", "403"),
    ] {
        for port in [lab.port(Alpn::H1), lab.base] {
            let mut tls = lab.tls_at(port, Alpn::H1);
            let fields = fields.replace("OWN", &format!("https://localhost:{port}"));
            write!(tls, "GET {target} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n").unwrap();
            let answer = read_all(&mut tls);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target} {fields:?} at {port}: {answer}");
        }
    }
}
