//! Where experiments come from: `./experiments/NAME.toml`, or else the files embedded in this program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::de::DeTable;

use super::source::ExperimentSource;
use super::{ExperimentError, MAX_NAME, suggest};

/// The embedded files: name and text.
static BUILT_IN: &[(&str, &str)] = &[
    ("address-change", include_str!("../../experiments/address-change.toml")),
    ("advertised-limit", include_str!("../../experiments/advertised-limit.toml")),
    ("alt-svc-switch", include_str!("../../experiments/alt-svc-switch.toml")),
    ("blackout", include_str!("../../experiments/blackout.toml")),
    ("broker-leader", include_str!("../../experiments/broker-leader.toml")),
    ("buffering", include_str!("../../experiments/buffering.toml")),
    ("buffering-hint", include_str!("../../experiments/buffering-hint.toml")),
    ("bursty-loss", include_str!("../../experiments/bursty-loss.toml")),
    ("bytes-per-event", include_str!("../../experiments/bytes-per-event.toml")),
    ("cluster-soak", include_str!("../../experiments/cluster-soak.toml")),
    ("compression", include_str!("../../experiments/compression.toml")),
    ("compression-by-server", include_str!("../../experiments/compression-by-server.toml")),
    ("credential-pools", include_str!("../../experiments/credential-pools.toml")),
    ("datagram-limits", include_str!("../../experiments/datagram-limits.toml")),
    ("downgrade", include_str!("../../experiments/downgrade.toml")),
    ("duplex", include_str!("../../experiments/duplex.toml")),
    ("echo-latency", include_str!("../../experiments/echo-latency.toml")),
    ("failover", include_str!("../../experiments/failover.toml")),
    ("fan-out-herd", include_str!("../../experiments/fan-out-herd.toml")),
    ("fast-link", include_str!("../../experiments/fast-link.toml")),
    ("half-open", include_str!("../../experiments/half-open.toml")),
    ("head-of-line", include_str!("../../experiments/head-of-line.toml")),
    ("header-overhead", include_str!("../../experiments/header-overhead.toml")),
    ("hidden-tab", include_str!("../../experiments/hidden-tab.toml")),
    ("idle-cut", include_str!("../../experiments/idle-cut.toml")),
    ("latency", include_str!("../../experiments/latency.toml")),
    ("long-polling-worst-case", include_str!("../../experiments/long-polling-worst-case.toml")),
    ("loss-15", include_str!("../../experiments/loss-15.toml")),
    ("many-servers", include_str!("../../experiments/many-servers.toml")),
    ("nat-timeout", include_str!("../../experiments/nat-timeout.toml")),
    ("polling-break-even", include_str!("../../experiments/polling-break-even.toml")),
    ("ramp-or-burst", include_str!("../../experiments/ramp-or-burst.toml")),
    ("reconnect", include_str!("../../experiments/reconnect.toml")),
    ("reconnect-herd", include_str!("../../experiments/reconnect-herd.toml")),
    ("reload", include_str!("../../experiments/reload.toml")),
    ("restart", include_str!("../../experiments/restart.toml")),
    ("same-url", include_str!("../../experiments/same-url.toml")),
    ("saturation", include_str!("../../experiments/saturation.toml")),
    ("server-load", include_str!("../../experiments/server-load.toml")),
    ("setup-cost", include_str!("../../experiments/setup-cost.toml")),
    ("shared-log", include_str!("../../experiments/shared-log.toml")),
    ("six-from-everywhere", include_str!("../../experiments/six-from-everywhere.toml")),
    ("six-vs-hundred", include_str!("../../experiments/six-vs-hundred.toml")),
    ("slow-link", include_str!("../../experiments/slow-link.toml")),
    ("slow-reader-through", include_str!("../../experiments/slow-reader-through.toml")),
    ("stuck-neighbour", include_str!("../../experiments/stuck-neighbour.toml")),
    ("tabs-hosts-ports", include_str!("../../experiments/tabs-hosts-ports.toml")),
    ("through-vs-direct", include_str!("../../experiments/through-vs-direct.toml")),
    ("udp-blocked", include_str!("../../experiments/udp-blocked.toml")),
    ("udp-cut", include_str!("../../experiments/udp-cut.toml")),
    ("unread-body", include_str!("../../experiments/unread-body.toml")),
    ("websocket-limits", include_str!("../../experiments/websocket-limits.toml")),
    ("webtransport-limits", include_str!("../../experiments/webtransport-limits.toml")),
];

/// An experiment that can be run by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    pub name: String,
    /// What it asks; empty when its file can't be read as TOML, which `check` says more about.
    pub question: String,
    /// Whether it is the file embedded in this program.
    pub built_in: bool,
}

/// Every experiment that can be run by name from the working folder, in order of name.
pub fn list() -> Vec<Listed> {
    list_in(Path::new("experiments"))
}

/// A file to start from, with every part explained; `NAME` stands for its own.
pub const TEMPLATE: &str = include_str!("template.toml");

/// The text of the experiment of this name, or of the file at this path, as a copy is to begin: with the schema's name.
pub fn text_of(name_or_path: &str) -> Result<String, ExperimentError> {
    let (_, source) = locate(name_or_path, Path::new("experiments"))?;
    let named = source.text().starts_with("#:schema ");
    Ok(if named { source.text().to_owned() } else { format!("#:schema ./schema.json\n{}", source.text()) })
}

