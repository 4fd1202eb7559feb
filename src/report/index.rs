//! All runs of a folder at a glance, as a page: one file that loads nothing and runs nothing.

use std::collections::BTreeMap;

use askama::Template;

use super::ReportError;
use crate::stats::number::plural;
use crate::stats::{ClaimResult, Verdict};
use crate::trial::fact::Outcome;

/// A run that is kept.
#[derive(Debug)]
pub struct IndexedRun {
    /// Its folder's name.
    pub name: String,
    /// Where its report is; `None` where it has none.
    pub report: Option<String>,
    /// When it began: `2026-01-31 12:00:07.123456 UTC`.
    pub started: Option<String>,
    /// What it found; `None` where it was never summarised.
    pub found: Option<RunFindings>,
}

/// What a run found.
#[derive(Debug)]
pub struct RunFindings {
    /// The experiment's name.
    pub experiment: String,
    /// How many trials ended how.
    pub outcomes: BTreeMap<Outcome, u32>,
    /// A number for what was asked for, settings of all trials: where it differs, so did that.
    pub asked: u64,
    pub claims: Vec<ClaimResult>,
}

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    rows: Vec<Row<'a>>,
    /// How many more there are.
    more: usize,
    /// Where the lab page is, when the lab serves this.
    lab: Option<&'a str>,
}

struct Row<'a> {
    name: &'a str,
    report: Option<&'a str>,
    /// To the second.
    started: &'a str,
    experiment: &'a str,
    outcomes: Vec<(u32, &'static str)>,
    /// How many claims came out so: sign, number, word.
    verdicts: Vec<(&'static str, usize, &'static str)>,
    /// What came out otherwise than in the run of this experiment before it.
    changes: Vec<Change<'a>>,
    /// `nothing`, `the first of its experiment`; where nothing changed.
    unchanged: &'static str,
    /// Whether other settings were asked for than before.
    asked_otherwise: bool,
}

struct Change<'a> {
    says: &'a str,
    was: &'static str,
    is: &'static str,
}

/// The page of these runs, the newest first, of which so many more are not listed.
pub fn index(runs: &[IndexedRun], more: usize, lab: Option<&str>) -> Result<String, ReportError> {
    let rows = runs.iter().enumerate().map(|(at, run)| row(run, &runs[at + 1..])).collect();
    Ok(Page { rows, more, lab }.render()?)
}

fn row<'a>(run: &'a IndexedRun, older: &'a [IndexedRun]) -> Row<'a> {
    let found = run.found.as_ref();
    let before = found.and_then(|found| {
        older.iter().filter_map(|run| run.found.as_ref()).find(|before| before.experiment == found.experiment)
    });
    let changes = found.zip(before).map(|(found, before)| changes(found, before)).unwrap_or_default();
    let unchanged = match (found, before) {
        (Some(_), None) => "the first of its experiment",
        (Some(_), Some(_)) if changes.is_empty() => "nothing",
        _ => "",
    };
    let counts = [Verdict::Confirmed, Verdict::Refuted, Verdict::Inconclusive].map(|verdict| {
        let claims = found.map_or(&[][..], |found| &found.claims);
        let of = claims.iter().filter(|claim| claim.verdict == verdict && !claim.is_about_nothing_here());
        (verdict.sign(), of.count(), verdict.word())
    });
    let outcomes = found.map(|found| found.outcomes.iter().map(|(outcome, n)| (*n, outcome.word())).collect());
    Row {
        name: &run.name,
        report: run.report.as_deref(),
        started: run.started.as_deref().and_then(|at| at.split(['.', 'U']).next()).unwrap_or("").trim_end(),
        experiment: found.map_or("", |found| &found.experiment),
        outcomes: outcomes.unwrap_or_default(),
        verdicts: counts.into_iter().filter(|(_, n, _)| *n > 0).collect(),
        changes,
        unchanged,
        asked_otherwise: found.zip(before).is_some_and(|(found, before)| found.asked != before.asked),
    }
}

/// Claims of both that came out otherwise.
fn changes<'a>(found: &'a RunFindings, before: &RunFindings) -> Vec<Change<'a>> {
    let changed = |claim: &'a ClaimResult| {
        let was = before.claims.iter().find(|was| was.says == claim.says && !was.is_about_nothing_here())?;
        let same = was.verdict == claim.verdict || claim.is_about_nothing_here();
        (!same).then(|| Change { says: &claim.says, was: was.verdict.word(), is: claim.verdict.word() })
    };
    found.claims.iter().filter_map(changed).collect()
}

impl Page<'_> {
    fn counted(&self) -> String {
        plural(self.rows.len() + self.more, "run")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::tests::run;
    use crate::stats::summarise;

    fn kept(name: &str, verdict: Verdict) -> IndexedRun {
        let (plan, observations) = run();
        let mut summary = summarise(&plan, &observations);
        summary.claims[0].verdict = verdict;
        summary.claims[0].says = "Six <b>are held.".to_owned();
        let outcomes = Outcome::counted(summary.trials.iter().map(|trial| trial.outcome));
        IndexedRun {
            name: name.to_owned(),
            report: Some(format!("{name}/report.html")),
            started: Some("2026-01-31 12:00:07.000001 UTC".to_owned()),
            found: Some(RunFindings { experiment: "six".to_owned(), outcomes, asked: 1, claims: summary.claims }),
        }
    }

    #[test]
    fn a_run_says_what_changed_since_the_one_before_it() {
        let none = IndexedRun { name: "cut".to_owned(), report: None, started: None, found: None };
        let runs = [kept("c", Verdict::Refuted), none, kept("b", Verdict::Confirmed), kept("a", Verdict::Confirmed)];
        let rows: Vec<Row<'_>> = runs.iter().enumerate().map(|(at, run)| row(run, &runs[at + 1..])).collect();
        let changes: Vec<Vec<[&str; 2]>> =
            rows.iter().map(|row| row.changes.iter().map(|change| [change.was, change.is]).collect()).collect();
        assert_eq!(changes, [vec![["confirmed", "refuted"]], vec![], vec![], vec![]]);
        assert_eq!(
            rows.iter().map(|row| row.unchanged).collect::<Vec<_>>(),
            ["", "", "nothing", "the first of its experiment"]
        );
        assert_eq!(rows[0].started, "2026-01-31 12:00:07");
        assert!(rows[0].verdicts.iter().any(|(sign, ..)| *sign == "✗"));
    }

    #[test]
    fn the_page_links_each_report_and_shows_markup_as_text() {
        let page = index(&[kept("b", Verdict::Refuted), kept("a", Verdict::Confirmed)], 3, Some("/")).unwrap();
        for expected in ["5 runs", "href=\"b/report.html\"", "href=\"/\"", "11 completed", "Six &#60;b&#62;are held."] {
            assert!(page.contains(expected), "{expected} is missing:\n{page}");
        }
        for forbidden in ["<script", "<link", "@import", "url(http", "src="] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
