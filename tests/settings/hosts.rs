//! Several hosts: in which order, and whether they share a certificate.

use crate::run::completed;

const TWO_HOSTS: &str = "[workload]\nsubscribers = 8\nhosts = 2\nopen = 'after-settings'\nhold = '1500ms'\nsettle = '1s'\n\
                         drain = '600ms'\nevents = { count = 1, rate = '10/s' }\n";

#[test]
fn a_certificate_for_each_host_keeps_chromium_from_sharing_a_connection() {
    let run = completed(&format!(
        "client = 'chromium'\nprotocol = 'sse/h2'\n[factors]\n\"server.certificate\" = ['shared', 'per-host']\n\
         {TWO_HOSTS}"
    ));
    let connections = |used| run.metric(&[("server.certificate", used)], "connections");
    assert_eq!(["shared", "per-host"].map(connections), [1, 2]);
    let run = completed(&format!(
        "client = 'chromium'\nprotocol = 'sse/h3'\n{TWO_HOSTS}[server]\ncertificate = 'per-host'\n"
    ));
    assert_eq!(run.metric(&[], "connections"), 2, "over QUIC as well");
}

// That the other order puts the other host first is `assign`'s to say; here it works at both ends.
#[test]
fn hosts_take_turns_on_a_connection_each_in_either_order() {
    let run = completed(&format!(
        "client = 'native'\n[factors]\nprotocol = ['sse/h2', 'sse/h3']\n\
         \"workload.host-order\" = ['forward', 'reverse']\n{TWO_HOSTS}[server]\ncertificate = 'per-host'\n"
    ));
    for trial in run.trials() {
        let attached = run.facts(trial, "attached");
        let of = |sub: u64| attached.iter().find(|fact| fact["sub"] == sub).unwrap()["conn"].as_u64().unwrap();
        assert!(of(0) < of(1), "the first host's connection comes first: {}", trial["levels"]);
        assert!((2..8).all(|sub| of(sub) == of(sub % 2)), "{}", trial["levels"]);
    }
}
