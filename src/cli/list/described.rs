//! What is described by the types themselves: settings, the facts of a journal, the fields of a summary.

use std::fmt::Write as _;
use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

use super::Row;
use crate::experiment::schema::ListedSetting;
use crate::stats::Summary;
use crate::text::visible;
use crate::trial::fact::{ClientFact, LabFact, ServerFact};
use crate::trial::schema::{Field, fields, schema_of};

/// A setting in a line: its name, its default, and the first sentence on it.
pub(super) fn settings(settings: &[ListedSetting]) -> Vec<Row> {
    let row = |setting: &ListedSetting| {
        (vec![setting.name.clone(), default(setting), first(&setting.meaning)], json!(setting))
    };
    settings.iter().map(row).collect()
}

/// All there is to say of each of these settings.
pub(super) fn write_settings(settings: &[ListedSetting], width: u16, out: &mut dyn Write) -> std::io::Result<()> {
    for (number, setting) in settings.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let ListedSetting { name, kind, meaning, words, read_by, .. } = setting;
        writeln!(out, "{name}")?;
        let mut facts = vec![format!("write {kind}")];
        facts.extend(range(setting));
        facts.push(format!("default {}", default(setting)));
        facts.push(format!("read by {read_by}"));
        let text = |text: &str| write_table(&[vec![text.to_owned()]], 4, width);
        write!(out, "{}{}", text(&facts.join("; ")), text(meaning))?;
        let told = words.iter().filter(|(_, means)| !means.is_empty());
        let rows: Vec<Vec<String>> = told.map(|(word, means)| vec![word.clone(), means.clone()]).collect();
        if !rows.is_empty() {
            write!(out, "{}", write_table(&rows, 6, width))?;
        }
    }
    Ok(())
}

/// Text that folds where the terminal ends.
pub(super) fn paragraph(text: &str, width: u16) -> String {
    write_table(&[vec![text.to_owned()]], 0, width)
}

/// Columns that fold where the terminal ends, so many places from its edge.
fn write_table(rows: &[Vec<String>], indent: u16, width: u16) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| visible(cell).into_owned()).collect::<Vec<_>>()));
    if let Some(first) = table.column_mut(0) {
        first.set_padding((indent, 1));
    }
    table.trim_fmt() + "\n"
}

/// `1 to 16`, where there are bounds.
fn range(setting: &ListedSetting) -> Option<String> {
    match (&setting.least, &setting.most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("{least} or more")),
        (None, Some(most)) => Some(format!("{most} or less")),
        (None, None) => None,
    }
}

fn default(setting: &ListedSetting) -> String {
    match &setting.default {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(value) => value.to_string(),
    }
}

/// Up to its first full stop.
fn first(meaning: &str) -> String {
    let end = meaning.match_indices(". ").map(|(at, _)| at + 1).next();
    meaning[..end.unwrap_or(meaning.len())].to_owned()
}

/// Settings as sections of a document, one for each table.
pub(super) fn settings_document(settings: &[ListedSetting]) -> String {
    let (mut text, mut table) = (String::new(), None);
    for setting in settings {
        let of = setting.name.rsplit_once('.').map(|(table, _)| table.to_owned());
        if table.as_ref() != Some(&of) {
            let name = match of.as_deref() {
                None => "At the top".to_owned(),
                Some(name) => {
                    name.strip_suffix("[]").map_or_else(|| format!("`[{name}]`"), |name| format!("`[[{name}]]`"))
                }
            };
            let _ = write!(
                text,
                "\n### {name}\n\n| setting | what is written | default | from – to | read by | what it is |\n"
            );
            text.push_str("|---|---|---|---|---|---|\n");
            table = Some(of);
        }
        let mut meaning = setting.meaning.clone();
        for (word, means) in setting.words.iter().filter(|(_, means)| !means.is_empty()) {
            let _ = write!(meaning, "<br>`{word}`: {means}");
        }
        let cells = [
            format!("`{}`", setting.name),
            setting.kind.clone(),
            format!("`{}`", default(setting)),
            range(setting).unwrap_or_default(),
            setting.read_by.clone(),
            meaning,
        ];
        text.push_str(&markdown_row(&cells));
    }
    text.trim_start().to_owned()
}

/// A table in Markdown.
pub(super) fn markdown(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(heads.len()));
    [markdown_row(&heads), rule].into_iter().chain(rows.iter().map(|row| markdown_row(row))).collect()
}

fn markdown_row(cells: &[String]) -> String {
    let cell = |cell: &String| cell.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ");
    format!("| {} |\n", cells.iter().map(cell).collect::<Vec<_>>().join(" | "))
}

/// Every kind of fact, who says it, and with which fields.
pub(super) fn facts() -> Vec<Row> {
    let sides =
        [("client", schema_of::<ClientFact>()), ("server", schema_of::<ServerFact>()), ("lab", schema_of::<LabFact>())];
    let mut rows = Vec::new();
    for (from, schema) in sides {
        for fact in schema["oneOf"].as_array().into_iter().flatten() {
            let kind = fact["properties"]["kind"]["const"].as_str().unwrap_or_default();
            let others: Vec<(String, Field<'_>)> =
                fields(fact).into_iter().filter(|(name, _)| name != "kind").collect();
            let names: Vec<String> =
                others.iter().map(|(name, field)| format!("{name}{}", if field.always { "" } else { "?" })).collect();
            let meaning = fact["description"].as_str().unwrap_or_default();
            let kinds: serde_json::Map<String, Value> =
                others.iter().map(|(name, field)| (name.clone(), field.kind().into())).collect();
            let json = json!({ "kind": kind, "from": from, "fields": kinds, "meaning": meaning });
            rows.push((vec![kind.to_owned(), from.to_owned(), names.join(" "), meaning.to_owned()], json));
        }
    }
    rows
}

/// Every value of a summary by its path.
pub(super) fn summary() -> Vec<Row> {
    let row = |(path, field): (String, Field<'_>)| {
        let json = json!({ "path": path, "kind": field.kind(), "meaning": field.meaning() });
        (vec![path, field.kind(), field.meaning().to_owned()], json)
    };
    fields(schema_of::<Summary>()).into_iter().map(row).collect()
}
