//! Real proxies between a client and the server, and what goes wrong with them.

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::lab::{Lab, Ran, Started, facts};

/// Events that an intermediary may keep, so that nothing is expected of them.
const OBSERVE: &str = "[expect]\ndelivery = 'observe'\ncounts = 'observe'\n";

/// The small experiment behind this one; what it finds by itself is where the test command has unpacked it.
fn behind(lab: &Lab, settings: &str) {
    lab.experiment("behind", settings);
}

fn run(lab: &Lab, more: &[&str]) -> Ran {
    Started::new(&mut lab.running("behind", more)).end()
}

fn kinds(lab: &Lab, kind: &str) -> Vec<Value> {
    facts(&lab.only_run()).into_iter().filter(|fact| fact["kind"] == kind).collect()
}

#[test]
fn every_transport_that_nginx_passes_on_comes_through_it_once_it_is_told_to_let_events_through() {
    let lab = Lab::new();
    behind(&lab, "[between]\nintermediary = 'nginx'\nconfig = 'streaming'\n");
    let protocols = "polling/h1,long-polling/h2,streaming/h2,multipart/h1,sse/h1,sse/h2,websocket/h1";
    let ran = run(&lab, &["--set", &format!("protocol={protocols}"), "--set", "polling.interval=50ms"]).exits(0);
    let summary = ran.summary();
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let metric = |name: &str| &trial["metrics"][name];
        // The lab holds both ends' counts against each other; these are what only an intermediary makes.
        assert_eq!(metric("origin-http")["median"], 1.1, "{levels}");
        assert_eq!(metric("open-streams")["median"], 3, "{levels}");
        assert!(metric("connections")["absent"].as_str().unwrap().contains("`origin-connections`"), "{levels}");
    }
    // Streams of one connection to nginx are one each to the server: HTTP/1.1 carries one at a time.
    let of = |protocol: &str| {
        let trials = summary["trials"].as_array().unwrap();
        let trial = trials.iter().find(|trial| trial["levels"]["protocol"] == protocol).unwrap();
        trial["metrics"]["origin-connections"]["median"].clone()
    };
    assert_eq!((of("sse/h2"), of("websocket/h1")), (3.into(), 3.into()));
    assert_eq!(summary["between"][0]["intermediary"], "nginx");
    let changes = summary["between"][0]["changes"].as_array().unwrap();
    assert!(changes.iter().any(|line| line.as_str().unwrap().ends_with(" proxy_buffering    off;")), "{changes:?}");
    // As it was told to be, and gone.
    let kept = lab.only_run().join("trials/0/nginx.conf");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(kept.contains("proxy_buffering    off;") && !kept.contains("{origin}"), "{kept}");
    lab.has_nothing_left();
}

/// What is to be here; where the test command has unpacked it, its absence is a failure.
pub(crate) fn is_here(name: &str) -> bool {
    match (transport_lab::intermediary::find(name).unwrap().find)() {
        Ok(_) => true,
        Err(reason) if std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none() => {
            eprintln!("skipped: {name}: {reason}");
            false
        }
        Err(reason) => panic!("{name} should have been installed: {reason}"),
    }
}

/// Has it pass events on from every version of HTTP to every version of HTTP that its row says.
fn lets_through_what_its_row_says(name: &str) {
    if !is_here(name) {
        return;
    }
    let row = transport_lab::intermediary::find(name).unwrap();
    let lab = Lab::new();
    behind(&lab, &format!("[between]\nintermediary = '{name}'\nconfig = 'streaming'\n"));
    let alpns = row.with_clients.alpns.iter().map(|alpn| format!("sse/{alpn}"));
    let protocols = format!("protocol={}", alpns.collect::<Vec<_>>().join(","));
    let origins: Vec<_> = row.with_origin.alpns.iter().map(|alpn| alpn.name()).collect();
    let origins = format!("between.origin={}", origins.join(","));
    let ran = run(&lab, &["--set", &protocols, "--set", &origins]).exits(0);
    let summary = ran.summary();
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let reached = &trial["metrics"]["origin-http"];
        let reached = reached["median"].as_f64().unwrap_or_else(|| panic!("{levels}: {trial}"));
        // One level alone is no factor.
        let wanted = match levels["between.origin"].as_str().unwrap_or("h1") {
            "h1" => 1.1,
            "h2" => 2.0,
            _ => 3.0,
        };
        assert!((reached - wanted).abs() < f64::EPSILON, "{levels}: {reached}");
    }
    lab.has_nothing_left();
}

