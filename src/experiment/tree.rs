//! A TOML tree that remembers where each of its parts was written: reaching into it by dotted path, and saying
//! in the reader's words why it isn't what was asked for.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::source::{ByteRange, ExperimentSource};
use super::{ExperimentError, schema, suggest};

/// A value and where it was written.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// The parts of a dotted name at most. No setting is deeper than three.
const MAX_DEPTH: usize = 8;

/// The value at a dotted path; a number reaches into an array.
pub(super) fn get<'t, 'i>(tree: &'t DeTable<'i>, path: &str) -> Option<&'t Value<'i>> {
    let mut parts = path.split('.');
    let mut value = tree.get(parts.next()?)?;
    for part in parts {
        value = match (value.get_ref(), part.parse::<usize>()) {
            (DeValue::Array(array), Ok(index)) => array.get(index)?,
            (DeValue::Table(table), _) => table.get(part)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Puts a value at a dotted path, in place of what is there; a number reaches into an array that is there. `key` is
/// where the path was written in the source, which is where an error says why there can be no such path.
pub(super) fn put<'i>(
    source: &ExperimentSource,
    tree: &mut DeTable<'i>,
    path: &str,
    key: &ByteRange,
    value: Value<'i>,
) -> Result<(), ExperimentError> {
    let refused = |says: String| Err(source.error(key.clone(), says));
    let parts: Vec<&str> = path.split('.').collect();
    let (last, outer) = parts.split_last().unwrap_or((&path, &[]));
    if parts.len() > MAX_DEPTH || parts.contains(&"") {
        return refused(format!(
            "`{}` is not a dotted name; write it like `workload.subscribers`",
            suggest::short(path)
        ));
    }
    let no_parts =
        |depth: usize| refused(format!("unknown setting `{path}`: `{}` has no parts", parts[..=depth].join(".")));
    let mut table = tree;
    let mut depth = 0;
    while depth < outer.len() {
        let index = parts[depth + 1].parse::<usize>().ok();
        if index.is_some() && !table.contains_key(parts[depth]) {
            let array = parts[..=depth].join(".");
            return refused(format!("`{path}` reaches into `{array}`, which there is none of; write [[{array}]]"));
        }
        let name = Spanned::new(key.clone(), parts[depth].to_owned().into());
        let empty = || Spanned::new(key.clone(), DeValue::Table(DeTable::default()));
        table = match (table.entry(name).or_insert_with(empty).get_mut(), index) {
            (DeValue::Table(inner), _) => inner,
            (DeValue::Array(array), Some(index)) => {
                let count = array.len();
                depth += 1;
                match array.get_mut(index).map(Spanned::get_mut) {
                    Some(DeValue::Table(inner)) if depth < outer.len() => inner,
                    Some(_) => return no_parts(depth - usize::from(depth == outer.len())),
                    None => {
                        let array = parts[..depth].join(".");
                        return refused(format!("`{path}` reaches past `{array}`, which has {count}; the first is 0"));
                    }
                }
            }
            _ => return no_parts(depth),
        };
        depth += 1;
    }
    // A map keeps its old key, and with it the old place, unless that is taken out first.
    table.remove(*last);
    table.insert(Spanned::new(key.clone(), (*last).to_owned().into()), value);
    Ok(())
}

/// The same value, written elsewhere: all its parts get this span.
pub(super) fn moved<'i>(value: DeValue<'i>, span: &ByteRange) -> Value<'i> {
    let value = match value {
        DeValue::Array(array) => {
            let mut elsewhere = DeArray::new();
            for element in array {
                elsewhere.push(moved(element.into_inner(), span));
            }
            DeValue::Array(elsewhere)
        }
        DeValue::Table(table) => {
            let mut elsewhere = DeTable::default();
            for (key, value) in table {
                elsewhere.insert(Spanned::new(span.clone(), key.into_inner()), moved(value.into_inner(), span));
            }
            DeValue::Table(elsewhere)
        }
        plain => plain,
    };
    Spanned::new(span.clone(), value)
}

/// The value as JSON. Dates become text; a number that JSON hasn't becomes null.
pub(super) fn to_json(value: &DeValue<'_>) -> serde_json::Value {
    use serde::Deserialize;
    let value = Spanned::new(0..0, value.clone());
    serde_json::Value::deserialize(toml::de::ValueDeserializer::from(value)).unwrap_or_default()
}

/// A value as a person would write it in a sentence.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        // As it was written: JSON has no such dates, and not all such numbers.
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => suggest::short(number.as_str()).to_owned(),
        DeValue::Float(number) => suggest::short(number.as_str()).to_owned(),
        other => suggest::level(&to_json(other)),
    }
}

