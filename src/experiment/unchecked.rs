//! An experiment's settings and factors while they are still TOML. A level is put into the tree at its dotted
//! path and the tree is parsed as a whole, so there is no registry of settings.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{ByteRange, ExperimentSource};
use super::tree::{self, Value};
use super::{ExperimentError, OWN, plan, suggest, validate};
use crate::transport::{ConfigureError, Configured};
use crate::trial::settings::Preset;
use crate::trial::{Alpn, Settings};
use crate::{client, transport};

/// The combinations of one experiment at most: more than a day of trials.
const MAX_COMBINATIONS: usize = 10_000;

/// A factor as it was written.
#[derive(Debug, Clone)]
pub(super) struct RawFactor<'i> {
    pub(super) name: String,
    /// Where its name stands.
    pub(super) key: ByteRange,
    /// One at least.
    pub(super) levels: Vec<Value<'i>>,
}

impl<'i> RawFactor<'i> {
    /// A factor with these levels; among those of `client`, one word may stand for every browser.
    pub(super) fn new(name: String, key: ByteRange, levels: Vec<Value<'i>>) -> Self {
        let all = |level: Value<'i>| -> Vec<Value<'i>> {
            if name != "client" || level.get_ref().as_str() != Some(client::BROWSERS) {
                return vec![level];
            }
            let browser = |row: &client::Client| Spanned::new(level.span(), DeValue::String(row.name.into()));
            client::browsers().map(browser).collect()
        };
        let levels = levels.into_iter().flat_map(all).collect();
        Self { name, key, levels }
    }
}

/// Settings and factors, unchecked.
#[derive(Debug, Clone)]
pub(super) struct UncheckedExperiment<'i> {
    pub(super) source: &'i ExperimentSource,
    /// The settings that don't vary.
    pub(super) base: DeTable<'i>,
    pub(super) factors: Vec<RawFactor<'i>>,
}

impl<'i> UncheckedExperiment<'i> {
    /// Every combination's settings, checked; the last factor varies fastest.
    pub(super) fn combinations(&self) -> Result<Vec<Settings>, ExperimentError> {
        let count = self.count()?;
        (0..count).map(|number| self.combination(number)).collect()
    }

    /// Each factor's levels in canonical form, in the order of `factors`. Refuses a level that occurs twice.
    pub(super) fn canonical_levels(&self) -> Result<Vec<Vec<Json>>, ExperimentError> {
        self.count()?;
        self.check_paths()?;
        self.factors.iter().map(|factor| self.canonical_levels_of(factor)).collect()
    }

    /// A value for a setting in canonical form: `"3s"` for `"3000ms"`.
    pub(super) fn canonical(&self, name: &str, key: &ByteRange, value: &Value<'i>) -> Result<Json, ExperimentError> {
        let mut tree = self.first_combination()?;
        tree::put(self.source, &mut tree, name, key, value.clone())?;
        let (settings, _) = self.settings(&tree)?;
        Ok(plan::level_of(&settings, name))
    }

    fn canonical_levels_of(&self, factor: &RawFactor<'i>) -> Result<Vec<Json>, ExperimentError> {
        let mut levels = Vec::new();
        for level in &factor.levels {
            let canonical = self.canonical(&factor.name, &factor.key, level)?;
            if levels.contains(&canonical) {
                let says = format!("`{}` has the level `{}` twice", factor.name, suggest::level(&canonical));
                return Err(self.source.error(level.span(), says));
            }
            levels.push(canonical);
        }
        Ok(levels)
    }