#[test]
fn haproxy_lets_through_what_its_row_says_and_is_gone_afterwards() {
    lets_through_what_its_row_says("haproxy");
}

#[test]
fn caddy_lets_through_what_its_row_says_and_is_gone_afterwards() {
    lets_through_what_its_row_says("caddy");
}

#[test]
fn envoy_lets_through_what_its_row_says_and_is_gone_afterwards() {
    lets_through_what_its_row_says("envoy");
}

/// Has it compress by each coding that its row says, and by none that it doesn't.
#[test]
fn what_a_proxy_compresses_is_what_its_row_says_and_saves_bytes() {
    let rows: Vec<_> = transport_lab::intermediary::ALL.iter().filter(|row| is_here(row.name)).collect();
    let lab = Lab::new();
    // JSON that compresses, of a server that forbids nothing.
    behind(&lab, &format!("[server]\nbuffering-hint = 'none'\n{OBSERVE}[between]\nconfig = 'streaming'\n"));
    let names: Vec<_> = rows.iter().map(|row| row.name).collect();
    let names = format!("between.intermediary={}", names.join(","));
    let sets =
        [&names, "between.compression=off,gzip,br", "workload.events.payload=json", "workload.events.size=300 B"];
    let ran = run(&lab, &sets.map(|set| ["--set", set]).concat()).exits(0);
    let summary = ran.summary();
    let trials = summary["trials"].as_array().unwrap();
    let bytes = |trial: &Value| trial["metrics"]["content-bytes-per-event"]["median"].as_f64();
    for row in rows {
        let of = |coding: &str| {
            let is = |trial: &&Value| {
                trial["levels"]["between.intermediary"] == row.name && trial["levels"]["between.compression"] == coding
            };
            trials.iter().find(is).unwrap_or_else(|| panic!("{} {coding}", row.name))
        };
        let plain = bytes(of("off")).unwrap();
        for coding in ["gzip", "br"] {
            let (trial, name) = (of(coding), row.name);
            if row.compresses.iter().all(|known| known.coding() != Some(coding)) {
                assert_eq!(trial["outcome"], "unsupported", "{name} {coding}");
                continue;
            }
            assert_eq!(trial["outcome"], "completed", "{name} {coding}: {}", trial["reason"]);
            assert_eq!(trial["metrics"]["compressed-streams"]["median"], 3, "{name} {coding}");
            assert!(bytes(trial).unwrap() < 0.9 * plain, "{name} {coding}: {trial}");
        }
    }
    lab.has_nothing_left();
}

