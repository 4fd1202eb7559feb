//! The claims of an experiment file: one comparison each, of a metric that exists, over levels that occur.

use serde::Deserialize;
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::draft::Draft;
use super::source::{Source, Span};
use super::tree::{self, Value};
use super::{ExperimentError, words};
use crate::trial::Claim;
use crate::trial::claim::{OneOrMany, Quantity, Selection};
use crate::units::{Rate, Size};

/// The claims of one experiment at most.
const MAX_CLAIMS: usize = 200;

/// What a metric's name may end in.
const QUANTILES: [&str; 5] = ["p50", "p90", "p99", "min", "max"];

/// Checks every claim. `occurring` is each factor and its levels in canonical form, `[full]`'s included.
pub(super) fn read<'i>(
    source: &Source,
    claims: Vec<Value<'i>>,
    draft: &Draft<'i>,
    occurring: &[(String, Vec<Json>)],
) -> Result<Vec<Claim>, ExperimentError> {
    if claims.len() > MAX_CLAIMS {
        return Err(source.whole(&format!("more than {MAX_CLAIMS} claims")));
    }
    let reader = Reader { source, draft, occurring };
    claims.into_iter().map(|claim| reader.read(claim)).collect()
}

struct Reader<'a, 'i> {
    source: &'a Source,
    draft: &'a Draft<'i>,
    occurring: &'a [(String, Vec<Json>)],
}

