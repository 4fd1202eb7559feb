//! One event's life, as `explain` tells it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::can_link;

fn lab(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn ran(folder: &Path, text: &str, more: &[&str]) {
    std::fs::write(folder.join("x.toml"), text).unwrap();
    let run = ["run", "./x.toml", "--no-calibration", "--out", "out", "--certs", "certs"];
    let ran = lab(folder, &[&run[..], more].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn explained(folder: &Path, more: &[&str]) -> String {
    let told = lab(folder, &[&["explain", "latest", "--out", "out"], more].concat());
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).unwrap()
}

/// Ten events for one reader.
const EVENTS: &str = "question = 'Where was it?'\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '2s'\ndrain = '2s'\n\
                      events = { count = 10, rate = '10/s' }\n";

#[test]
fn the_slowest_event_of_a_lossy_link_is_followed_over_its_packets() {
    if !can_link() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    ran(folder.path(), &format!("{EVENTS}[link]\ndelay = '20ms'\nloss = '10%'\nup.loss = '0%'\n"), &["--capture"]);
    let life: Value = serde_json::from_str(&explained(folder.path(), &["--json"])).unwrap();
    let steps = life["steps"].as_array().unwrap();
    let says = |place: &str, what: &str| {
        let found = steps.iter().find(|step| step["place"] == place && step["what"].as_str().unwrap().contains(what));
        found.unwrap_or_else(|| panic!("no {place}: {what} in {life:#}"))["at"].as_f64().unwrap()
    };
    let (published, received) = (says("server", "published"), says("client", "received"));
    let (came, arrives) = (says("link", "comes to the link"), says("link", "arrives"));
    assert!(published <= came && came + 20.0 <= arrives + 1e-6 && arrives <= received, "{life:#}");
    assert!(life["which"].as_str().unwrap().starts_with("the slowest of "), "{life:#}");
    assert!(life["unknown"].is_null(), "all is known: {life:#}");

    let event = life["event"].as_str().unwrap();
    let text = explained(folder.path(), &["--event", event, "--sub", "0", "--html", "life.html"]);
    assert!(text.contains("20.000 ms under way (delay 20.000 ms)"), "{text}");
    let page = std::fs::read_to_string(folder.path().join("life.html")).unwrap();
    assert!(page.contains("<svg") && page.contains(event) && !page.contains("<script"), "{page}");
}

#[test]
fn of_a_trial_without_a_link_is_told_what_is_known_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    ran(folder.path(), EVENTS, &[]);
    let text = explained(folder.path(), &["--trial", "0"]);
    assert!(text.contains("published: in the feed's log") && text.contains("received"), "{text}");
    assert!(text.contains("Not known: what became of it on the way") && text.contains("[link]"), "{text}");
    let refused = lab(folder.path(), &["explain", "latest", "--out", "out", "--trial", "4"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no trial 4 in this run; it has 0 alone"));
}
