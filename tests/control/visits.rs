//! Visits: browsers that come to the lab page of the real `serve`, and what is kept of them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep, timeout, timeout_at};
use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Target};

use crate::browser::{Browser, Kind};
use crate::lab::DEADLINE;
use crate::served::{Ask, Served};

/// Waits until a run is kept, and gives its folder.
async fn kept(served: &Served) -> std::path::PathBuf {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(run) = served.runs().pop() {
            return run;
        }
        assert!(Instant::now() < deadline, "no run was kept");
        sleep(Duration::from_millis(100)).await;
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn median(trial: &Value, metric: &str) -> Option<u64> {
    trial["metrics"][metric]["median"].as_u64()
}

/// Opens the lab page in a browser, at an address that starts by itself; checks what is kept.
async fn measures(kind: Kind, protocol: &str, client: &str, [streams, connections]: [u64; 2]) {
    let served = Served::start(&[]);
    let url = format!("https://127.0.0.1:{}/?open={protocol}&n=150&hold=3", served.base);
    let quic = protocol.ends_with("h3").then_some(served.base + 3);
    let _browser =
        Browser::open_with(kind, &url, &served.certificate, quic).expect("the test command installs the browsers");
    let run = kept(&served).await;
    for file in ["experiment.toml", "plan.json", "machine.json", "observations.jsonl", "summary.json", "report.html"] {
        assert!(run.join(file).is_file(), "{file} of {}", run.display());
    }
    let summary = read(&run.join("summary.json"));
    let trial = &summary["trials"][0];
    assert_eq!((&trial["outcome"], &trial["reason"]), (&json!("completed"), &Value::Null), "both ends agree");
    assert_eq!(trial["levels"]["client"], client);
    assert_eq!(trial["levels"]["workload.subscribers"], 150);
    assert!(trial["client-version"].as_str().unwrap().contains(char::is_numeric), "{}", trial["client-version"]);
    assert_eq!(median(trial, "requested-streams"), Some(150));
    assert_eq!(median(trial, "open-streams"), Some(streams));
    assert_eq!(median(trial, "server-open-streams"), Some(streams));
    assert_eq!(median(trial, "connections"), Some(connections));

    let name = run.file_name().unwrap().to_str().unwrap();
    let report = served.get(&format!("/runs/{name}/report.html")).await;
    assert_eq!(report.status, StatusCode::OK);
    assert_eq!(report.body, std::fs::read_to_string(run.join("report.html")).unwrap());
    assert!(report.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"));
    assert!(served.get("/runs").await.body.contains(&format!("href=\"/runs/{name}/report.html\"")));
    let again = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
        .args(["report", "latest", "--out"])
        .arg(served.results())
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(read(&run.join("summary.json")), summary, "a run like any other is read again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visiting_chromium_holds_six_on_six_connections_over_http_1() {
    measures(Kind::Chromium, "sse/h1", "chromium", [6, 6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visiting_chromium_holds_the_servers_limit_over_http_3_when_put_on_it() {
    measures(Kind::Chromium, "sse/h3", "chromium", [100, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visiting_firefox_holds_six_on_six_connections_over_http_1() {
    measures(Kind::Firefox, "sse/h1", "firefox", [6, 6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visiting_firefox_holds_the_servers_limit_over_http_2() {
    measures(Kind::Firefox, "sse/h2", "firefox", [100, 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visiting_webkit_holds_six_on_six_connections_over_http_1() {
    measures(Kind::WebKit, "sse/h1", "webkit", [6, 6]).await;
}

/// What the lab page asks with.
async fn key(served: &Served) -> String {
    let page = served.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    page.body.split("data-key=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn asked(served: &Served, key: &str, subscribers: u32, hold: &str) -> Value {
    json!({ "key": key, "protocol": "sse/h1", "port": served.base + 1, "subscribers": subscribers, "hold": hold })
}

#[tokio::test]
async fn only_the_lab_page_may_ask_and_only_for_what_is_in_bounds() {
    let served = Served::start(&[]);
    let key = key(&served).await;
    let ask = async |request: Value| served.ask(Method::POST, "/visits", &[], &request.to_string()).await;
    assert_eq!(ask(asked(&served, "guessed", 1, "1s")).await.status, StatusCode::FORBIDDEN);
    for (subscribers, hold) in [(0, "1s"), (1201, "1s"), (1, "999ms"), (1, "61s")] {
        let answer = ask(asked(&served, &key, subscribers, hold)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{subscribers} for {hold}: {}", answer.body);
    }
    for (name, value) in [("protocol", json!("sse/h2")), ("protocol", json!("pigeon/h1")), ("port", json!(22))] {
        let mut request = asked(&served, &key, 1, "1s");
        request[name] = value;
        let answer = ask(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
        assert!(answer.body.contains("is not spoken at port"), "{}", answer.body);
    }
    assert_eq!(ask(json!({ "key": "x".repeat(5000) })).await.status, StatusCode::PAYLOAD_TOO_LARGE);

    let body = asked(&served, &key, 1, "1s").to_string();
    let foreign = served.ask(Method::POST, "/visits", &[("origin", "https://evil.example")], &body).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN, "another page can't ask, even with the key");
    let request = Ask(Method::POST, "/visits", &[], &body);
    let rebound = served.send(Ipv4Addr::LOCALHOST.into(), 0, "rebound.example", request).await;
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(std::fs::read_dir(served.results()).unwrap().next().is_none(), "nothing was begun");

    for visit in 1..=9 {
        let answer = ask(asked(&served, &key, 1, "1s")).await;
        let expected = if visit <= 8 { StatusCode::CREATED } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(answer.status, expected, "visit {visit}: {}", answer.body);
    }
}

const CLOCK: &str = r#"{"type":"saw","kind":"clock","t":5000000000,"page":200000,"uncertainty":9,"step":5,"visibility":"visible","isolated":true}"#;

/// The next of the lab's lines to a page; each comes as one piece.
async fn line(lines: &mut Incoming) -> Value {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let frame = timeout(DEADLINE, lines.frame()).await.expect("a line comes").unwrap().unwrap();
        line.extend(frame.into_data().unwrap());
    }
    serde_json::from_slice(&line).unwrap()
}

/// A visitor in this test's hands instead of a browser's.
struct Visitor {
    trial: u64,
    /// The query of this page's routes.
    query: String,
    posts: u32,
    /// What it was told to subscribe to.
    paths: Vec<String>,
    /// The lab's lines; a page that doesn't read them any more is gone.
    lines: Incoming,
}

impl Visitor {
    /// Asks for a trial, says it is ready, and waits for `go`.
    async fn ready(served: &Served, subscribers: u32, hold: &str) -> Self {
        let request = asked(served, &key(served).await, subscribers, hold).to_string();
        let answer = served.ask(Method::POST, "/visits", &[], &request).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        let query = told["page"].as_str().unwrap().split('?').nth(1).unwrap().to_owned();
        let trial = told["trial"].as_u64().unwrap();
        let path = format!("/trials/{trial}/contract?{query}");
        let lines = served.send(Ipv4Addr::LOCALHOST.into(), 0, "127.0.0.1", Ask(Method::GET, &path, &[], "")).await;
        let mut lines = lines.into_body();
        let message = line(&mut lines).await;
        let subscriptions = message["subscriptions"].as_array().unwrap();
        let paths = subscriptions.iter().map(|plan| plan["path"].as_str().unwrap().to_owned()).collect();
        let mut visitor = Self { trial, query, posts: 0, paths, lines };
        visitor.say(served, &format!("{CLOCK}\n{{\"type\":\"ready\",\"version\":\"Test 1\"}}")).await;
        assert_eq!(line(&mut visitor.lines).await["type"], "go");
        visitor
    }

    async fn say(&mut self, served: &Served, lines: &str) {
        let path = format!("/trials/{}/contract?{}&post={}", self.trial, self.query, self.posts);
        self.posts += 1;
        let answer = served.ask(Method::POST, &path, &[], lines).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    }

    /// What the lab page is shown, as an event stream.
    async fn follow(&self, served: &Served) -> impl AsyncFnMut(fn(&Value) -> bool) -> Value + use<> {
        let path = format!("/ledger?trial={}&{}", self.trial, self.query);
        let accept = [("accept", "text/event-stream")];
        let request = Ask(Method::GET, &path, &accept, "");
        let answer = served.send(Ipv4Addr::LOCALHOST.into(), 0, "127.0.0.1", request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut stream = answer.into_body();
        let mut rest = String::new();
        async move |wanted: fn(&Value) -> bool| {
            let deadline = Instant::now() + DEADLINE;
            loop {
                while let Some(end) = rest.find("\n\n") {
                    let event: String = rest.drain(..end + 2).collect();
                    let Some(data) = event.trim_end().strip_prefix("data: ") else { continue };
                    let view: Value = serde_json::from_str(data).unwrap();
                    if wanted(&view) {
                        return view;
                    }
                }
                let frame = timeout_at(deadline, stream.frame()).await.expect("the view changes").unwrap().unwrap();
                rest += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_takes_the_census_at_once_and_a_page_that_hides_what_it_got_is_found_out() {
    let served = Served::start(&[]);
    let mut visitor = Visitor::ready(&served, 2, "60s").await;
    let mut view = visitor.follow(&served).await;
    let at = Target { host: "localhost".into(), port: served.base + 1 };
    let mut streams = Vec::new();
    for path in &visitor.paths {
        let dialled = ClientConnection::connect(&at, Alpn::H1, &served.certificate.certs.ca()).await.unwrap();
        streams.push(dialled.get(path, &[]).await.unwrap());
    }
    let filled = view(|view| view["open"] == 2).await;
    assert_eq!(filled["lanes"].as_array().unwrap().len(), 2, "{filled}");
    assert_eq!(filled["lanes"][0], json!({ "conn": filled["lanes"][0]["conn"], "alpn": "h1", "subs": [0] }));

    let begun = Instant::now();
    let close = format!("/trials/{}/close?token=guessed", visitor.trial);
    assert_eq!(served.ask(Method::POST, &close, &[], "").await.status, StatusCode::FORBIDDEN);
    let close = format!("/trials/{}/close?{}", visitor.trial, visitor.query);
    assert_eq!(served.ask(Method::POST, &close, &[], "").await.status, StatusCode::NO_CONTENT);
    view(|view| view["counted"] == true).await;
    drop(streams);
    visitor.say(&served, "{\"type\":\"done\",\"sent\":1}").await;
    let over = view(|view| !view["kept"].is_null()).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "it didn't hold for a minute");
    assert_eq!(over["open"], 2, "what was held at the census stays in the picture");
    let kept = &over["kept"];
    assert_eq!((&kept["outcome"], &kept["open"], &kept["server-open"]), (&json!("failed"), &json!(0.0), &json!(2.0)));
    let reason = kept["reason"].as_str().unwrap();
    assert!(reason.starts_with("the client counts 0 open streams and the server 2"), "{reason}");
    let report = served.get(&format!("/runs/{}/report.html", kept["run"].as_str().unwrap())).await;
    assert_eq!(report.status, StatusCode::OK, "a visit that failed is kept too");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_keeps_the_visits_that_are_under_way() {
    let mut served = Served::start(&[]);
    let visitor = Visitor::ready(&served, 1, "60s").await;
    let mut view = visitor.follow(&served).await;
    view(|_| true).await;
    let status = served.interrupt();
    assert!(status.success(), "{status}");
    let run = kept(&served).await;
    let trial = &read(&run.join("summary.json"))["trials"][0];
    assert_eq!((&trial["outcome"], &trial["reason"]), (&json!("failed"), &json!("interrupted")));
}

#[tokio::test]
async fn without_expose_nobody_else_is_let_in() {
    let served = Served::start(&[]);
    let Some(own) = own_address() else { return };
    for offset in [0, 1, 2, 5] {
        let refused = tokio::net::TcpStream::connect((own, served.base + offset)).await;
        assert!(refused.is_err(), "port +{offset} answers at {own}");
    }
}

/// An address of this machine that isn't loopback. Traffic to it stays on the machine.
pub(crate) fn own_address() -> Option<IpAddr> {
    let addresses = nix::ifaddrs::getifaddrs().unwrap().filter_map(|interface| interface.address);
    let mut v4 = addresses.filter_map(|address| Some(IpAddr::V4(address.as_sockaddr_in()?.ip())));
    let own = v4.find(|ip| !ip.is_loopback());
    if own.is_none() {
        println!("skipped: this machine has no address beside loopback");
    }
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_is_let_in_with_the_token_only() {
    let Some(own) = own_address() else { return };
    let name = own.to_string();
    let served = Served::start(&["--expose", "--host", &name]);
    let invitation = format!("https://{name}:{}/?token=", served.base);
    let token = served.said.split(&invitation).nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(served.said.contains("████"), "a QR code: {}", served.said);
    let ask = async |offset, host: &str, path: &str, headers: &[(&str, &str)]| {
        served.send(own, offset, host, Ask(Method::GET, path, headers, "")).await
    };
    for path in ["/", "/ca.pem", "/ledger", "/runs", "/assets/lab.css", "/nowhere", "/?token=wrong"] {
        assert_eq!(ask(0, &name, path, &[]).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let ca = served.certificate.certs.ca();
    for (offset, alpn) in [(1, Alpn::H1), (2, Alpn::H2), (3, Alpn::H3), (5, Alpn::H2), (5, Alpn::H3)] {
        let target = Target { host: name.clone(), port: served.base + offset };
        let status = async |query: &str| {
            let dialled = ClientConnection::connect(&target, alpn, &ca).await.unwrap();
            dialled.get(&format!("/ping{query}"), &[]).await.unwrap().status.as_u16()
        };
        assert_eq!(status("").await, 403, "{alpn} at +{offset}");
        assert_eq!(status("?token=wrong").await, 403, "{alpn} at +{offset}");
        assert_eq!(status(&format!("?token={token}")).await, 204, "{alpn} at +{offset}");
    }

    let entered = ask(0, &name, &format!("/?token={token}"), &[]).await;
    assert_eq!(entered.status(), StatusCode::OK);
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    for attribute in ["__Host-transport-lab=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Max-Age="]
    {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let shown = cookie.split(';').next().unwrap();
    let ca_pem = ask(0, &name, "/ca.pem", &[("cookie", shown)]).await;
    assert_eq!(
        (ca_pem.status(), &ca_pem.headers()["content-type"]),
        (StatusCode::OK, &"application/x-x509-ca-cert".parse().unwrap())
    );
    let pem = ca_pem.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(pem, std::fs::read(served.certificate.ca()).unwrap());
    assert!(!String::from_utf8_lossy(&pem).contains("PRIVATE"));
    assert_eq!(ask(0, "rebound.example", "/", &[("cookie", shown)]).await.status(), StatusCode::MISDIRECTED_REQUEST);
    let foreign = [("cookie", shown), ("origin", "https://evil.example")];
    assert_eq!(ask(0, &name, "/ledger", &foreign).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(served.get("/").await.status, StatusCode::OK, "this machine needs no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_from_another_address_is_measured_through_the_token() {
    let Some(own) = own_address() else { return };
    let served = Served::start(&["--expose", "--host", &own.to_string()]);
    let start = format!("https://{own}:{}/?token=", served.base);
    let token = served.said.split(&start).nth(1).unwrap().lines().next().unwrap();
    let url = format!("{start}{token}&open=sse/h1&n=20&hold=2");
    let _browser = Browser::open(Kind::Chromium, &url, &served.certificate).unwrap();
    let run = kept(&served).await;
    let trial = &read(&run.join("summary.json"))["trials"][0];
    assert_eq!((&trial["outcome"], &trial["reason"]), (&json!("completed"), &Value::Null));
    assert_eq!((median(trial, "open-streams"), median(trial, "server-open-streams")), (Some(6), Some(6)));
    for entry in std::fs::read_dir(&run).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert!(!std::fs::read_to_string(&path).unwrap().contains(token), "{} holds the token", path.display());
        }
    }
}
