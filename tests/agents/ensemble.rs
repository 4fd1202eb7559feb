//! Three servers on three machines that share a feed by the trial's own NATS on a fourth, where the run is, and readers on all
//! of them.

use std::collections::BTreeSet;
use std::path::Path;

use nix::sys::signal::Signal;
use transport_lab::broker::BrokerNode;
use transport_lab::trial::ServerFact;

use crate::lab::{Lab, Ran, Started, has_browser, until};
use crate::machines::Machines;
use crate::nats::Nats;
use crate::of_kind;

/// Whoever is cut off comes back soon. Each event exactly once is what is expected, as ever.
const BACK: &str = "[reconnect]\ntries = 100\ndelay = '50ms'\nfactor = 1\n[sse]\nretry = '50ms'\n";
const READERS: f64 = 36.0;

/// So many servers, and so many nodes that keep their log.
fn several(servers: usize, nodes: usize, fault: &str) -> String {
    format!(
        "[server]\ncount = {servers}\nfeeds = 'nats'\n[broker]\nnodes = {nodes}\nreplicas = {nodes}\n{BACK}[[fault]]\n{fault}"
    )
}

/// Runs it where NATS is at this machine's address.
fn run(lab: &Lab, fault: &str, more: &[&str]) -> Ran {
    lab.experiment("three", &several(3, 3, fault));
    let own = Machines::own_address(1);
    let readers = format!("workload.subscribers={READERS}");
    let more = [&["--bind", &own, "--set", &readers, "--set", "timeout=90s"], more].concat();
    Started::new(&mut lab.running("three", &more)).end()
}

/// Everybody got everything, once, in its order; whoever was at which server.
fn all_got_all(ran: &Ran, events: f64) {
    assert_eq!(ran.outcomes(), ["completed"]);
    let metrics = ["events-received", "lost", "duplicated", "open-streams"].map(|name| ran.metric(0, name));
    // The census is one more.
    let expected = [READERS * (events + 1.0), 0.0, 0.0, READERS];
    assert!(metrics.iter().zip(expected).all(|(is, expected)| (is - expected).abs() < 0.1), "{metrics:?}");
}

/// Which server each subscription was at last.
fn at_last(run: &Path) -> BTreeSet<(u64, u64)> {
    let attached = of_kind(run, "attached").into_iter();
    let server = |fact: &serde_json::Value| ServerFact::server_of(fact["conn"].as_u64().unwrap());
    let last: std::collections::BTreeMap<_, _> =
        attached.map(|fact| (fact["sub"].as_u64().unwrap(), server(&fact))).collect();
    last.into_iter().collect()
}

#[test]
fn the_node_that_leads_is_killed_and_readers_on_three_machines_miss_nothing() {
    let Some(machines) = Machines::new(3) else { return };
    let lab = Lab::new();
    let of = |number: usize| {
        let (name, host) = (format!("eu-{number}"), Machines::address(number));
        let agents = ["", "--allow-servers"].map(|more| machines.agent(number, &name, more));
        [format!("--agent={}", agents[0]), format!("--server-agent={}={host}", agents[1])]
    };
    let agents: Vec<String> = (1..=3).flat_map(of).collect();
    let agents: Vec<&str> = agents.iter().map(String::as_str).collect();
    // A node waits for up to 9 s before it wants to lead, and more than one may want to.
    let long = ["--set", "workload.hold=22s", "--set", "workload.drain=2s", "--set", "workload.events.count=20"];
    let fault = "kind = 'kill-leader'\nat = '600ms'\nfor = '1s'\n";
    let ran = run(&lab, fault, &[&agents[..], &long].concat()).exits(0);
    all_got_all(&ran, 20.0);
    let run = lab.only_run();
    assert_eq!(of_kind(&run, "agent").len(), 6, "three of each");
    assert_eq!(at_last(&run).len(), 36);
    let killed: Vec<_> = of_kind(&run, "exited").into_iter().filter(|fact| fact["status"] == "signal 9").collect();
    assert!(killed.len() == 1 && killed[0]["role"].as_str().unwrap().starts_with("broker"), "{killed:?}");
    lab.has_nothing_left();
}

