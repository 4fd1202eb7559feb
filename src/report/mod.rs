//! A summary to text: terminal, JSON, HTML, CSV.
//!
//! Enters: a plan, its summary and lanes, what the machine is and could tell, and how clients are called by people. Leaves: text. What must
//! never happen here: a number that is not in the summary, text that a browser takes for markup or a terminal for an
//! order, a page that loads anything, a print.

mod agents;
mod answer;
mod between;
mod bytes;
mod calibration;
mod compare;
mod csv;
mod explain;
mod fewer;
mod format;
mod html;
mod index;
mod lanes;
mod machine;
mod overview;
mod picture;
mod stacks;
mod table;
mod terminal;
mod timelines;

pub use calibration::calibrated;
pub use compare::{compare_html, compare_terminal};
pub use explain::{life_html, life_terminal};
pub use format::{CSV, Contents, FORMATS, Format, JSON, TERMINAL, json};
pub use html::FORMAT as HTML;
pub use index::{IndexedRun, RunFindings, index};
pub use machine::Machine;
pub use overview::overview;
pub use terminal::Look;

/// What can go wrong with a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("could not write the report's page")]
    Html(#[from] askama::Error),
    /// A summary or a comparison is not JSON.
    #[error("could not write JSON")]
    Json(#[from] serde_json::Error),
    #[error("could not write CSV")]
    Csv(#[from] ::csv::Error),
}

/// How a client is called where a person reads it: `webkit` is `WebKitGTK (libsoup; not Safari)`.
pub type Title<'a> = &'a dyn Fn(&str) -> String;
