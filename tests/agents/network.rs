//! An agent on a network of its own: it reaches this machine by an address, and nothing of its loopback.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::lab::{Lab, Started, has_browser, names, until};
use crate::{PROGRAM, of_kind};

/// A network beside this one, gone when it is dropped.
struct Beside {
    name: String,
}

/// The last part of addresses that nobody else has here; two that run at once have different ones.
fn numbers() -> [u32; 2] {
    let id = std::process::id();
    [id / 250 % 250, id % 250]
}

fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Beside {
    /// `None`: it takes root's rights and iproute2.
    fn make() -> Option<Self> {
        let (name, [a, b]) = (format!("lab{}", std::process::id()), numbers());
        if !ip(&format!("netns add {name}")) {
            eprintln!("skipped: no network namespaces here (they take root's rights and iproute2)");
            return None;
        }
        let beside = Self { name };
        let name = &beside.name;
        for step in [
            format!("link add {name}a type veth peer name {name}b netns {name}"),
            format!("addr add 10.{a}.{b}.1/24 dev {name}a"),
            format!("link set {name}a up"),
            format!("-n {name} addr add 10.{a}.{b}.2/24 dev {name}b"),
            format!("-n {name} link set {name}b up"),
            format!("-n {name} link set lo up"),
        ] {
            assert!(ip(&step), "ip {step}");
        }
        // A browser takes an address that becomes usable for a change of networks, and ends its connections by HTTP/2.
        crate::lab::until("addresses that are settled", || {
            let shown = Command::new("ip").args(["-n", &beside.name, "addr"]).output().unwrap().stdout;
            let shown = String::from_utf8_lossy(&shown).into_owned();
            (shown.contains("fe80:") && !shown.contains("tentative")).then_some(())
        });
        Some(beside)
    }

    /// This machine's address there.
    fn address() -> String {
        let [a, b] = numbers();
        format!("10.{a}.{b}.1")
    }

    fn agent(&self) -> String {
        format!("--agent=exec:exec ip netns exec {} {PROGRAM} agent --stdio --name far", self.name)
    }

    fn server_agent(&self) -> String {
        self.agent().replacen("--agent", "--server-agent", 1)
    }

    /// The other network's address.
    fn other_address() -> String {
        let [a, b] = numbers();
        format!("10.{a}.{b}.2")
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // The kernel takes its time with a network and what is in it; a browser would see this one's end come later.
        ip(&format!("link del {}a", self.name));
        ip(&format!("netns del {}", self.name));
    }
}

#[test]
fn servers_are_reached_from_another_network_by_the_address_that_was_asked_for() {
    let Some(beside) = Beside::make() else { return };
    let lab = Lab::new();
    let protocols = "protocol=sse/h1,sse/h2,sse/h3,websocket/h1,webtransport/h3,quic/quic";
    let ran = lab.run(&[&beside.agent(), "--bind", &Beside::address(), "--set", protocols]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 6]);
    for trial in 0..6 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    // Where nothing is bound there, nothing is reached.
    let ran = lab.run(&[&beside.agent()]);
    assert!(ran.exit == Some(3) || ran.metric(0, "open-streams") < 0.1, "{:?}", ran.outcomes());
    lab.has_nothing_left();
}

#[test]
fn a_browser_on_another_network_reads_from_here() {
    if !has_browser("chromium") || !has_browser("firefox") {
        return;
    }
    let Some(beside) = Beside::make() else { return };
    let lab = Lab::new();
    let more = [
        "--set",
        "workload.settle=1s",
        "--set",
        "workload.hold=2s",
        "--client",
        "chromium,firefox",
        "--set",
        "protocol=sse/h2,sse/h3",
    ];
    let ran = lab.run(&[&[&beside.agent(), "--bind", &Beside::address()], &more[..]].concat()).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 4]);
    for trial in 0..4 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    lab.has_nothing_left();
}

