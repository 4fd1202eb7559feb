//! A whole run of an experiment by the program itself, and what it came to.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::pace::paced;

/// A run that is over; its folders go when it does.
pub(crate) struct Run {
    summary: Value,
    journal: Vec<Value>,
    _folder: TempDir,
}

/// Runs an experiment of these factors and settings. All of its trials must have completed.
#[track_caller]
pub(crate) fn completed(text: &str) -> Run {
    let run = any(text);
    for trial in run.trials() {
        assert_eq!(trial["outcome"], "completed", "{}: {}", trial["levels"], trial["reason"]);
    }
    run
}

/// The same, however its trials end.
pub(crate) fn any(text: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // A browser's own time to begin is no test's business.
    let head = "question = \"Is it true?\"\nrepeats = 1\ntimeout = '2min'\n";
    std::fs::write(at("x.toml"), format!("{head}{}", paced(text))).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
        .current_dir(folder.path())
        .args(["run", "x.toml", "--json", "--out", "results", "--certs", "certs"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let run = std::fs::read_dir(at("results")).unwrap().flatten().find(|entry| entry.file_type().unwrap().is_dir());
    let journal = read_lines(&run.expect(&said).path().join("observations.jsonl"));
    Run { summary, journal, _folder: folder }
}

fn read_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Run {
    pub(crate) fn trials(&self) -> &[Value] {
        self.summary["trials"].as_array().unwrap()
    }

    /// The one trial with these levels.
    #[track_caller]
    pub(crate) fn trial(&self, levels: &[(&str, &str)]) -> &Value {
        let fits = |trial: &&Value| levels.iter().all(|(name, level)| trial["levels"][name] == *level);
        let mut found = self.trials().iter().filter(fits);
        let (first, more) = (found.next(), found.next());
        assert!(more.is_none(), "more than one trial has {levels:?}");
        first.unwrap_or_else(|| panic!("no trial has {levels:?}"))
    }

    /// A metric of the one trial with these levels; both ends count the same, or it would not be `completed`.
    #[track_caller]
    pub(crate) fn metric(&self, levels: &[(&str, &str)], metric: &str) -> u64 {
        let value = self.trial(levels)["metrics"][metric]["median"].as_f64();
        let value = value.unwrap_or_else(|| panic!("{metric} of {levels:?} is absent"));
        value.to_string().parse().unwrap_or_else(|_| panic!("{metric} of {levels:?} is {value}, which is no count"))
    }

    /// The facts of a kind in a trial, in the order in which they were written down.
    pub(crate) fn facts(&self, trial: &Value, kind: &str) -> Vec<&Value> {
        self.journal.iter().filter(|fact| fact["trial"] == trial["trial"] && fact["kind"] == kind).collect()
    }
}