#[test]
fn readers_of_a_server_that_is_killed_go_on_at_the_next_machine() {
    let Some(machines) = Machines::new(3) else { return };
    let lab = Lab::new();
    // The agents have joined by a NATS of their own, which has nothing to do with the trial's.
    let nats = Nats::start_as(BrokerNode { address: "0.0.0.0".parse().unwrap(), ..BrokerNode::default() });
    let (here, there) = (nats.url(), format!("nats://{}:{}", Machines::own_address(1), nats.node.port));
    let join = |number: usize| {
        let (name, on) = (format!("eu-{number}"), machines.on(number));
        let agent = lab.command(&["agent", "--join", &there, "--name", &name, "--allow-servers"]);
        let mut moved = std::process::Command::new("nsenter");
        moved.arg(on.rsplit(' ').next().unwrap()).arg(agent.get_program()).args(agent.get_args());
        moved.current_dir(agent.get_current_dir().unwrap());
        for (name, value) in agent.get_envs() {
            match value {
                Some(value) => moved.env(name, value),
                None => moved.env_remove(name),
            };
        }
        Started::new(&mut moved)
    };
    let agents = [1, 2, 3].map(join);
    until("three agents", || {
        let listed = lab.ask(&["agents", "--join", &here, "--json"]).exits(0).summary();
        let listed = listed.as_array().unwrap();
        (listed.len() == 3 && listed.iter().all(|agent| agent["servers"] == true)).then_some(())
    });
    let servers: Vec<String> =
        (1..=3).map(|number| format!("--server-agent=eu-{number}={}", Machines::address(number))).collect();
    let more =
        [&["--join", &here, "--agents", "eu-1,eu-2,eu-3"], &servers.iter().map(String::as_str).collect::<Vec<_>>()[..]];
    let long = ["--set", "workload.settle=500ms", "--set", "workload.hold=3s", "--set", "workload.events.count=30"];
    let fault = "kind = 'kill-last-server'\nat = '1200ms'\n";
    let ran = run(&lab, fault, &[&more.concat()[..], &long].concat()).exits(0);
    all_got_all(&ran, 30.0);
    let last = at_last(&lab.only_run());
    assert!(last.iter().all(|(_, server)| *server < 2), "nobody is at the third: {last:?}");
    assert_eq!(last.iter().filter(|(sub, _)| sub % 3 == 2).count(), 12, "{last:?}");
    for agent in agents {
        agent.signal(Signal::SIGTERM);
        agent.end().exits(0);
    }
    lab.has_nothing_left();
}

#[test]
fn a_page_goes_on_at_another_host() {
    if !has_browser("chromium") || !has_browser("firefox") {
        return;
    }
    let Some(machines) = Machines::new(2) else { return };
    let lab = Lab::new();
    let at = |number: usize| {
        let agent = machines.agent(number, &format!("eu-{number}"), "--allow-servers");
        format!("--server-agent={agent}={}", Machines::address(number))
    };
    lab.experiment("two", &several(2, 1, "kind = 'kill-last-server'\nat = '1500ms'\n"));
    let own = Machines::own_address(1);
    let more = ["--bind", &own, "--client", "chromium,firefox", "--set", "protocol=sse/h2"];
    let long = ["--set", "workload.settle=1s", "--set", "workload.hold=4s", "--set", "workload.events.count=40"];
    let ran = Started::new(&mut lab.running("two", &[&more[..], &long, &[&at(1), &at(2)]].concat())).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"; 2]);
    for trial in 0..2 {
        assert_eq!((ran.metric(trial, "lost"), ran.metric(trial, "open-streams")), (0.0, 3.0));
    }
    lab.has_nothing_left();
}
