//! What `--set` and `--client` put in place of a file's settings and factors.

use toml::de::{DeTable, DeValue};

use super::draft::{Draft, RawFactor};
use super::source::{Source, Span};
use super::tree::{self, Value};
use super::{ExperimentError, Overrides};

/// One flag: a dotted name, and its levels as text in brackets.
#[derive(Debug)]
pub(super) struct Flag {
    name: String,
    /// `[100,unset]`
    levels: String,
    span: Span,
}

impl Flag {
    /// Every flag, its place added to the source.
    pub(super) fn read_all(overrides: &Overrides, source: &mut Source) -> Result<Vec<Self>, ExperimentError> {
        let mut flags = Vec::new();
        if !overrides.clients.is_empty() {
            let clients = overrides.clients.join(",");
            let span = source.add_flag(format!("--client {clients}"));
            flags.push(Self { name: "client".to_owned(), levels: format!("[{clients}]"), span });
        }
        for text in &overrides.set {
            let span = source.add_flag(format!("--set {text}"));
            let Some((name, levels)) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
                let says = "write NAME=LEVEL or NAME=LEVEL,LEVEL, such as `workload.subscribers=10,100`";
                return Err(source.error(span, says.to_owned()));
            };
            flags.push(Self { name: name.trim().to_owned(), levels: format!("[{levels}]"), span });
        }
        Ok(flags)
    }

    /// Puts the levels in place of the setting or factor of that name; several make it a factor.
    pub(super) fn apply<'i>(&'i self, draft: &mut Draft<'i>) -> Result<(), ExperimentError> {
        let mut levels = self.levels(draft.source)?;
        if let Some(factor) = draft.factors.iter_mut().find(|factor| factor.name == self.name) {
            factor.key = self.span.clone();
            factor.levels = levels;
            return Ok(());
        }
        if levels.len() > 1 {
            remove(&mut draft.base, &self.name);
            draft.factors.push(RawFactor { name: self.name.clone(), key: self.span.clone(), levels });
            return Ok(());
        }
        let level = levels.remove(0);
        tree::put(&mut draft.base, &self.name, &self.span, level)
            .map_err(|says| draft.source.error(self.span.clone(), says))
    }

    /// TOML values where they are (`100`, `"a,b"`, `{ count = 3 }`), otherwise text (`3s`, `sse/h2`); one at least.
    fn levels(&self, source: &Source) -> Result<Vec<Value<'_>>, ExperimentError> {
        let plain = &self.levels[1..self.levels.len() - 1];
        let values = match DeValue::parse(&self.levels).map(toml::Spanned::into_inner) {
            Ok(DeValue::Array(array)) => array.into_iter().map(toml::Spanned::into_inner).collect(),
            _ => plain.split(',').map(|text| value(text.trim())).collect::<Vec<_>>(),
        };
        if values.is_empty() || values.iter().any(|value| value.as_str() == Some("")) {
            return Err(source.error(self.span.clone(), format!("a level of `{}` is empty", self.name)));
        }
        Ok(values.into_iter().map(|value| tree::moved(value, &self.span)).collect())
    }
}

fn value(text: &str) -> DeValue<'_> {
    DeValue::parse(text).map_or_else(|_| DeValue::String(text.into()), toml::Spanned::into_inner)
}

/// Takes a setting out of the tree, if it is there.
fn remove(tree: &mut DeTable<'_>, path: &str) {
    match path.split_once('.') {
        None => {
            tree.remove(path);
        }
        Some((first, rest)) => {
            if let Some(DeValue::Table(inner)) = tree.get_mut(first).map(toml::Spanned::get_mut) {
                remove(inner, rest);
            }
        }
    }
}
