//! The page of a rigged run.

use super::*;
use crate::report::Machine;
use crate::stats::Calibration;
use crate::stats::rig::RecordedTrial;
use crate::stats::{lanes, summarise};
use crate::trial::Plan;
use crate::trial::claim::{Citation, ClaimSource};
use crate::trial::stack::TcpStack;
use crate::trial::{Alpn, Fact, JournalLine, LabFact};

/// Four clients over three ALPNs, as a run of six against a hundred comes out, and claims that come out each way.
pub(in crate::report) fn run() -> (Plan, Vec<JournalLine>) {
    let mut rigs = Vec::new();
    for (client, h1) in [("chromium", 6), ("firefox", 6), ("webkit", 6), ("native", 150)] {
        for (alpn, open) in [(Alpn::H1, h1), (Alpn::H2, 100), (Alpn::H3, 100)] {
            let trial = u32::try_from(rigs.len()).unwrap();
            let mut rig = if client == "webkit" && alpn == Alpn::H3 {
                RecordedTrial::of(trial, 0, client, alpn)
            } else {
                RecordedTrial::held(trial, 0, client, alpn, open, 150)
            };
            if client == "webkit" && alpn == Alpn::H3 {
                rig.end(Outcome::Unsupported, Some("WebKitGTK has no HTTP/3"));
            }
            rigs.push(rig);
        }
    }
    let claims = r#"[
        {"says": "A browser holds at most six event streams to one host over HTTP/1.1.",
         "source": {"url": "https://example.org/six", "quote": "when not used over HTTP/2, SSE suffers from a limitation to the maximum number of open connections"},
         "where": {"client": ["chromium", "firefox", "webkit"], "protocol": "sse/h1"}, "metric": "open-streams", "equals": 6},
        {"says": "HTTP/2 lifts it to a hundred, negotiated between server and client.",
         "source": {"url": "https://example.org/hundred", "quote": "defaults to 100"},
         "where": {"protocol": ["sse/h2", "sse/h3"]}, "metric": "open-streams", "equals": 100},
        {"says": "The limit of six is per browser, whatever the protocol.",
         "source": {"url": "https://example.org/browser", "quote": "the limit is per browser"},
         "where": {"client": ["chromium", "firefox", "webkit"]}, "metric": "open-streams", "at-most": 6},
        {"says": "Opening a stream takes less than a second for 99 in 100.",
         "source": {"url": "https://example.org/open", "quote": "within a second"},
         "where": {"protocol": "sse/h1"}, "metric": "time-to-open.p99", "at-most": "1s"}
    ]"#;
    RecordedTrial::plan(&rigs, serde_json::from_str(claims).unwrap())
}

fn title(name: &str) -> String {
    let titles = [
        ("chromium", "Chromium"),
        ("firefox", "Firefox"),
        ("webkit", "WebKitGTK (libsoup; not Safari)"),
        ("native", "Native client"),
    ];
    titles.iter().find(|(known, _)| *known == name).map_or_else(|| name.to_owned(), |(_, title)| (*title).to_owned())
}

/// A run's `calibration.json`.
const CALIBRATION: &str = r#"{
    "idle-percent": 97.5,
    "aa": {"metric": "latency", "unit": "ms", "first": 0.31, "second": 0.29, "difference": 0.02},
    "publisher-lateness": {"unit": "ms", "median": 0.06, "p99": 0.4},
    "clocks": [{"client": "webkit", "step": 20000, "uncertainty": 130000, "isolated": true, "visibility": "visible"}],
    "notes": ["The machine was busy at first."]
}"#;

fn page(plan: &Plan, observations: &[JournalLine]) -> String {
    let machine = Machine {
        lab: "0.1.0".to_owned(),
        started: Some("2026-01-31 12:00 UTC".to_owned()),
        cpu: Some("A processor".to_owned()),
        cores: Some(2),
        memory: Some(8 << 30),
        load: Some(0.12),
        ..Machine::default()
    };
    let (summary, lanes) = (summarise(plan, observations), lanes(plan, observations, &|_| Vec::new()));
    let calibration: Calibration = serde_json::from_str(CALIBRATION).unwrap();
    let (summary, lanes, machine, calibration) = (&summary, &lanes, &machine, Some(&calibration));
    html(Contents { plan, summary, lanes, machine, calibration, title: &title }).unwrap()
}

