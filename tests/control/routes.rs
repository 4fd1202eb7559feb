//! Who is let in, what is refused, and the ledger.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;
use transport_lab::control::ControlError;
use transport_lab::trial::{Alpn, ClientFact, Down, Observation, ServerFact, Up};

use crate::lab::{Answer, DEADLINE, Lab, trial, whole};

/// Path and query of a route of the carrier's first page.
pub(crate) fn path(url: &str, route: &str) -> String {
    let start = url.find("/trials").unwrap();
    url[start..].replacen("/page?", &format!("/{route}?"), 1)
}

fn error(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    body["error"].as_str().unwrap().to_owned()
}

const CLOCK: &str = r#"{"type":"saw","kind":"clock","t":5000000000,"page":200000,"uncertainty":9,"step":5,"visibility":"visible","isolated":true}"#;

#[tokio::test]
async fn another_host_name_is_misdirected() {
    let lab = Lab::start().await;
    for alpn in [Alpn::H1, Alpn::H2] {
        for (host, status) in [("rebound.example", 421), ("127.0.0.1", 204), ("x.localhost", 204), ("[::1]", 204)] {
            let request = lab.request(alpn, Method::GET, host, "/ping").body(Full::default()).unwrap();
            let answer = whole(lab.send(alpn, request).await).await;
            assert_eq!(answer.status.as_u16(), status, "{host} on {alpn}");
        }
    }
}

#[tokio::test]
async fn a_strange_origin_is_refused_and_an_allowed_one_named() {
    let lab = Lab::start().await;
    let own = lab.control.origin();
    for (origin, status) in
        [("https://evil.example", 403), ("null", 403), (own.as_str(), 200), ("https://friend.example", 200)]
    {
        let request = lab.request(Alpn::H2, Method::GET, "127.0.0.1", "/ledger").header("origin", origin);
        let answer = whole(lab.send(Alpn::H2, request.body(Full::default()).unwrap()).await).await;
        assert_eq!(answer.status.as_u16(), status, "{origin}");
        let named = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        assert_eq!(named, (status == 200).then_some(origin));
        assert_eq!(answer.headers["vary"], "Origin");
    }
}

