//! Runs that were kept: a list of them, and their reports.

use std::fs;
use std::path::{Component, Path};

use askama::Template;
use axum::extract::{Path as Named, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::ErrorResponse;
use super::{Shared, assets};
use crate::trial::kept::{self, KeptRun};

/// How many runs are listed, the newest first.
const LISTED: usize = 200;
/// How large a report may be, in bytes.
const REPORT_BYTES: u64 = 64 * 1024 * 1024;
/// What a report may do: show itself. Its style is in it, so that it can be passed on as one file.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "runs.html", config = "src/control/pages/askama.toml")]
struct Page {
    runs: Vec<Listed>,
    more: usize,
}

/// A run as the page shows it.
struct Listed {
    name: String,
    /// `2026-01-31 12:00:07`; empty where it doesn't say.
    started: String,
    /// Where its report is, if it has one that can be shown.
    report: Option<String>,
}

/// `GET /runs`.
pub(super) async fn list(State(shared): State<Shared>) -> Result<Response, ErrorResponse> {
    let serving = shared.serving.as_ref().as_ref();
    let folder = serving.ok_or_else(|| ErrorResponse::missing("this control origin belongs to a run"))?.runs.clone();
    let unread = |_| ErrorResponse::full("the runs could not be read");
    let (runs, more) = tokio::task::spawn_blocking(move || listed(&folder)).await.map_err(unread)?;
    let page = Page { runs, more }.render();
    page.map(|page| assets::html(page, assets::Framing::Alone))
        .map_err(|_| ErrorResponse::full("the page could not be written"))
}

/// The newest runs, and how many there are besides. A folder elsewhere that a link leads to is none of them.
fn listed(folder: &Path) -> (Vec<Listed>, usize) {
    let mut runs = kept::runs(folder);
    runs.retain(|run| fs::symlink_metadata(&run.folder).is_ok_and(|run| run.is_dir()));
    let more = runs.len().saturating_sub(LISTED);
    runs.truncate(LISTED);
    let row = |KeptRun { folder: run, started }: KeptRun| {
        let name = run.file_name().unwrap_or_default();
        // A path segment is percent-encoded UTF-8 here; what isn't UTF-8 has no address.
        let address = name.to_str().filter(|name| report(folder, name).is_some()).map(|name| {
            let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
            format!("/runs/{}/report.html", encoded.replace('+', "%20"))
        });
        let started = started.unwrap_or_default();
        let second = started.split(['.', 'U']).next().unwrap_or_default().trim_end().to_owned();
        Listed { name: name.to_string_lossy().into_owned(), started: second, report: address }
    };
    (runs.into_iter().map(row).collect(), more)
}

/// `GET /runs/{name}/report.html`.
pub(super) async fn show(State(shared): State<Shared>, Named(name): Named<String>) -> Result<Response, ErrorResponse> {
    let serving = shared.serving.as_ref().as_ref();
    let missing = || ErrorResponse::missing("there is no such run");
    let path = report(&serving.ok_or_else(missing)?.runs, &name).ok_or_else(missing)?;
    let text = tokio::fs::read(path).await.map_err(|_| missing())?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ];
    Ok((headers, text).into_response())
}

/// The report of a run of this name, if there is one: never a file outside the folder, nor one that a link leads to.
fn report(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let mut parts = Path::new(name).components();
    let Some(Component::Normal(only)) = parts.next() else { return None };
    // `a/` and `a/.` have one component as well.
    if parts.next().is_some() || only != name {
        return None;
    }
    let run = folder.join(name);
    let path = run.join("report.html");
    let is_run = fs::symlink_metadata(&run).is_ok_and(|run| run.is_dir());
    let is_file = fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= REPORT_BYTES);
    (is_run && is_file).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reports_of_runs_in_the_folder_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("results");
        fs::create_dir_all(runs.join("20260131T120000Z-visit")).unwrap();
        fs::write(runs.join("20260131T120000Z-visit/report.html"), "x").unwrap();
        fs::create_dir_all(runs.join("unfinished")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/report.html"), "x").unwrap();
        fs::write(runs.join("report.html"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("outside"), runs.join("linked")).unwrap();
        assert!(report(&runs, "20260131T120000Z-visit").is_some());
        for name in [
            "",
            ".",
            "..",
            "../outside",
            "..%2foutside",
            "/etc",
            "20260131T120000Z-visit/",
            "20260131T120000Z-visit/.",
            "20260131T120000Z-visit\0",
            "unfinished",
            "linked",
            "nothing",
        ] {
            assert_eq!(report(&runs, name), None, "{name}");
        }
    }

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
        let (runs, more) = listed(dir.path());
        let runs: Vec<_> =
            runs.iter().map(|run| (run.name.as_str(), run.started.as_str(), run.report.as_deref())).collect();
        let encoded = "/runs/20260131T120002Z-gr%C3%B6%C3%9Fe%20100%25%2B/report.html";
        assert_eq!(
            runs,
            [
                ("20260131T120003Z-cut-short", "2026-01-31 12:00:03", None),
                ("20260131T120002Z-größe 100%+", "2026-01-31 12:00:02", Some(encoded)),
                ("20260131T120001Z-my.exp", "2026-01-31 12:00:01", Some("/runs/20260131T120001Z-my.exp/report.html")),
                ("before", "2026-01-31 12:00:00", Some("/runs/before/report.html")),
            ]
        );
        assert_eq!(more, 0);
    }
}
