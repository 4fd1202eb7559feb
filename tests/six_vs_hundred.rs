//! Six versus one hundred, run once for real with every client, and held against what is expected here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;
use transport_lab::client;
use transport_lab::experiment::{Experiment, Overrides, plan};

/// Experiment, client, protocol: what is expected of every trial of theirs.
type Matrix = BTreeMap<String, BTreeMap<String, BTreeMap<String, Cell>>>;

/// One cell: unless it is `unsupported`, its trials complete.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Cell {
    /// The reason of trials that can't be.
    unsupported: Option<String>,
    /// How many streams are open at the census.
    open_streams: Option<Streams>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
enum Streams {
    Exactly(f64),
    FromTo([f64; 2]),
}

fn matrix() -> Matrix {
    toml::from_str(include_str!("expected-matrix.toml")).unwrap()
}

/// What this trial is not as expected in; nothing when all is as it should be.
fn wrong(cell: &Cell, trial: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let (outcome, reason) = (trial["outcome"].as_str().unwrap(), trial["reason"].as_str());
    let expected = if cell.unsupported.is_some() { "unsupported" } else { "completed" };
    if outcome != expected || reason != cell.unsupported.as_deref() {
        wrong.push(format!("{outcome} ({reason:?}) instead of {expected} ({:?})", cell.unsupported));
    }
    let count = |name: &str| trial["metrics"][name]["median"].as_f64();
    let (client, server) = (count("open-streams"), count("server-open-streams"));
    if client != server {
        wrong.push(format!("the client counts {client:?}, and the server {server:?}"));
    }
    let within = match (cell.open_streams, client) {
        (None, None) => true,
        (Some(Streams::Exactly(streams)), Some(open)) => (streams - open).abs() < 0.5,
        (Some(Streams::FromTo([from, to])), Some(open)) => from <= open && open <= to,
        _ => false,
    };
    if !within {
        wrong.push(format!("{client:?} open instead of {:?}", cell.open_streams));
    }
    wrong
}

#[test]
fn the_matrix_has_a_cell_for_everything_that_is_planned_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut planned = BTreeSet::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|ending| ending == "toml") {
            let experiment = Experiment::load(path.to_str().unwrap(), &Overrides::default()).unwrap();
            let plan = plan::plan(&experiment);
            planned.extend(plan.trials.iter().map(|trial| {
                (plan.experiment.clone(), trial.settings.client.clone(), trial.settings.protocol.to_string())
            }));
        }
    }
    let listed: BTreeSet<_> = matrix()
        .into_iter()
        .flat_map(|(experiment, clients)| {
            clients.into_iter().map(move |(client, cells)| (experiment.clone(), client, cells))
        })
        .flat_map(|(experiment, client, cells)| {
            cells.into_keys().map(move |protocol| (experiment.clone(), client.clone(), protocol))
        })
        .collect();
    assert_eq!(planned.difference(&listed).collect::<Vec<_>>(), Vec::<&(_, _, _)>::new(), "not in the matrix");
    assert_eq!(listed.difference(&planned).collect::<Vec<_>>(), Vec::<&(_, _, _)>::new(), "not planned");
}

#[test]
fn a_trial_that_is_not_as_expected_is_told_apart() {
    let trial = |outcome: &str, client: f64, server: f64| {
        serde_json::json!({ "outcome": outcome, "reason": null, "metrics": {
            "open-streams": { "median": client }, "server-open-streams": { "median": server } } })
    };
    let cell = |streams| Cell { unsupported: None, open_streams: streams };
    let (six, range) = (cell(Some(Streams::Exactly(6.0))), cell(Some(Streams::FromTo([99.0, 100.0]))));
    assert!(wrong(&six, &trial("completed", 6.0, 6.0)).is_empty());
    assert!(wrong(&range, &trial("completed", 99.0, 99.0)).is_empty());
    assert_eq!(wrong(&six, &trial("completed", 6.0, 7.0)).len(), 1);
    assert_eq!(wrong(&six, &trial("failed", 6.0, 6.0)).len(), 1);
    assert_eq!(wrong(&range, &trial("completed", 98.0, 98.0)).len(), 1);
    assert_eq!(wrong(&range, &trial("completed", 101.0, 101.0)).len(), 1);
    assert_eq!(wrong(&cell(None), &trial("completed", 6.0, 6.0)).len(), 1, "a count that nobody expects");
    let cannot = Cell { unsupported: Some("because".to_owned()), open_streams: None };
    assert_eq!(wrong(&cannot, &trial("completed", 6.0, 6.0)).len(), 2);
}

/// The browsers that are not on this machine. Where the test command has installed them, that is a failure.
fn missing() -> BTreeSet<String> {
    let all = client::ALL.iter().filter_map(|client| Some((client.name, (client.find)().err()?)));
    let missing: BTreeMap<&str, String> = all.collect();
    assert!(
        missing.is_empty() || std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none(),
        "should have been installed: {missing:?}"
    );
    for (name, reason) in &missing {
        eprintln!("skipped: {name}: {reason}");
    }
    missing.into_keys().map(str::to_owned).collect()
}

/// Every process that names this folder, and everything in it but what a run is meant to leave.
fn left(folder: &Path) -> Vec<String> {
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let name = folder.display().to_string();
    let names = |process: &std::path::PathBuf| {
        let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
        ["cmdline", "environ"].iter().any(|file| String::from_utf8_lossy(&read(file)).contains(&name))
    };
    let processes = entries(Path::new("/proc")).filter(names);
    let files = entries(folder).filter(|path| !path.ends_with("results") && !path.ends_with("certs"));
    processes.chain(files).map(|path| path.display().to_string()).collect()
}

#[test]
fn every_browser_and_native_hold_what_is_expected_and_leave_nothing_else() {
    let missing = missing();
    let folder = tempfile::tempdir().unwrap();
    // By the name of the experiment that is built in, from a folder with no experiments of its own.
    let ran = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
        .args(["run", "--json"])
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let mut cells = matrix().remove("six-vs-hundred").unwrap();
    let mut wrongs = Vec::new();
    for trial in summary["trials"].as_array().unwrap() {
        let level = |name: &str| trial["levels"][name].as_str().unwrap().to_owned();
        let (client, protocol) = (level("client"), level("protocol"));
        let cell = cells.get_mut(&client).and_then(|row| row.remove(&protocol));
        let cell = cell.unwrap_or_else(|| panic!("no cell for {client} {protocol}"));
        if missing.contains(&client) {
            assert_eq!(trial["outcome"], "unsupported", "{client} {protocol}");
        } else {
            wrongs.extend(wrong(&cell, trial).into_iter().map(|wrong| format!("{client} {protocol}: {wrong}")));
        }
    }
    assert!(cells.values().all(BTreeMap::is_empty), "not run: {cells:?}");
    assert_eq!(wrongs, [""; 0], "{said}");
    assert_eq!(ran.status.code(), Some(0), "{said}");
    assert_eq!(left(folder.path()), [""; 0]);
}
