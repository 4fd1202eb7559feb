//! What a wrong file or flag is answered with, word for word.

use super::*;

/// The error is the first that is found.
pub(in crate::experiment) fn load(text: &str, overrides: &Overrides) -> Result<Experiment, ExperimentError> {
    let unread = Unread::new("x".to_owned(), ExperimentSource::new("x.toml", text.to_owned())?, overrides)?;
    unread.draft(&unread.check(unread.document()?)?, overrides.full)
}

#[track_caller]
pub(in crate::experiment) fn loaded(text: &str) -> Experiment {
    load(text, &Overrides::default()).unwrap()
}

/// The answer to a file that begins with a question on line 1.
#[track_caller]
pub(in crate::experiment) fn refused(rest: &str) -> String {
    load(&format!("question = \"What?\"\n{rest}"), &Overrides::default()).unwrap_err().to_string()
}

pub(in crate::experiment) const GOOD: &str = r#"
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
fn what_goes_wrong_on_purpose_is_repeated_unless_the_file_says_otherwise() {
    let repeats = |text: &str| loaded(&format!("question = 'What?'\n{text}")).repeats;
    let fault = "[[fault]]\nat = '1s'\nkind = 'close-streams'\n";
    assert_eq!(repeats(""), 1);
    assert_eq!(repeats(fault), 5);
    assert_eq!(repeats(&format!("repeats = 1\n{fault}")), 1);
    let flag = Overrides { repeats: Some(2), ..Overrides::default() };
    assert_eq!(load(&format!("question = 'What?'\n{fault}"), &flag).unwrap().repeats, 2);
}

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
        "x.toml:5: unknown setting `when` in [[fault]]; write `at`, `kind` or `for`"
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
        "x.toml:3: `workload.subscribers` can't be string \"many\": write a whole number from 1 to 20000"
    );
    assert_eq!(
        refused("[workload]\nsubscribers = -1\n"),
        "x.toml:3: `workload.subscribers` can't be integer `-1`: write a whole number from 1 to 20000"
    );
    assert_eq!(
        refused("[factors]\n\"reconnect.tries\" = [1, -1]\n"),
        "x.toml:3: `reconnect.tries` can't be integer `-1`: write a whole number from 0 to 1000"
    );
    assert_eq!(
        refused("[server]\nlog = 5_000_000_000\n"),
        "x.toml:3: `server.log` can't be integer `5000000000`: write a whole number from 1 to 1000000"
    );
    assert_eq!(
        refused("[websocket]\nmissed-pongs = 0\n"),
        "x.toml:3: `websocket.missed-pongs` can't be integer `0`: write a whole number from 1 to 4294967295"
    );
    assert_eq!(
        refused("[sse]\ngreeting = \"yes\"\n"),
        "x.toml:3: `sse.greeting` can't be string \"yes\": write true or false"
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
    for (written, said) in [
        ("\"1\"", "string \"1\""),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("nan", "nan"),
        ("99999999999999999999", "99999999999999999999"),
        ("2026-01-31", "date `2026-01-31`"),
    ] {
        assert_eq!(
            refused(&format!("seed = {written}\n")),
            format!("x.toml:2: `seed` can't be {said}: write a whole number from 0 to 9007199254740991")
        );
    }
}

