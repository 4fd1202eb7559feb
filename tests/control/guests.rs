//! What pages of the origin under test are let in for, at the control origin.

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use transport_lab::trial::Alpn;
use transport_lab::trial::settings::{Beside, BesideKind, FetchCredentials, PageOrigin};
use transport_lab::units::{Settable, Size, Span};

use crate::lab::{DEADLINE, Lab, trial, whole};
use crate::routes::path;

#[tokio::test]
async fn a_page_of_the_server_under_test_reports_for_its_own_trial_and_asks_for_nothing_else() {
    let lab = Lab::start().await;
    let mut message = trial(7, Alpn::H2, 9, 1, 1);
    message.settings.workload.page = PageOrigin::SameOrigin;
    let guest = lab.control.open(message, 1).unwrap();
    let apart = lab.control.open(trial(8, Alpn::H2, 9, 1, 1), 1).unwrap();
    assert!(guest.url.starts_with("https://localhost:9/trials/7/page?token="), "it comes from where it subscribes");
    assert!(apart.url.starts_with(&format!("{}/trials/8/page?token=", lab.control.origin())));
    let (clock, page) = (path(&guest.url, "clock"), path(&guest.url, "page"));
    let wrong = "/trials/7/clock?token=wrong&page=0".to_owned();
    for (origin, at, status, named) in [
        ("https://localhost:9", clock.clone(), 200, true),
        ("https://localhost:9", wrong, 403, true),
        ("https://localhost:10", clock.clone(), 403, false),
        ("https://127.0.0.1:9", clock.clone(), 403, false),
        ("http://localhost:9", clock, 403, false),
        ("https://localhost:9", page, 403, false),
        ("https://localhost:9", path(&apart.url, "clock"), 403, false),
        ("https://localhost:9", "/ledger".to_owned(), 403, false),
    ] {
        let request = lab.request(Alpn::H2, Method::GET, "127.0.0.1", &at).header("origin", origin);
        let answer = whole(lab.send(Alpn::H2, request.body(Full::default()).unwrap()).await).await;
        assert_eq!(answer.status.as_u16(), status, "{origin} at {at}");
        let allowed = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        assert_eq!(allowed, named.then_some(origin), "{origin} at {at}");
    }
}

#[tokio::test]
async fn a_page_in_another_tab_is_told_of_to_the_trials_page() {
    let lab = Lab::start().await;
    let mut message = trial(7, Alpn::H2, 9, 1, 1);
    let beside = Beside {
        at: Span::from_secs(1),
        kind: BesideKind::Tab,
        credentials: FetchCredentials::Omit,
        bytes: Size::from_bytes(0),
        urgency: Settable::Unset,
    };
    message.settings.beside = vec![beside.clone(), beside];
    let carrier = lab.control.open(message, 1).unwrap();
    let arrived = |actor: &str| path(&carrier.url, "arrived") + actor;
    for wrong in ["", "&actor=2", "&actor=32", "&actor=x"] {
        let answer = lab.post(&arrived(wrong), "").await;
        assert!(matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN), "{wrong}: {}", answer.status);
    }
    assert_eq!(lab.post("/trials/7/arrived?token=wrong&actor=1", "").await.status, StatusCode::FORBIDDEN);
    let request = lab.request(Alpn::H2, Method::GET, "127.0.0.1", &path(&carrier.url, "contract"));
    let mut lines = lab.send(Alpn::H2, request.body(Full::default()).unwrap()).await.into_body();
    // From the origin under test, as a page there does.
    let request = lab.request(Alpn::H2, Method::POST, "127.0.0.1", &arrived("&actor=1"));
    let request = request.header("origin", "https://localhost:9").body(Full::default()).unwrap();
    assert_eq!(lab.send(Alpn::H2, request).await.status(), StatusCode::NO_CONTENT);
    let mut said = Vec::new();
    while !said.ends_with(b"{\"type\":\"arrived\",\"actor\":1}\n") {
        let frame = timeout(DEADLINE, lines.frame()).await.expect("the page is told").unwrap().unwrap();
        said.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
}
