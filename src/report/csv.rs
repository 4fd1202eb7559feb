//! A table for spreadsheets, R and pandas: a row for each trial and metric (RFC 4180).

use std::borrow::Cow;

use csv::Writer;
use serde_json::Value;

use super::ReportError;
use crate::stats::{Entry, Summary, TrialResult};
use crate::text::visible;

/// The columns around those of the factors.
const BEFORE: [&str; 5] = ["experiment", "seed", "trial", "repeat", "client-version"];
const AFTER: [&str; 15] = [
    "outcome",
    "reason",
    "metric",
    "unit",
    "n",
    "median",
    "min",
    "max",
    "p90",
    "p99",
    "above",
    "uncertainty",
    "machine-limited",
    "upper-bound",
    "absent",
];

/// Writes the summaries of one run or several. The levels have a column for each factor of any of them. A metric that was
/// not obtained has a row that says why; a trial that obtained nothing has one row, without a metric.
pub(super) fn csv(summaries: &[&Summary]) -> Result<String, ReportError> {
    let mut factors: Vec<&str> = Vec::new();
    for factor in summaries.iter().flat_map(|summary| &summary.trials).flat_map(|trial| trial.levels.keys()) {
        if !factors.contains(&factor.as_str()) {
            factors.push(factor);
        }
    }
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(BEFORE.iter().chain(&factors).chain(&AFTER))?;
    for summary in summaries {
        for trial in &summary.trials {
            let obtained = trial.metrics.values().any(|entry| entry.n > 0 || entry.above.is_some());
            let metrics: Vec<_> = if obtained {
                trial.metrics.iter().map(|(name, entry)| Some((name.as_str(), entry))).collect()
            } else {
                vec![None]
            };
            for metric in metrics {
                writer.write_record(row(summary, trial, &factors, metric))?;
            }
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn row(summary: &Summary, trial: &TrialResult, factors: &[&str], metric: Option<(&str, &Entry)>) -> Vec<String> {
    let text = |text: Option<&str>| inert(&visible(text.unwrap_or_default())).into_owned();
    let mut row = vec![
        text(Some(&summary.experiment)),
        summary.seed.to_string(),
        trial.trial.to_string(),
        trial.repeat.to_string(),
        text(trial.client_version.as_deref()),
    ];
    row.extend(factors.iter().map(|factor| match trial.levels.get(*factor) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(level)) => text(Some(level)),
        Some(level) => level.to_string(),
    }));
    row.extend([trial.outcome.word().to_owned(), text(trial.reason.as_deref())]);
    let (name, entry) = metric.map_or((None, None), |(name, entry)| (Some(name), Some(entry)));
    row.extend([text(name), text(entry.map(|entry| entry.unit.as_str()))]);
    row.push(entry.map(|entry| entry.n.to_string()).unwrap_or_default());
    let number = |of: fn(&Entry) -> Option<f64>| entry.and_then(of).map(|value| value.to_string()).unwrap_or_default();
    row.extend([
        number(|entry| entry.median),
        number(|entry| entry.min),
        number(|entry| entry.max),
        number(|entry| entry.p90),
        number(|entry| entry.p99),
        number(|entry| entry.above),
        number(|entry| entry.uncertainty),
    ]);
    row.push(text(entry.and_then(|entry| entry.machine_limited.as_deref())));
    row.push(entry.filter(|entry| entry.upper_bound).map(|_| "true".to_owned()).unwrap_or_default());
    row.push(text(entry.and_then(|entry| entry.absent.as_deref())));
    row
}

/// Text that a spreadsheet would take for a formula, with an apostrophe before it: a program that takes part in a trial
/// says its version and its reasons itself.
fn inert(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::html::tests::run;
    use crate::stats::summarise;

    /// The rows, each by the names of its columns.
    fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
        csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
    }

    #[test]
    fn every_number_of_the_summary_is_there_in_full() {
        let (plan, observations) = run();
        let summary = summarise(&plan, &observations);
        let rows = rows(&csv(&[&summary]).unwrap());
        for trial in &summary.trials {
            let of: Vec<_> = rows.iter().filter(|row| row["trial"] == trial.trial.to_string()).collect();
            assert!(of.iter().all(|row| row["outcome"] == trial.outcome.word()));
            assert!(of.iter().all(|row| trial.levels.iter().all(|(name, level)| row[name] == level.as_str().unwrap())));
            for (name, entry) in trial.metrics.iter().filter(|(_, entry)| entry.n > 0) {
                let row = of.iter().find(|row| row["metric"] == *name).unwrap();
                let numbers = ["median", "min", "max", "p90", "p99"].map(|column| row[column].parse::<f64>().ok());
                assert_eq!(numbers, [entry.median, entry.min, entry.max, entry.p90, entry.p99], "{name}");
                assert_eq!((&row["unit"], &row["n"]), (&entry.unit, &entry.n.to_string()));
            }
        }
        let absent = rows.iter().filter(|row| !row["absent"].is_empty()).collect::<Vec<_>>();
        assert!(absent.len() > 5 && absent.iter().all(|row| row["n"] == "0" && row["median"].is_empty()), "{absent:?}");
        let unsupported: Vec<_> = rows.iter().filter(|row| row["outcome"] == "unsupported").collect();
        assert_eq!(unsupported.len(), 1);
        assert_eq!((&*unsupported[0]["reason"], &*unsupported[0]["metric"]), ("WebKitGTK has no HTTP/3", ""));
    }

    #[test]
    fn several_runs_share_columns_and_nothing_is_taken_for_a_formula_or_a_line() {
        let (plan, observations) = run();
        let first = summarise(&plan, &observations);
        let mut second = first.clone();
        second.experiment = "other".to_owned();
        for trial in &mut second.trials {
            trial.levels.insert("workload.subscribers".to_owned(), Value::from(5));
            trial.client_version = Some("=HYPERLINK(\"x\")\n,\u{1b}[2J".to_owned());
        }
        let rows = rows(&csv(&[&first, &second]).unwrap());
        let (one, other): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["experiment"] != "other");
        assert_eq!(one.len(), other.len());
        assert!(one.iter().all(|row| row["workload.subscribers"].is_empty()));
        assert!(other.iter().all(|row| row["workload.subscribers"] == "5"));
        assert!(other.iter().all(|row| row["client-version"] == r#"'=HYPERLINK("x")\n,\u{1b}[2J"#));
    }
}
