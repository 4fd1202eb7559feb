//! What a wrong file or flag is answered with, word for word.

use super::*;

fn load(text: &str, overrides: &Overrides) -> Result<Experiment, ExperimentError> {
    Source::new("x.toml", text.to_owned()).and_then(|source| parse("x".to_owned(), source, overrides))
}

#[track_caller]
fn loaded(text: &str) -> Experiment {
    load(text, &Overrides::default()).unwrap()
}

/// The answer to a file that begins with a question on line 1.
#[track_caller]
fn refused(rest: &str) -> String {
    load(&format!("question = \"What?\"\n{rest}"), &Overrides::default()).unwrap_err().to_string()
}

/// The answer to a flag over a good file.
#[track_caller]
fn refused_set(set: &str) -> String {
    let overrides = Overrides { set: vec![set.to_owned()], ..Overrides::default() };
    load(GOOD, &overrides).unwrap_err().to_string()
}

const GOOD: &str = r#"
question = "What?"
[factors]
protocol = ["sse/h1", "sse/h2"]
client = ["native", "firefox"]
"server.max-concurrent-streams" = [100, "unset"]
[workload]
hold = "5s"
[[claim]]
says = "It is so."
source = { url = "https://example.org/", quote = "so" }
where = { client = "firefox", protocol = ["sse/h2"] }
metric = "open-streams.p90"
equals = 6
"#;

#[test]
fn a_good_file_becomes_every_combination_in_the_order_of_the_file() {
    let experiment = loaded(GOOD);
    let factors: Vec<_> = experiment.factors.iter().map(|factor| (factor.name.as_str(), factor.levels)).collect();
    assert_eq!(factors, [("protocol", 2), ("client", 2), ("server.max-concurrent-streams", 2)]);
    assert_eq!((experiment.repeats, experiment.seed, experiment.combinations.len()), (1, 1, 8));
    let row = |i: usize| {
        let settings = &experiment.combinations[i];
        (settings.protocol.to_string(), settings.client.clone(), settings.server.max_concurrent_streams.value())
    };
    assert_eq!(row(4), ("sse/h2".to_owned(), "native".to_owned(), Some(100)));
    assert_eq!(row(5), ("sse/h2".to_owned(), "native".to_owned(), None));
    assert_eq!(experiment.combinations[0].workload.hold.to_string(), "5s");
    assert!(experiment.combinations[0].transports.contains_key("sse"), "the transport's defaults are filled in");
}

#[test]
fn a_question_alone_is_an_experiment() {
    let experiment = loaded("question = 'What?'");
    assert_eq!(experiment.combinations.len(), 1);
    assert_eq!(experiment.factors.len(), 2, "client and protocol are always factors");
}

#[test]
fn what_is_no_toml_is_named_by_its_line() {
    assert_eq!(
        load("question = \"a\"\n\n[workload\n", &Overrides::default()).unwrap_err().to_string(),
        "x.toml:3: not TOML: unclosed table, expected `]`"
    );
    assert!(refused("seed = 1\nseed = 2\n").starts_with("x.toml:3: not TOML: duplicate key"));
}

#[test]
fn a_file_without_a_question_is_refused() {
    let error = |text| load(text, &Overrides::default()).unwrap_err().to_string();
    assert_eq!(error("seed = 1"), "x.toml: no `question`; say what the experiment asks: question = \"…?\"");
    assert_eq!(error("\nquestion = ' '"), "x.toml:2: `question` must be a text that asks something");
    assert_eq!(error("question = 3"), "x.toml:1: `question` must be a text that asks something");
}

