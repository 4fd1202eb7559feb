//! HTTP/3, by the lab's own server and by one that nobody here wrote.

use std::io::{ErrorKind, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Lab, diagnose};
use crate::others::{app_of_others, python_that_listens};

/// What it says of each of a diagnosis' ALPNs.
fn each<'a>(told: &'a Value, of: &str, what: &str) -> Vec<(&'a str, &'a Value)> {
    told[of].as_array().unwrap().iter().map(|one| (one["alpn"].as_str().unwrap(), &one[what])).collect()
}

#[test]
fn a_stream_is_told_of_on_http_3_as_on_http_2() {
    let lab = Lab::serve();
    let _publisher = lab.publishing("news", Duration::from_millis(100), 10);
    let ran = lab.diagnose(5, "/feeds/news/sse", &["--listen", "2s", "--streams", "4", "--quiet", "2s"]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    let told = ran.json();
    assert_eq!(each(&told, "resumed", "came"), [("h2", &json!("next")), ("h3", &json!("next"))]);
    assert_eq!(each(&told, "streams", "opened"), [("h2", &json!(4)), ("h3", &json!(4))]);
    assert_eq!(each(&told, "quiet", "cut"), [("h2", &Value::Null), ("h3", &Value::Null)]);
    let transport = &told["http3"]["transport"];
    assert_eq!((&transport["streams"], &transport["idle-timeout"]), (&json!(100), &json!(30_000)), "{told}");
    assert_eq!(told["http3"]["webtransport"].as_array().unwrap().len(), 4, "{told}");
    assert_eq!(told["http3"]["extended-connect"], true);
    let seen = told["seen"].to_string();
    for word in ["HTTP/2: header after", "HTTP/3: header after", "it forgets a connection after 30.0 s"] {
        assert!(seen.contains(word), "no `{word}`: {seen}");
    }
    let socket = format!("wss://localhost:{}/feeds/news/websocket", lab.base + 5);
    let ran = diagnose(&socket, &["--ca", &lab.ca(), "--listen", "2s"]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    for word in ["HTTP/2: open after", "HTTP/3: open after"] {
        assert!(ran.out.contains(word), "no `{word}`: {}", ran.out);
    }
}

#[test]
fn an_app_of_others_on_all_three_is_healthy_on_each() {
    let lab = Lab::serve();
    let (_app, url) = app_of_others(&lab, "resumes", true);
    let ran = diagnose(&url, &["--ca", &lab.ca(), "--listen", "3s", "--streams", "3"]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    let told = ran.json();
    let next = json!("next");
    assert_eq!(each(&told, "resumed", "came"), [("h2", &next), ("h1", &next), ("h3", &next)], "{told}");
    assert_eq!(each(&told, "streams", "opened").len(), 3, "{told}");
    assert!(ran.out.contains("offered by Alt-Svc"), "{}", ran.out);
}

/// Bytes to another port and back, until the test is over.
fn forward(from: u16, to: u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, from)).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect((Ipv4Addr::LOCALHOST, to)).unwrap());
            for (mut one, mut other) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                thread::spawn(move || {
                    if let Err(error) = copy(&mut one, &mut other) {
                        assert_ne!(error.kind(), ErrorKind::InvalidInput);
                    }
                    let _ = other.shutdown(Shutdown::Write);
                });
            }
        }
    });
}

#[test]
fn http_3_that_no_browser_is_told_of_is_found_by_asking() {
    let lab = Lab::serve();
    // On UDP the lab has HTTP/3 there, and on TCP it has nobody.
    forward(lab.base + 3, lab.base + 2);
    let ran = lab.diagnose(3, "/feeds/news/sse", &["--listen", "1s", "--streams", "0"]).exits(0);
    assert_eq!(ran.findings(), ["http-3-untold"]);
    assert!(ran.finding("http-3-untold")["change"].as_str().unwrap().starts_with("Alt-Svc: h3=\":"), "{}", ran.out);
    let offered = lab.diagnose(5, "/feeds/news/sse", &["--listen", "1s", "--streams", "0"]).exits(0);
    assert_eq!(offered.findings(), [""; 0]);
}

#[test]
fn a_wrong_certificate_on_udp_is_no_http_3_and_told() {
    let lab = Lab::serve();
    // Nobody is on TCP there.
    let url = format!("https://localhost:{}/feeds/news/sse", lab.base + 3);
    let ran = diagnose(&url, &["--listen", "1s", "--streams", "0", "--insecure"]).exits(1);
    assert_eq!((ran.findings(), &ran.json()["streams"]), (vec!["certificate".to_owned()], &json!([])));
    let ran = diagnose(&url, &["--listen", "1s", "--streams", "0"]).exits(4);
    assert!(ran.err.contains("signed by nobody"), "{}", ran.err);
}

