//! Captures of trials, opened by tshark, which is not ours.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::can_link;

/// Events whose text would be seen by whoever can decrypt it, and a link that loses some packets.
const HEAD: &str = "question = 'What is in it?'\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '2s'\n\
                    drain = '2s'\nevents = { count = 20, rate = '20/s', size = '100 B' }\n";

fn lab(more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.toml"), format!("{HEAD}{more}")).unwrap();
    folder
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
    command
        .args(["run", "./x.toml", "--json", "--no-calibration", "--capture", "--out", "out", "--certs", "certs"])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// The folder of the only run there.
fn run_in(folder: &Path) -> PathBuf {
    let mut runs = std::fs::read_dir(folder.join("out")).unwrap().flatten().map(|run| run.path());
    runs.find(|run| run.join("plan.json").exists()).unwrap()
}

fn facts(run: &Path, trial: &Value, kind: &str) -> Vec<Value> {
    let journal = std::fs::read_to_string(run.join("observations.jsonl")).unwrap();
    let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|fact| fact["trial"] == *trial && fact["kind"] == kind).collect()
}

/// The fields of each packet that a filter lets pass, as tshark reads them.
fn tshark(capture: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-Y", filter, "-T", "fields"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let ran = command.output().expect("the test command installs tshark");
    assert!(ran.status.success(), "{filter}: {}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}
