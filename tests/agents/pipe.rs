//! Agents that are started for a run, over their standard input and output.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::lab::{Lab, Started, has_browser, until};
use crate::{PROGRAM, of_kind, piped};

#[test]
fn a_client_runs_where_ssh_leads() {
    let lab = Lab::new();
    // Takes the words that ssh takes, and runs the command on the machine that it is on.
    let ssh = lab.program(
        "ssh",
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\necho \"$2\" > host\nshift 2\nexec \"$@\"\n",
    );
    let mut command = lab.running("small", &["--agent", &format!("ssh:lab@eu-1{PROGRAM}")]);
    let ran = crate::lab::Started::new(command.env("TRANSPORT_LAB_SSH", ssh)).end().exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert_eq!(std::fs::read_to_string(lab.path("host")).unwrap(), "lab@eu-1\n");
    assert!(ran.metric(0, "events-received") >= 9.0);
    let run = lab.only_run();
    let agents = of_kind(&run, "agent");
    assert_eq!(agents.len(), 1, "{agents:?}");
    assert_eq!((&agents[0]["role"], &agents[0]["version"]), (&json!("client"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(ran.summary()["trials"][0]["client-version"], env!("CARGO_PKG_VERSION"));
    let clocks = of_kind(&run, "agent-clock");
    assert_eq!((clocks.len(), &clocks[0]["apart"]), (1, &json!(null)), "{clocks:?}");
    lab.has_nothing_left();
}

#[test]
fn subscriptions_are_dealt_over_agents() {
    let lab = Lab::new();
    let (one, two) = (piped("eu-1", ""), piped("us-2", ""));
    let ran = lab.run(&["--set", "workload.subscribers=5", &one, &two]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    assert_eq!((ran.metric(0, "open-streams"), ran.metric(0, "connections")), (5.0, 2.0));
    let run = lab.only_run();
    let roles: Vec<_> = of_kind(&run, "agent").iter().map(|f| format!("{} {}", f["role"], f["agent"])).collect();
    assert_eq!(roles, ["\"client\" \"eu-1\"", "\"client-1\" \"us-2\""]);
    assert!(run.join("trials/0/client-1.log").exists());
    let plan = std::fs::read_to_string(run.join("plan.json")).unwrap();
    assert!(plan.contains("\"agents\": 2"), "the plan says over how many");
    lab.has_nothing_left();
}

#[test]
fn browsers_of_two_kinds_take_part_in_one_trial() {
    if !has_browser("chromium") || !has_browser("firefox") {
        return;
    }
    let lab = Lab::new();
    let with = |agent: String, client: &str| format!("{}={client}", agent.trim_end());
    let (one, two) = (with(piped("eu-1", ""), "chromium"), with(piped("us-2", ""), "firefox"));
    // Both have their streams open before the first event.
    let waits =
        ["workload.settle=1s", "workload.hold=2s", "workload.subscribers=4", "timeout=90s"].map(|set| ["--set", set]);
    let waits = waits.concat();
    let ran = lab.run(&[&waits[..], &[&one, &two]].concat());
    assert_eq!(ran.outcomes(), ["completed"]);
    let summary = ran.summary();
    assert_eq!(summary["trials"][0]["levels"]["client"], "chromium+firefox");
    assert!(summary["trials"][0]["client-version"].as_str().unwrap().contains(" + "), "{summary}");
    // Each agent says which of them it had, and what of all that one held.
    let ends = [0, 1].map(|at| &summary["agents"][at]["ends"][0]);
    assert_eq!(ends.map(|end| &end["client"]), [&json!("chromium"), &json!("firefox")]);
    assert_eq!(ends.map(|end| &end["open-streams"]), [&json!({"0": 2}); 2]);
    let report = std::fs::read_to_string(lab.only_run().join("report.html")).unwrap();
    let major = |end: &serde_json::Value| end["version"].as_str().unwrap().split('.').next().unwrap().to_owned();
    let [chromium, firefox] = ends.map(major);
    for named in [format!("<p class=\"answer\">Chromium {chromium}."), format!(" + Firefox {firefox}.")] {
        assert!(report.contains(&named), "{named} is missing");
    }
    assert_eq!((ran.metric(0, "open-streams"), ran.metric(0, "connections")), (4.0, 2.0));
    // A page's clock is compared with its own machine's, and that with this one's.
    let run = lab.only_run();
    assert_eq!((of_kind(&run, "clock").len(), of_kind(&run, "agent-clock").len()), (2, 2));
    lab.has_nothing_left();
}

#[test]
fn a_trial_that_wants_more_agents_than_there_are_says_what_to_do() {
    let lab = Lab::new();
    let ran = lab.run(&["--set", "workload.agents=2"]).exits(0);
    let outcomes = ran.outcomes();
    assert!(
        outcomes[0].starts_with("unsupported: it takes 2 agents, and the run was given 0: `run --agent"),
        "{outcomes:?}"
    );
    let ran = lab.run(&["--set", "workload.agents=1,2", &piped("eu-1", "")]).exits(0);
    assert_eq!(ran.outcomes().iter().filter(|outcome| *outcome == "completed").count(), 1);
    let ran = lab.run(&["--set", "workload.agents=1", "--set", "link.delay=0ms"]).exits(0);
    assert!(ran.outcomes()[0].starts_with("unsupported: a link is between ends on one machine"));
    let hosts = ["--set", "workload.hosts=2", "--bind", "127.0.0.2", "--host", "127.0.0.2"];
    let ran = lab.run(&[&hosts[..], &[&piped("eu-1", "")]].concat()).exits(0);
    assert!(ran.outcomes()[0].contains("workload.hosts = 2 takes as many names"), "{:?}", ran.outcomes());
    lab.run(&["--client", "chromium+netscape"]).exits(2).says(&["unknown client `netscape`"]);
    let ran = lab.run(&["--client", "native+native"]).exits(0);
    assert!(ran.outcomes()[0].contains("clients of 2 agents"), "{:?}", ran.outcomes());
    let (one, two) = (piped("a", ""), format!("{}=native", piped("b", "").trim_end()));
    lab.run(&[&one, &two]).exits(2).says(&["which client it starts"]);
}

#[test]
fn ctrl_c_ends_a_run_whose_agent_never_says_what_it_is() {
    let lab = Lab::new();
    let run = Started::new(&mut lab.running("small", &["--agent", "exec:exec sleep 3600"]));
    until("its process", || lab.processes().iter().any(|process| process.starts_with("sleep 3600")).then_some(()));
    run.signal(Signal::SIGINT);
    run.end().exits(130);
    lab.has_nothing_left();
}

#[test]
fn an_agent_that_cannot_be_reached_ends_the_run_before_it_begins() {
    let lab = Lab::new();
    for (agent, says) in [
        ("exec:echo no route to host >&2; exit 255", "it ended before it said what it is (exit 255: no route to host)"),
        ("exec:echo hello", "what it said last is no Transport Lab's: \"hello\" (exit 0)"),
        ("ssh:eu-1/no/such/transport-lab", "the shell there finds no such program"),
    ] {
        let mut command = lab.running("small", &["--agent", agent]);
        // Runs what it is told, as ssh does.
        let ssh = lab.program("ssh", "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec \"$@\"\n");
        let ran = crate::lab::Started::new(command.env("TRANSPORT_LAB_SSH", ssh)).end().exits(4);
        ran.says(&["the agent ", says]);
    }
    lab.run(&["--agent", "-x"]).exits(2);
    lab.run(&["--agent", "ssh:eu-1:port"]).exits(2).says(&["`ssh:eu-1:port` is no agent"]);
    lab.run(&["--agent", "ssh:-oProxyCommand=touch"]).exits(2).says(&["is no agent: write a name, ssh:HOST"]);
    lab.run(&["--agent", "eu-1"]).exits(4).says(&["is known by name alone", "--join nats://HOST:4222"]);
    lab.has_nothing_left();
}

#[test]
fn a_program_runs_at_an_agent_only_where_its_owner_allows_it() {
    let lab = Lab::new();
    lab.program(
        "client",
        "#!/bin/sh\ntouch ran\nread trial\necho '{\"type\":\"unsupported\",\"reason\":\"none here\"}'\n",
    );
    // The coordinator's own consent is not the owner's.
    let ran = lab.run(&["--client", "exec:./client", "--allow-exec", &piped("eu-1", "")]).exits(0);
    let outcomes = ran.outcomes();
    assert!(outcomes[0].contains("its owner lets no programs be run there"), "{outcomes:?}");
    assert!(!lab.path("ran").exists());
    let ran = lab.run(&["--client", "exec:./client", &piped("eu-1", "--allow-exec")]).exits(0);
    assert_eq!(ran.outcomes(), ["unsupported: none here"]);
    assert!(lab.path("ran").exists());
    lab.has_nothing_left();
}

#[test]
fn agents_are_listed_with_what_they_have() {
    let lab = Lab::new();
    let (one, two) = (piped("eu-1", "--allow-exec"), piped("us-2", "--rig other-version"));
    let ran = lab.ask(&["agents", &one, &two, "--json"]).exits(4);
    let listed = ran.summary();
    assert_eq!((&listed[0]["name"], &listed[0]["exec"]), (&json!("eu-1"), &json!(true)));
    assert_eq!(listed[0]["clients"].as_array().unwrap().len(), transport_lab::client::ALL.len());
    assert!(listed[1]["reason"].as_str().unwrap().contains("install the same version at both"), "{listed}");
    let table = lab.ask(&["agents", &one]).exits(0).out;
    assert!(table.starts_with("agent ") && table.contains("eu-1 ") && table.contains("native 0."), "{table}");
    lab.has_nothing_left();
}
