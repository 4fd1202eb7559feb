//! What a type may be, as a JSON schema that is made of the type itself, and the bounds that stand in it.
//!
//! A number's bounds are the schema's `minimum` and `maximum`, those of a quantity (`"250ms"`) [`LEAST`] and [`MOST`].

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::units::{BitRate, Percent, Size, Span};

/// The least that a quantity may be, in the schema of its setting.
pub const LEAST: &str = "x-least";
/// The most.
pub const MOST: &str = "x-most";

/// The schema of a type, in the draft that editors know best (draft-07) and without references. Each is made once.
pub fn schema_of<T: JsonSchema + 'static>() -> &'static Value {
    static KNOWN: Mutex<BTreeMap<TypeId, &'static Value>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(TypeId::of::<T>()).or_insert_with(|| Box::leak(Box::new(made::<T>())))
}

fn made<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    plain(&mut schema);
    schema
}

/// A doc comment's lines are one sentence after another, and its links are for readers of the code.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(says)) = members.get_mut("description") {
                *says = says.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
            }
            members.values_mut().for_each(plain);
        }
        Value::Array(elements) => elements.iter_mut().for_each(plain),
        _ => {}
    }
}

/// A value somewhere in what a schema describes.
#[derive(Debug, Clone, Copy)]
pub struct Field<'s> {
    /// What it may be.
    pub schema: &'s Value,
    /// Whether it is always there.
    pub always: bool,
}

impl<'s> Field<'s> {
    /// What it is about, as its doc comment says.
    pub fn meaning(&self) -> &'s str {
        self.schema["description"].as_str().unwrap_or_default()
    }

    /// The words that can be there, each with what it means.
    pub fn words(&self) -> Vec<(&'s str, &'s str)> {
        let mut words = Vec::new();
        collect_words(self.schema, &mut words);
        words
    }

    /// What is written there: `a length of time, such as "250ms"`, `a whole number`, `"shared" | "separate"`.
    pub fn kind(&self) -> String {
        let mut kinds: Vec<String> = Vec::new();
        collect_kinds(self.schema, &mut kinds);
        kinds.extend(self.words().iter().map(|(word, _)| format!("\"{word}\"")));
        if kinds.is_empty() { "anything".to_owned() } else { kinds.join(" | ") }
    }
}

/// Every value that isn't a table itself, by its dotted path: `events.rate`, of a list `fault[].at`, of a table with any
/// keys `metrics.*.median`. What stands in a table itself comes before what stands in the tables in it.
pub fn fields(schema: &Value) -> Vec<(String, Field<'_>)> {
    let mut all = Vec::new();
    collect_fields(schema, "", &mut all);
    all
}

fn collect_fields<'s>(schema: &'s Value, path: &str, all: &mut Vec<(String, Field<'s>)>) {
    let mut tables = Vec::new();
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|known| known == name));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match inner(property) {
            Some((more, inner)) => tables.push((format!("{path}{more}"), inner)),
            None => all.push((path, Field { schema: property, always: required(name) })),
        }
    }
    for (path, table) in tables {
        collect_fields(table, &path, all);
    }
}

/// The table that a value is, or holds, and what its path goes on with.
fn inner(schema: &Value) -> Option<(&'static str, &Value)> {
    let table = |schema: &&Value| schema.get("properties").is_some();
    let items = schema.get("items").filter(table).map(|items| ("[]", items));
    let values = schema.get("additionalProperties").filter(table).map(|values| (".*", values));
    Some(("", schema)).filter(|(_, schema)| table(schema)).or(items).or(values)
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten()
}

fn collect_words<'s>(schema: &'s Value, words: &mut Vec<(&'s str, &'s str)>) {
    let means = schema["description"].as_str().unwrap_or_default();
    let own = schema["const"].as_str().map(|word| (word, means));
    let plain = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|word| (word, ""));
    for word in own.into_iter().chain(plain) {
        // A list may be of what can also be written alone.
        if !words.contains(&word) {
            words.push(word);
        }
    }
    choices(schema).chain(schema.get("items")).for_each(|choice| collect_words(choice, words));
}

fn collect_kinds(schema: &Value, kinds: &mut Vec<String>) {
    let example = schema["examples"][0].as_str().map(|example| format!(", such as \"{example}\"")).unwrap_or_default();
    let is = |name: &str| match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(some) => some.iter().any(|one| one == name),
        _ => false,
    };
    let word = schema.get("const").is_some() || schema.get("enum").is_some();
    let kind = match schema["title"].as_str() {
        Some(title) if !word => Some(format!("{title}{example}")),
        _ if is("integer") => Some("a whole number".to_owned()),
        _ if is("number") => Some("a number".to_owned()),
        _ if is("boolean") => Some("true or false".to_owned()),
        _ if is("array") => Some("a list".to_owned()),
        _ if is("object") => Some("a table".to_owned()),
        _ if is("string") && !word => Some("a text".to_owned()),
        _ => None,
    };
    kinds.extend(kind.filter(|kind| !kinds.contains(kind)));
    choices(schema).for_each(|choice| collect_kinds(choice, kinds));
}

/// The least and the most that a value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// As one writes it; `None`: whatever its type can be.
    pub least: Option<String>,
    /// Likewise.
    pub most: Option<String>,
}

