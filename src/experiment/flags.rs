//! What `--set` and `--client` put in place of a file's settings and factors.

use toml::de::{DeTable, DeValue};

use super::source::{ByteRange, ExperimentSource};
use super::tree::{self, Value};
use super::unchecked::{RawFactor, UncheckedExperiment};
use super::{ExperimentError, Overrides};

/// One flag: a dotted name, and its levels as text in brackets.
#[derive(Debug)]
pub(super) struct Flag {
    name: String,
    /// `[100,unset]`
    levels: String,
    span: ByteRange,
}

impl Flag {
    /// Every flag, its place added to the source.
    pub(super) fn read_all(overrides: &Overrides, source: &mut ExperimentSource) -> Result<Vec<Self>, ExperimentError> {
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
    pub(super) fn apply<'i>(&'i self, unchecked: &mut UncheckedExperiment<'i>) -> Result<(), ExperimentError> {
        let mut own = RawFactor::new(self.name.clone(), self.span.clone(), self.levels(unchecked.source)?);
        if let Some(factor) = unchecked.factors.iter_mut().find(|factor| factor.name == self.name) {
            *factor = own;
            return Ok(());
        }
        if own.levels.len() > 1 {
            remove(&mut unchecked.base, &self.name);
            unchecked.factors.push(own);
            return Ok(());
        }
        let level = own.levels.remove(0);
        tree::put(unchecked.source, &mut unchecked.base, &self.name, &self.span, level)
    }