#[test]
fn an_unknown_setting_is_named_with_its_line_and_the_nearest_word() {
    assert_eq!(
        refused("[workload]\nhold = \"3s\"\nsubscriberz = 3\n"),
        "x.toml:4: unknown setting `subscriberz` in [workload]; did you mean `subscribers`?"
    );
    assert_eq!(
        refused("[workload.events]\ncuont = 3\n"),
        "x.toml:3: unknown setting `cuont` in [workload.events]; did you mean `count`?"
    );
    assert_eq!(
        refused("[workload]\nevents = { cuont = 3 }\n"),
        "x.toml:3: unknown setting `cuont` in [workload.events]; did you mean `count`?"
    );
    assert_eq!(
        refused("[expect]\nzzz = 3\n"),
        "x.toml:3: unknown setting `zzz` in [expect]; write `delivery` or `counts`"
    );
    assert_eq!(refused("[worklaod]\n"), "x.toml:2: unknown setting `worklaod`; did you mean `workload`?");
    assert_eq!(
        refused("subscribers = 3\n"),
        "x.toml:2: unknown setting `subscribers`; did you mean `workload.subscribers`?"
    );
    assert_eq!(refused("[sse]\nretri = 3\n"), "x.toml:3: unknown setting `retri` in [sse]; did you mean `retry`?");
    assert_eq!(
        refused("[[fault]]\nat = \"1s\"\nkind = \"close-streams\"\nwhen = 3\n"),
        "x.toml:5: unknown setting `when` in [[fault]]; write `at` or `kind`"
    );
    assert!(refused("zzz = 3\n").starts_with("x.toml:2: unknown setting `zzz`; write `client`, "));
}

#[test]
fn an_unknown_setting_among_the_factors_is_named_with_its_line() {
    assert_eq!(
        refused("[factors]\nclient = ['native']\n\"server.max-concurent-streams\" = [1, 2]\n"),
        "x.toml:4: unknown setting `max-concurent-streams` in [server]; did you mean `max-concurrent-streams`?"
    );
    assert_eq!(
        refused("[factors]\nworkload.subscriberz = [1]\n"),
        "x.toml:3: unknown setting `subscriberz` in [workload]; did you mean `subscribers`?"
    );
    assert_eq!(
        refused("[factors]\nrepeats = [1, 2]\n"),
        "x.toml:3: `repeats` is not a setting of a trial; it can only stand at the top of the file"
    );
    assert_eq!(
        refused("timeout = '9s'\n[factors]\n\"timeout.name\" = ['a']\n"),
        "x.toml:4: unknown setting `timeout.name`: `timeout` has no parts"
    );
    assert_eq!(
        refused("[factors]\n\"client.name\" = ['a']\n"),
        "x.toml:3: `client.name` is a part of `client`, which is a factor too"
    );
    assert_eq!(
        refused("[factors]\n\"workload..hold\" = ['1s']\n"),
        "x.toml:3: `workload..hold` is not a dotted name; write it like `workload.subscribers`"
    );
    assert_eq!(
        refused("[full]\n\"workload.hosst\" = [1]\n"),
        "x.toml:3: unknown setting `hosst` in [workload]; did you mean `hosts`?"
    );
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    assert_eq!(
        refused("[workload]\nsubscribers = \"many\"\n"),
        "x.toml:3: `workload.subscribers` can't be string \"many\": write a whole number from 0 to 4294967295"
    );
    assert_eq!(
        refused("[workload]\nsubscribers = -1\n"),
        "x.toml:3: `workload.subscribers` can't be integer `-1`: write a whole number from 0 to 4294967295"
    );
    assert_eq!(
        refused("[workload]\nhold = 3\n"),
        "x.toml:3: `workload.hold` can't be integer `3`: write a text with its unit, such as \"3s\", \"100 B\" or \"1/s\""
    );
    assert_eq!(
        refused("[workload]\nhold = \"3 h\"\n"),
        "x.toml:3: `workload.hold`: `3 h` is not a length of time; write it like \"250ms\", \"3s\" or \"2min\" (ns, us, ms, s, min)"
    );
    assert_eq!(
        refused("[expect]\ndelivery = \"exactly-onc\"\n"),
        "x.toml:3: `exactly-onc` is not a level of `expect.delivery`; did you mean `exactly-once`?"
    );
    assert_eq!(
        refused("[sse]\nretry = \"soon\"\n"),
        "x.toml:3: `sse.retry`: `soon` is not a length of time; write it like \"250ms\", \"3s\" or \"2min\" \
         (ns, us, ms, s, min), or \"unset\""
    );
    assert_eq!(refused("sse = 3\n"), "x.toml:2: `sse` can't be 3: write a table");
    assert_eq!(refused("workload = 3\n"), "x.toml:2: `workload` can't be integer `3`: write a table");
    assert_eq!(refused("[[fault]]\nat = \"1s\"\n"), "x.toml:2: no `kind` in [[fault]]");
    assert_eq!(refused("repeats = 0\n"), "x.toml:2: `repeats` can't be 0: write a whole number from 1 to 1000");
    assert_eq!(
        refused("seed = \"a\"\n"),
        "x.toml:2: `seed` can't be a: write a whole number from 0 to 9007199254740991"
    );
}

