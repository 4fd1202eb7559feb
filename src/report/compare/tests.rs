//! Two rigged runs on paper and screen.

use super::*;
use crate::report::Look;
use crate::report::html::tests::run;
use crate::stats::compare::{Side, compare};
use crate::stats::summarise;

fn title(name: &str) -> String {
    match name {
        "webkit" => "WebKitGTK (libsoup; not Safari)".to_owned(),
        other => other.to_owned(),
    }
}

/// The usual run and one after it, in which Chromium holds two more, has a new version, and `webkit` is gone.
fn compared() -> Comparison {
    let (plan, observations) = run();
    let summary = summarise(&plan, &observations);
    let (mut other, mut after) = (plan.clone(), summary.clone());
    let gone = |levels: &Levels| levels["client"] == "webkit";
    after.groups.retain(|group| !gone(&group.levels));
    other.trials.retain(|trial| !gone(&trial.levels));
    for trial in &mut other.trials {
        trial.settings.workload.pages = 2;
    }
    for group in after.groups.iter_mut().filter(|group| group.levels["client"] == "chromium") {
        group.client_version = Some("157.0.1".to_owned());
        let open = &mut group.metrics.get_mut("open-streams").unwrap().entry;
        open.median = open.median.map(|open| open + 2.0);
    }
    after.claims[0].verdict = crate::stats::Verdict::Refuted;
    after.claims[0].evidence = "held 8 <script>".to_owned();
    let machine = Difference { name: "Kernel".to_owned(), values: [Some("6.1".to_owned()), Some("6.2".to_owned())] };
    let sides =
        [Side { name: "run-a", plan: &plan, summary: &summary }, Side { name: "run-b", plan: &other, summary: &after }];
    compare(sides, vec![machine])
}

const EXPECTED: [&str; 9] = [
    "run-a",
    "workload.pages",
    "Kernel",
    "157.0.1",
    "refuted",
    "+2 (+33 %)",
    "Where no interval is given, there is none: one repeat each.",
    "WebKitGTK (libsoup; not Safari) sse/h1",
    "Of 9 combinations in both",
];

#[test]
fn the_terminal_says_first_what_was_asked_for_otherwise_and_overruns_no_line() {
    for width in [80, 100, 160] {
        let text = compare_terminal(&compared(), &title, Look { width, colour: false });
        for expected in EXPECTED {
            assert!(text.contains(expected), "{expected} is missing:\n{text}");
        }
        assert!(text.find("Asked for otherwise") < text.find("Numbers that differ"));
        assert_eq!(text.matches("no interval").count(), 2, "once for all, and in the sentence:\n{text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} in {width}:\n{text}");
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn the_page_has_the_same_loads_nothing_and_shows_markup_as_text() {
    let page = compare_html(&compared(), &title).unwrap();
    // `COMPARE_PAGE=page.html cargo test …` keeps the page, to be looked at.
    if let Some(path) = std::env::var_os("COMPARE_PAGE") {
        std::fs::write(path, &page).unwrap();
    }
    for expected in EXPECTED {
        assert!(page.contains(expected), "{expected} is missing");
    }
    for forbidden in ["<script", "<link", "@import", "url(http", "src=", "onload"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn the_same_run_twice_is_said_in_a_sentence() {
    let (plan, observations) = run();
    let summary = summarise(&plan, &observations);
    let side = Side { name: "run-a", plan: &plan, summary: &summary };
    let comparison = compare([side, side], Vec::new());
    let text = compare_terminal(&comparison, &title, Look { width: 100, colour: false });
    assert!(text.contains("Nothing changed: 12 combinations ended alike"), "{text}");
    assert!(!text.contains("Numbers that differ"));
}