    /// TOML values where they are (`100`, `"a,b"`, `{ count = 3 }`), otherwise text (`3s`, `sse/h2`); one at least.
    fn levels(&self, source: &ExperimentSource) -> Result<Vec<Value<'_>>, ExperimentError> {
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
        Some((first, rest)) => match tree.get_mut(first).map(toml::Spanned::get_mut) {
            Some(DeValue::Table(inner)) => remove(inner, rest),
            Some(DeValue::Array(array)) => {
                let (index, rest) = rest.split_once('.').unwrap_or((rest, ""));
                let entry = index.parse::<usize>().ok().and_then(|index| array.get_mut(index));
                if let Some(DeValue::Table(inner)) = entry.map(toml::Spanned::get_mut) {
                    remove(inner, rest);
                }
            }
            _ => {}
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;
    use crate::experiment::file::tests::{GOOD, load};

    /// The answer to a flag over a good file.
    #[track_caller]
    fn refused_set(set: &str) -> String {
        let overrides = Overrides { set: vec![set.to_owned()], ..Overrides::default() };
        load(GOOD, &overrides).unwrap_err().to_string()
    }

    fn set(sets: &[&str]) -> Experiment {
        let overrides = Overrides { set: sets.iter().map(|s| (*s).to_owned()).collect(), ..Overrides::default() };
        load(GOOD, &overrides).unwrap()
    }

    #[test]
    fn a_flag_replaces_the_setting_or_factor_of_its_name() {
        let experiment =
            set(&["server.max-concurrent-streams=7,unset,9", "workload.hold=9s", "workload.subscribers=1,2"]);
        let factors: Vec<_> = experiment.factors.iter().map(|f| (f.name.as_str(), f.levels)).collect();
        let expected =
            [("protocol", 2), ("client", 2), ("server.max-concurrent-streams", 3), ("workload.subscribers", 2)];
        assert_eq!(factors, expected, "one level is a setting, several are a factor, a factor stays in its place");
        assert!(experiment.combinations.iter().all(|settings| settings.workload.hold.to_string() == "9s"));
        assert_eq!(set(&["workload.hold=5s,6s"]).factors.last().unwrap().levels, 2, "a setting becomes a factor");
    }

    #[test]
    fn levels_are_toml_where_they_can_be_and_text_otherwise() {
        let experiment = set(&["workload.events={ count = 2 }", "protocol=sse/h3", "expect.counts=\"observe\""]);
        assert_eq!(experiment.combinations[0].workload.events.count, 2.into());
        assert_eq!(experiment.combinations[0].protocol.to_string(), "sse/h3");
    }

    #[test]
    fn a_flag_reaches_into_an_array_by_number() {
        let text = GOOD.to_owned() + "[[beside]]\nat = '1s'\nkind = 'fetch'\n";
        let with = |set: &str| load(&text, &Overrides { set: vec![set.to_owned()], ..Overrides::default() });
        assert_eq!(with("beside.0.kind=image,fetch").unwrap().combinations.len(), 16);
        assert_eq!(with("beside.0.at=2s").unwrap().combinations[0].beside[0].at.to_string(), "2s");
        assert_eq!(
            with("beside.1.at=2s").unwrap_err().to_string(),
            "--set beside.1.at=2s: `beside.1.at` reaches past `beside`, which has 1; the first is 0"
        );
    }

    #[test]
    fn client_is_short_for_setting_the_client() {
        let overrides = Overrides { clients: vec!["webkit".to_owned()], ..Overrides::default() };
        let experiment = load(GOOD, &overrides).unwrap();
        assert!(experiment.combinations.iter().all(|settings| settings.client == "webkit"));
        assert_eq!(experiment.claims.len(), 1, "a claim about a client that was left out stays a claim");
        let overrides = Overrides { clients: vec!["native".to_owned(), "fierfox".to_owned()], ..Overrides::default() };
        assert_eq!(
            load(GOOD, &overrides).unwrap_err().to_string(),
            "--client native,fierfox: unknown client `fierfox`; did you mean `firefox`?"
        );
    }

    #[test]
    fn a_wrong_flag_is_named_itself() {
        assert_eq!(
            refused_set("workload.subscriberz=3"),
            "--set workload.subscriberz=3: unknown setting `subscriberz` in [workload]; did you mean `subscribers`?"
        );
        assert_eq!(
            refused_set("workload.subscriberz=3,4"),
            "--set workload.subscriberz=3,4: unknown setting `subscriberz` in [workload]; did you mean `subscribers`?"
        );
        assert_eq!(
            refused_set("subscribers=3"),
            "--set subscribers=3: unknown setting `subscribers`; did you mean `workload.subscribers`?"
        );
        assert_eq!(
            refused_set("workload.hold=3"),
            "--set workload.hold=3: `workload.hold` can't be integer `3`: write a text with its unit, such as \"3s\", \
             \"100 B\" or \"1/s\""
        );
        assert_eq!(
            refused_set("workload.pages=1,99"),
            "--set workload.pages=1,99: `workload.pages` can't be 99: write a whole number from 1 to 16"
        );
        assert_eq!(
            refused_set("sse.retri=1s"),
            "--set sse.retri=1s: unknown setting `retri` in [sse]; did you mean `retry`?"
        );
        assert_eq!(refused_set("workload.hold="), "--set workload.hold=: a level of `workload.hold` is empty");
        assert_eq!(
            refused_set("workload.hold=1s,,2s"),
            "--set workload.hold=1s,,2s: a level of `workload.hold` is empty"
        );
        assert_eq!(
            refused_set("workload.hold"),
            "--set workload.hold: write NAME=LEVEL or NAME=LEVEL,LEVEL, such as `workload.subscribers=10,100`"
        );
        assert_eq!(
            refused_set("protocol=sse/h2,sse/h2"),
            "--set protocol=sse/h2,sse/h2: `protocol` has the level `sse/h2` twice"
        );
        assert_eq!(
            refused_set("client.name=x"),
            "--set client.name=x: `client` is both a setting and a factor; see x.toml:5"
        );
        assert_eq!(
            refused_set("question=x"),
            "--set question=x: `question` is not a setting of a trial; it can only stand at the top of the file"
        );
    }

    #[test]
    fn repeats_and_seed_have_flags_of_their_own() {
        let with = |repeats, seed| load(GOOD, &Overrides { repeats, seed, ..Overrides::default() });
        let experiment = with(Some(3), Some(9)).unwrap();
        assert_eq!((experiment.repeats, experiment.seed), (3, 9));
        assert_eq!(
            with(Some(0), None).unwrap_err().to_string(),
            "--repeats 0: `repeats` can't be 0: write a whole number from 1 to 1000"
        );
        assert_eq!(
            with(None, Some(1 << 53)).unwrap_err().to_string(),
            "--seed 9007199254740992: `seed` can't be 9007199254740992: write a whole number from 0 to 9007199254740991"
        );
    }

    #[test]
    fn full_puts_its_factors_in_place_of_those_of_the_same_name() {
        let text =
            GOOD.to_owned() + "[full]\n\"server.max-concurrent-streams\" = [1, 2, 3]\n\"workload.hosts\" = [1, 2]\n";
        assert_eq!(load(&text, &Overrides::default()).unwrap().combinations.len(), 8);
        let full = load(&text, &Overrides { full: true, ..Overrides::default() }).unwrap();
        assert_eq!(full.combinations.len(), 2 * 2 * 3 * 2);
    }

    #[test]
    fn a_flag_does_not_hide_what_is_wrong_with_the_file() {
        let text = GOOD.replace("\"sse/h2\"]\nclient", "\"sse/h4\"]\nclient");
        let overrides = Overrides { set: vec!["protocol=sse/h1".to_owned()], ..Overrides::default() };
        assert!(load(&text, &overrides).unwrap_err().to_string().starts_with("x.toml:4: unknown protocol `sse/h4`"));
    }

    #[test]
    fn browsers_stand_for_every_browser_wherever_a_client_may_stand() {
        let clients = |text: &str, clients: &[&str]| -> Vec<String> {
            let overrides = Overrides {
                clients: clients.iter().map(|client| (*client).to_owned()).collect(),
                ..Overrides::default()
            };
            let experiment = load(text, &overrides).unwrap();
            experiment.combinations.iter().map(|settings| settings.client.clone()).collect()
        };
        let all: Vec<String> = crate::client::browsers().map(|client| client.name.to_owned()).collect();
        let and_native = [all.clone(), vec!["native".to_owned()]].concat();
        assert_eq!(clients("question = 'Q?'\nclient = 'browsers'\n", &[]), all);
        assert_eq!(clients("question = 'Q?'\n[factors]\nclient = ['browsers', 'native']\n", &[]), and_native);
        assert_eq!(clients("question = 'Q?'\n", &["browsers", "native"]), and_native);
        let twice = load("question = 'Q?'\n[factors]\nclient = ['browsers', 'firefox']\n", &Overrides::default());
        assert_eq!(twice.unwrap_err().to_string(), "x.toml:3: `client` has the level `firefox` twice");
    }
}