#[test]
fn a_wrong_level_is_named_with_its_own_line() {
    assert_eq!(
        refused("[factors]\n\"workload.hold\" = [\n  \"3s\",\n  \"3 h\",\n]\n"),
        "x.toml:5: `workload.hold`: `3 h` is not a length of time; write it like \"250ms\", \"3s\" or \"2min\" (ns, us, ms, s, min)"
    );
    assert_eq!(
        refused("[factors]\n\"workload.hold\" = [\"3s\",\n\"3000ms\"]\n"),
        "x.toml:4: `workload.hold` has the level `3s` twice"
    );
    assert_eq!(refused("[factors]\n\"workload.hold\" = []\n"), "x.toml:3: the factor `workload.hold` has no levels");
    assert_eq!(
        refused("[factors]\n\"workload.hold\" = \"3s\"\n"),
        "x.toml:3: the factor `workload.hold` needs an array of levels, not `3s`"
    );
    assert_eq!(refused("factors = 3\n"), "x.toml:2: `factors` must be a table of factors: write [factors]");
    assert_eq!(
        refused("[factors]\n\"workload.hosts\" = [1]\nworkload.hosts = [2]\n"),
        "x.toml:4: the factor `workload.hosts` stands in [factors] twice"
    );
}

#[test]
fn a_setting_stands_in_one_place_only() {
    assert_eq!(
        refused("[workload]\nhosts = 1\n[factors]\n\"workload.hosts\" = [1, 2]\n"),
        "x.toml:5: `workload.hosts` is both a setting and a factor; see x.toml:3"
    );
    assert_eq!(
        refused("client = 'native'\n[factors]\nclient = ['firefox']\n"),
        "x.toml:4: `client` is both a setting and a factor; see x.toml:2"
    );
    assert_eq!(
        refused("[factors]\n\"workload.events\" = [{ count = 1 }]\n\"workload.events.count\" = [2]\n"),
        "x.toml:4: `workload.events.count` is a part of `workload.events`, which is a factor too"
    );
}

#[test]
fn an_unknown_client_or_protocol_is_named_with_the_nearest() {
    assert_eq!(
        refused("[factors]\nclient = [\"native\",\n\"chromum\"]\n"),
        "x.toml:4: unknown client `chromum`; did you mean `chromium`?"
    );
    assert_eq!(refused("client = \"firefx\"\n"), "x.toml:2: unknown client `firefx`; did you mean `firefox`?");
    assert!(refused("client = \"lynx\"\n").starts_with("x.toml:2: unknown client `lynx`; write `"));
    assert_eq!(refused("protocol = \"ssse/h2\"\n"), "x.toml:2: unknown protocol `ssse/h2`; did you mean `sse/h2`?");
    assert_eq!(
        refused("protocol = \"sse/h9\"\n"),
        "x.toml:2: unknown protocol `sse/h9`: `sse` is on no ALPN `h9`; it rides on h1, h2, h3"
    );
    assert_eq!(
        refused("protocol = \"sse\"\n"),
        "x.toml:2: unknown protocol `sse`: `sse` is on no ALPN ``; it rides on h1, h2, h3"
    );
    assert_eq!(refused("protocol = 3\n"), "x.toml:2: `protocol` can't be integer `3`: write a text");
}

