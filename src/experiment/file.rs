//! An experiment file to a checked experiment.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::flags::Flag;
use super::source::{ByteRange, ExperimentSource};
use super::tree::{self, Value};
use super::unchecked::{RawFactor, UncheckedExperiment};
use super::{
    Experiment, ExperimentError, Factor, MAX_REPEATS, MAX_SEED, MAX_TRIALS, Overrides, claims, recover, suggest,
};
use crate::trial::settings::default_client;
use crate::trial::{Claim, Protocol};

/// The repeats of one that says nothing of them and in which something goes wrong on purpose: who was just receiving
/// what then is a race, and one run is no verdict on it.
const REPEATS_OF_A_RACE: u64 = 5;
/// The seed of a file that names none.
const SEED: u64 = 1;

/// Reads the text, puts the flags in place, and checks every combination of what results. The errors are all that is
/// wrong, as far as one thing can be told from another.
pub(super) fn parse(
    name: String,
    source: ExperimentSource,
    flags: &Overrides,
) -> Result<Experiment, Vec<ExperimentError>> {
    read(name, source, flags, |unread, head| unread.draft(head, flags.full))
}

/// The same as it is without `--full` and with it.
pub(super) fn parse_both(
    name: String,
    source: ExperimentSource,
    flags: &Overrides,
) -> Result<[Experiment; 2], Vec<ExperimentError>> {
    read(name, source, flags, |unread, head| {
        if !unread.overriding.is_empty() && !head.full.is_empty() {
            head.full_draft().combinations()?;
        }
        let wide = unread.finish(head, head.full_draft())?;
        let usual = if flags.full || head.full.is_empty() {
            wide.clone()
        } else {
            unread.finish(head, head.unchecked.clone())?
        };
        Ok([usual, wide])
    })
}

