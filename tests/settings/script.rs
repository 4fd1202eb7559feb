//! The parsers in script, in a real browser: that of event streams held to the same cases as the one in Rust.

use std::process::Command;

#[test]
fn the_parsers_in_script_parse_as_the_standards_say_however_a_stream_is_cut() {
    let page = include_str!("parser.html")
        .replace("/*PARSER*/", include_str!("../../src/transport/sse/parser.js"))
        .replace("/*LINES*/", include_str!("../../src/transport/lines.js"))
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
    assert!(said.contains("<p>lines: 0 wrong, too long: 1</p>"), "{said}");
    assert!(said.contains("<p>7 cases, 0 wrong, too long: 2</p>"), "{said}");
}