#[test]
fn with_a_link_the_proxy_stands_at_either_end_of_it() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: a link takes root's rights");
        return;
    }
    let lab = Lab::new();
    behind(&lab, "[between]\nintermediary = 'nginx'\nconfig = 'streaming'\n[link]\n");
    let places = ["--set", "between.place=behind-link,before-link"];
    // Whoever opens after the first event has no packets of an event.
    let late = ["--set", "workload.ramp=1500ms", "--set", "workload.settle=2s", "--set", "workload.hold=3s"];
    let more = [&places[..], &["--set", "link.delay=100ms"], &late].concat();
    let ran = run(&lab, &more).exits(0);
    let summary = ran.summary();
    let of = |place: &str| {
        let trials = summary["trials"].as_array().unwrap();
        let trial = trials.iter().find(|trial| trial["levels"]["between.place"] == place).unwrap();
        let metric = |name: &str| trial["metrics"][name].clone();
        assert_eq!(
            (&metric("open-streams")["median"], &metric("origin-connections")["median"]),
            (&3.into(), &3.into())
        );
        assert!(metric("packets-per-event")["median"].as_f64().unwrap() > 0.0, "the link carries it either way");
        metric("time-to-open")
    };
    // TCP, TLS and the request take a round trip of 200 ms each. To a proxy behind the link the first stream makes the
    // connection, and the others have that; one before the link makes one for each.
    let (behind, before) = (of("behind-link"), of("before-link"));
    let times = |opened: &serde_json::Value| ["min", "median", "max"].map(|which| opened[which].as_f64().unwrap());
    let [fastest, middle, slowest] = times(&behind);
    assert!(fastest >= 200.0 && middle < 600.0 && slowest >= 600.0, "{behind}");
    assert!(times(&before)[0] >= 600.0, "{before}");
    lab.has_nothing_left();
}

#[test]
fn nginx_as_its_documentation_begins_gathers_events_and_lets_no_websocket_through() {
    let lab = Lab::new();
    // Of some 200 bytes each: nginx gathers 4 KiB.
    let events = "workload.events.count=80";
    behind(&lab, &format!("{OBSERVE}[between]\nintermediary = 'nginx'\n"));
    let more = ["--set", events, "--set", "workload.events.rate=100/s", "--set", "workload.hold=1500ms"];
    let protocols = ["--set", "protocol=sse/h2,websocket/h1"];
    let ran = run(&lab, &[&more[..], &protocols[..]].concat()).exits(0);
    let summary = ran.summary();
    let trials = summary["trials"].as_array().unwrap();
    let metric = |trial: usize, name: &str| trials[trial]["metrics"][name]["median"].as_f64();
    assert!(metric(0, "clump").unwrap() >= 5.0, "{trials:?}");
    assert_eq!(metric(0, "origin-http"), Some(1.0), "it asks by HTTP/1.0");
    assert_eq!(metric(0, "open-streams"), Some(0.0), "the census is among what is kept");
    assert_eq!(metric(1, "events-received"), Some(0.0));
    lab.has_nothing_left();
}

#[test]
fn what_nginx_does_not_pass_on_is_unsupported_with_why() {
    let lab = Lab::new();
    behind(&lab, "[between]\nintermediary = 'nginx'\n");
    let ran = run(&lab, &["--set", "protocol=sse/h3,websocket/h2,webtransport/h3"]).exits(0);
    let summary = ran.summary();
    assert!(ran.outcomes().iter().all(|outcome| outcome.starts_with("unsupported: ")), "{:?}", ran.outcomes());
    let why = |trial: usize| summary["trials"][trial]["reason"].as_str().unwrap().to_owned();
    assert_eq!(why(0), "nginx speaks HTTP/1.1, HTTP/2 with clients, and not HTTP/3");
    assert_eq!(why(1), "nginx takes no WebSocket from a client on HTTP/2");
}

#[test]
fn an_intermediary_that_is_not_here_or_too_old_is_unsupported_with_what_to_do() {
    let lab = Lab::new();
    behind(&lab, "[between]\nintermediary = 'nginx'\n");
    let old = lab.program("old", "#!/bin/sh\necho 'nginx version: nginx/1.10.3' >&2\n");
    for (path, says) in
        [("/nowhere/nginx", "TRANSPORT_LAB_NGINX=/nowhere/nginx is not a program"), (&*old, "nginx 1.10.3")]
    {
        let mut command = lab.running("behind", &[]);
        let ran = Started::new(command.env("TRANSPORT_LAB_NGINX", path)).end().exits(0);
        let summary = ran.summary();
        assert_eq!(summary["trials"][0]["outcome"], "unsupported");
        let reason = summary["trials"][0]["reason"].as_str().unwrap();
        assert!(reason.contains(says), "{reason}");
        std::fs::remove_dir_all(lab.path("out")).unwrap();
    }
}

