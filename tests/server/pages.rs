//! Pages at data ports, of trials that ask for some.

use serde_json::json;
use transport_lab::trial::Alpn;

use crate::lab::Lab;

const PATHS: [&str; 5] =
    ["/trials/1/page?token=x", "/trials/1/tab?token=x", "/cover", "/assets/trial.js", "/transports/sse.js"];

#[test]
fn a_server_has_pages_only_where_its_trial_asks_for_them() {
    let lab = Lab::trial(&json!({}));
    let served = Lab::serve(&[]);
    for path in PATHS {
        for lab in [&lab, &served] {
            assert_eq!(lab.ask(Alpn::H1, path, &[]).head.status, 404, "{path}");
        }
    }
}

#[test]
fn pages_are_isolated_and_report_to_the_control_origin_on_every_version() {
    for settings in [json!({"workload": {"page": "same-origin"}}), json!({"beside": [{"at": "1s", "kind": "tab"}]})] {
        let lab = Lab::trial(&settings);
        for alpn in Alpn::HTTP {
            for path in PATHS {
                let answer = lab.ask(alpn, path, &[]);
                assert_eq!(answer.head.status, 200, "{path}");
                for (name, value) in [
                    ("cache-control", "no-store"),
                    ("cross-origin-opener-policy", "same-origin"),
                    ("cross-origin-embedder-policy", "require-corp"),
                    ("cross-origin-resource-policy", "same-origin"),
                    ("referrer-policy", "no-referrer"),
                ] {
                    assert_eq!(answer.head.field(name), value, "{name} of {path}");
                }
                let text = String::from_utf8(answer.body).unwrap();
                assert_eq!(
                    text.contains("data-control=\"https://127.0.0.1:1\""),
                    path.starts_with("/trials/"),
                    "{path}"
                );
            }
            for path in ["/assets/lab.js", "/trials/1/contract?token=x", "/trials/1/page/x", "/"] {
                assert_eq!(lab.ask(alpn, path, &[]).head.status, 404, "{path}");
            }
        }
    }
}
