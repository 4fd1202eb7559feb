//! The formats that a run is written in: a constant row each.

use serde::Serialize;

use super::{Look, Machine, ReportError, Title, csv, html, terminal};
use crate::stats::{Calibration, Summary, TrialLanes};
use crate::text::visible_json;
use crate::trial::Plan;

/// Everything about a run that can be shown.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a client's title is a function")]
pub struct Contents<'a> {
    /// What was planned.
    pub plan: &'a Plan,
    /// What was found.
    pub summary: &'a Summary,
    /// Which stream was on which connection.
    pub lanes: &'a [TrialLanes],
    /// What it was measured on.
    pub machine: &'a Machine,
    /// What that could tell, where it was tried.
    pub calibration: Option<&'a Calibration>,
    /// How clients are called.
    pub title: Title<'a>,
}

/// A format: a constant row of [`FORMATS`].
#[derive(Debug)]
pub struct Format {
    /// Its name: `csv`.
    pub name: &'static str,
    /// The file that a run's folder has in it; `None`: it is written only where it is asked for.
    pub file: Option<&'static str>,
    /// Writes one run, or several one behind the other, for who can show this. Ends with a line break.
    pub write: fn(&[Contents<'_>], Look) -> Result<String, ReportError>,
}

pub static FORMATS: [&Format; 4] = [&TERMINAL, &JSON, &html::FORMAT, &CSV];

/// The table for a terminal.
pub static TERMINAL: Format = Format {
    name: "terminal",
    file: None,
    write: |runs, look| Ok(runs.iter().map(|of| terminal::terminal(*of, look)).collect()),
};

/// The summary for programs.
pub static JSON: Format = Format {
    name: "json",
    file: Some("summary.json"),
    write: |runs, _| runs.iter().map(|of| json(of.summary)).collect(),
};

/// A table for spreadsheets, R and pandas.
pub static CSV: Format = Format {
    name: "csv",
    file: Some("summary.csv"),
    write: |runs, _| csv::csv(&runs.iter().map(|of| of.summary).collect::<Vec<_>>()),
};

/// What `--json` prints of anything. Ends with a line break.
pub fn json(value: &impl Serialize) -> Result<String, ReportError> {
    Ok(visible_json(&serde_json::to_string_pretty(value)?).into_owned() + "\n")
}