#[test]
fn an_intermediary_that_refuses_its_configuration_is_quoted() {
    let lab = Lab::new();
    let own = "{process}\nevents {}\nhttp { server { {listen} proxy_bufering off; } }\n";
    std::fs::write(lab.path("own.conf"), own).unwrap();
    behind(&lab, "[between]\nintermediary = 'nginx'\nconfig = './own.conf'\n");
    let ran = run(&lab, &[]).exits(3);
    let summary = ran.summary();
    let reason = summary["trials"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("nginx does not start") && reason.contains("unknown directive \"proxy_bufering\""),
        "{reason}"
    );
    assert!(reason.contains("nginx.conf:3"), "with the line: {reason}");
    lab.has_nothing_left();

    std::fs::remove_file(lab.path("own.conf")).unwrap();
    std::fs::remove_dir_all(lab.path("out")).unwrap();
    let ran = run(&lab, &[]).exits(3);
    let summary = ran.summary();
    let reason = summary["trials"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("./own.conf can't be read: No such file"), "{reason}");
}

#[test]
fn a_configuration_of_ones_own_is_used_as_it_is() {
    let lab = Lab::new();
    let own = "{process}\nevents {}\nhttp { {files} server { {listen} ssl_certificate {certificate}; ssl_certificate_key \
               {key};\n location / { proxy_pass https://{origin}; proxy_http_version 1.1; proxy_buffering off; } } }\n";
    std::fs::write(lab.path("own.conf"), own).unwrap();
    behind(&lab, "[between]\nintermediary = 'nginx'\nconfig = './own.conf'\n");
    let ran = run(&lab, &[]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    let between = &kinds(&lab, "between")[0];
    assert_eq!((&between["config"], &between["changes"]), (&"./own.conf".into(), &serde_json::json!([])));
}

#[test]
fn an_intermediary_that_dies_fails_the_trial_and_leaves_nothing() {
    let lab = Lab::new();
    behind(&lab, "[between]\nintermediary = 'nginx'\nconfig = 'streaming'\n");
    let started = Started::new(&mut lab.running("behind", &["--set", "workload.hold=60s"]));
    let nginx = lab.wait_for_process(0, "intermediary");
    kill(nginx, Signal::SIGKILL).unwrap();
    let ran = started.end().exits(3);
    let summary = ran.summary();
    assert_eq!(summary["trials"][0]["outcome"], "failed");
    let reason = summary["trials"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("the intermediary ended by itself (signal 9)"), "{reason}");
    lab.has_nothing_left();
}

#[test]
fn an_intermediary_that_does_not_start_is_quoted() {
    let lab = Lab::new();
    // It takes its configuration, and can't have its port: nobody may have it without being asked.
    let own = "{process}\nevents {}\nhttp { {files} server { listen 127.0.0.1:{port}; listen 192.0.2.1:{port}; } }\n";
    std::fs::write(lab.path("own.conf"), own).unwrap();
    behind(&lab, "[between]\nintermediary = 'nginx'\nconfig = './own.conf'\n");
    let ran = run(&lab, &[]).exits(3);
    let summary = ran.summary();
    let reason = summary["trials"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("192.0.2.1") && reason.contains("Cannot assign requested address"), "{reason}");
    lab.has_nothing_left();
}

#[test]
fn a_name_that_is_no_intermediarys_is_refused_with_its_line() {
    let lab = Lab::new();
    behind(&lab, "[between]\nintermediary = 'ngnix'\n");
    run(&lab, &[]).exits(2).says(&["behind.toml:", "unknown intermediary `ngnix`; did you mean `nginx`?"]);
    behind(&lab, "[between]\nintermediary = 'nginx'\nconfig = 'streeming'\n");
    run(&lab, &[]).exits(2).says(&["behind.toml:", "`streeming` is not a configuration"]);
}
