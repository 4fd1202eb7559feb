//! Where a trial's page comes from, and what of the site it shares with the streams there.

use crate::run::{any, completed};

/// Six streams, all that a browser has over HTTP/1.1; then a fetch and a tab, with seconds to be answered in.
const FULL: &str = "[workload]\nsubscribers = 6\nsettle = '2s'\nhold = '8s'\nprobe = false\n\
                    events = { count = 1, rate = '10/s' }\n[[beside]]\nat = '2s'\nkind = 'fetch'\n\
                    credentials = 'same-origin'\n[[beside]]\nat = '2s'\nkind = 'tab'\n";

#[test]
fn six_streams_of_a_sites_own_page_stop_the_site_in_chromium_and_those_of_another_sites_page_do_not() {
    let run = completed(&format!(
        "client = 'chromium'\nprotocol = 'sse/h1'\n[factors]\n\"workload.page\" = ['apart', 'same-origin']\n{FULL}"
    ));
    for (page, answered) in [("apart", &[1][..]), ("same-origin", &[])] {
        let trial = run.trial(&[("workload.page", page)]);
        assert_eq!(trial["metrics"]["open-streams"]["median"], 6.0, "{page}");
        let answers = run.facts(trial, "beside-answered");
        let actors: Vec<_> = answers.iter().map(|fact| fact["actor"].as_u64().unwrap()).collect();
        assert_eq!(actors, answered, "{page}");
    }
}

#[test]
fn in_firefox_a_tab_of_the_same_site_opens_beside_six_streams_and_a_fetch_waits() {
    let run = completed(&format!(
        "client = 'firefox'\nprotocol = 'sse/h1'\n[factors]\n\"workload.page\" = ['same-origin']\n{FULL}"
    ));
    let answers = run.facts(&run.trials()[0], "beside-answered");
    assert_eq!(
        answers.iter().map(|fact| (&fact["actor"], &fact["how"])).collect::<Vec<_>>(),
        [(&1.into(), &"loaded".into())]
    );
}

#[test]
fn a_page_of_the_servers_own_origin_is_isolated_and_there_before_the_streams() {
    let run = any("[factors]\nclient = ['chromium', 'firefox', 'webkit']\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3']\n\
         [workload]\npage = 'same-origin'\nhold = '1500ms'\nsettle = '1s'\nevents = { count = 1, rate = '10/s' }\n");
    assert_eq!(run.trials().len(), 9);
    for trial in run.trials().iter().filter(|trial| trial["reason"] != "WebKitGTK has no HTTP/3") {
        assert_eq!(trial["outcome"], "completed", "{}: {}", trial["levels"], trial["reason"]);
        let clock = run.facts(trial, "clock")[0];
        assert_eq!(clock["isolated"], true, "{}", trial["levels"]);
        let at_go = run.facts(trial, "usage").into_iter().find(|fact| fact["at"] == "go").unwrap();
        // The page, its style and eight scripts at least.
        assert!(at_go["requests"].as_u64().unwrap() >= 10, "{}: {at_go}", trial["levels"]);
        assert_eq!(trial["metrics"]["connections"]["median"], 1.0, "{}", trial["levels"]);
    }
}

#[test]
fn an_eventsource_cannot_leave_out_credentials_on_its_own_origin() {
    let run = any("client = 'chromium'\n[factors]\n\"sse.reader\" = ['eventsource', 'fetch']\n[workload]\n\
         page = 'same-origin'\ncredentials = 'omit'\nhold = '1500ms'\nsettle = '1s'\n\
         events = { count = 1, rate = '10/s' }\n");
    let of = |reader| run.trial(&[("sse.reader", reader)]);
    assert_eq!(of("eventsource")["outcome"], "unsupported");
    assert!(of("eventsource")["reason"].as_str().unwrap().contains("sends credentials to the origin of its own page"));
    assert_eq!(of("fetch")["outcome"], "completed", "{}", of("fetch")["reason"]);
}
