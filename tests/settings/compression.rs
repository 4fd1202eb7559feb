//! Streams that the server compresses, in whole runs: everything is received once and in order, as where nothing is.

use crate::run::completed;

const WORKLOAD: &str = "[workload]\nsubscribers = 4\nhold = '900ms'\nsettle = '500ms'\ndrain = '600ms'\n\
                        events = { count = 5, rate = '20/s', size = '600 B', payload = 'json' }\n";

/// What came of each event, 600 bytes of data and its fields, is less than this where it was compressed.
const COMPRESSED: f64 = 450.0;

#[test]
fn the_native_client_decodes_every_coding_of_every_stream() {
    let run = completed(&format!(
        "[factors]\nprotocol = ['sse/h1', 'streaming/h2', 'multipart/h3']\n\"server.compression\" = ['gzip', 'br']\n\
         {WORKLOAD}"
    ));
    assert_eq!(run.trials().len(), 6);
    for trial in run.trials() {
        let (levels, metric) = (&trial["levels"], |name: &str| trial["metrics"][name]["median"].as_f64());
        assert_eq!((metric("events-received"), metric("compressed-streams")), (Some(24.0), Some(4.0)), "{levels}");
        let bytes = metric("content-bytes-per-event").unwrap();
        assert!(bytes < COMPRESSED, "{levels}: {bytes}");
    }
}

#[test]
fn a_page_gets_a_compressed_stream_without_asking_for_it() {
    // Whoever opens after the first event has no bytes of an event.
    let workload =
        WORKLOAD.replace("hold = '900ms'", "hold = '2900ms'").replace("settle = '500ms'", "settle = '2500ms'");
    let run = completed(&format!(
        "[factors]\nclient = ['chromium', 'firefox', 'webkit']\nprotocol = ['sse/h2']\n{workload}[server]\n\
         compression = 'br'\n"
    ));
    for trial in run.trials() {
        let (levels, metric) = (&trial["levels"], |name: &str| &trial["metrics"][name]["median"]);
        assert_eq!(*metric("events-received"), 24.0, "{levels}");
        // TLS and HTTP/2 come on top.
        let bytes = metric("server-bytes-per-event");
        assert!(bytes.as_f64().unwrap() < COMPRESSED, "{levels}: {bytes}");
    }
}
