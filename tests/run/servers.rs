//! Several servers that share a feed through a real nats-server, and what goes wrong with one of them or with that.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::lab::{Lab, Ran, Started, facts, has_browser, names};

/// Two servers and the log that they share.
const TWO: &str = "[server]\ncount = 2\nfeeds = 'nats'\n";
/// Whoever is cut off comes back soon.
const BACK: &str = "[reconnect]\ntries = 100\ndelay = '50ms'\nfactor = 1\n";

/// Whether there is a nats-server; where the test command has unpacked it, its absence is a failure.
fn has_nats() -> bool {
    match transport_lab::broker::node::find() {
        Ok(_) => true,
        Err(reason) if std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none() => {
            eprintln!("skipped: nats-server: {reason}");
            false
        }
        Err(reason) => panic!("nats-server should have been installed: {reason}"),
    }
}

fn run(lab: &Lab, settings: &str, more: &[&str]) -> Ran {
    lab.experiment("several", settings);
    Started::new(&mut lab.running("several", more)).end()
}

/// The facts of a kind of one trial.
fn of(lab: &Lab, trial: u64, kind: &str) -> Vec<Value> {
    let all = facts(&lab.only_run()).into_iter();
    all.filter(|fact| fact["trial"] == trial && fact["kind"] == kind).collect()
}

fn word(fact: &Value, name: &str) -> String {
    fact[name].as_str().unwrap_or_default().to_owned()
}

/// Which server each subscription was attached to, in order of time.
fn attachments(lab: &Lab, trial: u64) -> Vec<(u64, u64)> {
    let server = |fact: &Value| transport_lab::trial::ServerFact::server_of(fact["conn"].as_u64().unwrap());
    of(lab, trial, "attached").iter().map(|fact| (fact["sub"].as_u64().unwrap(), server(fact))).collect()
}

#[test]
fn readers_of_two_servers_get_each_event_once_in_its_order_on_every_kind_of_transport() {
    if !has_nats() {
        return;
    }
    let lab = Lab::new();
    let protocols = ["long-polling/h1", "streaming/h1", "sse/h2", "websocket/h1", "websocket/h2", "webtransport/h3"];
    let protocols = [&protocols[..], &["sse/h3", "quic/quic", "polling/h2", "multipart/h2"]].concat();
    let more = format!("protocol={}", protocols.join(","));
    // `expect` is what it is by default: each event exactly once, in its order, and both ends count alike.
    let often = ["--set", "workload.subscribers=4", "--set", "polling.interval=100ms"];
    let ran = run(&lab, TWO, &[&["--set", &more][..], &often].concat()).exits(0);
    assert_eq!(ran.outcomes(), vec!["completed"; protocols.len()]);
    for trial in 0..protocols.len() as u64 {
        let attached: BTreeSet<_> = attachments(&lab, trial).into_iter().collect();
        assert_eq!(attached, BTreeSet::from([(0, 0), (1, 1), (2, 0), (3, 1)]), "they are dealt over both");
        let roles: Vec<_> = of(&lab, trial, "started").iter().map(|fact| word(fact, "role")).collect();
        assert_eq!(roles, ["broker", "server", "server-1", "client"]);
        assert_eq!(of(&lab, trial, "published").len(), 4, "one of them publishes");
        let used: BTreeSet<_> = of(&lab, trial, "usage")
            .iter()
            .map(|fact| (fact["server"].as_u64().unwrap_or(0), word(fact, "at")))
            .collect();
        assert_eq!(used.len(), 2 * 4, "both say what they used, four times each: {used:?}");
        let used = of(&lab, trial, "broker-usage");
        assert_eq!(used.len(), 4, "and so it is with NATS: {used:?}");
        let folder = lab.only_run().join(format!("trials/{trial}"));
        let kept: Vec<_> = crate::lab::names(&folder).iter().map(|path| path.display().to_string()).collect();
        assert!(kept.iter().any(|path| path.ends_with("server-1.log")), "{kept:?}");
        assert!(!kept.iter().any(|path| path.ends_with("/broker")), "its store is gone: {kept:?}");
    }
    lab.has_nothing_left();
}

