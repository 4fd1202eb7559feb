//! The claims of an experiment file: one comparison each, of a metric that exists, over levels that occur.

use serde::Deserialize;
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::source::{ByteRange, ExperimentSource};
use super::tree::{self, Value};
use super::unchecked::{RawFactor, UncheckedExperiment};
use super::{ExperimentError, suggest};
use crate::stats::{check_claim, metric_names};
use crate::trial::Claim;
use crate::trial::claim::{Citation, ClaimSource, OneOrMany, Selection};

/// The claims of one experiment at most.
const MAX_CLAIMS: usize = 200;

/// What a metric's name may end in.
const QUANTILES: [&str; 5] = ["p50", "p90", "p99", "min", "max"];

/// Checks every claim. `occurring` is each factor and its levels in canonical form, `[full]`'s included.
pub(super) fn read<'i>(
    source: &ExperimentSource,
    claims: Vec<Value<'i>>,
    unchecked: &UncheckedExperiment<'i>,
    occurring: &[(String, Vec<Json>)],
) -> Result<Vec<Claim>, ExperimentError> {
    if claims.len() > MAX_CLAIMS {
        return Err(source.whole(&format!("more than {MAX_CLAIMS} claims")));
    }
    let reader = Reader { source, unchecked, occurring };
    claims.into_iter().map(|claim| reader.read(claim)).collect()
}

