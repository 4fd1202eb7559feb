//! Servers with which nothing is wrong.

use std::time::Duration;

use crate::lab::{Lab, diagnose};
use crate::rigged::{GOOD, Rigged, begin, log, say, stay};

#[test]
fn the_labs_own_event_stream_is_healthy_on_every_port_and_told_what_it_is() {
    let lab = Lab::serve();
    let _publisher = lab.publishing("news", Duration::from_millis(250), 10);
    let ran = lab.diagnose(5, "/feeds/news/sse", &[]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    let told = ran.json();
    assert_eq!(told["kind"], "event-stream");
    assert_eq!(told["resumed"][0]["came"], "next", "{told}");
    assert_eq!((&told["streams"][0]["opened"], &told["streams"][0]["alpn"]), (&20.into(), &"h2".into()));
    assert_eq!(told["settings"]["max-concurrent-streams"], 100);
    assert_eq!(told["tls"]["version"], "TLS 1.3");
    assert_eq!(told["cut-short"], serde_json::Value::Null);
    let seen = told["seen"].to_string();
    for word in
        ["HTTP/2, HTTP/3 (UDP port", "; not HTTP/1.1", "offered by Alt-Svc)", "localhost, 127.0.0.1", "no-store"]
    {
        assert!(seen.contains(word), "no `{word}`: {seen}");
    }
    let ran = lab.diagnose(2, "/feeds/news/sse", &["--listen", "2s"]).exits(0);
    assert_eq!(ran.findings(), [""; 0]);
    let ran = lab.diagnose(1, "/feeds/news/sse", &["--listen", "2s"]).exits(0);
    assert_eq!(ran.findings(), ["http-1-only"], "advice, with status 0");
}

#[test]
fn a_healthy_server_is_done_with_in_fifteen_seconds() {
    let lab = Lab::serve();
    let told = lab.diagnose(5, "/feeds/quiet/sse", &[]).exits(0).json();
    assert!(told["took"].as_u64().unwrap() < 15_000, "{told}");
    assert_eq!(told["findings"], serde_json::json!([]), "nothing happens on it, and nothing is wrong");
    let conduct = &told["conduct"];
    assert!(conduct["requests"].as_u64().unwrap() <= 84 && conduct["rate"] == 10, "{conduct}");
    assert!(conduct["user-agent"].as_str().unwrap().starts_with("transport-lab/"));
}

#[test]
fn the_labs_other_streams_are_healthy_too() {
    let lab = Lab::serve();
    let _publisher = lab.publishing("news", Duration::from_millis(250), 10);
    for (path, kind) in [("streaming", "lines"), ("multipart", "parts")] {
        let ran = lab.diagnose(5, &format!("/feeds/news/{path}"), &["--listen", "2s", "--streams", "2"]).exits(0);
        assert_eq!((ran.findings(), &ran.json()["kind"]), (Vec::new(), &kind.into()), "{path}");
    }
    let ran = lab.diagnose(5, "/feeds/quiet/long-polling", &["--listen", "2s"]).exits(0);
    assert_eq!((ran.findings(), &ran.json()["kind"]), (Vec::new(), &"long-poll".into()));
    let url = format!("wss://localhost:{}/feeds/news/websocket", lab.base + 1);
    let ran = diagnose(&url, &["--ca", &lab.ca(), "--listen", "2s"]).exits(0);
    assert_eq!((ran.findings(), &ran.json()["kind"]), (Vec::new(), &"socket".into()));
    let seen = ran.json()["seen"].to_string();
    assert!(seen.contains("messages, the first after"), "{seen}");
}

#[test]
fn of_a_rigged_server_that_does_all_well_only_its_http_is_advised_against() {
    let good = Rigged::new(|asked, stream| {
        begin(stream, GOOD);
        say(stream, &[(0, "retry: 3000\n\n"), (0, log(asked).as_str()), (300, ":\n\n"), (300, ":\n\n")]);
        stay(stream);
    });
    let ran = diagnose(&good.url(), &["--listen", "2s", "--streams", "5"]).exits(0);
    assert_eq!(ran.findings(), ["http-1-only"]);
    let told = ran.json();
    assert_eq!((&told["resumed"][0]["came"], &told["streams"][0]["opened"]), (&"next".into(), &5.into()));
    // Two that listen, one that comes back, and five.
    assert_eq!((told["conduct"]["requests"].as_u64(), good.requests()), (Some(8), 8));
}
