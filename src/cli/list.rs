//! `list`: what there is, as aligned columns or JSON.

use std::io::Write;

use serde_json::{Value, json};

use super::{CliError, Exit, ListArgs, Listing};
use crate::experiment::builtin;
use crate::stats::metric;
use crate::{client, transport};

/// Prints one row for each thing there is.
pub(super) fn list(args: &ListArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let rows = match args.what {
        Listing::Experiments => experiments(),
        Listing::Transports => transports(),
        Listing::Clients => clients(),
        Listing::Metrics => metrics(),
    };
    if args.json {
        let rows: Vec<Value> = rows.into_iter().map(|(_, json)| json).collect();
        writeln!(out, "{:#}", Value::Array(rows))?;
    } else {
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(columns, _)| columns).collect();
        write_columns(&rows, out)?;
    }
    Ok(Exit::Good)
}

/// What a person reads, one entry per column, and what a program reads.
type Row = (Vec<String>, Value);

fn experiments() -> Vec<Row> {
    let row = |listed: builtin::Listed| {
        let from = if listed.built_in { "built in" } else { "experiments/" };
        (vec![listed.name.clone(), from.to_owned(), listed.question.clone()], json!(listed))
    };
    builtin::list().into_iter().map(row).collect()
}

fn transports() -> Vec<Row> {
    let row = |transport: &&transport::Transport| {
        let alpns: Vec<&str> = transport.alpns.iter().map(|alpn| alpn.name()).collect();
        let json = json!({ "name": transport.name, "title": transport.title, "alpns": alpns });
        (vec![transport.name.to_owned(), alpns.join(" "), transport.title.to_owned()], json)
    };
    transport::ALL.iter().map(row).collect()
}

fn clients() -> Vec<Row> {
    let row = |client: &&client::Client| {
        let found = (client.find)();
        let (version, path, reason) = match &found {
            Ok(found) => (Some(&found.version), Some(&found.path), None),
            Err(reason) => (None, None, Some(reason)),
        };
        // Several browsers can take a client's part; what was found says which.
        let title = found.as_ref().map_or(client.title, |found| found.title.as_str());
        let json = json!({
            "name": client.name, "title": title, "version": version, "path": path, "reason": reason });
        let columns = match &found {
            Ok(found) => vec![found.version.clone(), found.path.display().to_string()],
            Err(reason) => vec!["-".to_owned(), format!("not here: {reason}")],
        };
        ([vec![client.name.to_owned(), title.to_owned()], columns].concat(), json)
    };
    client::ALL.iter().map(row).collect()
}

fn metrics() -> Vec<Row> {
    let row = |metric: &&metric::Metric| {
        let json = json!({ "name": metric.name, "unit": metric.unit, "definition": metric.definition });
        (vec![metric.name.to_owned(), metric.unit.to_owned(), metric.definition.to_owned()], json)
    };
    metric::ALL.iter().map(row).collect()
}

/// Every column as wide as its widest entry; the last one ends where it ends.
fn write_columns(rows: &[Vec<String>], out: &mut dyn Write) -> std::io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(what: Listing, json: bool) -> String {
        let mut out = Vec::new();
        assert_eq!(list(&ListArgs { what, json }, &mut out).unwrap(), Exit::Good);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_list_names_its_things_in_both_forms() {
        for (what, name) in
            [(Listing::Experiments, "six-vs-hundred"), (Listing::Transports, "sse"), (Listing::Metrics, "open-streams")]
        {
            assert!(listed(what, false).lines().any(|line| line.split_whitespace().next() == Some(name)), "{what:?}");
            let rows: Vec<Value> = serde_json::from_str(&listed(what, true)).unwrap();
            assert!(rows.iter().any(|row| row["name"] == name), "{what:?}");
        }
        assert!(listed(Listing::Experiments, false).contains("How many event streams can one browser hold open"));
        assert!(listed(Listing::Transports, false).contains("h1 h2 h3"));
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let rows = [
            vec!["a".to_owned(), "long".to_owned(), "x".to_owned()],
            vec!["bb".to_owned(), "c".to_owned(), String::new()],
        ];
        let mut out = Vec::new();
        write_columns(&rows, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a   long  x\nbb  c\n");
    }
}