#[test]
fn the_page_has_question_answer_picture_claims_table_trials_and_machine() {
    let (plan, observations) = run();
    let page = page(&plan, &observations);
    // `REPORT_PAGE=page.html cargo test …` keeps the page, to be looked at.
    if let Some(path) = std::env::var_os("REPORT_PAGE") {
        std::fs::write(path, &page).unwrap();
    }
    for expected in [
        "How many event streams can one browser hold open to one server?",
        "Chromium 156.0 and Firefox 156.0 held 6 over HTTP/1.1 and 100 over HTTP/2 and HTTP/3.",
        "WebKitGTK (libsoup; not Safari)",
        r#"role="img""#,
        "confirmed",
        "refuted",
        r#"href="https://example.org/six""#,
        "WebKitGTK has no HTTP/3",
        "A processor",
        "97.5 %",
        "0.310\u{a0}ms and 0.290\u{a0}ms, 0.0200\u{a0}ms apart",
        "130\u{a0}µs",
        "The machine was busy at first.",
        "6 connections with 1 stream each; 144 more streams were asked for",
    ] {
        assert!(page.contains(expected), "{expected} is missing");
    }
    assert!(page.contains(">claim 1: 6<") && page.contains(">claim 3: ≤ 6<"), "each line says which claim it is");
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let (plan, observations) = run();
    let page = page(&plan, &observations);
    assert!(page.contains("default-src 'none'"));
    for forbidden in ["<script", "<link", "@import", "url(http", "src=", "onload", "onclick"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn text_that_looks_like_markup_is_shown_as_text() {
    let (mut plan, mut observations) = run();
    let evil = "</script><script>alert(1)</script><img src=x onerror=\"alert(2)\">'";
    plan.question = evil.to_owned();
    plan.experiment = evil.to_owned();
    plan.claims[0].says = evil.to_owned();
    let cited = |url, quote: &str| ClaimSource::Cited(Citation { url, quote: quote.to_owned() });
    plan.claims[0].source = cited(format!("javascript:alert(3)//{evil}"), evil);
    plan.claims[1].source = cited(format!("https://example.org/\"{evil}"), "defaults to 100");
    for trial in &mut plan.trials {
        trial.levels.insert("evil".to_owned(), evil.into());
    }
    plan.factors.push(evil.to_owned());
    for line in &mut observations {
        if let Fact::Lab(LabFact::Outcome { outcome, reason }) = &mut line.observation.fact {
            (*outcome, *reason) = (Outcome::Failed, Some(evil.to_owned()));
        }
    }
    let page = page(&plan, &observations);
    assert!(!page.contains("<script") && !page.contains("<img"), "markup came through");
    assert!(!page.contains("href=\"javascript:"), "only http and https become links");
    let escaped = page.matches("&#60;/script&#62;&#60;script&#62;alert(1)").count();
    assert!(escaped > 15, "shown as text {escaped} times");
}

#[test]
fn a_run_without_a_single_number_still_has_a_page() {
    let mut rig = RecordedTrial::of(0, 0, "chromium", Alpn::H1);
    rig.end(Outcome::Failed, Some("the browser crashed"));
    let (plan, observations) = RecordedTrial::plan(&[rig], Vec::new());
    let page = page(&plan, &observations);
    assert!(page.contains("the browser crashed") && !page.contains("<svg") && !page.contains("Lanes"));
}

#[test]
fn still_waiting_is_drawn_as_such() {
    let mut rig = RecordedTrial::new();
    rig.probe_sent().wait(1500).census().end(Outcome::Completed, None);
    let claims = r#"[{"says": "It waits.", "source": {"url": "https://example.org/", "quote": "waits"},
                      "metric": "blocked-request", "at-least": "1s"}]"#;
    let (plan, observations) = RecordedTrial::plan(&[rig], serde_json::from_str(claims).unwrap());
    let page = page(&plan, &observations);
    assert!(page.contains("&#62; 1500\u{a0}ms") && page.contains("class=\"bar above\""));
}

#[test]
fn each_of_several_clients_is_named_with_its_own_version_everywhere() {
    let mut rig = RecordedTrial::of(0, 0, "chromium+firefox", Alpn::H2);
    (rig.planned.settings.workload.agents, rig.planned.settings.workload.subscribers) = (2, 4);
    rig.at_agent("client", "eu-1", None).at_agent("client-1", "us-2", None);
    rig.start("156.0.8078.108").start_as("client-1", "153.8.0esr").clock(2_310_000);
    let implementation = Some("Linux 6.1.0".to_owned());
    rig.fact(LabFact::Network { stack: Box::new(TcpStack { implementation, ..TcpStack::default() }) });
    for sub in 0..3 {
        rig.request(sub).attach(sub, sub.into()).open(sub);
    }
    rig.publish(0).wait(3).receive_all(0, &[0, 1, 2]).census().write(&[0, 1, 2]).receive_all_census(&[0, 1, 2]);
    rig.end(Outcome::Completed, None);
    let (plan, observations) = RecordedTrial::plan(&[rig], Vec::new());
    let page = page(&plan, &observations);
    // The headline, the lanes and what carried it; in the table a version is set apart.
    assert!(page.matches("Chromium 156.0 + Firefox 153.8").count() >= 3, "{page}");
    assert!(
        page.contains("Chromium <span class=\"version\">156.0</span> + Firefox <span class=\"version\">153.8</span>")
    );
    assert!(page.contains("Chromium 156.0: 2 of 3 over HTTP/2") && page.contains("Firefox 153.8: 1 of 3 over HTTP/2"));
    // What clocks can't tell of a latency of 3 ms, and why that is more than agents' clocks are off by.
    assert!(page.contains("&#60; 6.93\u{a0}ms</text>") && page.contains("class=\"below\""), "{page}");
    assert!(page.contains("the clock of a page adds up to 2.31\u{a0}ms"), "{page}");
}
