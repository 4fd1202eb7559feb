//! Runs that were kept: a list of them, and their reports.

use std::fs;
use std::path::{Component, Path};

use axum::extract::{Path as Named, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::answer::ErrorResponse;

/// How large a report may be, in bytes.
const REPORT_BYTES: u64 = 64 * 1024 * 1024;
/// What a report may do: show itself. Its style is in it, so that it can be passed on as one file.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /runs`.
pub(super) async fn list(State(shared): State<Shared>) -> Result<Response, ErrorResponse> {
    let serving = shared.serving.as_ref().as_ref();
    let serving = serving.ok_or_else(|| ErrorResponse::missing("this control origin belongs to a run"))?;
    let (write, folder) = (serving.index, serving.runs.clone());
    let page = tokio::task::spawn_blocking(move || write(&folder)).await.ok().flatten();
    page.map(alone).ok_or_else(|| ErrorResponse::full("the runs could not be read"))
}

/// A page that stands for itself: it loads nothing, and its style is in it.
fn alone(page: impl Into<axum::body::Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ];
    (headers, page.into()).into_response()
}

/// `GET /runs/{name}/report.html`.
pub(super) async fn show(State(shared): State<Shared>, Named(name): Named<String>) -> Result<Response, ErrorResponse> {
    let serving = shared.serving.as_ref().as_ref();
    let missing = || ErrorResponse::missing("there is no such run");
    let path = report(&serving.ok_or_else(missing)?.runs, &name).ok_or_else(missing)?;
    let text = tokio::fs::read(path).await.map_err(|_| missing())?;
    Ok(alone(text))
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
}