#[tokio::test]
async fn every_answer_is_isolated_and_never_stored() {
    let lab = Lab::start().await;
    let carrier = lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1).unwrap();
    for at in
        ["/", "/ledger", "/ping", "/nowhere", "/assets/trial.js", "/transports/sse.js", &path(&carrier.url, "page")]
    {
        let answer = lab.get(at).await;
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-embedder-policy", "require-corp"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.headers[name], value, "{name} of {at}");
        }
        if answer.headers.get("content-type").is_some_and(|kind| kind == "text/html; charset=utf-8") {
            assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"));
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let lab = Lab::start().await;
    for at in
        ["/nowhere", "/assets/lab.rs", "/transports/pigeon.js", "/trials/8/page?token=x", "/trials/x/page?token=x"]
    {
        let answer = lab.get(at).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{at}");
        assert!(!error(&answer).is_empty());
    }
    assert_eq!(lab.post("/ledger", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_or_missing_token_is_403() {
    let lab = Lab::start().await;
    let carrier = lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1).unwrap();
    for route in ["page", "contract", "clock"] {
        for query in ["", "?page=0", "?token=", "?token=wrong&page=0"] {
            let answer = lab.get(&format!("/trials/7/{route}{query}")).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{route}{query}");
        }
    }
    for route in ["contract", "error"] {
        assert_eq!(lab.post(&format!("/trials/7/{route}?token=wrong&post=0"), "x").await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(lab.get(&path(&carrier.url, "clock")).await.status, StatusCode::OK);
    let no_page = path(&carrier.url, "clock").replace("page=0", "page=1");
    assert_eq!(lab.get(&no_page).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_413() {
    let lab = Lab::start().await;
    let carrier = lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1).unwrap();
    let contract = format!("{}&post=0", path(&carrier.url, "contract"));
    assert_eq!(lab.post(&contract, vec![b' '; 1024 * 1024 + 1]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let said = lab.post(&path(&carrier.url, "error"), vec![b'x'; 16 * 1024 + 1]).await;
    assert_eq!(said.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn lines_against_the_contract_are_400_and_nothing_of_their_post_is_taken() {
    let lab = Lab::start().await;
    let mut carrier = lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1).unwrap();
    let post = |number: u32| format!("{}&post={number}", path(&carrier.url, "contract"));
    let requested = r#"{"type":"saw","kind":"requested","t":200001,"sub":0}"#;
    let refused = [
        "{".to_owned(),
        requested.to_owned(),
        r#"{"type":"ready","version":"1"}"#.to_owned(),
        r#"{"type":"listening","ports":{},"versions":{}}"#.to_owned(),
        format!("{CLOCK}\n{{\"type\":\"wish\"}}"),
    ];
    for body in refused {
        assert_eq!(lab.post(&post(0), body.clone()).await.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(lab.post(&post(1), CLOCK).await.status, StatusCode::BAD_REQUEST, "post 0 comes first");
    // The same post twice, as a browser or the page itself may send it again, is one post.
    for _ in 0..2 {
        let answer = lab.post(&post(0), format!("{CLOCK}\n{requested}\n")).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    }
    let server = r#"{"type":"saw","kind":"written","t":1,"sub":0,"id":"k3f9-1"}"#;
    assert_eq!(lab.post(&post(1), server).await.status, StatusCode::BAD_REQUEST, "a page is not the server");
    assert_eq!(lab.post(&post(1), r#"{"type":"done","sent":2}"#).await.status, StatusCode::NO_CONTENT);
    let mut lines = vec![];
    while let Ok(line) = carrier.up.try_recv() {
        lines.push(line);
    }
    let [Up::Saw(Observation { fact: ClientFact::Clock { .. }, .. }), Up::Saw(requested), Up::Done { sent: 2 }] =
        &lines[..]
    else {
        panic!("{lines:?}")
    };
    assert_eq!(*requested, Observation { t: 5_000_001_000, fact: ClientFact::Requested { sub: 0 } });
}

#[tokio::test]
async fn the_last_page_stands_for_all() {
    let lab = Lab::start().await;
    let mut carrier = lab.control.open(trial(7, Alpn::H2, 9, 2, 2), 2).unwrap();
    for page in 0..2 {
        assert!(carrier.up.try_recv().is_err(), "one page alone is not ready");
        let at = path(&carrier.url, "contract").replace("page=0", &format!("page={page}"));
        let body = format!("{CLOCK}\n{{\"type\":\"ready\",\"version\":\"B 1\"}}");
        assert_eq!(lab.post(&format!("{at}&post=0"), body).await.status, StatusCode::NO_CONTENT);
        if page == 0 {
            assert!(matches!(carrier.up.try_recv(), Ok(Up::Saw(Observation { fact: ClientFact::Clock { .. }, .. }))));
        }
    }
    assert!(matches!(carrier.up.try_recv(), Ok(Up::Saw(Observation { fact: ClientFact::Clock { .. }, .. }))));
    assert_eq!(carrier.up.try_recv(), Ok(Up::Ready { version: "B 1".into() }));
    for page in 0..2 {
        assert!(carrier.up.try_recv().is_err(), "one page alone is not done");
        let at = path(&carrier.url, "contract").replace("page=0", &format!("page={page}"));
        let body = format!("{{\"type\":\"done\",\"sent\":{}}}", page + 1);
        assert_eq!(lab.post(&format!("{at}&post=1"), body).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(carrier.up.try_recv(), Ok(Up::Done { sent: 3 }));
}

#[tokio::test]
async fn a_page_is_told_its_own_subscriptions_and_its_own_time_and_the_end() {
    let lab = Lab::start().await;
    let carrier = lab.control.open(trial(7, Alpn::H2, 9, 2, 5), 2).unwrap();
    let at = path(&carrier.url, "contract").replace("page=0", "page=1");
    let request = lab.request(Alpn::H2, Method::GET, "127.0.0.1", &at).body(Full::default()).unwrap();
    let mut stream = lab.send(Alpn::H2, request).await.into_body();
    let mut line = async || {
        loop {
            let frame = timeout(DEADLINE, stream.frame()).await.expect("a line or the end comes")?;
            let bytes = frame.unwrap().into_data().unwrap();
            // HTTP/2 may end a stream with an empty DATA frame.
            if !bytes.is_empty() {
                return Some(serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
            }
        }
    };
    let told = line().await.unwrap();
    let subs: Vec<_> = told["subscriptions"].as_array().unwrap().iter().map(|s| s["sub"].as_u64().unwrap()).collect();
    assert_eq!((told["type"].as_str(), subs), (Some("trial"), vec![1, 3]));
    assert_eq!(lab.get(&at).await.status, StatusCode::BAD_REQUEST, "a page has one stream");
    assert_eq!(lab.post(&format!("{at}&post=0"), CLOCK).await.status, StatusCode::NO_CONTENT);
    carrier.down.send(Down::Go { at: 5_000_123_000 }).await.unwrap();
    assert_eq!(line().await.unwrap(), serde_json::json!({"type": "go", "at": 200_123}));
    assert_eq!(line().await.unwrap()["type"], "look", "go is long due");
    assert_eq!(line().await.unwrap()["type"], "look", "so is the probe");
    carrier.down.send(Down::Stop).await.unwrap();
    assert_eq!(line().await.unwrap()["type"], "stop");
    drop(carrier);
    assert_eq!(line().await, None, "a trial that is closed ends its streams");
    assert_eq!(lab.get(&at).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_trial_is_open_once() {
    let lab = Lab::start().await;
    let carrier = lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1).unwrap();
    assert!(matches!(lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1), Err(ControlError::Open(7))));
    assert!(matches!(lab.control.open(trial(8, Alpn::H2, 9, 1, 1), 0), Err(ControlError::Pages { .. })));
    drop(carrier);
    assert!(lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1).is_ok());
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let lab = Lab::start().await;
    let (_, ledger) = tokio::sync::watch::channel(transport_lab::trial::ledger::Ledger::default());
    let config = transport_lab::control::ControlConfig {
        addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        port: lab.control.port(),
        tls: lab.certificate.server(&[Alpn::H2]),
        hosts: vec![],
        origins: vec![],
        ledger,
        serving: None,
    };
    let refused = transport_lab::control::Control::start(config).await.unwrap_err();
    let said = transport_lab::text::chain(&refused);
    assert!(said.contains(&format!("127.0.0.1:{}", lab.control.port())), "{said}");
}

#[tokio::test]
async fn a_stopped_origin_answers_no_more() {
    let lab = Lab::start().await;
    let mut idle = lab.dial(Alpn::H2).await;
    let port = lab.control.port();
    lab.control.stop().await;
    let read = async { while idle.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
    timeout(DEADLINE, read).await.expect("an open connection ends");
    assert!(tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok(), "the port is free again");
}

#[tokio::test]
async fn the_ledger_is_json_and_an_event_stream() {
    let lab = Lab::start().await;
    let connect = |conn| ServerFact::Connected { conn, alpn: Alpn::H2 };
    lab.ledger.send_modify(|ledger| ledger.apply(&connect(1)));
    let answer = lab.get("/ledger").await;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(told["alpn"]["h2"]["connections"], serde_json::json!({"open": 1, "peak": 1, "total": 1}));
    assert!(told["time"].as_u64().unwrap() > 1_700_000_000_000_000, "microseconds");
    assert!(told["trials"].is_object());

    let request = lab.request(Alpn::H2, Method::GET, "127.0.0.1", "/ledger").header("accept", "text/event-stream");
    let response = lab.send(Alpn::H2, request.body(Full::default()).unwrap()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body();
    let ledger = lab.ledger.clone();
    let busy = tokio::spawn(async move {
        for conn in 2.. {
            ledger.send_modify(|ledger| ledger.apply(&connect(conn)));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut seen = vec![];
    let mut first = None;
    while seen.len() < 6 {
        let frame = timeout(DEADLINE, stream.frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
        first = first.or(Some(Instant::now()));
        let text = std::str::from_utf8(&frame).unwrap();
        let json = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n")).unwrap();
        let told: serde_json::Value = serde_json::from_str(json).unwrap();
        seen.push(told["alpn"]["h2"]["connections"]["open"].as_u64().unwrap());
    }
    busy.abort();
    // The first may have been written a moment before it was read.
    assert!(first.unwrap().elapsed() > Duration::from_millis(400), "at most 10 a second");
    assert!(seen.is_sorted() && seen[5] > seen[0] + 50, "each event holds all changes so far: {seen:?}");
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let lab = Lab::start().await;
    let mut h2 = lab.dial(Alpn::H2).await;
    let mut h1 = lab.dial(Alpn::H1).await;
    let begun = Instant::now();
    let (mut first, mut second) = ([0; 1024], [0; 1024]);
    let read = async {
        while h2.read(&mut first).await.is_ok_and(|read| read > 0) {}
        while h1.read(&mut second).await.is_ok_and(|read| read > 0) {}
    };
    timeout(DEADLINE, read).await.expect("a connection that asks for nothing is closed");
    assert!(begun.elapsed().as_secs() >= 9, "but not at once");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// On one thread, so that this thread's subscriber hears everything.
#[tokio::test]
async fn no_log_and_no_error_holds_the_token() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_writer(log.clone()).with_env_filter("transport_lab=trace,hyper=debug").finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let lab = Lab::start().await;
    let mut carrier = lab.control.open(trial(7, Alpn::H2, 9, 1, 1), 1).unwrap();
    let token = carrier.url.split("token=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let mut said = String::new();
    for at in ["page", "clock", "nowhere", "contract"] {
        let at = path(&carrier.url, at);
        said += &lab.post(&at, format!("{{\"{token}\"")).await.body;
        if !at.contains("contract") {
            said += &lab.get(&at).await.body;
        }
        said += &lab.get(&at.replace("page=0", "page=-1")).await.body;
    }
    lab.post(&path(&carrier.url, "error"), format!("could not load {}", carrier.url)).await;
    let heard = carrier.up.recv().await;
    write!(said, "{heard:?} {:?} {carrier:?}", lab.control).unwrap();
    tracing::warn!(target: "transport_lab", "heard");
    // A connection that breaks off is logged.
    drop(lab.dial(Alpn::H2).await);
    let Answer { status, .. } = lab.get("/ping").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("heard"), "the log is listened to");
    assert!(!log.contains(&token) && !said.contains(&token), "{log} {said}");
}
