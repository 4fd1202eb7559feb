//! What a server speaks, how its certificate is, and what a long silence tells.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use time::OffsetDateTime;

use crate::lab::{Lab, diagnose, glance};
use crate::rigged::{GOOD, Rigged, begin, log, say, stay};

#[test]
fn a_server_that_allows_few_streams_is_told_from_one_that_allows_many() {
    let lab = Lab::serve_with(&["--max-concurrent-streams", "5"]);
    let ran = lab.diagnose(5, "/feeds/news/sse", &["--listen", "1s"]).exits(1);
    assert_eq!(ran.findings(), ["few-streams"]);
    let finding = ran.finding("few-streams");
    assert!(finding["evidence"].to_string().contains("SETTINGS_MAX_CONCURRENT_STREAMS is 5"), "{finding}");
    assert_eq!(ran.json()["streams"][0]["opened"], 5);
    let enough = lab.diagnose(5, "/feeds/news/sse", &["--listen", "1s", "--streams", "5"]).exits(0);
    assert_eq!(enough.findings(), [""; 0]);
}

#[test]
fn http_3_that_is_offered_and_not_there_is_told() {
    // What answers on it is no QUIC.
    let garbage = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = garbage.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((_, from)) = garbage.recv_from(&mut [0; 2048]) {
            garbage.send_to(&[0xff; 1200], from).unwrap();
        }
    });
    let rigged = Rigged::new(move |asked, stream| {
        begin(stream, &format!("{GOOD}Alt-Svc: h3=\":{port}\"; ma=60\r\n"));
        say(stream, &[(0, log(asked).as_str())]);
        stay(stream);
    });
    let finding = glance(&rigged.url(), &[]).exits(0).finding("alt-svc");
    assert!(finding["evidence"].to_string().contains("no answer within 3 s"), "{finding}");
    let lab = Lab::serve();
    let url = format!("https://localhost:{}/feeds/news/sse", lab.base + 5);
    let there = glance(&url, &["--ca", &lab.ca()]).exits(0);
    assert!(there.findings().is_empty() && there.out.contains("HTTP/3 (UDP port"), "{}", there.out);
}

/// A server on TLS whose certificate is valid for so many days more; gives its address and its certificate as a file.
fn certified(days: i64) -> (String, tempfile::NamedTempFile) {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{GOOD}\r\nid: 1\ndata: x\n\n");
    secured(days, &[], head.into_bytes())
}

/// The same, which agrees on one of these ALPNs and says this.
fn secured(days: i64, alpns: &[&[u8]], says: Vec<u8>) -> (String, tempfile::NamedTempFile) {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (now - time::Duration::days(80), now + time::Duration::days(days));
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(certificate.pem().as_bytes()).unwrap();
    let chain = vec![certificate.der().clone()];
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.to_vec()).collect();
    let (config, says) = (Arc::new(config), Arc::new(says));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let (config, says) = (Arc::clone(&config), Arc::clone(&says));
            thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp.unwrap());
                let mut request = [0; 4096];
                // One that offers another ALPN, or none that it takes, ends here.
                if tls.read(&mut request).is_ok_and(|length| length > 0) && tls.write_all(&says).is_ok() {
                    let _ = tls.read(&mut request);
                }
            });
        }
    });
    (url, file)
}

#[test]
fn a_certificate_that_ends_soon_is_told_and_one_that_has_ended_is_refused() {
    let look = |days: i64, more: &[&str]| {
        let (url, ca) = certified(days);
        glance(&url, &[&["--ca", ca.path().to_str().unwrap()], more].concat())
    };
    let soon = look(3, &[]).exits(0);
    assert_eq!(soon.finding("certificate-ends")["severity"], "advice");
    assert_eq!(look(30, &[]).exits(0).findings(), ["http-1-only"]);
    look(-3, &[]).exits(4).says(&["shows a certificate that has ended"]);
    let ended = look(-3, &["--insecure"]).exits(1).finding("certificate");
    assert!(ended["evidence"].to_string().contains("has ended"), "{ended}");
}

#[test]
fn frames_that_are_no_http_2_are_told() {
    let (url, ca) = secured(30, &[b"h2"], vec![0xff; 256]);
    let ran = glance(&url, &["--ca", ca.path().to_str().unwrap()]).exits(4);
    ran.says(&["does not speak HTTP/2 as it should"]);
}

#[test]
fn a_long_silence_is_told_from_heartbeats() {
    let lab = Lab::serve();
    let silent = Rigged::new(|asked, stream| {
        begin(stream, GOOD);
        say(stream, &[(0, log(asked).as_str())]);
        stay(stream);
    });
    let more = ["--quiet", "47s", "--listen", "1s", "--streams", "0"];
    thread::scope(|scope| {
        let silent = scope.spawn(|| diagnose(&silent.url(), &more));
        let beats = scope.spawn(|| lab.diagnose(5, "/feeds/news/sse", &more));
        let told = silent.join().unwrap().exits(0).finding("no-heartbeat");
        assert_eq!(told["severity"], "advice", "{told}");
        let beats = beats.join().unwrap().exits(0);
        assert_eq!(beats.findings(), [""; 0]);
        let told = beats.json();
        let quiet = &told["quiet"][0];
        assert!(
            quiet["longest"].as_u64().unwrap() < 20_000 && quiet["listened"].as_u64().unwrap() >= 46_000,
            "{quiet}"
        );
    });
}

#[test]
fn a_page_of_it_has_what_the_terminal_has_and_nothing_of_the_server_is_markup() {
    let rigged = Rigged::new(|_, stream| {
        begin(stream, &format!("{GOOD}Server: <b>bold</b>\r\n"));
        say(stream, &[(0, "id: 1\n<script>alert(1)</script>\ndata: x\n\n")]);
        stay(stream);
    });
    let page = tempfile::NamedTempFile::new().unwrap();
    let path = page.path().to_str().unwrap();
    let ran = glance(&rigged.url(), &["--html", path]).exits(1);
    let text = std::fs::read_to_string(path).unwrap();
    for word in ["What would lose or delay events at http://127.0.0.1", "ignored-lines", "http-1-only", "requests on"] {
        assert!(text.contains(word), "no `{word}`: {text}");
    }
    assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
    assert_eq!(ran.findings(), ["ignored-lines", "http-1-only"]);
}

#[test]
fn a_terminal_is_told_in_sentences_that_fit() {
    let rigged = Rigged::new(|_, stream| {
        begin(stream, GOOD);
        say(stream, &[(0, "id: 1\nData: lost\ndata: x\n\n")]);
        stay(stream);
    });
    let mut command = crate::lab::program(&["diagnose", &rigged.url(), "--listen", "1s", "--streams", "0"]);
    let ran = command.env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for words in [
        "1 finding that loses events, 1 piece of advice",
        "✗ loses (ignored-lines)",
        "· `Data: lost`",
        "→ begin each line",
    ] {
        assert!(text.contains(words), "no `{words}`:\n{text}");
    }
}