impl<'i> Reader<'_, 'i> {
    fn read(&self, value: Value<'i>) -> Result<Claim, ExperimentError> {
        let span = value.span();
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.error(&span, "claims are an array of tables: write [[claim]]"));
        };
        let table = table.clone();
        let mut claim = Claim::deserialize(toml::de::ValueDeserializer::from(value)).map_err(|error| {
            let (at, says) = tree::explain(&error, &table, "claim");
            self.source.error(at.unwrap_or_else(|| span.clone()), says)
        })?;
        let at = |path: &str| tree::get(&table, path).map_or_else(|| span.clone(), toml::Spanned::span);

        if claim.says.trim().is_empty() {
            return Err(self.error(&at("says"), "`says` is empty; write the sentence that people repeat"));
        }
        if !["https://", "http://"].iter().any(|scheme| claim.source.url.starts_with(scheme)) {
            return Err(self.error(&at("source.url"), "`source.url` is no address; write https://…"));
        }
        if claim.source.quote.trim().is_empty() {
            return Err(self.error(&at("source.quote"), "`source.quote` is empty; write the words that stand there"));
        }
        check_metric(&claim.metric).map_err(|says| self.error(&at("metric"), &says))?;
        self.check_comparison(&claim, &span, &at)?;
        claim.selection = self.selection(&table)?;
        if let Some(than) = &mut claim.than {
            if let Some(metric) = &than.metric {
                check_metric(metric).map_err(|says| self.error(&at("than.metric"), &says))?;
            }
            if let Some(DeValue::Table(table)) = tree::get(&table, "than").map(toml::Spanned::get_ref) {
                than.selection = self.selection(table)?;
            }
        }
        Ok(claim)
    }

    fn check_comparison(&self, claim: &Claim, span: &Span, at: &dyn Fn(&str) -> Span) -> Result<(), ExperimentError> {
        let given: Vec<(&str, Vec<&Quantity>)> = [
            ("equals", claim.equals.iter().collect()),
            ("at-most", claim.at_most.iter().collect()),
            ("at-least", claim.at_least.iter().collect()),
            ("within", claim.within.iter().flatten().collect()),
        ]
        .into_iter()
        .filter(|(_, quantities): &(&str, Vec<&Quantity>)| !quantities.is_empty())
        .collect();
        let (name, quantities) = match given.as_slice() {
            [one] => one,
            [] => {
                let says = "this claim compares with nothing; write one of equals, at-most, at-least or within";
                return Err(self.error(span, says));
            }
            [.., (first, _), (second, _)] => {
                return Err(self.error(&at(second), &format!("this claim has `{first}` and `{second}`; write one")));
            }
        };
        for quantity in quantities {
            let wrong = match quantity {
                Quantity::Number(number) if number.is_finite() => continue,
                Quantity::Number(number) => format!("`{name}` can't be {number}"),
                Quantity::Text(text) if claim.than.is_some() => {
                    format!("`{name}` can't be `{}`: with `than` it is a ratio, a plain number", words::short(text))
                }
                Quantity::Text(text) if is_quantity(text) => continue,
                Quantity::Text(text) => {
                    let text = words::short(text);
                    format!(
                        "`{text}` is no quantity; write a number, or one with its unit: \"50ms\", \"4 KiB\", \"1/s\""
                    )
                }
            };
            return Err(self.error(&at(name), &wrong));
        }
        if let [Quantity::Number(low), Quantity::Number(high)] = quantities.as_slice()
            && low > high
        {
            return Err(self.error(&at("within"), &format!("`within` is empty: {low} is more than {high}")));
        }
        Ok(())
    }

    /// A table's `where`, its factors and levels checked, and the levels in canonical form.
    fn selection(&self, table: &DeTable<'i>) -> Result<Selection, ExperimentError> {
        let mut selection = Selection::new();
        let Some(DeValue::Table(entries)) = table.get("where").map(toml::Spanned::get_ref) else {
            return Ok(selection);
        };
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let Some((_, known)) = self.occurring.iter().find(|(factor, _)| factor == name) else {
                let factors: Vec<&str> = self.occurring.iter().map(|(factor, _)| factor.as_str()).collect();
                let says = format!("unknown factor `{}` in `where`{}", words::short(name), words::hint(name, &factors));
                return Err(self.error(&key.span(), &says));
            };
            let level = |value: &Value<'i>| self.level(name, &key.span(), value, known);
            let levels = match value.get_ref() {
                DeValue::Array(array) if array.is_empty() => {
                    return Err(self.error(&value.span(), &format!("`where` names no level of `{name}`")));
                }
                DeValue::Array(array) => OneOrMany::Many(array.iter().map(level).collect::<Result<_, _>>()?),
                _ => OneOrMany::One(level(value)?),
            };
            selection.insert(name.to_owned(), levels);
        }
        Ok(selection)
    }

    fn level(&self, name: &str, key: &Span, value: &Value<'i>, known: &[Json]) -> Result<Json, ExperimentError> {
        let level = self.draft.canonical(name, key, value)?;
        if known.contains(&level) {
            return Ok(level);
        }
        let level = words::level(&level);
        let known: Vec<String> = known.iter().map(words::level).collect();
        let says = format!("`{level}` is not a level of `{name}` in this experiment{}", words::hint(&level, &known));
        Err(self.error(&value.span(), &says))
    }

    fn error(&self, span: &Span, says: &str) -> ExperimentError {
        self.source.error(span.clone(), says.to_owned())
    }
}

/// A metric that exists, with or without the quantile that is meant.
fn check_metric(metric: &str) -> Result<(), String> {
    let known = words::metrics();
    let (name, quantile) = metric.split_once('.').map_or((metric, None), |(name, q)| (name, Some(q)));
    if !known.contains(&name) {
        return Err(format!("unknown metric `{}`{}", words::short(name), words::hint(name, &known)));
    }
    match quantile {
        Some(quantile) if !QUANTILES.contains(&quantile) => {
            let quantile = words::short(quantile);
            Err(format!("`.{quantile}` is no quantile of `{name}`; write .p50, .p90, .p99, .min or .max"))
        }
        _ => Ok(()),
    }
}

fn is_quantity(text: &str) -> bool {
    text.parse::<crate::units::Span>().is_ok() || text.parse::<Size>().is_ok() || text.parse::<Rate>().is_ok()
}