#[test]
fn a_server_on_another_network_is_read_from_here_by_the_host_that_was_given() {
    let Some(beside) = Beside::make() else { return };
    let lab = Lab::new();
    let there = format!("{}={}", beside.server_agent(), Beside::other_address());
    let protocols = ["--set", "protocol=sse/h1,sse/h2,sse/h3,webtransport/h3"];
    let ran = lab.run(&[&protocols[..], &[&there]].concat()).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 4]);
    for trial in 0..4 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    // A client on this machine and one there: both reach it by that host.
    let ran = lab.run(&[&beside.agent(), &there]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    lab.has_nothing_left();
}

#[test]
fn without_a_host_a_server_on_another_network_is_refused_and_so_is_a_client_there() {
    let Some(beside) = Beside::make() else { return };
    let lab = Lab::new();
    lab.run(&[&beside.server_agent()]).exits(4).says(&["far is not on this machine's loopback", "--server-agent far="]);
    let here = format!("--server-agent=exec:{PROGRAM} agent --stdio --name here");
    let outcomes = lab.run(&[&beside.agent(), &here]).exits(0).outcomes();
    assert!(outcomes[0].contains("this machine's loopback, which far can't reach"), "{outcomes:?}");
    let there = format!("{}={}", beside.server_agent(), Beside::other_address());
    let outcomes = lab.run(&["--set", "server.feeds=nats", &there]).exits(0).outcomes();
    assert!(
        outcomes[0].contains("NATS is on this machine's loopback, which a server at far can't reach"),
        "{outcomes:?}"
    );
    lab.has_nothing_left();
}

/// What curl's requests come to, from this machine by that address, at each TCP port of a process; its own loopback is none.
fn strangers(pid: Pid, path: &str, more: &[&str]) -> Vec<String> {
    let listening = Command::new("ss").args(["-ltnpH"]).output().unwrap().stdout;
    let listening = String::from_utf8_lossy(&listening).into_owned();
    let of_it = listening.lines().filter(|line| line.contains(&format!("pid={pid},")));
    let places: Vec<&str> = of_it.filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert!(!places.is_empty(), "{listening}");
    let ask = |place: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}"]).args(more).arg(format!("https://{place}{path}"));
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    places.into_iter().map(ask).collect()
}

#[test]
fn only_a_trials_own_clients_publish_and_read_where_others_reach_its_server() {
    let Some(beside) = Beside::make() else { return };
    let lab = Lab::new();
    let address = Beside::address();
    let up = ["--set", "workload.direction=up", "--bind", &address, &beside.agent()];
    let long = ["--set", "workload.hold=60s", "--set", "workload.events.count=1000"];
    let run = Started::new(&mut lab.running("small", &[&up[..], &long].concat()));
    let server = lab.wait_for_process(0, "server");
    for (path, more) in [
        ("/feeds/f0", &["-d", "not from here"][..]),
        ("/feeds/f0?token=guessed", &["-d", "not from here"]),
        ("/feeds/f0/sse", &[]),
    ] {
        let answers = strangers(server, path, more);
        assert!(answers.iter().all(|status| status == "403"), "{path}: {answers:?}");
    }
    assert!(strangers(server, "/ping", &[]).iter().all(|status| status == "204"));
    let published = || of_kind(&lab.only_run(), "published").len();
    let before = published();
    until("what the trial's own clients publish", || (published() > before).then_some(()));
    run.signal(Signal::SIGINT);
    run.end().exits(130);
    // The token is in nothing that is kept.
    let kept = names(&lab.only_run()).into_iter().filter(|path| path.is_file());
    for path in kept.chain(names(&lab.only_run().join("trials/0"))) {
        assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("token="), "{}", path.display());
    }
    let protocols = "protocol=sse/h2,websocket/h1,webtransport/h3";
    let ran = lab.run(&[&up[..], &["--set", protocols]].concat()).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 3]);
    for trial in 0..3 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
        assert!(ran.metric(trial, "events-received") >= 9.0, "{:?}", ran.summary()["trials"][trial]);
    }
    lab.has_nothing_left();
}
