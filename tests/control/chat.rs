//! The chat, as two people in two browsers on two protocols have it.

use http::{Method, StatusCode};
use serde_json::json;
use std::net::Ipv4Addr;

use crate::browser::Kind;
use crate::driven::Driven;
use crate::lab::{Lab, whole};
use crate::nats::Nats;
use crate::served::{Ask, Served};

/// What is said, each as `Ann: hello`, and notes as they are.
const SAID: &str = "[...document.querySelectorAll('#lines li')].map((item) => \
                    item.className === 'note' ? item.textContent : [...item.children].map((part) => part.textContent).join(': '))";
/// Which element has the focus.
const FOCUS: &str = "document.activeElement?.id";
const STATE: &str = "document.documentElement.dataset.chat";

fn open(served: &Served, kind: Kind, query: &str) -> Driven {
    let url = format!("https://127.0.0.1:{}/chat{query}", served.base);
    Driven::open(kind, &url, &served.certificate)
}

/// Publishes to the chat's feed without a page.
async fn publish(served: &Served, line: &str) {
    let request = Ask(Method::POST, "/feeds/chat", &[], line);
    let answer = whole(served.send(Ipv4Addr::LOCALHOST.into(), 1, "localhost", request).await).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_on_two_protocols_see_each_others_lines_and_what_was_said_before() {
    let served = Served::start(&[]);
    publish(&served, r#"{"who": "Zoe", "says": "first"}"#).await;
    let mut ann = open(&served, Kind::Chromium, "");
    // By keyboard alone: the name has the focus, then comes the transport, then the button.
    ann.until(FOCUS, &json!("who"));
    ann.enter_text("Ann");
    ann.press("Tab");
    assert_eq!(ann.eval(FOCUS), "over");
    assert_eq!(
        ann.eval("document.activeElement.value"),
        format!("sse/{}", served.base + 2),
        "HTTP/2 until one chooses"
    );
    ann.press("Tab");
    assert_eq!(ann.eval(FOCUS), "enter");
    ann.press("Enter");
    ann.until(STATE, &json!("in"));
    ann.until(SAID, &json!(["Zoe: first"]));
    let h1 = format!("sse/{}", served.base + 1);
    let mut ben = open(&served, Kind::Firefox, &format!("?who=Ben&over={h1}"));
    ben.until(STATE, &json!("in"));
    ben.until(SAID, &json!(["Zoe: first"]));
    for _ in 0..4 {
        // Past the other button and the log.
        if ann.eval(FOCUS) != "says" {
            ann.press("Tab");
        }
    }
    assert_eq!(ann.eval(FOCUS), "says");
    ann.enter_text("hello, Ben");
    ann.press("Enter");
    ben.until(SAID, &json!(["Zoe: first", "Ann: hello, Ben"]));
    ben.eval("document.querySelector('#says').focus()");
    ben.enter_text("hello, Ann");
    ben.press("Enter");
    for both in [&mut ann, &mut ben] {
        both.until(SAID, &json!(["Zoe: first", "Ann: hello, Ben", "Ben: hello, Ann"]));
    }
    assert_eq!(ann.eval("document.querySelector('#lines .own').textContent"), "Annhello, Ben");
    assert_eq!(ann.eval("document.querySelector('#says').value"), "", "a line that was sent is gone from the field");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_at_two_servers_that_share_their_feeds_are_in_one_chat() {
    let nats = Nats::start();
    let served = [(); 2].map(|()| Served::start(&["--feeds", &nats.url()]));
    publish(&served[0], r#"{"who": "Zoe", "says": "first"}"#).await;
    let over = |k: usize, transport: &str, who: &str| format!("?who={who}&over={transport}/{}", served[k].base + 2);
    let mut ann = open(&served[0], Kind::Chromium, &over(0, "long-polling", "Ann"));
    let mut ben = open(&served[1], Kind::Firefox, &over(1, "websocket", "Ben"));
    let mut said = vec!["Zoe: first".to_owned()];
    for both in [&mut ann, &mut ben] {
        both.until(STATE, &json!("in"));
        both.until(SAID, &json!(said));
    }
    for (who, says) in [("Ann", "hello, Ben"), ("Ben", "hello, Ann")] {
        let speaks = if who == "Ann" { &mut ann } else { &mut ben };
        speaks.eval("document.querySelector('#says').focus()");
        speaks.enter_text(says);
        speaks.press("Enter");
        said.push(format!("{who}: {says}"));
        for both in [&mut ann, &mut ben] {
            both.until(SAID, &json!(said));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_changes_transport_or_comes_back_misses_nothing_and_sees_nothing_twice() {
    let served = Served::start(&[]);
    let [h1, h2] = [1, 2].map(|offset| format!("sse/{}", served.base + offset));
    let mut ann = open(&served, Kind::Chromium, &format!("?who=Ann&over={h2}"));
    ann.until(STATE, &json!("in"));
    publish(&served, r#"{"who": "Ben", "says": "one"}"#).await;
    ann.until(SAID, &json!(["Ben: one"]));
    ann.eval("document.querySelector('#leave').click()");
    ann.until(STATE, &json!("outside"));
    publish(&served, r#"{"who": "Ben", "says": "two"}"#).await;
    ann.eval(&format!("(document.querySelector('#over').value = '{h1}', document.querySelector('#enter').click())"));
    ann.until(SAID, &json!(["Ben: one", "Ben: two"]));
    // As many as push the others out of the log while nobody reads.
    ann.eval("document.querySelector('#leave').click()");
    let feed = format!("https://localhost:{}/feeds/chat", served.base + 2);
    ann.eval(&format!(
        "(async () => {{ for (let n = 0; n < 1030; n += 1) \
         await fetch('{feed}', {{ method: 'POST', body: JSON.stringify({{ who: 'Ben', says: `${{n}}` }}) }}); }})()"
    ));
    ann.eval("document.querySelector('#enter').click()");
    ann.until("document.querySelector('#lines li:last-child').lastChild.textContent", &json!("1029"));
    let said = ann.eval(SAID);
    let said = said.as_array().unwrap();
    assert_eq!(
        said[..4],
        [json!("Ben: one"), json!("Ben: two"), json!("6 lines are gone that you haven’t seen."), json!("Ben: 6")]
    );
    assert_eq!(said.len(), 3 + 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_said_is_text_and_no_longer_than_it_may_be() {
    let served = Served::start(&[]);
    publish(&served, "<img src=x onerror=alert(1)>").await;
    publish(&served, r#"{"who": "<b>Eve</b>", "says": "<script>alert(1)</script>"}"#).await;
    publish(&served, &json!({ "who": "n".repeat(41), "says": "x".repeat(501) }).to_string()).await;
    publish(&served, r#"{"who": 1, "says": []}"#).await;
    let mut ann = open(&served, Kind::Chromium, &format!("?who=Ann&over=sse/{}", served.base + 2));
    let expected = [
        "someone without a name: <img src=x onerror=alert(1)>".to_owned(),
        "<b>Eve</b>: <script>alert(1)</script>".to_owned(),
        format!("{}…: {}…", "n".repeat(40), "x".repeat(500)),
        r#"someone without a name: {"who": 1, "says": []}"#.to_owned(),
    ];
    ann.until(SAID, &json!(expected));
    assert_eq!(ann.eval("document.querySelectorAll('#lines img, #lines b, #lines script').length"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_the_browser_cannot_reach_is_said_with_what_it_would_take() {
    let served = Served::start(&[]);
    let mut ann = open(&served, Kind::Chromium, &format!("?who=Ann&over=sse/{}", served.base + 3));
    let said = "document.querySelector('#state').textContent.split('). ')[1]?.split('.')[0]";
    ann.until(said, &json!("Only a browser that was put on HTTP/3 for that port gets there"));
    assert_eq!(ann.eval("document.querySelector('#say').disabled"), true);
    ann.eval(&format!(
        "(document.querySelector('#over').value = 'sse/{}', document.querySelector('#enter').click())",
        served.base + 2
    ));
    ann.until(STATE, &json!("in"));
}

#[tokio::test]
async fn the_page_offers_every_transport_at_every_port_and_loads_nothing_from_elsewhere() {
    let lab = Lab::start().await;
    let page = lab.get("/chat").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    for transport in transport_lab::transport::ALL {
        for (port, alpn) in (8441..).zip(transport_lab::trial::Alpn::HTTP) {
            let offered = page.body.contains(&format!("value=\"{}/{port}\"", transport.name));
            assert_eq!(offered, transport.alpns.contains(&alpn), "{} at {port}", transport.name);
        }
    }
    assert!(!page.body.contains("http"), "an address in the page");
    for file in ["chat.css", "chat.js"] {
        assert_eq!(lab.get(&format!("/assets/{file}")).await.status, StatusCode::OK);
    }
    assert!(lab.get("/").await.body.contains("href=\"/chat\""), "the lab page leads there");
}

#[tokio::test]
async fn an_exposed_chat_carries_the_token_to_the_data_ports() {
    let served = Served::start(&["--expose", "--host", "lab.example"]);
    let page = served.get("/chat").await.body;
    let token = served.said.split("/?token=").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(page.contains(&format!("data-token=\"{token}\"")));
}

/// Goes through all that can be chosen, says a line over each and sees it.
fn tries_every_transport(kind: Kind) {
    let served = Served::start(&[]);
    let mut ann = open(&served, kind, "?who=Ann");
    ann.until(FOCUS, &json!("over"));
    // What is on HTTP/3 by its address alone is only for a browser that was put there, but a session asks for it.
    let reached = "[...document.querySelectorAll('#over option:enabled')] \
                   .filter((option) => option.dataset.alpn !== 'h3' || option.dataset.transport === 'webtransport') \
                   .map((option) => option.value)";
    let ways = ann.eval(reached);
    let mut said = Vec::new();
    for way in ways.as_array().unwrap().iter().map(|way| way.as_str().unwrap()) {
        ann.eval(&format!(
            "(document.querySelector('#over').value = '{way}', document.querySelector('#enter').click())"
        ));
        ann.until(STATE, &json!("in"));
        ann.eval(&format!(
            "(document.querySelector('#says').value = 'over {way}', document.querySelector('#say').click())"
        ));
        said.push(format!("Ann: over {way}"));
        ann.until(SAID, &json!(said));
    }
    println!("{said:?}");
    assert!(said.len() >= 3, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_chats_over_every_transport_that_it_reaches() {
    tries_every_transport(Kind::Chromium);
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_chats_over_every_transport_that_it_reaches() {
    tries_every_transport(Kind::Firefox);
}