#[test]
fn what_clients_publish_at_either_of_two_servers_comes_back_to_them_there() {
    if !has_nats() {
        return;
    }
    let lab = Lab::new();
    // Each publishes in the way of its transport, at the server that it reads from, and waits for its own.
    let protocols = ["polling/h1", "long-polling/h2", "streaming/h2", "multipart/h1", "sse/h3"];
    let protocols = [&protocols[..], &["websocket/h1", "websocket/h2", "webtransport/h3", "quic/quic"]].concat();
    let set = format!("protocol={}", protocols.join(","));
    // Polls have to come often enough for the time there is.
    let more = ["workload.subscribers=4", "workload.direction=echo", "polling.interval=100ms", &set];
    let more: Vec<&str> = more.into_iter().flat_map(|set| ["--set", set]).collect();
    let ran = run(&lab, TWO, &more).exits(0);
    assert_eq!(ran.outcomes(), vec!["completed"; protocols.len()]);
    for trial in 0..protocols.len() {
        let attached: BTreeSet<_> = attachments(&lab, trial as u64).into_iter().map(|(_, server)| server).collect();
        assert_eq!(attached, BTreeSet::from([0, 1]), "they are dealt over both");
        assert!(ran.metric(trial, "round-trip") > 0.0 && ran.metric(trial, "lost") == 0.0);
    }
    lab.has_nothing_left();
}

#[test]
fn readers_of_a_server_that_is_killed_go_on_at_the_other_and_miss_nothing() {
    if !has_nats() {
        return;
    }
    let clients: Vec<_> = ["native", "chromium", "firefox"].into_iter().filter(|name| has_browser(name)).collect();
    let lab = Lab::new();
    let fault = "[[fault]]\nkind = 'kill-last-server'\nat = '1200ms'\n[sse]\nretry = '50ms'\n";
    let settings = format!("{TWO}{BACK}{fault}");
    let long = ["workload.subscribers=4", "workload.settle=1s", "workload.hold=4s", "workload.events.count=20"];
    let protocols = ["sse/h2", "websocket/h1"];
    let mut sets = vec![format!("protocol={}", protocols.join(",")), format!("client={}", clients.join(","))];
    sets.extend(long.map(str::to_owned));
    let more: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    // Each event exactly once is what is expected: whoever comes back goes on after the last one that it has.
    let ran = run(&lab, &settings, &more).exits(0);
    assert_eq!(ran.outcomes(), vec!["completed"; clients.len() * protocols.len()]);
    for trial in 0..ran.outcomes().len() as u64 {
        let last = |sub: u64| attachments(&lab, trial).into_iter().rev().find(|(of, _)| *of == sub).unwrap().1;
        assert_eq!([1, 3].map(last), [0, 0], "those of the second server are at the first");
        let first = attachments(&lab, trial).into_iter().filter(|(sub, _)| sub % 2 == 0).count();
        assert_eq!(first, 2, "and nothing happened to those of the first");
        let exited: Vec<_> = of(&lab, trial, "exited").iter().map(|f| [word(f, "role"), word(f, "status")]).collect();
        assert!(exited.contains(&["server-1", "signal 9"].map(str::to_owned)), "{exited:?}");
    }
    lab.has_nothing_left();
}

#[test]
fn what_is_published_while_nats_is_away_comes_once_it_is_back() {
    if !has_nats() {
        return;
    }
    let lab = Lab::new();
    let fault = "[[fault]]\nkind = 'broker-away'\nat = '600ms'\nfor = '400ms'\n";
    let long =
        ["--set", "workload.hold=12s", "--set", "workload.events.count=20", "--set", "protocol=sse/h2,websocket/h1"];
    let ran = run(&lab, &format!("{TWO}{fault}"), &long).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 2]);
    for trial in 0..2 {
        assert_eq!(of(&lab, trial, "published").len(), 21, "all of them, and the census");
        assert!(of(&lab, trial, "closed").is_empty(), "no reader is cut off by that");
        let roles: Vec<_> = of(&lab, trial, "started").iter().map(|fact| word(fact, "role")).collect();
        assert_eq!(roles, ["broker", "server", "server-1", "client", "broker"], "it is started again");
    }
    lab.has_nothing_left();
}

#[test]
fn the_node_that_leads_is_killed_and_another_leads() {
    if !has_nats() {
        return;
    }
    let lab = Lab::new();
    let fault = "[broker]\nnodes = 3\nreplicas = 3\n[[fault]]\nkind = 'kill-leader'\nat = '600ms'\nfor = '1s'\n";
    // A node waits for up to 9 s before it wants to lead, and more than one may want to.
    let long = ["--set", "workload.hold=24s", "--set", "workload.drain=2s", "--set", "workload.events.count=20"];
    let ran = run(&lab, &format!("{TWO}{fault}"), &[&long[..], &["--set", "timeout=90s"]].concat()).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert_eq!(of(&lab, 0, "published").len(), 21);
    let exited: Vec<_> = of(&lab, 0, "exited").iter().map(|fact| [word(fact, "role"), word(fact, "status")]).collect();
    let killed: Vec<_> = exited.iter().filter(|[_, status]| status == "signal 9").map(|[role, _]| role).collect();
    assert!(matches!(killed[..], [role] if role.starts_with("broker")), "one of three: {exited:?}");
    let again = of(&lab, 0, "started").iter().filter(|fact| word(fact, "role") == *killed[0]).count();
    assert_eq!(again, 2, "it comes back");
    lab.has_nothing_left();
}