/// The same where it is of the wrong kind, so that the kind is said where it can't be seen.
pub(super) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => format!("string \"{}\"", shown(value)),
        DeValue::Datetime(_) => format!("date `{}`", shown(value)),
        _ => shown(value),
    }
}

/// What is wrong with a tree that didn't become what was asked for, and where.
///
/// `whole` is what errors call the tree itself when it is only a part: `claim`, or nothing for the top level.
pub(super) fn explain(error: &toml::de::Error, tree: &DeTable<'_>, whole: &str) -> (Option<ByteRange>, String) {
    let says = error.message();
    let span = error.span();
    let (first, known) = suggest::quoted(says);
    // A date where a table belongs is to serde a table of one field.
    let dated = first.is_some_and(|name| name.starts_with("$__toml_private"));
    let key = first.filter(|_| says.starts_with("unknown field") && !dated);
    let path = span.as_ref().and_then(|span| find(tree, span, key));
    let path = match (whole, path) {
        ("", path) => path.unwrap_or_default(),
        (whole, None) => whole.to_owned(),
        (whole, Some(path)) => format!("{whole}.{path}"),
    };
    let own = path.strip_prefix(whole).map_or(path.as_str(), |own| own.trim_start_matches('.'));
    let value = get(tree, own).map(Spanned::get_ref);
    let says = match first {
        _ if dated => wrong_value("invalid type: a date, expected a map", &path, value),
        Some(name) if says.starts_with("unknown field") => {
            let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
            let kind = if whole.is_empty() { "setting" } else { "key" };
            format!("unknown {kind} `{name}`{}{}", within(parent), suggest::hint(name, &known))
        }
        Some(name) if says.starts_with("unknown variant") => {
            format!("`{name}` is not a level of `{path}`{}", suggest::hint(name, &known))
        }
        Some(name) if says.starts_with("missing field") => {
            let hint = if name == "source" { "; write where it is claimed, or `source = \"own\"`" } else { "" };
            format!("no `{name}`{}{hint}", within(&path))
        }
        _ => wrong_value(says, &path, value),
    };
    (span, says)
}

/// `"invalid type: string \"many\", expected u32"` in words; anything else with its path before it. `value` is what
/// stands there.
pub(super) fn wrong_value(says: &str, path: &str, value: Option<&DeValue<'_>>) -> String {
    let wrong = says.strip_prefix("invalid type: ").or_else(|| says.strip_prefix("invalid value: "));
    match wrong.and_then(|rest| rest.split_once(", expected ")) {
        Some((said, wanted)) => {
            // Serde knows no dates: to it they are maps, or in JSON text.
            let date = value.filter(|value| matches!(value, DeValue::Datetime(_))).map(found);
            let said = date.as_deref().unwrap_or(said);
            format!("`{path}` can't be {said}: write {}", suggest::wanted(wanted, schema::bounds(path).as_ref()))
        }
        // A choice of words, which to TOML could be tables as well.
        None if says == "wanted string or table" => {
            format!("`{path}` can't be {}: write a text", value.map_or_else(|| "that".to_owned(), found))
        }
        None if says.starts_with("data did not match") => format!("`{path}`: write a number, or a text with its unit"),
        None => format!("`{path}`: {says}"),
    }
}

/// ` in [workload]`, ` in [[fault]]`, or nothing at the top.
fn within(path: &str) -> String {
    match path.rsplit_once('.') {
        _ if path.is_empty() => String::new(),
        Some((array, index)) if index.parse::<usize>().is_ok() => format!(" in [[{array}]]"),
        _ if path == "claim" => " in [[claim]]".to_owned(),
        _ => format!(" in [{path}]"),
    }
}

/// The dotted path of the deepest part that was written at exactly this span: a key of that name when one is
/// given, else a value.
fn find(tree: &DeTable<'_>, span: &ByteRange, key: Option<&str>) -> Option<String> {
    for (name, value) in tree {
        let joined = |inner: String| format!("{}.{inner}", name.get_ref());
        if let Some(inner) = find_in(value, span, key) {
            return Some(joined(inner));
        }
        let here = match key {
            Some(key) => name.span() == *span && name.get_ref() == key,
            None => value.span() == *span,
        };
        if here {
            return Some(name.get_ref().to_string());
        }
    }
    None
}

fn find_in(value: &Value<'_>, span: &ByteRange, key: Option<&str>) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => find(table, span, key),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(index, element)| {
            let inner = find_in(element, span, key);
            let here = key.is_none() && element.span() == *span;
            inner.map(|inner| format!("{index}.{inner}")).or_else(|| here.then(|| index.to_string()))
        }),
        _ => None,
    }
}
