//! What the numbers were measured on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::compare::Difference;

/// The machine, as `machine.json` has it. What could not be found out is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Machine {
    /// The lab's version.
    pub lab: String,
    /// When the run began: `2026-01-31 12:00:07.123456 UTC`.
    pub started: Option<String>,
    /// The kernel: `Linux 6.1.0`.
    pub kernel: Option<String>,
    /// The processor's model.
    pub cpu: Option<String>,
    /// How many cores the lab may use.
    pub cores: Option<u32>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// The load average over the minute before the run.
    pub load: Option<f64>,
    /// How much of the processor was idle before the run, in percent.
    pub idle: Option<f64>,
    /// Whatever else is worth knowing, by name.
    pub others: BTreeMap<String, String>,
}

/// Lines that say when it was, not what it is.
const PASSING: [&str; 3] = ["Started", "Load before", "Idle before"];

/// `2026-01-31 12:00:07 UTC`.
fn to_the_second(started: &str) -> String {
    started.split_once('.').map_or_else(|| started.to_owned(), |(second, _)| format!("{second} UTC"))
}

impl Machine {
    /// What differs between two machines, beside what differs from hour to hour.
    pub fn differences(machines: [&Self; 2]) -> Vec<Difference> {
        let lines = machines.map(|machine| machine.lines().into_iter().collect::<BTreeMap<_, _>>());
        let mut names: Vec<&String> = lines.iter().flat_map(BTreeMap::keys).collect();
        names.sort_unstable();
        names.dedup();
        let lasting = names.into_iter().filter(|name| !PASSING.contains(&name.as_str()));
        let all = lasting
            .map(|name| Difference { name: name.clone(), values: [0, 1].map(|at| lines[at].get(name).cloned()) });
        all.filter(|difference| !difference.is_none()).collect()
    }

    /// Names and values as a person reads them.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let known = [
            ("Transport Lab", Some(self.lab.clone())),
            ("Started", self.started.as_deref().map(to_the_second)),
            ("Kernel", self.kernel.clone()),
            ("Processor", self.cpu.clone()),
            ("Cores", self.cores.map(|cores| cores.to_string())),
            ("Memory", self.memory.map(|bytes| format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0))),
            ("Load before", self.load.map(|load| format!("{load:.2}"))),
            ("Idle before", self.idle.map(|percent| format!("{percent:.0} %"))),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        known.chain(self.others.clone()).collect()
    }
}