/// aioquic, which speaks the second draft of WebTransport: a datagram ten times a second, and now and then a stream; and
/// a stream of signs of life at `/events`. It closes its sessions after a second, if it is told so, or says GOAWAY.
const SESSIONS: &str = r#"
import asyncio, json, sys, time
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import H3_ALPN, FrameType, H3Connection, encode_frame
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated

certs, how = sys.argv[1], sys.argv[2]

class Server(QuicConnectionProtocol):
    http = None

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic, enable_webtransport=True)
        for said in self.http.handle_event(event) if self.http else []:
            if isinstance(said, HeadersReceived):
                asked = dict(said.headers)
                if asked[b":path"] == b"/events":
                    fields = [(b":status", b"200"), (b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
                    self.http.send_headers(said.stream_id, fields)
                    asyncio.ensure_future(self.stream(said.stream_id))
                    continue
                is_session = asked.get(b":protocol") == b"webtransport"
                fields = [(b":status", b"200" if is_session else b"405"), (b"sec-webtransport-http3-draft", b"draft02")]
                self.http.send_headers(said.stream_id, fields, end_stream=not is_session)
                if is_session:
                    asyncio.ensure_future(self.talk(said.stream_id))
                self.transmit()

    async def stream(self, stream):
        for number in range(100):
            self.http.send_data(stream, b":\n\n", end_stream=False)
            if number == 5 and how == "leaves":
                goaway = encode_frame(FrameType.GOAWAY, encode_uint_var(2**62 - 4))
                self._quic.send_stream_data(self.http._local_control_stream_id, goaway)
            self.transmit()
            await asyncio.sleep(0.1)

    async def talk(self, session):
        for number in range(100):
            said = json.dumps({"time": time.time()}).encode()
            self.http.send_datagram(session, said)
            if number % 5 == 0:
                stream = self.http.create_webtransport_stream(session, is_unidirectional=True)
                self._quic.send_stream_data(stream, said, end_stream=True)
            if number == 10 and how == "closes":
                self._quic.send_stream_data(session, b"", end_stream=True)
            self.transmit()
            await asyncio.sleep(0.1)

async def main():
    config = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False, max_datagram_frame_size=65536)
    config.load_cert_chain(f"{certs}/server.pem", f"{certs}/server.key")
    server = await serve("127.0.0.1", 0, configuration=config, create_protocol=Server)
    print(server._transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Future()

asyncio.run(main())
"#;

#[test]
fn a_webtransport_session_is_read_where_a_get_finds_no_stream() {
    let lab = Lab::serve();
    let _publisher = lab.publishing("news", Duration::from_millis(100), 10);
    let ran = lab.diagnose(5, "/feeds/news/webtransport", &["--listen", "2s"]).exits(0);
    assert_eq!((ran.findings(), &ran.json()["kind"]), (Vec::new(), &json!("web-transport")), "{}", ran.out);
    assert!(ran.out.contains("messages, the first after"), "{}", ran.out);
    // Where there are none, what a GET found is told.
    lab.diagnose(5, "/nowhere", &["--listen", "1s"]).exits(4).says(&["it answers 404", "nothing at this address"]);
    for (how, found) in [("stays", &[][..]), ("closes", &["socket-closed".to_owned()])] {
        let (_server, port) = python_that_listens(SESSIONS, &[lab.certs().to_str().unwrap(), how]);
        let url = format!("https://localhost:{port}/live");
        let ran = diagnose(&url, &["--ca", &lab.ca(), "--listen", "3s"]);
        assert_eq!((ran.findings().as_slice(), ran.exit), (found, Some(i32::from(how == "closes"))), "{}", ran.err);
        assert!(ran.out.contains("WebTransport (draft-02)") && ran.out.contains("open after"), "{}", ran.out);
    }
}

#[test]
fn goaway_on_http_3_is_told() {
    let lab = Lab::serve();
    for (how, found) in [("leaves", &["goaway".to_owned()][..]), ("stays", &[])] {
        let (_server, port) = python_that_listens(SESSIONS, &[lab.certs().to_str().unwrap(), how]);
        let url = format!("https://localhost:{port}/events");
        let ran = diagnose(&url, &["--ca", &lab.ca(), "--listen", "3s", "--streams", "0"]).exits(0);
        assert_eq!(ran.findings(), found, "{}", ran.out);
        assert_eq!(ran.out.contains("on HTTP/3, GOAWAY came"), how == "leaves", "{}", ran.out);
    }
}