/// Where an experiment of this name is looked for in a folder.
///
/// # Errors
/// No experiment can have this name: it would be elsewhere, or nowhere.
pub fn path_of(folder: &Path, name: &str) -> Result<PathBuf, ExperimentError> {
    let fits = !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with(['.', '-']);
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '/' | '\\' | '"' | '\'');
    let is_file = Path::new(name).extension().is_some_and(|extension| extension == "toml");
    if fits && name.chars().all(plain) && !is_file {
        return Ok(folder.join(format!("{name}.toml")));
    }
    let says = format!("not a name: write up to {MAX_NAME} bytes without spaces, slashes, quotes and `.toml`");
    Err(ExperimentError::Invalid { place: format!("`{}`", suggest::short(name)), says, span: None })
}

/// The experiment of this name, or the file at this path.
pub(super) fn locate(name_or_path: &str, folder: &Path) -> Result<(String, ExperimentSource), ExperimentError> {
    let is_toml = Path::new(name_or_path).extension().is_some_and(|extension| extension == "toml");
    if name_or_path.contains('/') || is_toml {
        let path = Path::new(name_or_path);
        let name = path.file_stem().map_or_else(|| "experiment".to_owned(), |stem| stem.to_string_lossy().into_owned());
        return Ok((name, ExperimentSource::read(path)?));
    }
    let path = folder.join(format!("{name_or_path}.toml"));
    if path.exists() {
        return Ok((name_or_path.to_owned(), ExperimentSource::read(&path)?));
    }
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        let shown = format!("experiments/{name}.toml (built in)");
        return Ok(((*name).to_owned(), ExperimentSource::new(&shown, (*text).to_owned())?));
    }
    let known: Vec<String> = list_in(folder).into_iter().map(|listed| listed.name).collect();
    let near = suggest::nearest(name_or_path, &known).map(|near| format!("; did you mean `{near}`?"));
    let hint = format!("{} (there are: {})", near.unwrap_or_default(), known.join(", "));
    Err(ExperimentError::Unknown { name: suggest::short(name_or_path).to_owned(), hint })
}

fn list_in(folder: &Path) -> Vec<Listed> {
    let mut found: BTreeMap<String, Listed> = BTreeMap::new();
    for (name, text) in BUILT_IN {
        let listed = Listed { name: (*name).to_owned(), question: question(text), built_in: true };
        found.insert((*name).to_owned(), listed);
    }
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            let question = ExperimentSource::read(&path).map(|source| question(source.text())).unwrap_or_default();
            found.insert(name.to_owned(), Listed { name: name.to_owned(), question, built_in: false });
        }
    }
    found.into_values().collect()
}

fn question(text: &str) -> String {
    let tree = DeTable::parse(text).ok();
    let question = tree.as_ref().and_then(|tree| tree.get_ref().get("question")).and_then(|q| q.get_ref().as_str());
    question.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::{expected_time, plan};
    use crate::experiment::{Overrides, file};

    #[test]
    fn every_embedded_experiment_can_be_planned() {
        for (name, _) in BUILT_IN {
            let (name, source) = locate(name, Path::new("/nowhere")).unwrap();
            let experiment = file::parse(name, source, &Overrides::default()).unwrap();
            assert!(!plan(&experiment).unwrap().trials.is_empty());
        }
    }

    fn planned(name: &str) -> crate::trial::Plan {
        let (name, source) = locate(name, Path::new("/nowhere")).unwrap();
        plan(&file::parse(name, source, &Overrides::default()).unwrap()).unwrap()
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let of_folder: Vec<_> =
            list_in(&folder).into_iter().filter(|listed| !listed.built_in).map(|l| l.name).collect();
        let embedded: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        assert_eq!(of_folder, embedded);
    }

    #[test]
    fn every_experiment_takes_ten_minutes_at_most_and_has_claims() {
        for (name, _) in BUILT_IN {
            let plan = planned(name);
            assert!(expected_time(&plan).nanos() <= 600_000_000_000, "{name}: {}", expected_time(&plan));
            assert!(plan.claims.len() >= 3, "{name}");
        }
    }

    #[test]
    fn six_vs_hundred_is_one_trial_per_client_and_protocol_within_a_minute() {
        let plan = planned("six-vs-hundred");
        assert_eq!(plan.trials.len(), 12);
        assert!(expected_time(&plan).nanos() <= 60_000_000_000, "{}", expected_time(&plan));
    }

    #[test]
    fn a_file_in_the_experiments_folder_wins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("six-vs-hundred.toml"), "question = 'Mine?'").unwrap();
        std::fs::write(folder.path().join("other.toml"), "question = 'Other?'").unwrap();
        let (name, source) = locate("six-vs-hundred", folder.path()).unwrap();
        assert_eq!((name.as_str(), source.text()), ("six-vs-hundred", "question = 'Mine?'"));
        let own = list_in(folder.path()).into_iter().filter(|listed| !listed.built_in);
        let own: Vec<_> = own.map(|listed| (listed.name, listed.question)).collect();
        let row = |name: &str, question: &str| (name.to_owned(), question.to_owned());
        assert_eq!(own, [row("other", "Other?"), row("six-vs-hundred", "Mine?")]);
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_and_the_list() {
        let error = |name| locate(name, Path::new("/nowhere")).unwrap_err().to_string();
        let all: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        let all = all.join(", ");
        assert_eq!(
            error("six-vs-hundert"),
            format!("no experiment `six-vs-hundert`; did you mean `six-vs-hundred`? (there are: {all})")
        );
        assert_eq!(error("nothing"), format!("no experiment `nothing` (there are: {all})"));
    }

    #[test]
    fn a_path_is_a_path() {
        let error = locate("six-vs-hundred.toml", Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "could not read six-vs-hundred.toml");
    }
}
