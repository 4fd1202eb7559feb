//! Runs that are kept in a folder: which there are, and which of them began last.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A run's plan, without which a folder is none.
pub const PLAN: &str = "plan.json";
/// What a run was measured on, and when it began.
pub const MACHINE: &str = "machine.json";
/// How much of [`MACHINE`] is read to find out when a run began, in bytes.
const MACHINE_BYTES: u64 = 1 << 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRun {
    /// Its folder.
    pub folder: PathBuf,
    /// When it began, as it says itself: `2026-01-31 12:00:07.123456 UTC`. `None` where it doesn't.
    pub started: Option<String>,
}

/// Every run in a folder, the one that began last first; those that don't say when come last, and among equals the
/// greater name is first. A folder's name and times are not asked: copying and renaming change them.
pub fn runs(folder: &Path) -> Vec<KeptRun> {
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut runs: Vec<KeptRun> = folders
        .filter(|folder| folder.join(PLAN).is_file())
        .map(|folder| KeptRun { started: started(&folder), folder })
        .collect();
    runs.sort_unstable_by(|a, b| (&b.started, &b.folder).cmp(&(&a.started, &a.folder)));
    runs
}

/// When a run began.
fn started(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Started {
        started: Option<String>,
    }
    let mut text = Vec::new();
    File::open(folder.join(MACHINE)).ok()?.take(MACHINE_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice::<Started>(&text).ok()?.started.filter(|text| is_instant(text))
}

/// Whether a text is an instant as the lab writes it, to the microsecond or, as it once did, to the minute. Written
/// that way the later of two is the greater text.
fn is_instant(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    matches!(shape.as_str(), "0000-00-00 00:00:00.000000 UTC" | "0000-00-00 00:00 UTC")
}

/// Whether it tells two runs of one machine apart: an instant to the microsecond.
pub fn is_exact(started: &str) -> bool {
    is_instant(started) && started.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_told_by_what_is_in_it_and_not_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let run = |name: &str, machine: &str| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join(PLAN), "{}").unwrap();
            std::fs::write(dir.path().join(name).join(MACHINE), machine).unwrap();
        };
        let at = |started: &str| serde_json::json!({ "started": started }).to_string();
        run("z-oldest", &at("2025-12-31 23:59 UTC"));
        run("before", &at("2026-01-31 12:00 UTC"));
        run("20260131T120007Z-größe", &at("2026-01-31 12:00:07.000002 UTC"));
        run("20260131T120008Z-my.exp", &at("2026-01-31 12:00:07.000001 UTC"));
        run("copy", &at("2026-01-31 12:00:07.000002 UTC"));
        run("zz-forged", &at("zzz"));
        run("zz-damaged", "{");
        std::fs::create_dir(dir.path().join("zzz-no-run")).unwrap();
        let names: Vec<String> = runs(dir.path())
            .into_iter()
            .map(|run| run.folder.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        let expected = ["copy", "20260131T120007Z-größe", "20260131T120008Z-my.exp", "before", "z-oldest"];
        assert_eq!(names[..5], expected);
        assert_eq!(names[5..], ["zz-forged", "zz-damaged"], "those that don't say when");
    }
}
