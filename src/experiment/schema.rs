//! What an experiment file may hold, as a JSON schema for editors and as a list for people: made of the types that the
//! file is read into, so that nothing of it is written twice.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{MAX_REPEATS, MAX_SEED, OWN, readers, suggest};
use crate::trial::schema::{Bounds, Field, fields, schema_of};
use crate::trial::{Claim, Settings};
use crate::{client, transport};

/// The settings of a trial, with every transport's table.
static SETTINGS: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schema_of::<Settings>().clone();
    let properties = &mut schema["properties"];
    for row in transport::ALL {
        properties[row.name] = (row.schema)().clone();
    }
    let clients: Vec<&str> = suggest::clients().into_iter().chain([client::BROWSERS]).collect();
    let program = format!("^{}.+", client::exec::PREFIX);
    let one = format!("(?:{})", suggest::clients().join("|"));
    let several = format!("^{one}(?:\\{}{one})+$", client::AND);
    let pattern = |pattern: String| json!({ "type": "string", "pattern": pattern });
    properties["client"]["anyOf"] = json!([{ "enum": clients }, pattern(program), pattern(several)]);
    properties["protocol"]["enum"] = suggest::protocols().into();
    properties["between"]["properties"]["intermediary"]["enum"] = suggest::intermediaries().into();
    schema["additionalProperties"] = false.into();
    schema
});

/// The schema of an experiment file (JSON Schema, draft-07).
pub fn file_schema() -> Value {
    let mut schema = SETTINGS.clone();
    let whole = |says: &str, least: u64, most: u64| json!({ "description": says, "type": "integer", "minimum": least, "maximum": most });
    let table = |says: &str| json!({ "description": says, "allOf": [{ "$ref": "#/definitions/factors" }] });
    let own: [Value; OWN.len()] = [
        json!({ "description": "What the experiment asks: one sentence.", "type": "string" }),
        whole("How often each combination runs. 1, or 5 where something goes wrong on purpose.", 1, MAX_REPEATS),
        whole("What everything that is drawn is drawn from.", 0, MAX_SEED),
        table("What varies: settings by their dotted names, with a list of levels each. Every combination runs."),
        table("Levels in place of those of [factors], and further factors, for `--full`."),
        json!({ "description": "Sentences that people repeat, and what would prove them.", "type": "array", "items": schema_of::<Claim>() }),
    ];
    for (name, property) in OWN.iter().zip(own) {
        schema["properties"][name] = property;
    }
    // What is left out of one of them can be a factor.
    for table in ["beside", "fault"] {
        schema["properties"][table]["items"]["required"] = json!([]);
    }
    schema["definitions"] = json!({ "factors": factors() });
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "An experiment of Transport Lab".into();
    schema["description"] =
        "Settings that don't vary stand at the top and in their tables, those that do in [factors].".into();
    schema["required"] = json!(["question"]);
    schema
}

/// `[factors]`: a list of levels for each setting, by its dotted name or in tables as the settings are.
fn factors() -> Value {
    let mut factors = in_lists(&SETTINGS, "#");
    for (name, _) in fields(&SETTINGS).into_iter().filter(|(name, _)| name.contains('.') && !name.contains("[]")) {
        let pointer = format!("#/properties/{}", name.replace('.', "/properties/"));
        factors["properties"][name] = list_of(&json!({ "$ref": pointer }));
    }
    // Of tables that may be there several times a setting of one of them, by its place.
    factors["patternProperties"] = json!({ "^(beside|fault)\\.[0-9]+\\.": list_of(&json!({})) });
    factors
}

/// A table with a list in each setting's place; what stands in it is as it is at `pointer`.
fn in_lists(schema: &Value, pointer: &str) -> Value {
    match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let list = |(name, schema): (&String, &Value)| {
                (name.clone(), in_lists(schema, &format!("{pointer}/properties/{name}")))
            };
            let properties: Map<String, Value> = properties.iter().map(list).collect();
            json!({ "type": "object", "properties": properties, "additionalProperties": false })
        }
        None => list_of(&json!({ "$ref": pointer })),
    }
}

