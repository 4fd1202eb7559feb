//! One experiment over every protocol, by the program itself.

use std::fmt::Write;
use std::process::Command;

use serde_json::Value;
use transport_lab::transport::{self, Transport};

use crate::pace::paced;

/// What each transport needs to be quick enough for a short trial, and its ways of reading where it has several.
const TABLES: [(&str, &str); 3] = [
    ("polling", "[polling]\ninterval = '50ms'\nphase = 'zero'\n"),
    ("long-polling", "[long-polling]\nwait = '200ms'\n"),
    ("streaming", ""),
];
/// A factor each, where there is such a transport.
const MODES: [(&str, &str); 2] = [
    ("webtransport", "'webtransport.mode' = ['stream', 'streams', 'datagrams']\n"),
    ("quic", "'quic.mode' = ['stream', 'streams', 'datagrams']\n"),
];

/// A trial and what was observed in it.
pub(crate) struct Trial {
    result: Value,
    facts: Vec<Value>,
}

/// Runs these settings with the native client over every protocol there is. None of the trials may have failed.
#[track_caller]
pub(crate) fn over_every_protocol(settings: &str) -> Vec<Trial> {
    let protocols: Vec<String> = transport::ALL
        .iter()
        .flat_map(|row| row.alpns.iter().map(move |alpn| format!("'{}/{alpn}'", row.name)))
        .collect();
    let mut text = format!(
        "question = 'Does it keep its word?'\nrepeats = 1\ntimeout = '2min'\nclient = 'native'\n[factors]\nprotocol = [{}]\n",
        protocols.join(", ")
    );
    let there = |name: &str| transport::find(name).is_some();
    for (_, modes) in MODES.iter().filter(|(name, _)| there(name)) {
        text.push_str(modes);
    }
    for (_, table) in TABLES.iter().filter(|(name, _)| there(name)) {
        text.push_str(table);
    }
    write!(text, "{}", paced(settings)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.toml"), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
        .current_dir(folder.path())
        .args(["run", "./x.toml", "--json", "--no-calibration", "--out", "results", "--certs", "certs"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let run = std::fs::read_dir(folder.path().join("results")).unwrap().flatten();
    let run = run.map(|entry| entry.path()).find(|path| path.is_dir()).expect(&said);
    let journal = std::fs::read_to_string(run.join("observations.jsonl")).unwrap();
    let facts: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let trials = summary["trials"].as_array().unwrap().iter();
    let trials: Vec<Trial> = trials
        .map(|result| Trial {
            result: result.clone(),
            facts: facts.iter().filter(|fact| fact["trial"] == result["trial"]).cloned().collect(),
        })
        .collect();
    assert!(trials.len() >= protocols.len(), "{said}");
    for trial in &trials {
        let outcome = &trial.result["outcome"];
        assert!(outcome == "completed" || outcome == "unsupported", "{}: {outcome}: {}", trial.name(), trial.reason());
    }
    trials
}

impl Trial {
    /// Its levels, for a message.
    pub(crate) fn name(&self) -> String {
        let levels = self.result["levels"].as_object().unwrap().values();
        levels.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn transport(&self) -> &'static Transport {
        let protocol = self.result["levels"]["protocol"].as_str().unwrap();
        transport::find(protocol.split('/').next().unwrap()).unwrap()
    }

    /// Whether what it sends may get lost on the way, by its own rules.
    pub(crate) fn may_lose(&self) -> bool {
        self.name().contains("datagrams")
    }

    /// Whether what it sends may be overtaken, by its own rules: an event that is a datagram or has a stream of its own.
    pub(crate) fn may_reorder(&self) -> bool {
        self.may_lose() || self.name().contains(" streams")
    }

    pub(crate) fn is_unsupported(&self) -> bool {
        self.result["outcome"] == "unsupported"
    }

    pub(crate) fn reason(&self) -> String {
        self.result["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// A metric that was obtained.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let entry = &self.result["metrics"][name];
        entry["median"].as_f64().unwrap_or_else(|| panic!("{}: no {name}: {entry}", self.name()))
    }

    /// The same of a metric that counts something.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> u64 {
        let value = self.metric(name);
        value.to_string().parse().unwrap_or_else(|_| panic!("{}: {name} is {value}, which is no count", self.name()))
    }

    /// The facts of a kind, in the order in which they were written down.
    pub(crate) fn facts(&self, kind: &str) -> Vec<&Value> {
        self.facts.iter().filter(|fact| fact["kind"] == kind).collect()
    }

    /// How many facts of a kind each of this many subscriptions has.
    pub(crate) fn of_each(&self, kind: &str, subscriptions: u64) -> Vec<usize> {
        let facts = self.facts(kind);
        (0..subscriptions).map(|sub| facts.iter().filter(|fact| fact["sub"] == sub).count()).collect()
    }
}
