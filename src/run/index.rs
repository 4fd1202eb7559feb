//! All runs of a folder at a glance: the page that `report --index` writes and `serve` shows.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::RunError;
use super::results::{SUMMARY, write};
use crate::report::{self, HTML, IndexedRun, RunFindings};
use crate::stats::ClaimResult;
use crate::trial::fact::Outcome;
use crate::trial::kept::{self, KeptRun, PLAN};

/// How many runs are listed, the newest first.
const LISTED: usize = 200;
/// How much of a summary or a plan is read, in bytes.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// The page's name in the folder of runs.
const INDEX: &str = "index.html";

/// Writes the page beside the runs; says where.
pub fn write_index(out: &Path) -> Result<PathBuf, RunError> {
    let path = out.join(INDEX);
    write(&path, page(out, "", None)?.as_bytes())?;
    Ok(path)
}

/// The page as the lab serves it at `/runs`; `None` where it can't be written.
pub fn served_index(out: &Path) -> Option<String> {
    page(out, "/runs/", Some("/")).ok()
}

/// The page, in which reports are below `links`. A folder elsewhere that a link leads to is no run of this folder.
fn page(out: &Path, links: &str, lab: Option<&str>) -> Result<String, RunError> {
    let (runs, more) = listed(out, links);
    Ok(report::index(&runs, more, lab)?)
}

/// The newest runs, and how many there are besides.
fn listed(out: &Path, links: &str) -> (Vec<IndexedRun>, usize) {
    let mut runs = kept::runs(out);
    runs.retain(|run| fs::symlink_metadata(&run.folder).is_ok_and(|run| run.is_dir()));
    let more = runs.len().saturating_sub(LISTED);
    runs.truncate(LISTED);
    (runs.into_iter().map(|run| indexed(run, links)).collect(), more)
}

fn indexed(KeptRun { folder, started }: KeptRun, links: &str) -> IndexedRun {
    let name = folder.file_name().unwrap_or_default();
    let file = HTML.file.unwrap_or_default();
    let is_file = fs::symlink_metadata(folder.join(file)).is_ok_and(|file| file.is_file());
    // A path segment is percent-encoded UTF-8 here; what isn't UTF-8 has no address.
    let report = name.to_str().filter(|_| is_file).map(|name| {
        let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        format!("{links}{}/{file}", encoded.replace('+', "%20"))
    });
    IndexedRun { name: name.to_string_lossy().into_owned(), report, started, found: findings(&folder) }
}

/// What the summary says that the page shows; `None` where there is none, or another program wrote it.
fn findings(folder: &Path) -> Option<RunFindings> {
    #[derive(Deserialize)]
    struct Kept {
        experiment: String,
        trials: Vec<KeptTrial>,
        claims: Vec<ClaimResult>,
    }
    #[derive(Deserialize)]
    struct KeptTrial {
        outcome: Outcome,
    }
    let text = read(&folder.join(SUMMARY))?;
    let Kept { experiment, trials, claims } = serde_json::from_slice(&text).ok()?;
    let outcomes = Outcome::counted(trials.into_iter().map(|trial| trial.outcome));
    Some(RunFindings { experiment, outcomes, asked: asked(folder), claims })
}

/// A number for the settings of all planned trials; 0 where they can't be read.
fn asked(folder: &Path) -> u64 {
    let plan = read(&folder.join(PLAN)).and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let trials = plan.as_ref().and_then(|plan| plan["trials"].as_array());
    let settings: Vec<&Value> = trials.into_iter().flatten().map(|trial| &trial["settings"]).collect();
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&settings).unwrap_or_default().hash(&mut hasher);
    if settings.is_empty() { 0 } else { hasher.finish() }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_that_has_a_plan_is_listed_the_newest_first_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let run = |name: &str, second: u32, report: bool| {
            let run = dir.path().join(name);
            fs::create_dir(&run).unwrap();
            fs::write(run.join("plan.json"), "{}").unwrap();
            let machine = format!("{{\"started\": \"2026-01-31 12:00:{second:02}.000000 UTC\"}}");
            fs::write(run.join("machine.json"), machine).unwrap();
            if report {
                fs::write(run.join("report.html"), "x").unwrap();
            }
        };
        run("20260131T120001Z-my.exp", 1, true);
        run("20260131T120002Z-größe 100%+", 2, true);
        run("before", 0, true);
        run("20260131T120003Z-cut-short", 3, false);
        std::os::unix::fs::symlink(dir.path().join("before"), dir.path().join("linked")).unwrap();
        let (runs, more) = listed(dir.path(), "/runs/");
        let second = |run: &IndexedRun| run.started.as_ref().map(|at| at[17..19].to_owned()).unwrap_or_default();
        let seconds: Vec<String> = runs.iter().map(second).collect();
        assert_eq!(seconds, ["03", "02", "01", "00"]);
        let runs: Vec<_> = runs.iter().map(|run| (run.name.as_str(), run.report.as_deref())).collect();
        let encoded = "/runs/20260131T120002Z-gr%C3%B6%C3%9Fe%20100%25%2B/report.html";
        assert_eq!(
            runs,
            [
                ("20260131T120003Z-cut-short", None),
                ("20260131T120002Z-größe 100%+", Some(encoded)),
                ("20260131T120001Z-my.exp", Some("/runs/20260131T120001Z-my.exp/report.html")),
                ("before", Some("/runs/before/report.html")),
            ]
        );
        assert_eq!(more, 0);
    }
}
