//! `experiments/notes.md`: every assertion of the notes that the questions come from, and where it is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use transport_lab::experiment::{Experiment, Overrides};

/// One row of a table: its number, its words, and what stands in the third column.
#[derive(Debug)]
struct Row {
    id: String,
    words: String,
    tested: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments")
}

fn text() -> String {
    std::fs::read_to_string(folder().join("notes.md")).unwrap()
}

fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [id, words, tested] = cells[..] else { panic!("not three cells: {line}") };
        let is_row = id.len() > 1 && id[1..].bytes().all(|byte| byte.is_ascii_digit());
        is_row.then(|| Row { id: id.to_owned(), words: words.to_owned(), tested: tested.to_owned() })
    };
    // The head of a table has no name in its first cell.
    text.lines().filter(|line| !line.starts_with("| |")).filter_map(row).collect()
}

/// Every experiment and what its claims say.
fn claims() -> BTreeMap<String, BTreeSet<String>> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let experiments = files.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let read = |path: PathBuf| Experiment::load(path.to_str().unwrap(), &Overrides::default()).unwrap();
    let says = |experiment: Experiment| {
        let says = experiment.claims.into_iter().map(|claim| claim.says);
        (experiment.name, says.collect())
    };
    experiments.map(read).map(says).collect()
}

/// The experiments and claims that a third column names.
fn named(tested: &str) -> Vec<(String, String)> {
    let one = |part: &str| {
        let (experiment, says) = part.strip_prefix('`')?.split_once("`: \"")?;
        Some((experiment.to_owned(), says.strip_suffix('"')?.to_owned()))
    };
    tested
        .split("<br>")
        .map(|part| one(part).unwrap_or_else(|| panic!("neither a claim nor a reason: {part}")))
        .collect()
}

#[test]
fn every_note_says_how_much_it_asserts_and_all_of_it_is_listed() {
    let text = text();
    let rows = rows(&text);
    let mut stated = Vec::new();
    for section in text.split("\n## ").skip(1) {
        let letter = &section[..1];
        let (before, _) = section.split_once(" assertions.").unwrap_or_else(|| panic!("{letter} doesn't say how many"));
        let count: usize = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        stated.extend((1..=count).map(|number| format!("{letter}{number}")));
    }
    let listed: Vec<&String> = rows.iter().map(|row| &row.id).collect();
    assert_eq!(listed, stated.iter().collect::<Vec<_>>());
    for Row { id, words, .. } in &rows {
        assert!(words.contains('(') && words.ends_with(')'), "{id} has no English: {words}");
    }
}

#[test]
fn every_assertion_has_a_claim_that_exists_or_a_reason_why_not() {
    let claims = claims();
    for Row { id, tested, .. } in rows(&text()) {
        match tested.strip_prefix("not tested: ") {
            Some(reason) => assert!(reason.len() > 5, "{id} has no reason"),
            None => {
                for (experiment, says) in named(&tested) {
                    let known = claims.get(&experiment).unwrap_or_else(|| panic!("{id}: no experiment `{experiment}`"));
                    assert!(known.contains(&says), "{id}: `{experiment}` doesn't claim: {says}");
                }
            }
        }
    }
}

#[test]
fn every_experiment_about_transports_answers_a_note() {
    let rows = rows(&text());
    let tested = rows.iter().filter(|row| !row.tested.starts_with("not tested: "));
    let answered: BTreeSet<String> =
        tested.flat_map(|row| named(&row.tested)).map(|(experiment, _)| experiment).collect();
    let about_transports = |name: &String| {
        let experiment = folder().join(format!("{name}.toml"));
        let experiment = Experiment::load(experiment.to_str().unwrap(), &Overrides::default()).unwrap();
        // The notes know of nothing between client and server, and of one server.
        experiment.combinations.iter().any(|settings| settings.protocol.transport != "sse")
            && !experiment.combinations.iter().any(|settings| settings.between.is_there() || settings.shares_feeds())
    };
    let silent: Vec<String> =
        claims().into_keys().filter(about_transports).filter(|name| !answered.contains(name)).collect();
    assert!(silent.is_empty(), "no note is answered by {silent:?}");
}