    /// No factor may reach into another, nor into a setting that doesn't vary.
    fn check_paths(&self) -> Result<(), ExperimentError> {
        for factor in &self.factors {
            let within = |other: &&RawFactor<'_>| {
                factor.name.strip_prefix(&other.name).is_some_and(|rest| rest.starts_with('.'))
            };
            if let Some(other) = self.factors.iter().find(within) {
                let says = format!("`{}` is a part of `{}`, which is a factor too", factor.name, other.name);
                return Err(self.source.error(factor.key.clone(), says));
            }
            if let Some(setting) = tree::get(&self.base, &factor.name) {
                let (setting, key) = (setting.span(), factor.key.clone());
                let (first, second) = if setting.start < key.start { (setting, key) } else { (key, setting) };
                let says =
                    format!("`{}` is both a setting and a factor; see {}", factor.name, self.source.place(&first));
                return Err(self.source.error(second, says));
            }
        }
        Ok(())
    }

    /// How many combinations there are. Asked before anything is done for each of them.
    fn count(&self) -> Result<usize, ExperimentError> {
        let count = self.factors.iter().try_fold(1usize, |product, factor| product.checked_mul(factor.levels.len()));
        let Some(count) = count.filter(|count| *count <= MAX_COMBINATIONS) else {
            return Err(self.source.whole(&format!("more than {MAX_COMBINATIONS} combinations of levels")));
        };
        Ok(count)
    }

    fn first_combination(&self) -> Result<DeTable<'i>, ExperimentError> {
        self.tree(0, &|_| true)
    }

    /// The tree of a combination: its number, read as digits of mixed radix, says which level of each factor. A
    /// factor that isn't put in leaves its setting at the default.
    fn tree(&self, mut number: usize, put_in: &dyn Fn(&RawFactor<'_>) -> bool) -> Result<DeTable<'i>, ExperimentError> {
        let mut tree = self.base.clone();
        for factor in self.factors.iter().rev() {
            let level = factor.levels[number % factor.levels.len()].clone();
            number /= factor.levels.len();
            if !put_in(factor) {
                continue;
            }
            tree::put(self.source, &mut tree, &factor.name, &factor.key, level)?;
        }
        Ok(tree)
    }

    fn combination(&self, number: usize) -> Result<Settings, ExperimentError> {
        let mut tree = self.tree(number, &|_| true)?;
        let (mut settings, mut transport) = self.settings(&tree)?;
        // A level that this trial doesn't read must not stand in its settings either: the native client, which
        // has no pages, would have to refuse four of them.
        let reads =
            |factor: &RawFactor<'_>| factor.levels.len() == 1 || plan::reads(&settings, &*transport, &factor.name);
        if !self.factors.iter().all(reads) {
            tree = self.tree(number, &reads)?;
            (settings, transport) = self.settings(&tree)?;
        }
        validate::check(&settings, &*transport).map_err(|complaint| match tree::get(&tree, &complaint.setting) {
            Some(value) => self.source.error(value.span(), complaint.says),
            None => self.source.whole(&complaint.says),
        })?;
        Ok(settings)
    }

    /// A tree as settings, with the transports' tables checked and their defaults filled in, and the transport that they
    /// name.
    fn settings(&self, tree: &DeTable<'i>) -> Result<(Settings, Box<dyn Configured>), ExperimentError> {
        self.check_names(tree)?;
        let filled = self.with_preset(tree)?;
        let tree = filled.as_ref();
        let deserializer = toml::de::Deserializer::from(Spanned::new(0..0, tree.clone()));
        let mut settings = Settings::deserialize(deserializer).map_err(|error| {
            let (span, says) = tree::explain(&error, tree, "");
            match span {
                Some(span) => self.source.error(span, says),
                None => self.source.whole(&says),
            }
        })?;
        // What happens on a link needs one.
        if settings.fault.iter().any(|fault| fault.kind.needs_link()) {
            settings.link.get_or_insert_default();
        }
        let own = settings.protocol.transport.clone();
        settings.transports.entry(own.clone()).or_insert_with(|| Json::Object(serde_json::Map::new()));
        let mut spoken = None;
        for (name, table) in &mut settings.transports {
            let Some(transport) = transport::find(name) else { continue };
            match (transport.configure)(table) {
                Ok(configured) => {
                    *table = configured.table();
                    if *name == own {
                        spoken = Some(configured);
                    }
                }
                Err(error) => return Err(self.transport_error(transport, tree, &error)),
            }
        }
        match spoken {
            Some(transport) => Ok((settings, transport)),
            None => Err(self.source.whole(&ConfigureError::Unknown(own).to_string())),
        }
    }

    /// The tree with what its preset sets and the file doesn't. What is said of both ways holds for each.
    fn with_preset<'t>(&self, tree: &'t DeTable<'i>) -> Result<Cow<'t, DeTable<'i>>, ExperimentError> {
        let named = tree::get(tree, "link.preset");
        let found = named.and_then(|value| Some((value.span(), Preset::find(value.get_ref().as_str()?)?)));
        let Some((place, preset)) = found else { return Ok(Cow::Borrowed(tree)) };
        let says = |name: &str| tree::get(tree, &format!("link.{name}")).is_some();
        let mut filled = tree.clone();
        for (name, value) in preset.row().settings {
            let on_both = name.rsplit_once('.').map_or(*name, |(_, setting)| setting);
            if !says(name) && !says(on_both) {
                let value = Spanned::new(place.clone(), DeValue::String((*value).into()));
                tree::put(self.source, &mut filled, &format!("link.{name}"), &place, value)?;
            }
        }
        Ok(Cow::Owned(filled))
    }

    /// The top level's words, the client and the protocol must exist.
    fn check_names(&self, tree: &DeTable<'i>) -> Result<(), ExperimentError> {
        let defaults = &*DEFAULTS;
        let mut known: Vec<&str> =
            defaults.as_object().into_iter().flat_map(|o| o.keys().map(String::as_str)).collect();
        known.extend(suggest::transports());
        for key in tree.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                return Err(self.source.error(key.span(), unknown_setting(name, &known, defaults)));
            }
        }
        if let Some(value) = tree.get("client")
            && let Some(name) = value.get_ref().as_str()
        {
            let clients = suggest::clients();
            let unknown = |name: &&str| !clients.contains(name) && client::exec::path(name).is_none();
            if let Some(name) = client::parts(name).find(unknown) {
                let program = format!("{name}:").starts_with(client::exec::PREFIX);
                let all = [&clients[..], &[client::BROWSERS]].concat();
                let hint = if program { "; write exec:PATH".to_owned() } else { suggest::hint(name, &all) };
                let says = format!("unknown client `{}`{hint}", suggest::short(name));
                return Err(self.source.error(value.span(), says));
            }
        }
        if let Some(value) = tree.get("protocol")
            && let Some(name) = value.get_ref().as_str()
        {
            self.check_protocol(name, value.span())?;
        }
        Ok(())
    }

    /// `sse/h2` must be a transport that exists, on an ALPN that it rides on.
    fn check_protocol(&self, name: &str, span: ByteRange) -> Result<(), ExperimentError> {
        let (transport, alpn) = name.split_once('/').unwrap_or((name, ""));
        let shown = suggest::short(name);
        let Some(row) = transport::find(transport) else {
            let hint = suggest::hint(name, &suggest::protocols());
            return Err(self.source.error(span, format!("unknown protocol `{shown}`{hint}")));
        };
        if row.alpns.iter().any(|known| known.name() == alpn) {
            return Ok(());
        }
        let rides = row.alpns.iter().map(|alpn| alpn.name()).collect::<Vec<_>>().join(", ");
        if alpn.is_empty() {
            let all: Vec<String> = row.alpns.iter().map(|alpn| format!("`{transport}/{alpn}`")).collect();
            let says = format!("unknown protocol `{shown}`: it says no HTTP version; write {}", all.join(", "));
            return Err(self.source.error(span, says));
        }
        let known = Alpn::ALL.iter().any(|known| known.name() == alpn);
        let why = if known { "doesn't ride on" } else { "is on no ALPN" };
        let alpn = suggest::short(alpn);
        let says = format!("unknown protocol `{shown}`: `{transport}` {why} `{alpn}`; it rides on {rides}");
        Err(self.source.error(span, says))
    }

    /// A transport checks its table as JSON, which knows no places: the key to blame is the one that is refused
    /// on its own.
    fn transport_error(
        &self,
        transport: &transport::Transport,
        tree: &DeTable<'i>,
        error: &serde_json::Error,
    ) -> ExperimentError {
        let Some(value) = tree.get(transport.name) else { return self.source.whole(&error.to_string()) };
        let DeValue::Table(table) = value.get_ref() else {
            let says = format!("`{}` can't be {}: write a table", transport.name, tree::found(value.get_ref()));
            return self.source.error(value.span(), says);
        };
        for (key, value) in table {
            let alone = serde_json::json!({ (key.get_ref().as_ref()): tree::to_json(value.get_ref()) });
            let Err(error) = (transport.configure)(&alone) else { continue };
            let says = error.to_string();
            let (_, known) = suggest::quoted(&says);
            let name = key.get_ref();
            return if says.starts_with("unknown field") {
                let hint = suggest::hint(name, &known);
                self.source.error(key.span(), format!("unknown setting `{name}` in [{}]{hint}", transport.name))
            } else {
                let path = format!("{}.{name}", transport.name);
                self.source.error(value.span(), tree::wrong_value(&says, &path, Some(value.get_ref())))
            };
        }
        self.source.error(value.span(), format!("[{}]: {error}", transport.name))
    }
}