fn read<T>(
    name: String,
    source: ExperimentSource,
    flags: &Overrides,
    finish: impl Fn(&Unread, &Head<'_>) -> Result<T, ExperimentError>,
) -> Result<T, Vec<ExperimentError>> {
    let unread = Unread::new(name, source, flags).map_err(|error| vec![error])?;
    let document = unread.document().map_err(|error| vec![error])?;
    recover::check_all(document, |document| {
        // The file is checked as it stands first: a flag must not hide what is wrong with it.
        let head = unread.check(document)?;
        finish(&unread, &head)
    })
}

/// A file and the flags that change it.
struct Unread {
    name: String,
    source: ExperimentSource,
    overriding: Vec<Flag>,
    repeats: Option<(u64, ByteRange)>,
    seed: Option<(u64, ByteRange)>,
}

impl Unread {
    fn new(name: String, mut source: ExperimentSource, flags: &Overrides) -> Result<Self, ExperimentError> {
        let overriding = Flag::read_all(flags, &mut source)?;
        let repeats =
            flags.repeats.map(|repeats| (u64::from(repeats), source.add_flag(format!("--repeats {repeats}"))));
        let seed = flags.seed.map(|seed| (seed, source.add_flag(format!("--seed {seed}"))));
        Ok(Self { name, source, overriding, repeats, seed })
    }

    fn document(&self) -> Result<DeTable<'_>, ExperimentError> {
        let document = DeTable::parse(self.source.text()).map_err(|error| {
            let says = format!("not TOML: {}", error.message());
            match error.span() {
                Some(span) => self.source.error(span, says),
                None => self.source.whole(&says),
            }
        })?;
        Ok(document.into_inner())
    }

    fn check<'i>(&'i self, document: DeTable<'i>) -> Result<Head<'i>, ExperimentError> {
        let mut head = Head::take(&self.source, document)?;
        let own = head.unchecked.canonical_levels()?;
        let wide = head.full_draft();
        let wide_levels = wide.canonical_levels()?;
        let mut occurring: Vec<(String, Vec<Json>)> = Vec::new();
        for (factor, levels) in head.unchecked.factors.iter().zip(own).chain(wide.factors.iter().zip(wide_levels)) {
            match occurring.iter_mut().find(|(name, _)| *name == factor.name) {
                Some((_, known)) => {
                    let more: Vec<Json> = levels.into_iter().filter(|level| !known.contains(level)).collect();
                    known.extend(more);
                }
                None => occurring.push((factor.name.clone(), levels)),
            }
        }
        let claims = std::mem::take(&mut head.raw_claims);
        head.claims = claims::read(&self.source, claims, &head.unchecked, &occurring)?;
        Ok(head)
    }

    /// What is run with `--full`, or without it.
    fn draft<'i>(&'i self, head: &Head<'i>, full: bool) -> Result<Experiment, ExperimentError> {
        let wide = head.full_draft();
        if full {
            return self.finish(head, wide);
        }
        if !head.full.is_empty() {
            wide.combinations()?;
        }
        self.finish(head, head.unchecked.clone())
    }

    /// One of the two drafts of a file, with the flags in place.
    fn finish<'i>(
        &'i self,
        head: &Head<'i>,
        mut unchecked: UncheckedExperiment<'i>,
    ) -> Result<Experiment, ExperimentError> {
        let Self { source, overriding, .. } = self;
        let (repeats, seed) = (self.repeats.clone(), self.seed.clone());
        for flag in overriding {
            flag.apply(&mut unchecked)?;
        }
        unchecked.canonical_levels()?;
        let combinations = unchecked.combinations()?;

        let said = head.repeats.clone().unwrap_or_else(|| {
            let races = combinations.iter().any(|settings| !settings.fault.is_empty());
            (if races { REPEATS_OF_A_RACE } else { 1 }, 0..0)
        });
        let (repeats, place) = repeats.unwrap_or(said);
        let within = u32::try_from(repeats).ok().filter(|n| (1..=MAX_REPEATS).contains(&u64::from(*n)));
        let Some(repeats) = within else {
            return Err(
                source.error(place, format!("`repeats` can't be {repeats}: write a whole number from 1 to 1000"))
            );
        };
        if combinations.len() * repeats as usize > MAX_TRIALS {
            return Err(source.error(place, format!("more than {MAX_TRIALS} trials")));
        }
        let (seed, place) = seed.unwrap_or_else(|| head.seed.clone());
        if seed > MAX_SEED {
            return Err(
                source.error(place, format!("`seed` can't be {seed}: write a whole number from 0 to {MAX_SEED}"))
            );
        }
        let factors = unchecked.factors.iter();
        let factors = factors.map(|factor| Factor { name: factor.name.clone(), levels: factor.levels.len() }).collect();
        Ok(Experiment {
            name: self.name.clone(),
            question: head.question.clone(),
            repeats,
            seed,
            factors,
            claims: head.claims.clone(),
            combinations,
            text: source.text().to_owned(),
        })
    }
}

/// A file with its own words taken out of the tree; what stays are a trial's settings.
struct Head<'i> {
    question: String,
    /// `None`: the file doesn't say.
    repeats: Option<(u64, ByteRange)>,
    seed: (u64, ByteRange),
    unchecked: UncheckedExperiment<'i>,
    /// The factors of `[full]`.
    full: Vec<RawFactor<'i>>,
    /// The claims as they stand, until they are read.
    raw_claims: Vec<Value<'i>>,
    claims: Vec<Claim>,
}

impl<'i> Head<'i> {
    fn take(source: &'i ExperimentSource, mut tree: DeTable<'i>) -> Result<Self, ExperimentError> {
        let question = match tree.remove("question") {
            None => return Err(source.whole("no `question`; say what the experiment asks: question = \"…?\"")),
            Some(value) => match value.get_ref().as_str() {
                Some(text) if !text.trim().is_empty() => text.trim().to_owned(),
                _ => return Err(source.error(value.span(), "`question` must be a text that asks something".to_owned())),
            },
        };
        let repeats = take_number(source, &mut tree, "repeats", 1, MAX_REPEATS)?;
        let seed = take_number(source, &mut tree, "seed", 0, MAX_SEED)?.unwrap_or((SEED, 0..0));
        let claims = match tree.remove("claim") {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(array) => array.iter().cloned().collect(),
                _ => {
                    return Err(source.error(value.span(), "claims are an array of tables: write [[claim]]".to_owned()));
                }
            },
        };
        let mut factors = take_factors(source, &mut tree, "factors")?;
        let full = take_factors(source, &mut tree, "full")?;
        // `client` and `protocol` are always factors, if only of one level.
        for name in ["client", "protocol"] {
            if factors.iter().any(|factor| factor.name == name) {
                continue;
            }
            let found = tree.remove_entry(name);
            factors.push(match found {
                Some((key, value)) => RawFactor::new(name.to_owned(), key.span(), vec![value]),
                None => default_factor(name),
            });
        }
        factors.sort_by_key(|factor| factor.key.start);
        let unchecked = UncheckedExperiment { source, base: tree, factors };
        Ok(Self { question, repeats, seed, unchecked, full, raw_claims: claims, claims: Vec::new() })
    }

    /// The experiment under `--full`.
    fn full_draft(&self) -> UncheckedExperiment<'i> {
        let mut unchecked = self.unchecked.clone();
        for wide in &self.full {
            match unchecked.factors.iter_mut().find(|factor| factor.name == wide.name) {
                Some(factor) => *factor = wide.clone(),
                None => unchecked.factors.push(wide.clone()),
            }
        }
        unchecked
    }
}

