//! The experiments, run for real with every client, and held against what is expected here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;
use transport_lab::client;
use transport_lab::experiment::{Experiment, Overrides, plan};

/// Experiment, client, protocol: what is expected of their trials.
type Matrix = BTreeMap<String, BTreeMap<String, BTreeMap<String, Cells>>>;

/// What is expected of every trial, or of several kinds of them: the last that a trial is of counts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Cells {
    One(Cell),
    Several(Vec<Cell>),
}

/// One cell: unless it is `unsupported`, its trials complete.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Cell {
    /// Factor to the level or levels of the trials meant. Empty: all.
    #[serde(default)]
    r#where: BTreeMap<String, Value>,
    /// The reason of trials that can't be.
    unsupported: Option<String>,
    /// How many streams are open at the census.
    open_streams: Option<Streams>,
    /// How many connections carry them then.
    connections: Option<Streams>,
    /// Whether the two ends may count differently: some are cut off in the middle.
    #[serde(default)]
    differ: bool,
    /// Whether what was asked beside them was answered by then.
    answered: Option<bool>,
}

impl Cells {
    fn all(&self) -> &[Cell] {
        match self {
            Self::One(cell) => std::slice::from_ref(cell),
            Self::Several(cells) => cells,
        }
    }

    /// The number of the cell that a trial with these levels belongs to.
    fn of(&self, levels: &Value) -> Option<usize> {
        let meant = |(factor, wanted): (&String, &Value)| match wanted {
            Value::Array(several) => several.contains(&levels[factor]),
            one => *one == levels[factor],
        };
        self.all().iter().rposition(|cell| cell.r#where.iter().all(meant))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
enum Streams {
    Exactly(f64),
    FromTo([f64; 2]),
}

/// Experiments in which browsers take no part unless they are asked to: they are run once more then, with browsers alone.
const ASKED: [&str; 10] = [
    "bursty-loss",
    "bytes-per-event",
    "datagram-limits",
    "head-of-line",
    "latency",
    "loss-15",
    "polling-break-even",
    "reconnect-herd",
    "setup-cost",
    "slow-link",
];

/// What asks them, as options of `run` and as what these mean.
fn in_browsers() -> ([&'static str; 4], Overrides) {
    let overrides = Overrides { clients: vec![client::BROWSERS.to_owned()], repeats: Some(1), ..Overrides::default() };
    (["--client", client::BROWSERS, "--repeats", "1"], overrides)
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
    if client != server && !cell.differ {
        wrong.push(format!("the client counts {client:?}, and the server {server:?}"));
    }
    let within = |expected: Option<Streams>, found: Option<f64>| match (expected, found) {
        (None, None) => true,
        (Some(Streams::Exactly(streams)), Some(open)) => (streams - open).abs() < 0.5,
        (Some(Streams::FromTo([from, to])), Some(open)) => from <= open && open <= to,
        _ => false,
    };
    if !within(cell.open_streams, client) {
        wrong.push(format!("{client:?} open instead of {:?}", cell.open_streams));
    }
    let connections = count("connections");
    if cell.connections.is_some() && !within(cell.connections, connections) {
        wrong.push(format!("{connections:?} connections instead of {:?}", cell.connections));
    }
    let beside = &trial["metrics"]["beside-wait"];
    let answered = beside["median"].is_number().then_some(true).or(beside["above"].is_number().then_some(false));
    if answered != cell.answered {
        wrong.push(format!("what was asked beside: answered {answered:?} instead of {:?}", cell.answered));
    }
    wrong
}

#[test]
fn the_matrix_has_a_cell_for_everything_that_is_planned_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let matrix = matrix();
    let (mut missing, mut used) = (BTreeSet::new(), BTreeSet::new());
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let path = path.to_str().unwrap();
        let planned = |overrides: &Overrides| plan::plan(&Experiment::load(path, overrides).unwrap()).unwrap();
        let mut plan = planned(&Overrides::default());
        if ASKED.contains(&plan.experiment.as_str()) {
            plan.trials.extend(planned(&in_browsers().1).trials);
        }
        for trial in &plan.trials {
            let (client, protocol) = (trial.settings.client.clone(), trial.settings.protocol.to_string());
            let cells = matrix.get(&plan.experiment).and_then(|row| row.get(&client)?.get(&protocol));
            let levels = serde_json::to_value(&trial.levels).unwrap();
            match cells.and_then(|cells| cells.of(&levels)) {
                Some(cell) => used.insert((plan.experiment.clone(), client, protocol, cell)),
                None => missing.insert(format!("{} {levels}", plan.experiment)),
            };
        }
    }
    assert_eq!(missing, BTreeSet::new(), "not in the matrix");
    let mut idle = Vec::new();
    for (experiment, clients) in &matrix {
        for (client, protocols) in clients {
            for (protocol, cells) in protocols {
                let cell = |number| (experiment.clone(), client.clone(), protocol.clone(), number);
                idle.extend((0..cells.all().len()).map(cell).filter(|cell| !used.contains(cell)));
            }
        }
    }
    assert_eq!(idle, [], "not planned");
}

#[test]
fn a_trial_that_is_not_as_expected_is_told_apart() {
    let trial = |outcome: &str, client: f64, server: f64| {
        serde_json::json!({ "outcome": outcome, "reason": null, "metrics": {
            "open-streams": { "median": client }, "server-open-streams": { "median": server } } })
    };
    let cell = |streams| Cell { open_streams: streams, ..Cell::default() };
    let (six, range) = (cell(Some(Streams::Exactly(6.0))), cell(Some(Streams::FromTo([99.0, 100.0]))));
    assert!(wrong(&six, &trial("completed", 6.0, 6.0)).is_empty());
    assert!(wrong(&range, &trial("completed", 99.0, 99.0)).is_empty());
    assert_eq!(wrong(&six, &trial("completed", 6.0, 7.0)).len(), 1);
    assert!(wrong(&Cell { differ: true, ..six.clone() }, &trial("completed", 6.0, 7.0)).is_empty());
    assert_eq!(wrong(&six, &trial("failed", 6.0, 6.0)).len(), 1);
    assert_eq!(wrong(&range, &trial("completed", 98.0, 98.0)).len(), 1);
    assert_eq!(wrong(&range, &trial("completed", 101.0, 101.0)).len(), 1);
    assert_eq!(wrong(&cell(None), &trial("completed", 6.0, 6.0)).len(), 1, "a count that nobody expects");
    let cannot = Cell { unsupported: Some("because".to_owned()), ..Cell::default() };
    assert_eq!(wrong(&cannot, &trial("completed", 6.0, 6.0)).len(), 2);
    let beside = |answered| Cell { answered, ..six.clone() };
    let mut waits = trial("completed", 6.0, 6.0);
    waits["metrics"]["beside-wait"] = serde_json::json!({ "median": null, "above": 1000.0 });
    assert!(wrong(&beside(Some(false)), &waits).is_empty());
    assert_eq!(wrong(&beside(Some(true)), &waits).len(), 1);
    assert_eq!(wrong(&six, &waits).len(), 1, "a request that nobody expects");
}

#[test]
fn the_last_cell_that_means_a_trial_counts() {
    let cells: BTreeMap<String, Cells> = toml::from_str(
        "'sse/h2' = [{ open-streams = 1 }, { where = { a = [1, 2] }, open-streams = 2 }, { where = { a = 2 } }]",
    )
    .unwrap();
    let of = |a: u32| cells["sse/h2"].of(&serde_json::json!({ "a": a })).unwrap();
    assert_eq!([of(0), of(1), of(2)], [0, 1, 2]);
}

/// The browsers that are not on this machine. Where the test command has installed them, that is a failure.
fn missing() -> BTreeSet<String> {
    let all = client::ALL.iter().filter_map(|client| Some((client.name, (client.find)().err()?)));
    let missing: BTreeMap<&str, _> = all.collect();
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

/// The agents that an experiment's trials are dealt over, here as processes of this machine: as many as the most of them
/// take.
fn agents(experiment: &str) -> Vec<String> {
    let experiment = Experiment::load(experiment, &Overrides::default()).unwrap();
    let most = experiment.combinations.iter().map(|settings| settings.workload.agents).max().unwrap_or(0);
    let program = env!("CARGO_BIN_EXE_transport-lab");
    (0..most).map(|number| format!("--agent=exec:{program} agent --stdio --name agent-{number}")).collect()
}

/// Runs an experiment by the name that it is built in by, from a folder with no experiments of its own, and holds
/// every trial against the matrix. With `TRANSPORT_LAB_RESULTS=DIR` its results, verdicts and report stay there.
fn holds(experiment: &str) {
    holds_with(experiment, &[]);
}

/// The same in browsers alone.
fn holds_in_browsers(experiment: &str) {
    holds_with(experiment, &in_browsers().0);
}

fn holds_with(experiment: &str, more: &[&str]) {
    let missing = missing();
    let folder = tempfile::tempdir().unwrap();
    let results = std::env::var_os("TRANSPORT_LAB_RESULTS").unwrap_or_else(|| "results".into());
    let ran = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
        .args(["run", experiment, "--json", "--out"])
        .arg(results)
        .args(more)
        .args(agents(experiment))
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let cells = &matrix()[experiment];
    let mut wrongs = Vec::new();
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        let level = |name: &str| levels[name].as_str().unwrap();
        let cells = &cells[level("client")][level("protocol")];
        let cell = cells.of(levels).unwrap_or_else(|| panic!("no cell for {levels}"));
        if missing.contains(level("client")) {
            assert_eq!(trial["outcome"], "unsupported", "{levels}");
        } else {
            wrongs.extend(wrong(&cells.all()[cell], trial).into_iter().map(|wrong| format!("{levels}: {wrong}")));
        }
    }
    assert_eq!(wrongs, [""; 0], "{said}");
    assert_eq!(ran.status.code(), Some(0), "{said}");
    assert_eq!(left(folder.path()), [""; 0]);
}

#[test]
fn every_browser_and_native_hold_what_is_expected_and_leave_nothing_else() {
    holds("six-vs-hundred");
}

/// A test for each of the other experiments, so that one alone can be run:
/// `cargo test --test matrix hidden_tab -- --ignored`.
macro_rules! others {
    ($($test:ident $holds:ident $experiment:literal),* $(,)?) => {
        $(
            #[test]
            #[ignore = "minutes with real browsers: `make matrix`"]
            fn $test() {
                $holds($experiment);
            }
        )*

        #[test]
        fn no_experiment_of_the_matrix_is_left_out() {
            let all = [("holds", "six-vs-hundred"), $((stringify!($holds), $experiment)),*];
            let held = |by: &str| all.iter().filter(|row| row.0 == by).map(|row| row.1).collect::<BTreeSet<_>>();
            assert_eq!(matrix().keys().map(String::as_str).collect::<BTreeSet<_>>(), held("holds"));
            assert_eq!(BTreeSet::from(ASKED), held("holds_in_browsers"));
        }
    };
}

others! {
    address_change_gives_what_is_expected holds "address-change",
    advertised_limit_gives_what_is_expected holds "advertised-limit",
    alt_svc_switch_gives_what_is_expected holds "alt-svc-switch",
    blackout_gives_what_is_expected holds "blackout",
    broker_leader_gives_what_is_expected holds "broker-leader",
    buffering_gives_what_is_expected holds "buffering",
    buffering_hint_gives_what_is_expected holds "buffering-hint",
    bursty_loss_gives_what_is_expected holds "bursty-loss",
    bursty_loss_gives_what_is_expected_in_browsers holds_in_browsers "bursty-loss",
    bytes_per_event_gives_what_is_expected holds "bytes-per-event",
    bytes_per_event_gives_what_is_expected_in_browsers holds_in_browsers "bytes-per-event",
    cluster_soak_gives_what_is_expected holds "cluster-soak",
    compression_gives_what_is_expected holds "compression",
    compression_by_server_gives_what_is_expected holds "compression-by-server",
    credential_pools_gives_what_is_expected holds "credential-pools",
    datagram_limits_gives_what_is_expected holds "datagram-limits",
    datagram_limits_gives_what_is_expected_in_browsers holds_in_browsers "datagram-limits",
    downgrade_gives_what_is_expected holds "downgrade",
    duplex_gives_what_is_expected holds "duplex",
    echo_latency_gives_what_is_expected holds "echo-latency",
    failover_gives_what_is_expected holds "failover",
    fan_out_herd_gives_what_is_expected holds "fan-out-herd",
    fast_link_gives_what_is_expected holds "fast-link",
    half_open_gives_what_is_expected holds "half-open",
    head_of_line_gives_what_is_expected holds "head-of-line",
    head_of_line_gives_what_is_expected_in_browsers holds_in_browsers "head-of-line",
    header_overhead_gives_what_is_expected holds "header-overhead",
    hidden_tab_gives_what_is_expected holds "hidden-tab",
    idle_cut_gives_what_is_expected holds "idle-cut",
    latency_gives_what_is_expected holds "latency",
    latency_gives_what_is_expected_in_browsers holds_in_browsers "latency",
    long_polling_worst_case_gives_what_is_expected holds "long-polling-worst-case",
    loss_15_gives_what_is_expected holds "loss-15",
    loss_15_gives_what_is_expected_in_browsers holds_in_browsers "loss-15",
    many_servers_gives_what_is_expected holds "many-servers",
    nat_timeout_gives_what_is_expected holds "nat-timeout",
    polling_break_even_gives_what_is_expected holds "polling-break-even",
    polling_break_even_gives_what_is_expected_in_browsers holds_in_browsers "polling-break-even",
    ramp_or_burst_gives_what_is_expected holds "ramp-or-burst",
    reconnect_gives_what_is_expected holds "reconnect",
    reconnect_herd_gives_what_is_expected holds "reconnect-herd",
    reconnect_herd_gives_what_is_expected_in_browsers holds_in_browsers "reconnect-herd",
    reload_gives_what_is_expected holds "reload",
    restart_gives_what_is_expected holds "restart",
    same_url_gives_what_is_expected holds "same-url",
    saturation_gives_what_is_expected holds "saturation",
    server_load_gives_what_is_expected holds "server-load",
    setup_cost_gives_what_is_expected holds "setup-cost",
    setup_cost_gives_what_is_expected_in_browsers holds_in_browsers "setup-cost",
    shared_log_gives_what_is_expected holds "shared-log",
    six_from_everywhere_gives_what_is_expected holds "six-from-everywhere",
    slow_link_gives_what_is_expected holds "slow-link",
    slow_link_gives_what_is_expected_in_browsers holds_in_browsers "slow-link",
    slow_reader_through_gives_what_is_expected holds "slow-reader-through",
    stuck_neighbour_gives_what_is_expected holds "stuck-neighbour",
    tabs_hosts_ports_gives_what_is_expected holds "tabs-hosts-ports",
    through_vs_direct_gives_what_is_expected holds "through-vs-direct",
    udp_blocked_gives_what_is_expected holds "udp-blocked",
    udp_cut_gives_what_is_expected holds "udp-cut",
    unread_body_gives_what_is_expected holds "unread-body",
    websocket_limits_gives_what_is_expected holds "websocket-limits",
    webtransport_limits_gives_what_is_expected holds "webtransport-limits",
}
