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
        let tcp = TcpStream::connect(("127.0.0.1", self.port(alpn))).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp
    }

    /// A TLS connection, its handshake finished.
    pub(crate) fn tls(&self, alpn: Alpn) -> Tls {
        handshake(self.tcp(alpn), tls::client(self.authority(), alpn).unwrap())
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

/// Writes a byte a second (or nothing, when there is none) until the connection is closed; says how long that took.
fn closed_after(mut connection: impl Read + Write, begun: Instant, byte: Option<u8>, sock: &TcpStream) -> Duration {
    sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut buffer = [0; 4096];
    while begun.elapsed() < 2 * HEADER_TIMEOUT + PATIENCE {
        match connection.read(&mut buffer) {
            Ok(0) => return begun.elapsed(),
            // A farewell, or HTTP/2's SETTINGS.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return begun.elapsed(),
        }
        if let Some(byte) = byte
            && connection.write_all(&[byte]).and_then(|()| connection.flush()).is_err()
        {
            return begun.elapsed();
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
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}
