//! Ids of events that came, kept and written small: they count up, nearly always.

use std::fmt::{self, Write};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many ids one list may have: a line of a few bytes can say that there are many.
const MOST: usize = 1 << 24;
/// How many bytes they may have together.
const MOST_BYTES: usize = 1 << 30;
/// How many digits the number of an id may have more than that of another.
const DIGITS: usize = 20;
/// From how many on ids that count up are written as a run.
const RUN: usize = 3;

/// Ids of events in the order they came.
///
/// Written as a list. Ids that count up may be one entry, the first and how many: `["k3f9-0",["k3f9-7",300]]` are 301.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EventIds {
    /// One after another.
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl EventIds {
    /// Adds one at the end.
    ///
    /// # Panics
    /// Where all of them are 4 GiB long.
    pub fn push(&mut self, id: &str) {
        self.text.push_str(id);
        self.ended();
    }

    fn ended(&mut self) {
        self.ends.push(u32::try_from(self.text.len()).expect("ids of less than 4 GiB"));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).filter_map(|(begin, &end)| self.text.get(begin as usize..end as usize))
    }
}

impl<T: AsRef<str>> FromIterator<T> for EventIds {
    fn from_iter<I: IntoIterator<Item = T>>(ids: I) -> Self {
        let mut all = Self::default();
        ids.into_iter().for_each(|id| all.push(id.as_ref()));
        all
    }
}

impl fmt::Debug for EventIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What an id counts in, and its number, where it has one that is written as numbers are.
fn parts(id: &str) -> Option<(&str, u64)> {
    let (of, digits) = id.split_at(id.rfind('-')? + 1);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    Some((of, digits.parse().ok().filter(|_| is_plain)?))
}

/// An entry of the list.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "an id, or the first of a run and how many there are")]
enum Entry<T> {
    Id(T),
    Run(T, usize),
}

impl Serialize for EventIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut ids = self.iter().peekable();
        while let Some(first) = ids.next() {
            let mut run = vec![first];
            if let Some((of, number)) = parts(first) {
                let mut next = number;
                while ids.peek().is_some_and(|id| parts(id) == next.checked_add(1).map(|next| (of, next))) {
                    next += 1;
                    run.extend(ids.next());
                }
            }
            if run.len() < RUN {
                run.into_iter().try_for_each(|id| list.serialize_element(id))?;
            } else {
                list.serialize_element(&Entry::Run(first, run.len()))?;
            }
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for EventIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(IdsVisitor)
    }
}

struct IdsVisitor;

impl<'de> Visitor<'de> for IdsVisitor {
    type Value = EventIds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<EventIds, A::Error> {
        let mut ids = EventIds::default();
        while let Some(entry) = list.next_element::<Entry<String>>()? {
            let (first, count) = match entry {
                Entry::Id(id) => (id, 1),
                Entry::Run(first, count) => (first, count),
            };
            let bytes = count.saturating_mul(first.len() + DIGITS).saturating_add(ids.text.len());
            if count > MOST - ids.len() || bytes > MOST_BYTES {
                return Err(A::Error::custom(format_args!("a list has at most {MOST} ids, of {MOST_BYTES} bytes")));
            }
            if count == 1 {
                ids.push(&first);
                continue;
            }
            let number = parts(&first).and_then(|(of, number)| Some((of, number, number.checked_add(count as u64)?)));
            let Some((of, number, end)) = number else {
                return Err(A::Error::custom(format_args!("`{first}` ends in no number that a run could count from")));
            };
            for number in number..end {
                // A string takes all that is written to it.
                let _ = write!(ids.text, "{of}{number}");
                ids.ended();
            }
        }
        Ok(ids)
    }
}

impl JsonSchema for EventIds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventIds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": {
                "anyOf": [
                    { "type": "string" },
                    {
                        "type": "array",
                        "items": [{ "type": "string" }, { "type": "integer", "minimum": 0 }],
                        "minItems": 2,
                        "maxItems": 2
                    }
                ]
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ids: &[&str]) -> String {
        serde_json::to_string(&ids.iter().collect::<EventIds>()).unwrap()
    }

    #[test]
    fn what_counts_up_is_one_entry_and_reads_as_it_was() {
        for (ids, expected) in [
            (&[][..], "[]"),
            (&["k-1", "k-2"], r#"["k-1","k-2"]"#),
            (&["k-9", "k-10", "k-11"], r#"[["k-9",3]]"#),
            (&["k-1", "k-2", "k-3", "k-5", "k-3", "j-4"], r#"[["k-1",3],"k-5","k-3","j-4"]"#),
            (&["a", "a", "k-01", "k-02", "k-03", ""], r#"["a","a","k-01","k-02","k-03",""]"#),
            (&["k-18446744073709551615", "k-0", "k-1"], r#"["k-18446744073709551615","k-0","k-1"]"#),
            (&["-7", "-8", "-9"], r#"[["-7",3]]"#),
        ] {
            assert_eq!(written(ids), expected);
            let read: EventIds = serde_json::from_str(expected).unwrap();
            assert_eq!(read.iter().collect::<Vec<_>>(), ids);
            assert_eq!((read.len(), read.is_empty()), (ids.len(), ids.is_empty()));
        }
    }

    #[test]
    fn a_list_that_says_more_than_there_can_be_is_refused_before_it_is_made() {
        for (text, wrong) in [
            (r#"[["k-1",4000000000]]"#, "at most 16777216 ids"),
            (r#"[["k-1",16777216],"k-2"]"#, "at most 16777216 ids"),
            (&format!(r#"[["{}-1",100000]]"#, "k".repeat(100_000)), "of 1073741824 bytes"),
            (r#"[["k",2]]"#, "`k` ends in no number"),
            (r#"[["k-18446744073709551615",2]]"#, "ends in no number"),
            (r#"[["k-1",-2]]"#, "an id, or the first of a run"),
            (r"[7]", "an id, or the first of a run"),
            (r#""k-1""#, "a list of ids"),
        ] {
            let error = serde_json::from_str::<EventIds>(text).unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