/// All settings with their defaults, as JSON: the names that exist.
static DEFAULTS: LazyLock<Json> = LazyLock::new(|| {
    let empty = Settings::deserialize(Json::Object(serde_json::Map::new()));
    empty.ok().and_then(|settings| serde_json::to_value(settings).ok()).unwrap_or_default()
});

/// A word at the top level that means nothing there, though perhaps somewhere below.
fn unknown_setting(name: &str, known: &[&str], defaults: &Json) -> String {
    let shown = suggest::short(name);
    if OWN.contains(&name) {
        return format!("`{shown}` is not a setting of a trial; it can only stand at the top of the file");
    }
    if let Some(near) = suggest::nearest(name, known) {
        return format!("unknown setting `{shown}`; did you mean `{near}`?");
    }
    let mut dotted = Vec::new();
    dotted_names(defaults, "", &mut dotted);
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |path: &String| strsim::jaro_winkler(shown, &last(path));
    match dotted.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|path| likeness(path) > 0.8) {
        Some(near) => format!("unknown setting `{shown}`; did you mean `{near}`?"),
        None => format!("unknown setting `{shown}`{}", suggest::hint("", known)),
    }
}

fn dotted_names(tree: &Json, path: &str, names: &mut Vec<String>) {
    for (name, value) in tree.as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        dotted_names(value, &path, names);
        names.push(path);
    }
}
