//! A download beside subscriptions, and events whose data is bytes.

use crate::run::completed;

#[test]
fn a_download_is_answered_when_all_of_it_is_there_and_bytes_are_whole_in_every_page() {
    // A browser on a busy machine takes its time to subscribe, and nobody who comes late is sent what was before.
    let run = completed(
        "[factors]\nclient = ['native', 'chromium', 'firefox', 'webkit']\nprotocol = ['sse/h2', 'websocket/h1']\n\
         [workload]\nsettle = '1500ms'\nhold = '3s'\ndrain = '1500ms'\nevents = { count = 10, rate = '20/s', payload = 'binary' }\n\
         [[beside]]\nat = '100ms'\nkind = 'download'\nbytes = '3 MiB'\nurgency = 6\n",
    );
    for trial in run.trials() {
        let answers = run.facts(trial, "beside-answered");
        assert_eq!(answers.len(), 1, "{}", trial["levels"]);
        assert_eq!(answers[0]["how"], "200", "{}", trial["levels"]);
        assert_eq!(trial["metrics"]["events-received"]["median"], 11.0, "{}", trial["levels"]);
    }
}
