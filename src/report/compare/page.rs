//! The page of a comparison: one file that opens offline, loads nothing and runs nothing.

use askama::Template;

use super::{Change, NumberView, View};
use crate::report::{ReportError, Title};
use crate::stats::Comparison;

#[derive(Template)]
#[template(path = "compare.html")]
struct Page {
    view: View,
    /// Tables of what is the same kind of change, with what their rows are.
    before: Vec<Section>,
    /// Whether a number decides nothing.
    limited: bool,
}

/// A table of changes.
struct Section {
    id: &'static str,
    title: &'static str,
    of: &'static str,
    rows: Vec<Change>,
}

pub fn html(comparison: &Comparison, title: Title<'_>) -> Result<String, ReportError> {
    let mut view = View::new(comparison, title);
    let sections = [
        ("plans", "What was asked for otherwise", "setting or claim", std::mem::take(&mut view.plans)),
        ("surroundings", "What it ran on", "", std::mem::take(&mut view.surroundings)),
        ("versions", "Versions of clients", "client", std::mem::take(&mut view.versions)),
        ("outcomes", "Trials that ended otherwise", "combination", std::mem::take(&mut view.outcomes)),
    ];
    let sections = sections.into_iter().filter(|(.., rows)| !rows.is_empty());
    let before = sections.map(|(id, title, of, rows)| Section { id, title, of, rows }).collect();
    let limited = view.numbers.iter().flatten().any(|number| number.limited);
    Ok(Page { view, before, limited }.render()?)
}

impl Page {
    /// The tables of numbers, each with its id and heading, as far as they have rows.
    fn tables(&self) -> Vec<(&[NumberView], &'static str, &'static str)> {
        let heads = ["claimed", "numbers"].into_iter().zip(self.view.headings());
        let tables = self.view.numbers.iter().zip(heads).map(|(of, (id, head))| (of.as_slice(), id, head));
        tables.filter(|(of, ..)| !of.is_empty()).collect()
    }
}
