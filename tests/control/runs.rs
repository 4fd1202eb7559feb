//! The list of runs that the real `serve` keeps, and the way from it to each report.

use std::fs;

use http::StatusCode;

use crate::served::Served;

#[tokio::test]
async fn every_run_can_be_reached_from_the_list_whatever_its_name() {
    let served = Served::start(&[]);
    // In the order in which they began, which is neither that of their names nor of their files.
    let names = ["20260131T120000Z-größe", "before", "20260131T115900Z-my.exp", "a b%2f+\u{202e}"];
    for (second, name) in names.iter().enumerate() {
        let run = served.results().join(name);
        fs::create_dir(&run).unwrap();
        fs::write(run.join("plan.json"), "{}").unwrap();
        fs::write(run.join("report.html"), format!("the report of {second}")).unwrap();
        let machine = format!("{{\"started\": \"2026-01-31 12:00:0{second}.000000 UTC\"}}");
        fs::write(run.join("machine.json"), machine).unwrap();
    }
    let page = served.get("/runs").await.body;
    let links: Vec<&str> = page.split("href=\"/runs/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let mut reports = Vec::new();
    for link in links {
        let report = served.get(&format!("/runs/{link}")).await;
        assert_eq!(report.status, StatusCode::OK, "{link}");
        reports.push(report.body);
    }
    let newest_first = [3, 2, 1, 0].map(|second| format!("the report of {second}"));
    assert_eq!(reports, newest_first, "{page}");
    assert!(page.contains("größe") && page.contains(r"a b%2f+\u{202e}"), "{page}");
    for outside in ["..%2f..", "%2e%2e", ".", "before%2f.", "%2ftmp"] {
        let answer = served.get(&format!("/runs/{outside}/report.html")).await;
        assert!(!answer.status.is_success(), "{outside}: {}", answer.status);
    }
}
