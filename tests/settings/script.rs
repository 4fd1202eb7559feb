//! The parser in script, in a real browser, held to the same cases as the one in Rust.

use std::process::Command;

#[test]
fn the_parser_in_script_parses_as_the_standard_says_however_a_stream_is_cut() {
    let page = include_str!("parser.html")
        .replace("/*PARSER*/", include_str!("../../src/transport/sse/parser.js"))
        .replace("/*CASES*/", include_str!("../../src/transport/sse/cases.json"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parser.html");
    std::fs::write(&path, page).unwrap();
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]);
    chromium.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
    chromium.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    let output = chromium.arg(format!("file://{}", path.display())).output().expect("chromium, which is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("<p>7 cases, 0 wrong, too long: 2</p>"), "{said}");
}
