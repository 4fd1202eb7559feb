//! Each port speaks what it should and nothing else, under the lab's certificate.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use transport_lab::trial::Alpn;

use crate::lab::{Lab, free_base, program};

/// `openssl s_client` at a port: whether it was happy, and all that it said.
fn s_client(lab: &Lab, port: u16, options: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-verify_return_error"]);
    let command = command.arg("-CAfile").arg(&lab.ca).args(options);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn each_port_speaks_its_own_protocol_and_no_other() {
    let lab = Lab::serve(&[]);
    let base = lab.base;
    for (port, offered, taken) in [
        (base, "h2", true),
        (base, "http/1.1", true),
        (base + 1, "http/1.1", true),
        (base + 1, "h2", false),
        (base + 2, "h2", true),
        (base + 2, "http/1.1", false),
        (base + 5, "h2", true),
        (base + 5, "http/1.1", false),
        (base + 5, "h3", false),
    ] {
        let (happy, said) = s_client(&lab, port, &["-alpn", offered]);
        assert_eq!(happy, taken, "{offered} at +{}: {said}", port - base);
        if taken {
            assert!(said.contains(&format!("ALPN protocol: {offered}")), "{said}");
        } else {
            // RFC 7301 section 3.2: the client is told why.
            assert!(said.contains("no application protocol"), "{said}");
        }
    }
    for offset in [3, 4] {
        assert!(TcpStream::connect(("127.0.0.1", base + offset)).is_err(), "TCP at +{offset}");
        assert!(TcpStream::connect(("::1", base + offset)).is_err(), "TCP at +{offset}");
    }
    for offset in [0, 1, 2] {
        assert!(UdpSocket::bind(("127.0.0.1", base + offset)).is_ok(), "UDP at +{offset}");
    }
    assert_eq!(lab.ask(Alpn::H3, "/ping", &[]).head.field("alt-svc"), "");
    assert_eq!(lab.ask(Alpn::H2, "/ping", &[]).head.field("alt-svc"), "");
    let both = lab.try_ask_at(Alpn::H2, base + 5, "/ping", &[]).unwrap();
    assert_eq!(both.head.field("alt-svc"), format!("h3=\":{}\"; ma=3600", base + 5));
    assert_eq!(lab.try_ask_at(Alpn::H3, base + 5, "/ping", &[]).unwrap().head.status, 204);
    // HTTP/1.0 has no chunks: the body ends with the connection.
    let mut old = lab.open(Alpn::H1, base + 1, "/feeds/news/sse", &["--http1.0"]);
    assert_eq!((old.head.version.as_str(), old.head.field("transfer-encoding")), ("HTTP/1.0", String::new()));
    lab.publish(Alpn::H1, "news", b"for the old");
    assert_eq!(old.next().data, "for the old");
}

#[test]
fn the_certificate_is_for_loopback_names_and_tls_is_1_2_at_least() {
    let lab = Lab::serve(&[]);
    let ports = [(lab.base, "h2"), (lab.base + 1, "http/1.1"), (lab.base + 2, "h2"), (lab.base + 5, "h2")];
    for (port, alpn) in ports {
        for name in
            [["-verify_hostname", "localhost"], ["-verify_hostname", "a.localhost"], ["-verify_ip", "127.0.0.1"]]
        {
            for version in ["-tls1_2", "-tls1_3"] {
                let (happy, said) = s_client(&lab, port, &[version, "-alpn", alpn, name[0], name[1]]);
                assert!(happy && said.contains("Verify return code: 0 (ok)"), "{name:?} {version}: {said}");
            }
        }
        let (happy, said) = s_client(&lab, port, &["-alpn", alpn, "-verify_hostname", "example.com"]);
        assert!(!happy && said.contains("ostname mismatch"), "{said}");
        // Without security level 0 openssl wouldn't even ask.
        let (happy, said) = s_client(&lab, port, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-alpn", alpn]);
        assert!(!happy && said.contains("SSL alert number"), "the server says no: {said}");
    }
}

#[test]
fn a_port_in_use_ends_serve_with_4_and_says_what_to_do() {
    for (offset, udp) in [(0, false), (2, false), (3, true), (5, false)] {
        // Held by us, so that it is certain which of the six is in use.
        let address = |base| ("127.0.0.1", base + offset);
        let (base, _held) = std::iter::repeat_with(free_base)
            .find_map(|base| {
                let udp = udp.then(|| UdpSocket::bind(address(base)).map(OwnedFd::from));
                let held = udp.unwrap_or_else(|| TcpListener::bind(address(base)).map(OwnedFd::from));
                held.ok().map(|held| (base, held))
            })
            .unwrap();
        let certs = tempfile::tempdir().unwrap();
        let mut command = program();
        command.args(["serve", "--port", &base.to_string(), "--certs"]).arg(certs.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(&format!("127.0.0.1:{}", base + offset)), "{said}");
        assert!(said.contains("--port"), "{said}");
        assert_eq!(said.matches("in use").count(), 1, "said once: {said}");
    }
}

/// The SETTINGS that the server sends, as nghttp shows them.
fn settings(lab: &Lab) -> String {
    let output = Command::new("nghttp").args(["-nv", &lab.url(Alpn::H2, "/ping")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(":status: 204"), "{said}");
    // Lines of a frame are indented below its first one; the first such frame is theirs, later ones acknowledge.
    let mut lines = said.lines().skip_while(|line| !line.contains("recv SETTINGS frame"));
    lines.next().expect("no SETTINGS frame");
    lines.take_while(|line| line.starts_with(' ')).collect()
}

#[test]
fn the_limit_on_streams_is_sent_when_it_is_set_and_left_out_when_it_is_not() {
    let limit = |options: &[&str]| settings(&Lab::serve(options));
    assert!(limit(&["--max-concurrent-streams", "7"]).contains("SETTINGS_MAX_CONCURRENT_STREAMS(0x03):7]"));
    assert!(limit(&[]).contains("SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100]"));
    let unset = limit(&["--max-concurrent-streams", "unset"]);
    assert!(unset.contains("SETTINGS_INITIAL_WINDOW_SIZE"), "{unset}");
    assert!(!unset.contains("SETTINGS_MAX_CONCURRENT_STREAMS"), "{unset}");
}

#[test]
fn a_hundred_streams_at_once_on_one_connection_are_all_answered() {
    let lab = Lab::serve(&[]);
    let url = lab.url(Alpn::H2, "/ping");
    let output = Command::new("h2load").args(["-n", "5000", "-c", "1", "-m", "100", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed"), "{said}");
    assert!(said.contains("5000 2xx"), "{said}");
    assert_eq!(lab.ledger().pointer("/alpn/h2/connections/total").unwrap(), 1);
}
