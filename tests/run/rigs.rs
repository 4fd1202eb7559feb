//! One end lies, and the trial says so with the numbers.

use crate::lab::{Lab, Ran, has_browser};

/// The small experiment with a liar, events well after the subscriptions opened.
fn rigged(rig: &str, more: &[&str]) -> Ran {
    let slow = ["--set", "workload.settle=500ms", "--set", "workload.hold=700ms", "--rig", rig];
    Lab::new().run(&[&slow[..], more].concat())
}

#[track_caller]
fn is_flagged(rig: &str, with: &str) {
    let ran = rigged(rig, &[]).exits(3);
    let outcomes = ran.outcomes();
    assert!(outcomes[0].starts_with("failed: ") && outcomes[0].contains(with), "{outcomes:?}");
    assert!(ran.err.contains(with), "the progress says it too: {}", ran.err);
}

#[test]
fn a_server_that_drops_fails_its_trial_with_how_many_were_lost() {
    is_flagged("drop", "3 events lost at 3 subscriptions, the first ");
}

#[test]
fn a_server_that_repeats_fails_its_trial_with_how_many_came_again() {
    is_flagged("repeat", "3 events received again at 3 subscriptions, the first ");
}

#[test]
fn a_server_that_reorders_fails_its_trial_with_how_many_were_late() {
    is_flagged("reorder", "3 events out of order at 3 subscriptions, the first ");
}

#[test]
fn a_server_that_corrupts_fails_its_trial_with_how_many_were_wrong() {
    is_flagged("corrupt", "3 events arrived with content that was not published, the first ");
}

#[test]
fn a_server_that_miscounts_fails_its_trial_with_both_counts() {
    is_flagged("miscount", "the client counts 3 open streams and the server 2; only the client has subscription 2");
}

/// What is only observed is a number, and the other numbers are 0.
#[track_caller]
fn is_only_a_number(rig: &str, metric: &str) {
    let ran = rigged(rig, &["--set", "expect.delivery=observe"]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    for name in ["lost", "duplicated", "reordered"] {
        let expected = if name == metric { 3.0 } else { 0.0 };
        assert!((ran.metric(0, name) - expected).abs() < 1e-9, "{name} is {}", ran.metric(0, name));
    }
}

#[test]
fn what_is_lost_is_a_number_where_delivery_is_only_observed() {
    is_only_a_number("drop", "lost");
}

#[test]
fn what_comes_again_is_a_number_where_delivery_is_only_observed() {
    is_only_a_number("repeat", "duplicated");
}

#[test]
fn what_is_late_is_a_number_where_delivery_is_only_observed() {
    is_only_a_number("reorder", "reordered");
}

#[test]
fn counts_that_differ_are_numbers_where_counts_are_only_observed() {
    let ran = rigged("miscount", &["--set", "expect.counts=observe"]).exits(0);
    assert_eq!((ran.metric(0, "open-streams"), ran.metric(0, "server-open-streams")), (3.0, 2.0));
}

#[test]
fn wrong_content_fails_a_trial_that_only_observes() {
    let observe = ["--set", "expect.delivery=observe", "--set", "expect.counts=observe"];
    let outcomes = rigged("corrupt", &observe).exits(3).outcomes();
    assert!(outcomes[0].contains("content that was not published"), "{outcomes:?}");
}

#[test]
fn a_client_capped_at_four_is_counted_as_four_at_both_ends() {
    let ran = rigged("capped", &["--set", "workload.subscribers=150"]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert_eq!((ran.metric(0, "open-streams"), ran.metric(0, "server-open-streams")), (4.0, 4.0));
}

#[test]
fn a_browser_that_was_given_another_http_version_fails_its_trial_with_both_named() {
    if has_browser("chromium") {
        let ran = rigged("wrong-alpn", &["--client", "chromium"]).exits(3);
        let outcomes = ran.outcomes();
        assert!(outcomes[0].contains("3 of 3 streams arrived on HTTP/1.1 instead of HTTP/2"), "{outcomes:?}");
    }
}
