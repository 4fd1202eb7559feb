//! A server that offers HTTP/3 at the port of its HTTP/2: who comes on what.

use serde_json::Value;

use crate::lab::{Lab, Started, has_browser};

/// Runs the small experiment at such a server; of each trial, the least and the highest version of
/// HTTP that subscriptions came on.
fn versions(more: &[&str]) -> Vec<[f64; 2]> {
    let lab = Lab::new();
    lab.experiment("offered", "[server]\nalt-svc = true\n");
    let quiet = ["--set", "workload.probe=false"];
    let ran = Started::new(&mut lab.running("offered", &[&quiet, more].concat())).end().exits(0);
    let of = |trial: &Value| {
        assert_eq!(trial["outcome"], "completed", "{}", trial["reason"]);
        ["min", "max"].map(|which| trial["metrics"]["first-http"][which].as_f64().unwrap())
    };
    ran.summary()["trials"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn the_native_client_takes_no_offer_and_finds_either_at_the_same_port() {
    assert_eq!(versions(&["--set", "protocol=sse/h2,sse/h3"]), [[2.0, 2.0], [3.0, 3.0]]);
}

#[test]
fn a_browser_that_is_offered_http_3_comes_to_use_it_and_one_that_knows_begins_with_it() {
    for client in ["chromium", "firefox"].into_iter().filter(|name| has_browser(name)) {
        // One after another, with time for what is learned with one to be used for the next.
        let offered = versions(&["--client", client, "--set", "protocol=sse/h2", "--set", "workload.ramp=4s"]);
        let known = versions(&["--client", client, "--set", "protocol=sse/h3"]);
        assert_eq!([offered, known].concat(), [[2.0, 3.0], [3.0, 3.0]], "{client}");
    }
}
