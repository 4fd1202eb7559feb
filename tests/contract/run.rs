//! One experiment over every protocol, by the program itself.

use std::fmt::Write;
use std::process::Command;

use serde_json::Value;
use transport_lab::transport;

use crate::pace::paced;

/// A trial and what was observed in it.
pub(crate) struct Trial {
    planned: Value,
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
    // A factor for each transport: the tables of its variants.
    for row in transport::ALL {
        let tables = row.variants.iter().map(|table| format!("{{ {} }}", table.replace('\n', ", ")));
        writeln!(text, "'{}' = [{}]", row.name, tables.collect::<Vec<_>>().join(", ")).unwrap();
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
    let plan = std::fs::read_to_string(run.join("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let planned = plan["trials"].as_array().unwrap().iter();
    let trials = summary["trials"].as_array().unwrap().iter().zip(planned);
    let trials: Vec<Trial> = trials
        .map(|(result, planned)| Trial {
            planned: planned.clone(),
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
    /// Its protocol and its transport's table, for a message.
    pub(crate) fn name(&self) -> String {
        let protocol = self.result["levels"]["protocol"].as_str().unwrap();
        format!("{protocol} {}", self.result["levels"][protocol.split('/').next().unwrap()])
    }

    /// Whether a subscription has something open for as long as it lasts.
    pub(crate) fn stays_open(&self) -> bool {
        self.planned["promises"]["exchanges"] == "persistent"
    }

    /// Whether what it sends may get lost on the way, by its own rules.
    pub(crate) fn may_lose(&self) -> bool {
        self.planned["promises"]["without-loss"] == false
    }

    /// Whether what it sends may be overtaken, by its own rules: an event that is a datagram or has a stream of its own.
    pub(crate) fn may_reorder(&self) -> bool {
        self.planned["promises"]["in-order"] == false
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
