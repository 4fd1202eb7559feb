//! Agents that join NATS.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use crate::clients;
use crate::lab::{Lab, Started, facts, has_browser, until};
use crate::nats::Nats;

/// An agent of this name that has joined NATS there.
fn joined(lab: &Lab, url: &str, name: &str, more: &[&str]) -> Started {
    let arguments = [&["agent", "--join", url, "--name", name], more].concat();
    let agent = Started::new(&mut lab.command(&arguments));
    until("an agent", || {
        let listed = lab.ask(&["agents", "--join", url, "--json"]).exits(0).summary();
        listed.as_array().unwrap().iter().any(|agent| agent["name"] == name).then_some(())
    });
    agent
}

/// Ends it as a person does.
fn ended(agent: Started) {
    agent.signal(Signal::SIGTERM);
    agent.end().exits(0);
}

/// The streams that NATS has.
fn streams(url: &str) -> Vec<String> {
    Runtime::new().unwrap().block_on(async {
        let jetstream = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
        jetstream.stream_names().map(Result::unwrap).collect().await
    })
}

/// All that agents said in the only run's stream.
fn said(url: &str) -> String {
    Runtime::new().unwrap().block_on(async {
        let jetstream = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
        let names: Vec<String> = jetstream.stream_names().map(Result::unwrap).collect().await;
        let Some(name) = names.iter().find(|name| name.contains("-run-")) else { return String::new() };
        let mut stream = jetstream.get_stream(name).await.unwrap();
        let last = stream.info().await.unwrap().state.last_sequence;
        let mut text = String::new();
        for number in 1..=last {
            text += std::str::from_utf8(&stream.get_raw_message(number).await.unwrap().payload).unwrap();
        }
        text
    })
}

#[test]
fn agents_that_joined_take_part_by_their_names() {
    let (nats, lab) = (Nats::start(), Lab::new());
    let url = nats.url();
    let agents = [joined(&lab, &url, "eu-1", &[]), joined(&lab, &url, "us-2", &[])];
    for _ in 0..2 {
        let ran = lab.run(&["--join", &url, "--agents", "eu-1,us-2"]).exits(0);
        assert_eq!(ran.outcomes(), ["completed"]);
        assert_eq!((ran.metric(0, "open-streams"), ran.metric(0, "connections")), (3.0, 2.0));
    }
    assert_eq!(streams(&url), [""; 0], "what was taken is not kept twice");
    let runs = lab.runs();
    lab.run(&["--join", &url, "--agents", "eu-9"]).exits(4).says(&["no agent eu-9 has joined; there is eu-1, us-2"]);
    assert_eq!(streams(&url), [""; 0], "nor is what never began");
    assert_eq!(lab.runs(), runs);
    let twice = lab.ask(&["agent", "--join", &url, "--name", "eu-1"]).exits(4);
    twice.says(&["an agent eu-1 is here already"]);
    agents.into_iter().for_each(ended);
    lab.ask(&["agent", "--join", &url, "--name", "eu.1"]).exits(2).says(&["write letters, digits"]);
    lab.has_nothing_left();
}