#[test]
fn what_cannot_be_judged_is_named_with_its_line() {
    assert_eq!(
        refused("[workload]\nsubscribers = 0\n"),
        "x.toml:3: `workload.subscribers` can't be 0: write a whole number from 1 to 20000"
    );
    assert_eq!(
        refused("[factors]\n\"workload.subscribers\" = [1,\n30000]\n"),
        "x.toml:4: `workload.subscribers` can't be 30000: write a whole number from 1 to 20000"
    );
    assert_eq!(
        refused("[workload]\nsettle = \"2s\"\n"),
        "x.toml: the last event can be due 4.000 s after the ramp, but the census is 3.000 s after it: hold longer, \
         or publish fewer events or faster"
    );
    assert_eq!(
        refused("[expect]\ncounts = \"observe\"\n[[fault]]\nat = \"1s\"\nkind = \"kill-server\"\n"),
        "x.toml:4: a server that is killed before the census can't publish it: `expect.delivery = \"exactly-once\"` is \
         impossible; write \"at-most-once\" or \"observe\""
    );
}

#[test]
fn too_many_trials_are_refused_before_they_are_made() {
    let hundred = (1..=100).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let many = format!(
        "[factors]\n\"workload.subscribers\" = [{hundred}]\n\"server.log\" = [{hundred}]\nclient = ['native', 'firefox']\n"
    );
    assert_eq!(refused(&many), "x.toml: more than 10000 combinations of levels");
}

#[test]
fn a_file_nested_without_end_is_refused_and_not_fatal() {
    let deep = format!("{} = 1\n", vec!["a"; 100_000].join("."));
    assert_eq!(refused(&deep), "");
    let deep = format!("[factors]\n\"{}\" = [1]\n", vec!["a"; 100_000].join("."));
    assert!(refused(&deep).starts_with("x.toml:3: `a.a.a"));
    let deep = format!("client = {}\n", "[".repeat(100_000));
    assert!(refused(&deep).starts_with("x.toml:2: not TOML: "));
}

mod claim {
    use super::*;
    use crate::trial::claim::OneOrMany;

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
    fn a_quantity_is_a_number_or_carries_its_unit() {
        assert_eq!(
            after_head("metric = 'latency'\nat-most = '50'\n"),
            "x.toml:9: `50` is no quantity; write a number, or one with its unit: \"50ms\", \"4 KiB\", \"1/s\""
        );
        assert_eq!(after_head("metric = 'latency'\nat-most = nan\n"), "x.toml:9: `at-most` can't be NaN");
        assert_eq!(
            after_head("metric = 'latency'\nat-most = true\n"),
            "x.toml:9: `claim.at-most`: write a number, or a text with its unit"
        );
        assert_eq!(
            after_head("metric = 'latency'\nat-most = '50ms'\nthan = {}\n"),
            "x.toml:9: `at-most` can't be `50ms`: with `than` it is a ratio, a plain number"
        );
        assert_eq!(after_head("metric = 'lost'\nwithin = [3, 2]\n"), "x.toml:9: `within` is empty: 3 is more than 2");
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
        assert_eq!(at("says = 'So.'\n"), "x.toml:5: no `source` in [[claim]]");
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
    }
}

mod flag {
    use super::*;

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
        assert_eq!(experiment.combinations[0].workload.events.count, 2);
        assert_eq!(experiment.combinations[0].protocol.to_string(), "sse/h3");
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
}
