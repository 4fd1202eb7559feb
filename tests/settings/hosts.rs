//! Several hosts: in which order, and whether they share a certificate.

use crate::run::completed;

const TWO_HOSTS: &str = "[workload]\nsubscribers = 8\nhosts = 2\nopen = 'after-settings'\nhold = '1s'\nsettle = '600ms'\n\
                         drain = '300ms'\nevents = { count = 1, rate = '10/s' }\n";

#[test]
fn a_certificate_for_each_host_keeps_chromium_from_sharing_a_connection() {
    let run = completed(&format!(
        "client = 'chromium'\n[factors]\nprotocol = ['sse/h2', 'sse/h3']\n\
         \"server.certificate\" = ['shared', 'per-host']\n{TWO_HOSTS}"
    ));
    for protocol in ["sse/h2", "sse/h3"] {
        let connections = ["shared", "per-host"]
            .map(|used| run.metric(&[("protocol", protocol), ("server.certificate", used)], "connections"));
        assert_eq!(connections, [1, 2], "{protocol}");
    }
}

#[test]
fn the_other_order_opens_the_other_host_first() {
    let run = completed(&format!(
        "protocol = 'sse/h2'\n[factors]\nclient = ['native', 'firefox']\n\
         \"workload.host-order\" = ['forward', 'reverse']\n{TWO_HOSTS}ramp = '400ms'\n[server]\n\
         certificate = 'per-host'\nmax-concurrent-streams = 100\n"
    ));
    for trial in run.trials() {
        let attached = run.facts(trial, "attached");
        let of = |sub: u64| attached.iter().find(|fact| fact["sub"] == sub).unwrap()["conn"].as_u64().unwrap();
        assert!(of(0) < of(1), "the first host's connection comes first: {}", trial["levels"]);
        assert_eq!(of(0), of(2), "hosts take turns");
    }
}