/// A file that says nothing of the client or the protocol means the first of each.
fn default_factor<'i>(name: &str) -> RawFactor<'i> {
    let level = if name == "client" { default_client() } else { Protocol::default().to_string() };
    RawFactor::new(name.to_owned(), 0..0, vec![Spanned::new(0..0, DeValue::String(level.into()))])
}

fn take_number(
    source: &ExperimentSource,
    tree: &mut DeTable<'_>,
    name: &str,
    least: u64,
    most: u64,
) -> Result<Option<(u64, ByteRange)>, ExperimentError> {
    let Some(value) = tree.remove(name) else { return Ok(None) };
    let number = value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
    if let Some(number) = number.filter(|number| (least..=most).contains(number)) {
        return Ok(Some((number, value.span())));
    }
    let found = tree::found(value.get_ref());
    let says = format!("`{name}` can't be {found}: write a whole number from {least} to {most}");
    Err(source.error(value.span(), says))
}

/// The table of factors, in the order of the file. A dotted name may be quoted or not.
fn take_factors<'i>(
    source: &ExperimentSource,
    tree: &mut DeTable<'i>,
    table: &str,
) -> Result<Vec<RawFactor<'i>>, ExperimentError> {
    let mut factors = Vec::new();
    if let Some(value) = tree.remove(table) {
        let span = value.span();
        let DeValue::Table(entries) = value.into_inner() else {
            return Err(source.error(span, format!("`{table}` must be a table of factors: write [{table}]")));
        };
        collect(source, "", entries, &mut factors)?;
    }
    factors.sort_by_key(|factor: &RawFactor<'_>| factor.key.start);
    // `"a.b"` and `a.b` are two keys to TOML, and one factor here.
    for (index, factor) in factors.iter().enumerate() {
        if factors[..index].iter().any(|earlier| earlier.name == factor.name) {
            let says = format!("the factor `{}` stands in [{table}] twice", suggest::short(&factor.name));
            return Err(source.error(factor.key.clone(), says));
        }
    }
    Ok(factors)
}

fn collect<'i>(
    source: &ExperimentSource,
    prefix: &str,
    entries: DeTable<'i>,
    factors: &mut Vec<RawFactor<'i>>,
) -> Result<(), ExperimentError> {
    for (key, value) in entries {
        let name = format!("{prefix}{}", key.get_ref());
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(inner) => collect(source, &format!("{name}."), inner, factors)?,
            DeValue::Array(array) => {
                let levels = levels(source, &name, span, array)?;
                factors.push(RawFactor::new(name, key.span(), levels));
            }
            single => {
                let shown = tree::shown(&single);
                let says = format!("the factor `{}` needs an array of levels, not `{shown}`", suggest::short(&name));
                return Err(source.error(span, says));
            }
        }
    }
    Ok(())
}

fn levels<'i>(
    source: &ExperimentSource,
    name: &str,
    span: ByteRange,
    array: DeArray<'i>,
) -> Result<Vec<Value<'i>>, ExperimentError> {
    let levels: Vec<_> = array.into_iter().collect();
    if levels.is_empty() {
        return Err(source.error(span, format!("the factor `{}` has no levels", suggest::short(name))));
    }
    Ok(levels)
}

#[cfg(test)]
#[path = "file_tests.rs"]
pub(super) mod tests;