impl Bounds {
    /// Those of one value's schema.
    pub fn of(schema: &Value) -> Option<Self> {
        let text = |names: [&str; 2]| names.iter().find_map(|name| schema.get(name)).map(written);
        let (least, most) = (text(["minimum", LEAST]), text(["maximum", MOST]));
        (least.is_some() || most.is_some()).then_some(Self { least, most })
    }

    /// What lies within, as magnitudes.
    fn range(&self) -> RangeInclusive<f64> {
        let bound = |text: &Option<String>, other: f64| {
            text.as_ref()
                .and_then(|text| text.parse().ok().or_else(|| magnitude(&text.as_str().into())))
                .unwrap_or(other)
        };
        bound(&self.least, 0.0)..=bound(&self.most, f64::INFINITY)
    }
}

fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value that is less or more than it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` can't be {value}: write {}{least} to {most}", if *.whole { "a whole number from " } else { "" })]
pub struct OutOfBounds {
    /// Its dotted name, within what was checked: `events.size`.
    pub setting: String,
    /// What it is.
    pub value: String,
    /// What it may be.
    pub least: String,
    pub most: String,
    whole: bool,
}

/// Checks every value in this one, of this type, against the bounds of its schema. Bounds are of the first that is out of
/// them.
pub fn check_bounds<T: JsonSchema + 'static>(value: &Value) -> Result<(), OutOfBounds> {
    static KNOWN: Mutex<BTreeMap<TypeId, &'static Bounded>> = Mutex::new(BTreeMap::new());
    let bounded = *KNOWN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(TypeId::of::<T>())
        .or_insert_with(|| Box::leak(Box::new(Bounded::of(schema_of::<T>()).unwrap_or_default())));
    bounded.check(value, "")
}

/// What of a schema has bounds, itself or within: there are few of them, and thousands of combinations to be held to them.
#[derive(Debug, Default)]
struct Bounded {
    own: Vec<(Bounds, RangeInclusive<f64>)>,
    /// By their names.
    members: Vec<(String, Bounded)>,
    items: Option<Box<Bounded>>,
}

impl Bounded {
    /// `None`: nothing there has any.
    fn of(schema: &Value) -> Option<Self> {
        // A word that means something of its own has no magnitude, and so no bounds.
        let any = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        let own = std::iter::once(schema).chain(any).filter_map(Bounds::of);
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let bounded = Self {
            own: own.map(|bounds| (bounds.clone(), bounds.range())).collect(),
            members: properties.filter_map(|(name, schema)| Some((name.clone(), Self::of(schema)?))).collect(),
            items: schema.get("items").and_then(Self::of).map(Box::new),
        };
        (!bounded.own.is_empty() || !bounded.members.is_empty() || bounded.items.is_some()).then_some(bounded)
    }

    fn check(&self, value: &Value, path: &str) -> Result<(), OutOfBounds> {
        let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Object(values) => {
                let known = self.members.iter().filter_map(|(name, member)| Some((name, member, values.get(name)?)));
                known.into_iter().try_for_each(|(name, member, value)| member.check(value, &within(name)))
            }
            Value::Array(elements) => {
                let Some(items) = &self.items else { return Ok(()) };
                let mut elements = elements.iter().enumerate();
                elements.try_for_each(|(index, element)| items.check(element, &within(&index.to_string())))
            }
            single => self.check_single(single, path),
        }
    }

    fn check_single(&self, value: &Value, path: &str) -> Result<(), OutOfBounds> {
        if self.own.is_empty() {
            return Ok(());
        }
        let Some(size) = magnitude(value) else { return Ok(()) };
        let Some((Bounds { least, most }, _)) = self.own.iter().find(|(_, range)| !range.contains(&size)) else {
            return Ok(());
        };
        Err(OutOfBounds {
            setting: path.to_owned(),
            value: written(value),
            least: least.clone().unwrap_or_else(|| "0".to_owned()),
            most: most.clone().unwrap_or_else(|| u32::MAX.to_string()),
            whole: value.is_number(),
        })
    }
}

/// How much it is, in the least unit of its kind.
fn magnitude(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let span = || text.parse::<Span>().ok().map(|span| span.nanos() as f64);
            let size = || text.parse::<Size>().ok().map(|size| size.bytes() as f64);
            let share = || text.parse::<Percent>().ok().map(Percent::share);
            let rate = || text.parse::<BitRate>().ok().map(|rate| rate.bits() as f64);
            span().or_else(size).or_else(share).or_else(rate)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trial::Settings;

    #[test]
    fn a_value_out_of_its_bounds_is_told_them() {
        let said =
            |value: Value| check_bounds::<Settings>(&value).map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(said(json!({ "workload": { "pages": 16, "stream-window": "65535 B" }, "timeout": "1s" })), "");
        assert_eq!(
            said(json!({ "workload": { "pages": 17 } })),
            "`workload.pages` can't be 17: write a whole number from 1 to 16"
        );
        assert_eq!(
            said(json!({ "workload": { "stream-window": "65534 B" } })),
            "`workload.stream-window` can't be 65534 B: write 65535 B to 256 MiB"
        );
        assert_eq!(said(json!({ "timeout": "999ms" })), "`timeout` can't be 999ms: write 1s to 3600s");
        assert_eq!(said(json!({ "server": { "heartbeat": "off", "max-concurrent-streams": "unset" } })), "");
    }
}
