//! Agents: the lab on other machines, here as processes of this one that share nothing with it but a pipe or a broker.
#![cfg(target_os = "linux")]

mod admitted;
mod broker;
mod clocks;
mod ensemble;
mod faults;
#[path = "../run/lab.rs"]
#[allow(dead_code, reason = "not every test binary needs all of it")]
mod lab;
mod machines;
#[path = "../nats/mod.rs"]
mod nats;
mod network;
#[path = "../pace/mod.rs"]
mod pace;
mod pipe;
mod rigs;
mod servers;
mod ssh;
mod sshd;
#[path = "../until/mod.rs"]
mod until;

use std::path::Path;

use serde_json::Value;

use crate::lab::{Lab, facts};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_transport-lab");

/// `--agent` and an agent of this name over a pipe, with these further words.
fn piped(name: &str, more: &str) -> String {
    format!("--agent=exec:{PROGRAM} agent --stdio --name {name} {more}")
}

/// The facts of this kind in a run.
fn of_kind(run: &Path, kind: &str) -> Vec<Value> {
    facts(run).into_iter().filter(|fact| fact["kind"] == kind).collect()
}

/// How many processes of a lab play a client.
fn clients(lab: &Lab) -> usize {
    lab.processes().iter().filter(|process| process.contains("child native")).count()
}