fn list_of(items: &Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": items })
}

/// The least and the most that a setting may be, by its dotted name.
pub(super) fn bounds(setting: &str) -> Option<Bounds> {
    let mut schema = &*SETTINGS;
    for part in setting.split('.') {
        let array = part.parse::<usize>().is_ok();
        schema = if array { schema.get("items")? } else { schema.get("properties")?.get(part)? };
    }
    let any = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(schema).chain(any).find_map(Bounds::of)
}

/// One setting of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ListedSetting {
    /// Its dotted name: `workload.events.rate`. Of a table that may be there several times: `fault[].at`.
    pub name: String,
    /// What is written: `a length of time, such as "250ms"`, `a whole number`, `"shared" or "separate"`.
    pub kind: String,
    /// What it is where nobody says; `None` where it must be said, or has no default.
    pub default: Option<Value>,
    pub least: Option<String>,
    pub most: Option<String>,
    /// What it is about.
    pub meaning: String,
    /// Words that can be written, each with what it means.
    pub words: Vec<(String, String)>,
    /// Which clients read it, and on which protocols.
    pub read_by: String,
}

/// Every setting, in the order of name within its table; those that begin with this.
pub fn list_settings(prefix: &str) -> Vec<ListedSetting> {
    let named = fields(&SETTINGS).into_iter().filter(|(name, _)| name.starts_with(prefix));
    named.map(|(name, field)| ListedSetting::new(name, &field)).collect()
}

impl ListedSetting {
    fn new(name: String, field: &Field<'_>) -> Self {
        let bounds = bounds(&name.replace("[]", ".0"));
        let (least, most) = bounds.map_or((None, None), |bounds| (bounds.least, bounds.most));
        let words = field.words().into_iter().map(|(word, means)| (word.to_owned(), means.to_owned())).collect();
        Self {
            kind: field.kind(),
            default: field.schema.get("default").cloned(),
            least,
            most,
            meaning: field.meaning().to_owned(),
            words,
            read_by: readers::of(&name),
            name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_says_what_it_is_about_and_what_is_written() {
        let all = list_settings("");
        assert!(all.len() > 50, "{}", all.len());
        for setting in &all {
            assert!(setting.meaning.ends_with('.') && !setting.meaning.contains("[`"), "{setting:?}");
            assert!(!setting.read_by.is_empty(), "{setting:?}");
            let told = setting.words.iter().filter(|(_, means)| means.contains("[`"));
            assert_eq!(told.count(), 0, "{setting:?}");
        }
        let of = |name: &str| all.iter().find(|setting| setting.name == name).unwrap();
        let connections = of("workload.connections");
        assert_eq!(connections.kind, "\"shared\" | \"separate\"");
        assert_eq!(connections.default, Some("shared".into()));
        assert_eq!(connections.read_by, "native on HTTP/2, HTTP/3");
        let subscribers = of("workload.subscribers");
        assert_eq!((subscribers.least.as_deref(), subscribers.most.as_deref()), (Some("1"), Some("20000")));
        assert_eq!(of("workload.stream-window").most.as_deref(), Some("256 MiB"));
        assert_eq!(of("polling.interval").least.as_deref(), Some("10ms"));
        assert_eq!(of("workload.visibility").read_by, "browsers");
        assert_eq!(of("sse.cache").read_by, "browsers");
        assert_eq!(of("fault[].at").kind, "a length of time, such as \"250ms\"");
    }

    #[test]
    fn every_default_is_within_its_bounds_and_a_level_that_can_be_planned() {
        for setting in list_settings("").iter().filter(|setting| !setting.name.contains("[]")) {
            assert!(setting.default.is_some(), "{setting:?}");
        }
    }
}
