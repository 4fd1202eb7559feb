//! What comes before `go`: a page in front, connections that are there already.

use crate::run::{any, completed};

const SHORT: &str = "[workload]\nhold = '1500ms'\nsettle = '1s'\ndrain = '600ms'\n\
                     events = { count = 1, rate = '10/s' }\n";

#[test]
fn a_page_behind_another_is_hidden_in_every_browser() {
    let run = completed(&format!(
        "protocol = 'sse/h2'\n[factors]\nclient = ['chromium', 'firefox', 'webkit']\n{SHORT}visibility = 'hidden'\n\
         open = 'after-settings'\n"
    ));
    for trial in run.trials() {
        let clocks = run.facts(trial, "clock");
        assert_eq!(clocks.len(), 1);
        assert_eq!(clocks[0]["visibility"], "hidden", "{}", trial["levels"]);
    }
}

#[test]
fn the_native_client_has_no_page_to_hide() {
    let run = any(&format!("client = 'native'\n{SHORT}visibility = 'hidden'\n"));
    assert_eq!(run.trials()[0]["outcome"], "unsupported");
    assert_eq!(run.trials()[0]["reason"], "the native client has no page to hide");
}

#[test]
fn a_request_before_the_first_stream_costs_its_credit_on_http_3_and_no_place_on_http_2() {
    let text = |factors: &str| {
        completed(&format!(
            "[factors]\n{factors}\"workload.open\" = ['burst', 'after-settings']\n{SHORT}subscribers = 20\n[server]\n\
             max-concurrent-streams = 10\n"
        ))
    };
    let native = text("client = ['native']\nprotocol = ['sse/h2', 'sse/h3']\n");
    let chromium = text("client = ['chromium']\nprotocol = ['sse/h3']\n");
    for run in [&native, &chromium] {
        // RFC 9000 section 4.6: a limit of streams ever opened, which the server need not raise yet.
        let open = |open| run.metric(&[("protocol", "sse/h3"), ("workload.open", open)], "open-streams");
        let [burst, warm] = ["burst", "after-settings"].map(open);
        assert_eq!(burst - warm, 1, "opened {burst} and {warm}");
        for trial in run.trials().iter().filter(|trial| trial["levels"]["workload.open"] == "after-settings") {
            assert_eq!(trial["metrics"]["connections"]["median"], 1.0, "on the connection that was there");
            let first = |kind| run.facts(trial, kind)[0]["t"].as_u64().unwrap();
            assert!(first("connected") < first("requested"), "it is there before the first subscription");
        }
    }
    assert_eq!(native.metric(&[("protocol", "sse/h2"), ("workload.open", "after-settings")], "open-streams"), 10);
}