#[test]
fn of_two_agents_that_came_by_one_name_while_one_hung_one_leaves() {
    let (nats, lab) = (Nats::start(), Lab::new());
    let url = nats.url();
    let hung = joined(&lab, &url, "eu-1", &[]);
    hung.signal(Signal::SIGSTOP);
    let mut both = [joined(&lab, &url, "eu-1", &[]), hung];
    both[1].signal(Signal::SIGCONT);
    let left = until("the end of one", || both.iter_mut().position(Started::has_ended));
    let [first, second] = both;
    let (left, stays) = if left == 0 { (first, second) } else { (second, first) };
    left.end().exits(4).says(&["an agent eu-1 is here already"]);
    let ran = lab.run(&["--join", &url, "--agents", "eu-1"]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    ended(stays);
    lab.has_nothing_left();
}

#[test]
fn whatever_nats_takes_in_one_message_orders_and_facts_fit_into_it() {
    let (nats, lab) = (Nats::start_with("max_payload: 4096\n"), Lab::new());
    let url = nats.url();
    let agent = joined(&lab, &url, "eu-1", &[]);
    let ran = lab.run(&["--join", &url, "--agents", "eu-1", "--set", "workload.subscribers=60"]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    let twice = lab.run(&["--join", &url, "--agents", "eu-1,eu-1"]).exits(2);
    twice.says(&["eu-1 is there twice"]);
    ended(agent);
}

#[test]
fn what_others_say_where_agents_do_is_taken_for_no_agent() {
    let (nats, lab) = (Nats::start(), Lab::new());
    let url = nats.url();
    let agent = joined(&lab, &url, "eu-1", &[]);
    let listed = || lab.ask(&["agents", "--join", &url]).exits(0).out;
    let true_one = lab.ask(&["agents", "--join", &url, "--json"]).exits(0).summary()[0].clone();
    Runtime::new().unwrap().block_on(async {
        let client = async_nats::connect(&url).await.unwrap();
        let mut asked = client.subscribe("transport-lab.agents").await.unwrap();
        client.flush().await.unwrap();
        let liar = tokio::spawn(async move {
            let question = asked.next().await.unwrap();
            for name in ["x".repeat(70_000), "a\nb".to_owned(), String::new(), "us-2".to_owned()] {
                let mut hello = true_one.clone();
                hello["name"] = name.into();
                let reply = question.reply.clone().unwrap();
                client.publish(reply, hello.to_string().into()).await.unwrap();
            }
            client.flush().await.unwrap();
        });
        let said = tokio::task::block_in_place(listed);
        liar.await.unwrap();
        assert!(
            said.contains("eu-1") && said.contains("us-2") && !said.contains("xxxx") && !said.contains("a\n"),
            "{said}"
        );
    });
    ended(agent);
}

#[test]
fn three_nodes_keep_what_agents_say_where_that_was_asked_for() {
    let (nodes, lab) = (Nats::cluster(), Lab::new());
    let url = nodes.each_ref().map(Nats::url).join(",");
    let agent = joined(&lab, &url, "eu-1", &[]);
    let more = ["--join", &url, "--agents", "eu-1", "--replicas", "3"];
    let run = Started::new(&mut lab.running("small", &[&["--set", "workload.hold=4s"], &more[..]].concat()));
    lab.wait_for_process(0, "client");
    let replicas = Runtime::new().unwrap().block_on(async {
        let jetstream = async_nats::jetstream::new(async_nats::connect(nodes[0].url()).await.unwrap());
        let stream = jetstream.streams().next().await.unwrap().unwrap();
        (stream.config.num_replicas, stream.cluster.unwrap().replicas.len())
    });
    assert_eq!(replicas, (3, 2), "one leads, two follow");
    assert_eq!(run.end().exits(0).outcomes(), ["completed"]);
    ended(agent);
    let alone = Nats::start();
    let more = ["--join", &alone.url(), "--agents", "eu-1", "--replicas", "3"];
    lab.run(&more).exits(4).says(&["3 replicas of the run's stream", "takes three nodes in a cluster"]);
}

#[test]
fn nothing_is_lost_of_what_agents_said_when_their_coordinator_is_killed() {
    let (nats, lab) = (Nats::start(), Lab::new());
    let url = nats.url();
    let agent = joined(&lab, &url, "eu-1", &[]);
    let run =
        Started::new(&mut lab.running("small", &["--set", "workload.hold=60s", "--join", &url, "--agents", "eu-1"]));
    lab.wait_for_process(0, "client");
    until("events", || {
        let published = facts(&lab.only_run()).iter().filter(|fact| fact["kind"] == "published").count();
        (published >= 2).then_some(())
    });
    run.signal(Signal::SIGKILL);
    until("the end of the client", || (clients(&lab) == 0).then_some(()));
    // What it had kept back until its end it has said there.
    let said = until("its last word", || Some(said(&url)).filter(|said| said.contains("\"type\":\"ended\"")));
    for kind in ["\"kind\":\"opened\"", "\"kind\":\"received\"", "\"type\":\"done\""] {
        assert!(said.contains(kind), "no {kind} in {said}");
    }
    // And it can be had from there, once: what the coordinator had taken is not twice in the journal.
    let folder = lab.only_run();
    let before = facts(&folder);
    let folder = folder.display().to_string();
    let told = lab.ask(&["report", &folder, "--join", &url]).exits(0).out;
    assert!(told.contains("facts that agents saw were taken in"), "{told}");
    let after = facts(&lab.only_run());
    let of = |kind: &str| after.iter().filter(|fact| fact["kind"] == kind).count();
    assert_eq!((of("opened"), of("requested")), (3, 3));
    assert!(after.len() > before.len() && of("received") > 0, "{after:?}");
    let last = after.last().unwrap();
    assert!(last["reason"].as_str().unwrap().contains("the lab was killed"), "{last}");
    let told = lab.ask(&["report", &folder, "--join", &url]).exits(0).out;
    assert!(told.contains("NATS has nothing more of this run"), "{told}");
    // It goes on, for the next.
    let ran = lab.run(&["--join", &url, "--agents", "eu-1"]).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    ended(agent);
}

#[test]
fn one_that_joined_runs_both_ends_in_one_session_and_nothing_of_either_is_lost() {
    let (nats, lab) = (Nats::start(), Lab::new());
    let url = nats.url();
    let agent = joined(&lab, &url, "eu-1", &[]);
    let there = ["--join", &url, "--agents", "eu-1", "--server-agent", "eu-1"];
    let run = Started::new(&mut lab.running("small", &[&["--set", "workload.hold=60s"], &there[..]].concat()));
    lab.wait_for_process(0, "server");
    until("events", || {
        let published = facts(&lab.only_run()).iter().filter(|fact| fact["kind"] == "published").count();
        (published >= 2).then_some(())
    });
    run.signal(Signal::SIGKILL);
    until("the end of both", || {
        let ended = said(&url).matches("\"type\":\"ended\"").count();
        (ended == 2).then_some(())
    });
    let folder = lab.only_run();
    let before = facts(&folder);
    lab.ask(&["report", &folder.display().to_string(), "--join", &url]).exits(0);
    let after = facts(&folder);
    let of = |kind: &str| after.iter().filter(|fact| fact["kind"] == kind).collect::<Vec<_>>();
    assert!(after.len() > before.len(), "{after:?}");
    assert_eq!((of("opened").len(), of("attached").len(), of("detached").len()), (3, 3, 3));
    let ids: BTreeSet<_> = of("published").iter().map(|fact| fact["id"].to_string()).collect();
    assert_eq!(ids.len(), of("published").len(), "none is twice in the journal");
    let ran = lab.run(&there).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    ended(agent);
    lab.has_nothing_left();
}

#[test]
fn browsers_take_the_page_and_the_server_of_one_agent_for_two() {
    let clients: Vec<_> = ["chromium", "firefox", "webkit"].into_iter().filter(|name| has_browser(name)).collect();
    let (nats, lab) = (Nats::start(), Lab::new());
    let url = nats.url();
    let agent = joined(&lab, &url, "eu-1", &[]);
    let there = ["--join", &url, "--agents", "eu-1", "--server-agent", "eu-1", "--client", &clients.join(",")];
    let slow = ["--set", "workload.settle=1s", "--set", "workload.hold=2s", "--set", "timeout=90s"];
    let ran = lab.run(&[&there[..], &slow].concat()).exits(0);
    assert_eq!(ran.outcomes(), vec!["completed"; clients.len()]);
    for trial in 0..clients.len() {
        assert!((ran.metric(trial, "open-streams") - 3.0).abs() < 0.1, "{:?}", ran.summary()["trials"][trial]);
    }
    ended(agent);
    lab.has_nothing_left();
}

#[test]
fn an_agent_that_loses_its_network_fails_its_trial_and_ends_its_client() {
    let (nats, lab) = (Nats::start(), Lab::new());
    let (url, cable) = (nats.url(), Cable::to(nats.node.port));
    // Only the agent's way to NATS is over the cable.
    let far = Started::new(&mut lab.command(&["agent", "--join", &cable.url(), "--name", "us-2"]));
    let near = joined(&lab, &url, "eu-1", &[]);
    until("the far agent", || {
        let listed = lab.ask(&["agents", "--join", &url, "--json"]).exits(0).summary();
        (listed.as_array().unwrap().len() == 2).then_some(())
    });
    let more = ["--set", "workload.hold=40s", "--join", &url, "--agents", "eu-1,us-2"];
    let run = Started::new(&mut lab.running("small", &more));
    lab.wait_for_process(0, "client-1");
    cable.cut();
    let ran = run.end().exits(3);
    let outcomes = ran.outcomes();
    assert!(
        outcomes[0].contains("the client-1 is lost with its agent us-2: it has said nothing for 10 s"),
        "{outcomes:?}"
    );
    until("the end of its client", || (clients(&lab) == 0).then_some(()));
    [near, far].into_iter().for_each(ended);
    lab.has_nothing_left();
}

/// A way to a port of this machine that can be cut.
struct Cable {
    port: u16,
    cut: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let cable = Self { port: listener.local_addr().unwrap().port(), cut: Arc::default(), ends: Arc::default() };
        let (cut, ends) = (Arc::clone(&cable.cut), Arc::clone(&cable.ends));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                ends.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (from, to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                    std::thread::spawn(move || carry(from, to));
                }
            }
        });
        cable
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Nothing gets through any more, nor ever again.
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
}
