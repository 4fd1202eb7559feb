//! Streams that the server compresses, in whole runs: everything is received once and in order, as where nothing is.

use crate::run::completed;

const WORKLOAD: &str = "[workload]\nsubscribers = 4\nhold = '900ms'\nsettle = '500ms'\ndrain = '600ms'\n\
                        events = { count = 5, rate = '20/s', size = '600 B', payload = 'json' }\n";

#[test]
fn the_native_client_decodes_every_coding_of_every_stream() {
    let run = completed(&format!(
        "[factors]\nprotocol = ['sse/h1', 'streaming/h2', 'multipart/h3']\n\"server.compression\" = ['off', 'gzip', 'br']\n\
         {WORKLOAD}"
    ));
    assert_eq!(run.trials().len(), 9);
    for trial in run.trials() {
        let (levels, metrics) = (&trial["levels"], &trial["metrics"]);
        assert_eq!(metrics["events-received"]["median"], 24.0, "{levels}");
        let (compressed, bytes) =
            (&metrics["compressed-streams"]["median"], &metrics["content-bytes-per-event"]["median"]);
        let bytes = bytes.as_f64().unwrap();
        if levels["server.compression"] == "off" {
            assert!(*compressed == 0.0 && bytes > 600.0, "{levels}: {metrics}");
        } else {
            assert!(*compressed == 4.0 && bytes < 450.0, "{levels}: {metrics}");
        }
    }
}

#[test]
fn a_page_gets_a_compressed_stream_without_asking_for_it() {
    let run = completed(&format!(
        "[factors]\nclient = ['chromium', 'firefox', 'webkit']\nprotocol = ['sse/h2']\n\
         \"server.compression\" = ['off', 'br']\n{WORKLOAD}"
    ));
    for client in ["chromium", "firefox", "webkit"] {
        let bytes = |compression| {
            let trial = run.trial(&[("client", client), ("server.compression", compression)]);
            assert_eq!(trial["metrics"]["events-received"]["median"], 24.0, "{client}");
            trial["metrics"]["server-bytes-per-event"]["median"].as_f64().unwrap()
        };
        // TLS and HTTP/2 come on top of both.
        assert!(bytes("br") < 0.8 * bytes("off"), "{client}: {} of {}", bytes("br"), bytes("off"));
    }
}