#[test]
fn a_date_where_something_else_belongs_is_called_a_date() {
    for (written, setting, right) in [
        ("client = 2026-01-31", "client", "a text"),
        ("protocol = 2026-01-31", "protocol", "a text"),
        ("[workload]\nsubscribers = 2026-01-31", "workload.subscribers", "a whole number from 1 to 20000"),
        ("[workload]\nhold = 2026-01-31", "workload.hold", "a text with its unit"),
        ("[factors]\n\"workload.hold\" = [\"1s\", 2026-01-31]", "workload.hold", "a text with its unit"),
        ("workload = 2026-01-31", "workload", "a table"),
        ("fault = 2026-01-31", "fault", "an array of tables"),
        ("sse = 2026-01-31", "sse", "a table"),
        ("[sse]\ngreeting = 2026-01-31", "sse.greeting", "true or false"),
        ("[expect]\ndelivery = 2026-01-31", "expect.delivery", "a text"),
        ("[[claim]]\nsays = 2026-01-31", "claim.says", "a text"),
    ] {
        let says = refused(&format!("{written}\n"));
        let begins = format!("`{setting}` can't be date `2026-01-31`: write {right}");
        assert!(says.split_once(": ").is_some_and(|(_, says)| says.starts_with(&begins)), "{written}: {says}");
    }
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
fn a_factor_reaches_into_an_array_by_number() {
    let good = "[[beside]]\nat = '1s'\n[factors]\n\"beside.0.kind\" = ['fetch', 'image']\n";
    let experiment = loaded(&format!("question = 'What?'\n{good}"));
    let kinds: Vec<_> = experiment.combinations.iter().map(|settings| settings.beside[0].kind).collect();
    assert_eq!(kinds, [crate::trial::settings::BesideKind::Fetch, crate::trial::settings::BesideKind::Image]);
    assert_eq!(
        refused(&good.replace("'image'", "'imge'")),
        "x.toml:5: `imge` is not a level of `beside.0.kind`; did you mean `image`?"
    );
    assert_eq!(
        refused(&good.replace("beside.0", "beside.1")),
        "x.toml:5: `beside.1.kind` reaches past `beside`, which has 1; the first is 0"
    );
    assert_eq!(
        refused("[factors]\n\"beside.0.kind\" = ['fetch']\n"),
        "x.toml:3: `beside.0.kind` reaches into `beside`, which there is none of; write [[beside]]"
    );
    assert_eq!(
        refused(&good.replace("at = '1s'", "at = '1s'\nkind = 'fetch'")),
        "x.toml:6: `beside.0.kind` is both a setting and a factor; see x.toml:4"
    );
    assert_eq!(
        refused(&good.replace("0.kind", "0.kinf")),
        "x.toml:5: unknown setting `kinf` in [[beside]]; did you mean `kind`?"
    );
    assert_eq!(
        refused("[[beside]]\nkind = 'fetch'\n[factors]\n\"beside.0.at\" = ['1s',\n'9s']\n"),
        "x.toml:6: `beside.0.at` can't be 9s: the census is 3.000 s after `go`, and what comes later is not measured"
    );
    assert_eq!(refused("[[beside]]\nat = '1s'\n"), "x.toml:2: no `kind` in [[beside]]");
    assert_eq!(
        refused(&good.replace("0.kind", "0")),
        "x.toml:5: `beside.0` is both a setting and a factor; see x.toml:2"
    );
    assert_eq!(
        refused(&good.replace("0.kind", "0.at.x")),
        "x.toml:5: unknown setting `beside.0.at.x`: `beside.0.at` has no parts"
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
        "x.toml:2: unknown protocol `sse`: it says no HTTP version; write `sse/h1`, `sse/h2`, `sse/h3`"
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
fn no_damage_to_a_file_is_fatal() {
    let good: Vec<char> = GOOD.chars().collect();
    for at in 0..good.len() {
        let cut: String = good[..at].iter().collect();
        let without: String = good[..at].iter().chain(&good[at + 1..]).collect();
        let quoted: String = good[..at].iter().chain(&['"']).chain(&good[at + 1..]).collect();
        for damaged in [cut, without, quoted] {
            if let Err(error) = load(&damaged, &Overrides::default()) {
                assert!(error.to_string().starts_with("x.toml"), "{error}");
            }
        }
    }
}

#[test]
fn a_file_nested_without_end_is_refused_and_not_fatal() {
    let deep = format!("{} = 1\n", vec!["a"; 100_000].join("."));
    assert_eq!(refused(&deep), "x.toml: not TOML: recursion limit");
    let deep = format!("[factors]\n\"{}\" = [1]\n", vec!["a"; 100_000].join("."));
    assert!(refused(&deep).starts_with("x.toml:3: `a.a.a"));
    let deep = format!("client = {}\n", "[".repeat(100_000));
    assert!(refused(&deep).starts_with("x.toml:2: not TOML: "));
}