#[test]
fn a_trials_nodes_let_in_nobody_without_its_password_which_is_shown_nowhere() {
    if !has_nats() {
        return;
    }
    let lab = Lab::new();
    lab.experiment("several", &format!("{TWO}[broker]\nnodes = 3\n"));
    let run = Started::new(&mut lab.running("several", &["--set", "workload.hold=3s"]));
    lab.wait_for_process(0, "client");
    let folder = lab.only_run().join("trials/0/broker");
    let files = names(&folder).into_iter().map(|node| node.join("nats.conf"));
    let texts: Vec<String> = files
        .map(|file| {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
            fs::read_to_string(file).unwrap()
        })
        .collect();
    let between = |from: &str, to: &str| texts[0].split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
    let (node, route, password) =
        (between("\nlisten: \"", "\""), between("  listen: \"", "\""), between("password: \"", "\""));
    assert!(password.len() >= 43 && texts.len() == 3 && texts.iter().all(|text| text.contains(&password)), "{texts:?}");
    // Neither a client nor a node that isn't one of the trial's.
    for (at, wrong) in [(&node, "{}"), (&node, r#"{"user":"transport-lab","pass":"guessed"}"#), (&route, "{}")] {
        let refused = refused(at, wrong);
        assert!(refused.contains("-ERR 'Authorization"), "{wrong}: {refused}");
    }
    assert!(lab.processes().iter().all(|process| !process.contains(&password)));
    let ran = run.end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert!(!ran.err.contains(&password) && !ran.out.contains(&password));
    let mut folders = vec![lab.path("")];
    while let Some(folder) = folders.pop() {
        for path in names(&folder) {
            match fs::read(&path) {
                Ok(bytes) => assert!(!String::from_utf8_lossy(&bytes).contains(&password), "{path:?}"),
                Err(_) => folders.push(path),
            }
        }
    }
    lab.has_nothing_left();
}

/// What a node of NATS says to whoever says this of itself, until it ends the connection.
fn refused(at: &str, connect: &str) -> String {
    let mut socket = TcpStream::connect(at).unwrap();
    socket.write_all(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).unwrap();
    let mut said = Vec::new();
    let _ = socket.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn servers_that_can_share_nothing_are_refused_with_what_to_write() {
    let lab = Lab::new();
    lab.experiment("several", "[server]\ncount = 2\n");
    let line = std::fs::read_to_string(lab.path("several.toml")).unwrap().lines().count();
    let place = format!("several.toml:{line}");
    let ran = Started::new(&mut lab.running("several", &[])).end().exits(2);
    ran.says(&[&place, "2 servers can't share a feed", "write `server.feeds = \"nats\"`"]);
    assert!(lab.runs().is_empty());
}

#[test]
fn where_there_is_no_nats_server_a_trial_says_what_to_do_and_the_others_go_on() {
    let lab = Lab::new();
    lab.experiment("several", "");
    let mut command = lab.running("several", &["--set", "server.feeds=nats,memory"]);
    let ran = Started::new(command.env("TRANSPORT_LAB_NATS", "/nowhere")).end().exits(0);
    let outcomes = ran.outcomes();
    assert!(
        outcomes[0].starts_with("unsupported: nats-server: TRANSPORT_LAB_NATS=/nowhere is not a program"),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1], "completed");
    lab.has_nothing_left();
}

#[test]
fn a_node_that_ends_by_itself_fails_its_trial() {
    if !has_nats() {
        return;
    }
    let lab = Lab::new();
    lab.experiment("several", TWO);
    let run = Started::new(&mut lab.running("several", &["--set", "workload.hold=3s"]));
    nix::sys::signal::kill(lab.wait_for_process(0, "broker"), nix::sys::signal::Signal::SIGKILL).unwrap();
    let outcomes = run.end().exits(3).outcomes();
    let expected = "failed: the broker ended by itself (signal 9); see its log in the trial's folder";
    assert_eq!(outcomes, [expected]);
    lab.has_nothing_left();
}
