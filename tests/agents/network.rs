//! An agent on a machine of its own: it reaches this one by an address, and nothing of its loopback.

use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::lab::{Lab, Started, has_browser, names, until};
use crate::machines::Machines;
use crate::{PROGRAM, of_kind, piped};

/// `--agent`: a client's on the other machine.
fn client(machines: &Machines) -> String {
    format!("--agent={}", machines.agent(1, "far", ""))
}

/// `--server-agent`: a server's there, with these further words, and the host by which it is reached.
fn server(machines: &Machines, more: &str) -> String {
    format!("--server-agent={}={}", machines.agent(1, "far", more), Machines::address(1))
}

#[test]
fn servers_are_reached_from_another_network_by_the_address_that_was_asked_for() {
    let Some(machines) = Machines::new(1) else { return };
    let lab = Lab::new();
    let protocols = "protocol=sse/h1,sse/h2,sse/h3,websocket/h1,webtransport/h3,quic/quic";
    let ran = lab.run(&[&client(&machines), "--bind", &Machines::own_address(1), "--set", protocols]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 6]);
    for trial in 0..6 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    lab.has_nothing_left();
}

#[test]
fn a_server_that_is_not_where_clients_are_told_fails_the_trial_and_is_no_count_of_theirs() {
    let Some(machines) = Machines::new(1) else { return };
    let lab = Lab::new();
    let (far, own) = (client(&machines), Machines::own_address(1));
    let outcomes = lab.run(&[&far]).exits(0).outcomes();
    let loopback = "unsupported: the server is on this machine's loopback, which far can't reach: say at which address of this \
                    machine it does (--bind 192.0.2.7)";
    assert_eq!(outcomes, [loopback]);
    assert_eq!(lab.run(&[&far, "--bind", "127.0.0.1"]).exits(0).outcomes(), [loopback]);
    let outcomes = lab.run(&[&far, "--bind", &own, "--host", "lab.invalid"]).exits(3).outcomes();
    let begins =
        "failed: at the agent far: it doesn't reach the server where it is told to: could not connect to lab.invalid:";
    assert!(outcomes[0].starts_with(begins) && outcomes[0].contains("--host"), "{outcomes:?}");
    // A client here is as far from a server there.
    let nowhere = format!("--server-agent={}=10.9.1.77", machines.agent(1, "far", "--allow-servers"));
    let outcomes = lab.run(&[&nowhere]).exits(3).outcomes();
    let begins = "failed: it doesn't reach the server where it is told to: could not connect to 10.9.1.77:";
    assert!(outcomes[0].starts_with(begins), "{outcomes:?}");
    lab.run(&[&far, "--bind", "192.0.2.7"])
        .exits(4)
        .says(&["could not listen on 192.0.2.7", "--bind takes an address"]);
    lab.has_nothing_left();
}

#[test]
fn a_run_that_others_reach_leaves_certificates_that_are_there_as_they_are() {
    let Some(machines) = Machines::new(1) else { return };
    let lab = Lab::new();
    lab.run(&[]).exits(0);
    let made = || ["ca.pem", "server.pem"].map(|file| std::fs::read(lab.path("certs").join(file)).unwrap());
    let before = made();
    let ran = lab.run(&[&client(&machines), "--bind", &Machines::own_address(1)]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert!(ran.err.contains("this run has a CA of its own"), "{}", ran.err);
    assert!(made() == before, "servers that run, and browsers that trust them, know no other");
    lab.has_nothing_left();
}

#[test]
fn a_browser_on_another_network_reads_from_here() {
    if !has_browser("chromium") || !has_browser("firefox") {
        return;
    }
    let Some(machines) = Machines::new(1) else { return };
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
    let ran = lab.run(&[&[&client(&machines), "--bind", &Machines::own_address(1)], &more[..]].concat()).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 4]);
    for trial in 0..4 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    lab.has_nothing_left();
}

#[test]
fn a_server_on_another_network_is_read_from_here_by_the_host_that_was_given() {
    let Some(machines) = Machines::new(1) else { return };
    let lab = Lab::new();
    let there = server(&machines, "--allow-servers");
    let protocols = ["--set", "protocol=sse/h1,sse/h2,sse/h3,webtransport/h3"];
    let ran = lab.run(&[&protocols[..], &[&there]].concat()).exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 4]);
    for trial in 0..4 {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    // A client on this machine and one there: both reach it by that host.
    let ran = lab.run(&[&client(&machines), &there]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    lab.has_nothing_left();
}

#[test]
fn a_server_listens_where_other_machines_reach_it_only_if_the_agents_owner_lets_it() {
    let Some(machines) = Machines::new(1) else { return };
    let lab = Lab::new();
    let outcomes = lab.run(&[&server(&machines, "")]).exits(0).outcomes();
    let why = "unsupported: at the agent far: its owner lets no server listen beyond its loopback: `transport-lab agent \
               --allow-servers` does";
    assert_eq!(outcomes, [why]);
    // A name may be that of any address.
    let named = format!("--server-agent={}=lab.example", machines.agent(1, "far", ""));
    assert_eq!(lab.run(&[&named]).exits(0).outcomes(), [why]);
    // By ssh, whoever has the account has said so.
    let script = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec";
    let ssh = lab.program("ssh", &format!("{script} {} \"$@\"\n", machines.on(1)));
    let mut command = lab.running("small", &[&format!("--server-agent=ssh:far{PROGRAM}={}", Machines::address(1))]);
    assert_eq!(Started::new(command.env("TRANSPORT_LAB_SSH", ssh)).end().exits(0).outcomes(), ["completed"]);
    // Its loopback nobody else reaches.
    let near = format!("{}=127.0.0.2", piped("here", "").trim_end().replacen("--agent", "--server-agent", 1));
    assert_eq!(lab.run(&[&near]).exits(0).outcomes(), ["completed"]);
    lab.has_nothing_left();
}

#[test]
fn without_a_host_a_server_on_another_network_is_refused_and_so_is_a_client_there() {
    let Some(machines) = Machines::new(1) else { return };
    let lab = Lab::new();
    let without = format!("--server-agent={}", machines.agent(1, "far", ""));
    lab.run(&[&without]).exits(4).says(&["far is not on this machine's loopback", "--server-agent far="]);
    let here = piped("here", "").trim_end().replacen("--agent", "--server-agent", 1);
    let outcomes = lab.run(&[&client(&machines), &here]).exits(0).outcomes();
    assert!(outcomes[0].contains("this machine's loopback, which far can't reach"), "{outcomes:?}");
    let there = server(&machines, "--allow-servers");
    let outcomes = lab.run(&["--set", "server.feeds=nats", &there]).exits(0).outcomes();
    let why = "NATS is on this machine's loopback, which a server at far can't reach: say at which address of this machine it \
               does (--bind";
    assert!(outcomes[0].contains(why), "{outcomes:?}");
    let bound = ["--set", "server.feeds=nats", "--bind", "127.0.0.1"];
    let outcomes = lab.run(&[&bound[..], &[&there]].concat()).exits(0).outcomes();
    assert!(outcomes[0].contains(why), "{outcomes:?}");
    // An address that isn't this machine's is no place to listen at.
    let bound = ["--set", "server.feeds=nats", "--bind", "192.0.2.7"];
    lab.run(&[&bound[..], &[&there]].concat()).exits(4).says(&["could not listen on 192.0.2.7"]);
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
    let Some(machines) = Machines::new(1) else { return };
    let lab = Lab::new();
    let address = Machines::own_address(1);
    let up = ["--set", "workload.direction=up", "--bind", &address, &client(&machines)];
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