struct Reader<'a, 'i> {
    source: &'a ExperimentSource,
    unchecked: &'a UncheckedExperiment<'i>,
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
        if let ClaimSource::Cited(Citation { url, quote }) = &claim.source {
            if !url.is_empty() && !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(self.error(&at("source.url"), "`source.url` is no address; write https://…"));
            }
            if quote.trim().is_empty() {
                return Err(
                    self.error(&at("source.quote"), "`source.quote` is empty; write the words that stand there")
                );
            }
        }
        self.check_metric(&claim.metric, &at("metric"))?;
        if let Some(metric) = claim.than.as_ref().and_then(|than| than.metric.as_ref()) {
            self.check_metric(metric, &at("than.metric"))?;
        }
        self.check_comparison(&claim, &span, &at)?;
        claim.selection = self.selection(&table)?;
        if let Some(than) = &mut claim.than
            && let Some(DeValue::Table(table)) = tree::get(&table, "than").map(toml::Spanned::get_ref)
        {
            than.selection = self.selection(table)?;
        }
        Ok(claim)
    }

    /// A metric that exists, with or without the quantile that is meant.
    fn check_metric(&self, metric: &str, span: &ByteRange) -> Result<(), ExperimentError> {
        let known: Vec<&str> = metric_names().collect();
        let (name, quantile) = metric.split_once('.').map_or((metric, None), |(name, q)| (name, Some(q)));
        if !known.contains(&name) {
            let says = format!("unknown metric `{}`{}", suggest::short(name), suggest::hint(name, &known));
            return Err(self.error(span, &says));
        }
        match quantile {
            Some(quantile) if !QUANTILES.contains(&quantile) => {
                let quantile = suggest::short(quantile);
                let says = format!("`.{quantile}` is no quantile of `{name}`; write .p50, .p90, .p99, .min or .max");
                Err(self.error(span, &says))
            }
            _ => Ok(()),
        }
    }

    fn check_comparison(
        &self,
        claim: &Claim,
        span: &ByteRange,
        at: &dyn Fn(&str) -> ByteRange,
    ) -> Result<(), ExperimentError> {
        let comparisons = [
            ("equals", claim.equals.is_some()),
            ("at-most", claim.at_most.is_some()),
            ("at-least", claim.at_least.is_some()),
            ("within", claim.within.is_some()),
        ];
        let given: Vec<&str> = comparisons.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        match given.as_slice() {
            // The metric decides which unit the comparison takes.
            [name] => check_claim(claim).map_err(|error| self.error(&at(name), &error.to_string())),
            [] => {
                let says = "this claim compares with nothing; write one of equals, at-most, at-least or within";
                Err(self.error(span, says))
            }
            [.., first, second] => {
                Err(self.error(&at(second), &format!("this claim has `{first}` and `{second}`; write one")))
            }
        }
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
                let says =
                    format!("unknown factor `{}` in `where`{}", suggest::short(name), suggest::hint(name, &factors));
                return Err(self.error(&key.span(), &says));
            };
            let level = |value: &Value<'i>| self.level(name, &key.span(), value, known);
            let written: Vec<Value<'i>> = match value.get_ref() {
                DeValue::Array(array) => array.iter().cloned().collect(),
                _ => vec![value.clone()],
            };
            let is_one = written.len() == 1 && !value.get_ref().is_array();
            // One word may stand for several here, too.
            let levels = match RawFactor::new(name.to_owned(), key.span(), written).levels.as_slice() {
                [] => return Err(self.error(&value.span(), &format!("`where` names no level of `{name}`"))),
                [one] if is_one => OneOrMany::One(level(one)?),
                levels => OneOrMany::Many(levels.iter().map(level).collect::<Result<_, _>>()?),
            };
            selection.insert(name.to_owned(), levels);
        }
        Ok(selection)
    }

    fn level(&self, name: &str, key: &ByteRange, value: &Value<'i>, known: &[Json]) -> Result<Json, ExperimentError> {
        let level = self.unchecked.canonical(name, key, value)?;
        if known.contains(&level) {
            return Ok(level);
        }
        let level = suggest::level(&level);
        let known: Vec<String> = known.iter().map(suggest::level).collect();
        let says = format!("`{level}` is not a level of `{name}` in this experiment{}", suggest::hint(&level, &known));
        Err(self.error(&value.span(), &says))
    }

    fn error(&self, span: &ByteRange, says: &str) -> ExperimentError {
        self.source.error(span.clone(), says.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::file::tests::{GOOD, loaded, refused};

    /// The answer to a claim whose lines begin at line 4.
    #[track_caller]
    fn refused_claim(lines: &str) -> String {
        refused(&format!("[factors]\nclient = ['native', 'firefox']\nprotocol = ['sse/h1']\n[[claim]]\n{lines}"))
    }

    const HEAD: &str = "says = 'So.'\nsource = { url = 'https://example.org/', quote = 'so' }\n";

    #[track_caller]
    fn after_head(lines: &str) -> String {
        refused_claim(&format!("{HEAD}{lines}"))
    }

    #[test]
    fn levels_are_kept_in_canonical_form() {
        let text = GOOD
            .replace("where = {", "where = { \"workload.hold\" = '3000ms',")
            .replace("[workload]\nhold = \"5s\"\n", "\"workload.hold\" = [\"3s\"]\n");
        let claim = &loaded(&text).claims[0];
        assert_eq!(claim.selection["workload.hold"], OneOrMany::One("3s".into()));
        assert_eq!(claim.selection["protocol"], OneOrMany::Many(vec!["sse/h2".into()]));
    }

    #[test]
    fn a_claim_may_be_about_browsers() {
        let claim = "metric = 'open-streams'\nequals = 6\nwhere = { client = 'browsers' }\n";
        let text = format!("question = 'Q?'\n[factors]\nclient = ['native', 'browsers']\n[[claim]]\n{HEAD}{claim}");
        let all = crate::client::browsers().map(|client| client.name.into()).collect();
        assert_eq!(loaded(&text).claims[0].selection["client"], OneOrMany::Many(all));
    }

    #[test]
    fn an_unknown_metric_is_named_with_the_nearest() {
        assert_eq!(
            after_head("metric = 'open-stream'\nequals = 6\n"),
            "x.toml:8: unknown metric `open-stream`; did you mean `open-streams`?"
        );
        assert_eq!(
            after_head("metric = 'latency.p95'\nequals = 6\n"),
            "x.toml:8: `.p95` is no quantile of `latency`; write .p50, .p90, .p99, .min or .max"
        );
        assert_eq!(
            after_head("metric = 'lost'\nequals = 6\nthan = { metric = 'losst' }\n"),
            "x.toml:10: unknown metric `losst`; did you mean `lost`?"
        );
    }

    #[test]
    fn a_claim_has_exactly_one_comparison() {
        assert_eq!(
            after_head("metric = 'lost'\n"),
            "x.toml:5: this claim compares with nothing; write one of equals, at-most, at-least or within"
        );
        assert_eq!(
            after_head("metric = 'lost'\nequals = 6\nat-most = 7\n"),
            "x.toml:10: this claim has `equals` and `at-most`; write one"
        );
        assert_eq!(
            after_head("metric = 'lost'\nequalz = 6\n"),
            "x.toml:9: unknown key `equalz` in [[claim]]; did you mean `equals`?"
        );
    }

    #[test]
    fn a_quantity_is_in_the_unit_of_its_metric() {
        let at = |lines: &str| after_head(&format!("metric = 'latency'\n{lines}"));
        assert_eq!(at("at-most = 50\n"), "x.toml:9: latency = 50 needs its unit, such as \"50ms\"");
        assert!(at("at-most = '50 kB'\n").starts_with("x.toml:9: `50 kB` is not a length of time"));
        assert_eq!(at("at-most = true\n"), "x.toml:9: `claim.at-most`: write a number, or a text with its unit");
        assert_eq!(at("at-most = '50ms'\nthan = {}\n"), "x.toml:9: a ratio is a plain number, not `50ms`");
        let at = |lines: &str| after_head(&format!("metric = 'lost'\n{lines}"));
        assert_eq!(at("at-most = nan\n"), "x.toml:9: lost = NaN compares nothing");
        assert_eq!(at("within = [3, 2]\n"), "x.toml:9: within = [3, 2] contains nothing");
    }

    #[test]
    fn where_names_factors_and_levels_that_occur() {
        let at = |selection: &str| after_head(&format!("metric = 'lost'\nequals = 6\nwhere = {{ {selection} }}\n"));
        assert_eq!(
            at("protocl = 'sse/h1'"),
            "x.toml:10: unknown factor `protocl` in `where`; did you mean `protocol`?"
        );
        assert_eq!(at("client = 'firefix'"), "x.toml:10: unknown client `firefix`; did you mean `firefox`?");
        assert_eq!(
            at("client = ['native', 'webkit']"),
            "x.toml:10: `webkit` is not a level of `client` in this experiment; write `native` or `firefox`"
        );
        assert_eq!(at("client = []"), "x.toml:10: `where` names no level of `client`");
        assert_eq!(
            after_head("metric = 'lost'\nequals = 6\nthan = { where = { client = 'webkit' } }\n"),
            "x.toml:10: `webkit` is not a level of `client` in this experiment; write `native` or `firefox`"
        );
    }

    #[test]
    fn a_claim_says_something_and_where_it_stands() {
        let rest = "metric = 'lost'\nequals = 6\n";
        let at = |head: &str| refused_claim(&format!("{head}{rest}"));
        assert_eq!(
            at("says = 'So.'\n"),
            "x.toml:5: no `source` in [[claim]]; write where it is claimed, or `source = \"own\"`"
        );
        assert_eq!(
            at("says = ''\nsource = { url = 'https://example.org/', quote = 'so' }\n"),
            "x.toml:6: `says` is empty; write the sentence that people repeat"
        );
        assert_eq!(
            at("says = 'So.'\nsource = { url = 'javascript:alert(1)', quote = 'so' }\n"),
            "x.toml:7: `source.url` is no address; write https://…"
        );
        assert_eq!(
            at("says = 'So.'\nsource = { url = 'https://example.org/', quote = '' }\n"),
            "x.toml:7: `source.quote` is empty; write the words that stand there"
        );
        assert_eq!(refused("claim = 3\n"), "x.toml:2: claims are an array of tables: write [[claim]]");
        let mine = at("says = 'So.'\nsource = 'mine'\n");
        assert!(
            mine.starts_with("x.toml:7: `claim.source` can't be string \"mine\": write \"own\", or a table"),
            "{mine}"
        );
        let cited = |source: &str| {
            loaded(&format!("question = 'Q?'\n[[claim]]\nsays = 'So.'\nsource = {source}\n{rest}"))
                .claims
                .remove(0)
                .source
        };
        assert_eq!(cited("'own'"), ClaimSource::Own);
        let said = Citation { url: String::new(), quote: "so".to_owned() };
        assert_eq!(cited("{ quote = 'so' }"), ClaimSource::Cited(said));
        for source in ["\"own\"", r#"{"quote":"so"}"#, r#"{"url":"https://example.org/","quote":"so"}"#] {
            let read: ClaimSource = serde_json::from_str(source).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), source);
        }
    }
}
