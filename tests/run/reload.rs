//! Real proxies that read their configuration again or are started anew while streams are open.

use serde_json::Value;

use crate::between::is_here;
use crate::lab::{Lab, Ran, Started, facts};

/// Readers that come back by themselves, behind a proxy that lets events through.
const BACK: &str = "[between]\nconfig = 'streaming'\n[reconnect]\ntries = 200\ndelay = '50ms'\nfactor = 1\n\
                    [expect]\ndelivery = 'exactly-once'\ncounts = 'observe'\n";

/// Events before what happens, meanwhile and afterwards.
const EVENTS: [&str; 4] = ["--set", "workload.events.count=20", "--set", "workload.events.rate=10/s"];

fn run(lab: &Lab, fault: &str, more: &[&str]) -> Ran {
    lab.experiment("reload", &format!("{BACK}[[fault]]\nat = '600ms'\nfor = '50ms'\nkind = '{fault}'\n"));
    Started::new(&mut lab.running("reload", &[&EVENTS[..], more].concat())).end()
}

/// The only trial of a run, with nothing lost and everybody there in the end.
fn whole(ran: &Ran) -> Value {
    let trial = ran.summary()["trials"][0].clone();
    assert_eq!(trial["outcome"], "completed", "{trial}");
    let metric = |name: &str| trial["metrics"][name]["median"].as_f64();
    let counts = ["open-streams", "lost", "duplicated"].map(metric);
    assert_eq!(counts, [Some(3.0), Some(0.0), Some(0.0)], "{trial}");
    trial
}

/// Has it reload with a bound on how long streams may stay: whom it cuts, it has read its configuration again for.
fn cuts_its_streams_when_it_reloads(name: &str, protocol: &str) {
    if !is_here(name) {
        return;
    }
    let lab = Lab::new();
    let set = [format!("between.intermediary={name}"), format!("protocol={protocol}")];
    let more = ["--set", &set[0], "--set", &set[1], "--set", "between.drain=500ms", "--set", "workload.hold=3500ms"];
    let ran = run(&lab, "proxy-reload", &more).exits(0);
    let trial = whole(&ran);
    assert_eq!(trial["metrics"]["streams-cut"]["median"], 3.0, "{name}: {trial}");
    lab.has_nothing_left();
}

#[test]
fn nginx_that_is_reloaded_cuts_streams_after_a_bound() {
    cuts_its_streams_when_it_reloads("nginx", "sse/h2");
}

#[test]
fn haproxy_that_is_reloaded_cuts_streams_after_a_bound() {
    cuts_its_streams_when_it_reloads("haproxy", "sse/h2");
}

#[test]
fn envoy_that_is_reloaded_cuts_streams_after_a_bound() {
    cuts_its_streams_when_it_reloads("envoy", "sse/h2");
}

#[test]
fn caddy_that_is_reloaded_cuts_websockets_at_once() {
    cuts_its_streams_when_it_reloads("caddy", "websocket/h1");
}

#[test]
fn without_a_bound_a_reload_cuts_nobody_and_what_the_proxy_used_is_noted() {
    let lab = Lab::new();
    let more = ["--set", "between.intermediary=nginx", "--set", "workload.hold=2500ms"];
    let ran = run(&lab, "proxy-reload", &more).exits(0);
    assert_eq!(whole(&ran)["metrics"]["streams-cut"]["median"], 0.0);
    let all = facts(&lab.only_run());
    let of = |kind: &str| all.iter().filter(|fact| fact["kind"] == kind).cloned().collect::<Vec<_>>();
    assert_eq!((of("fault").len(), of("fault-ended").len()), (1, 1));
    let used = of("between-usage");
    let at: Vec<_> = used.iter().map(|fact| fact["at"].as_str().unwrap()).collect();
    assert_eq!(at, ["go", "first", "census", "end"]);
    // A master and a worker, and at the end an old worker with three streams besides.
    assert!(used.iter().all(|fact| fact["resident"].as_u64().unwrap() > 1_000_000), "{used:?}");
    lab.has_nothing_left();
}

#[test]
fn a_proxy_that_is_started_anew_gets_its_readers_back_with_nothing_missing() {
    let lab = Lab::new();
    let more = ["--set", "between.intermediary=nginx", "--set", "workload.hold=3500ms"];
    let ran = run(&lab, "proxy-restart", &more).exits(0);
    assert_eq!(whole(&ran)["metrics"]["streams-cut"]["median"], 3.0);
    let started = facts(&lab.only_run());
    let started = started.iter().filter(|fact| fact["kind"] == "started" && fact["role"] == "intermediary");
    assert_eq!(started.count(), 2);
    lab.has_nothing_left();
}

#[test]
fn a_proxy_that_does_not_reload_is_quoted() {
    if !is_here("nginx") {
        return;
    }
    let lab = Lab::new();
    let nginx = (transport_lab::intermediary::find("nginx").unwrap().find)().unwrap().path;
    let stubborn = lab.program(
        "stubborn",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *'-s reload'*) echo 'not today' >&2; exit 1;; esac\nexec {} \"$@\"\n",
            nginx.display()
        ),
    );
    lab.experiment("reload", &format!("{BACK}[[fault]]\nat = '300ms'\nkind = 'proxy-reload'\n"));
    let mut command = lab.running("reload", &["--set", "between.intermediary=nginx"]);
    let ran = Started::new(command.env("TRANSPORT_LAB_NGINX", stubborn)).end().exits(3);
    let summary = ran.summary();
    let reason = summary["trials"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("nginx does not reload: ") && reason.contains("exit 1: not today"), "{reason}");
    lab.has_nothing_left();
}

#[test]
fn how_long_streams_may_stay_has_bounds() {
    let lab = Lab::new();
    lab.experiment("reload", "[between]\nintermediary = 'nginx'\ndrain = '61min'\n");
    let ran = Started::new(&mut lab.running("reload", &[])).end().exits(2);
    ran.says(&["reload.toml:", "`between.drain` can't be 3660s: write 1ms to 3600s"]);
}
