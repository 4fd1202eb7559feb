//! Which trials a plan holds, in which order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::experiment::source::ExperimentSource;
use crate::experiment::{Overrides, file};
use crate::trial::settings::{LinkSettings, Preset};

fn planned(text: &str) -> Plan {
    let source = ExperimentSource::new("x.toml", format!("question = 'What?'\n{text}")).unwrap();
    plan(&file::parse("x".to_owned(), source, &Overrides::default()).unwrap()).unwrap()
}

/// The levels of a factor over all trials, in order, as JSON.
fn column(plan: &Plan, factor: &str) -> Vec<Value> {
    plan.trials.iter().map(|trial| trial.levels[factor].clone()).collect()
}

#[test]
fn repeats_come_in_whole_rounds_and_share_a_seed() {
    let plan = planned("repeats = 3\n[factors]\nclient = ['native', 'firefox']\nprotocol = ['sse/h1', 'sse/h2']\n");
    assert_eq!(plan.trials.len(), 12);
    assert!(plan.trials.iter().enumerate().all(|(i, trial)| trial.trial as usize == i));
    let mut seeds = BTreeMap::new();
    for round in plan.trials.chunks(4) {
        let combinations: BTreeSet<_> = round.iter().map(|trial| format!("{:?}", trial.levels)).collect();
        assert_eq!(combinations.len(), 4, "a round has every combination once");
        for trial in round {
            assert_eq!(*seeds.entry(trial.repeat).or_insert(trial.seed), trial.seed, "repeats are paired");
        }
    }
    assert_eq!(seeds.values().collect::<BTreeSet<_>>().len(), 3, "repeats differ");
    assert!(seeds.values().all(|seed| *seed < 1 << 53));
}

#[test]
fn a_seed_is_the_first_53_bits_of_a_hash_of_seed_and_repeat() {
    // printf '\0\0\0\0\0\0\0\1\0\0\0\0' | sha256sum: the first 8 bytes, without their last 11 bits.
    assert_eq!(trial_seed(1, 0), 1_288_347_848_234_415);
    assert_ne!(trial_seed(1, 1), trial_seed(1, 0));
    assert_ne!(trial_seed(2, 0), trial_seed(1, 0));
}

#[test]
fn a_factor_that_a_protocol_does_not_read_is_dropped_for_it() {
    let plan =
        planned("[factors]\nprotocol = ['sse/h1', 'sse/h2']\n\"server.max-concurrent-streams\" = [10, 'unset']\n");
    assert_eq!(column(&plan, "server.max-concurrent-streams"), [json!(null), json!(10), json!("unset")]);
    assert_eq!(column(&plan, "protocol"), [json!("sse/h1"), json!("sse/h2"), json!("sse/h2")]);
    assert_eq!(plan.trials[0].settings.server.max_concurrent_streams, Settable::Set(100), "left at its default");
}

#[test]
fn a_factor_of_one_level_keeps_it() {
    let plan = planned("[factors]\nprotocol = ['sse/h1']\n\"server.max-concurrent-streams\" = [10]\n");
    assert_eq!(column(&plan, "server.max-concurrent-streams"), [json!(10)]);
}

#[test]
fn what_only_one_kind_of_client_reads_is_dropped_for_the_other() {
    let plan = planned(
        "protocol = 'sse/h2'\n[factors]\nclient = ['native', 'firefox']\n\"workload.pages\" = [4, 1]\n\
         \"workload.connections\" = ['separate', 'shared']\n\"workload.credentials\" = ['omit', 'include']\n",
    );
    assert_eq!(plan.trials.len(), 2 + 4);
    for trial in &plan.trials {
        let native = trial.settings.client == "native";
        assert!(native || trial.levels["workload.connections"] == "shared", "what a browser does anyway");
        assert_eq!(trial.levels["workload.pages"].is_null(), native);
        assert_eq!(trial.levels["workload.credentials"].is_null(), native);
        assert!(!native || trial.settings.workload.pages == 1, "a level that isn't read isn't set");
    }
    let plan = planned("protocol = 'sse/h1'\n[factors]\n\"workload.connections\" = ['separate', 'shared']\n");
    assert_eq!(plan.trials.len(), 1, "on HTTP/1.1 each subscription has its own connection anyway");
}

#[test]
fn settings_of_pages_are_dropped_for_the_native_client() {
    let plan = planned(
        "protocol = 'sse/h2'\n[[beside]]\nat = '1s'\nkind = 'fetch'\n[factors]\nclient = ['native', 'webkit']\n\
         \"workload.visibility\" = ['hidden', 'visible']\n\"sse.reader\" = ['fetch', 'eventsource']\n\
         \"beside.0.credentials\" = ['include', 'omit']\n",
    );
    assert_eq!(plan.trials.len(), 1 + 8);
    let cache = planned(
        "protocol = 'sse/h2'\nclient = 'webkit'\n[factors]\n\"sse.reader\" = ['fetch', 'eventsource']\n\
         \"sse.cache\" = ['default', 'no-store']\n",
    );
    assert_eq!(column(&cache, "sse.cache"), [json!("default"), json!("no-store"), json!(null)]);
}

#[test]
fn how_to_come_back_is_read_by_scripts_that_do_and_never_by_an_eventsource() {
    let plan = planned(
        "[factors]\nclient = ['native', 'webkit']\n\"sse.reader\" = ['fetch', 'eventsource']\n\
         \"reconnect.tries\" = [0, 5]\n\"reconnect.delay\" = ['1s', '2s']\n",
    );
    let (none, tries) = (json!(null), [json!(0), json!(5)]);
    let scripts = [&tries[0], &tries[1], &tries[1]];
    let expected: Vec<_> = [&scripts[..], &scripts[..], &[&none]].concat().into_iter().cloned().collect();
    assert_eq!(column(&plan, "reconnect.tries"), expected);
    let ping = planned("[factors]\nclient = ['native', 'webkit']\n\"reconnect.ping\" = ['off', '1s']\n");
    assert_eq!(ping.trials.len(), 2 + 1, "what a browser asks is its own");
    assert_eq!(column(&ping, "reconnect.ping"), [json!("off"), json!("1s"), json!("off")]);
}

#[test]
fn only_a_fetch_has_a_credentials_mode_to_choose() {
    let plan = planned(
        "client = 'webkit'\n[[beside]]\nat = '1s'\n[factors]\n\"beside.0.kind\" = ['image', 'fetch']\n\
         \"beside.0.credentials\" = ['include', 'omit']\n",
    );
    assert_eq!(column(&plan, "beside.0.credentials"), [json!(null), json!("include"), json!("omit")]);
}

#[test]
fn a_length_and_an_urgency_are_a_downloads_and_a_gap_is_between_pairs() {
    let plan = planned(
        "client = 'native'\n[[beside]]\nat = '1s'\n[factors]\n\"beside.0.kind\" = ['fetch', 'download']\n\
         \"beside.0.bytes\" = ['0 B', '1 kB']\n\"beside.0.urgency\" = ['unset', 7]\n",
    );
    let (none, unset) = (json!(null), json!("unset"));
    assert_eq!(column(&plan, "beside.0.bytes"), [none.clone(), json!("0 B"), json!("1 kB"), json!("1 kB")]);
    assert_eq!(column(&plan, "beside.0.urgency"), [none.clone(), none.clone(), unset, json!(7)]);
    let gaps = planned(
        "[factors]\n\"workload.events.arrival\" = ['periodic', 'pairs']\n\"workload.events.gap\" = ['1ms', '5ms']\n",
    );
    assert_eq!(column(&gaps, "workload.events.gap"), [none, json!("1ms"), json!("5ms")]);
}

#[test]
fn one_host_has_no_order_and_shares_its_certificate_with_nobody() {
    let plan = planned(
        "[factors]\n\"workload.hosts\" = [1, 2]\n\"workload.host-order\" = ['forward', 'reverse']\n\
         \"server.certificate\" = ['shared', 'per-host']\n",
    );
    assert_eq!(plan.trials.len(), 1 + 4);
    assert_eq!(column(&plan, "server.certificate")[0], json!(null));
}

#[test]
fn waiting_for_settings_is_read_where_there_are_some_and_by_every_browser() {
    let plan = planned(
        "[factors]\nclient = ['native', 'webkit']\nprotocol = ['sse/h1', 'sse/h2']\n\
         \"workload.open\" = ['burst', 'after-settings']\n",
    );
    assert_eq!(plan.trials.len(), 1 + 2 + 2 + 2);
    assert_eq!(plan.trials[0].levels["workload.open"], json!(null), "native on HTTP/1.1");
}

#[test]
fn levels_are_canonical_and_factors_stand_in_the_order_of_the_file() {
    let plan = planned(
        "[factors]\n\"workload.hold\" = ['3000ms', '0.1 min']\nprotocol = ['sse/h1']\n\"sse.retry\" = ['1s']\nclient = ['native']\n",
    );
    assert_eq!(column(&plan, "workload.hold"), [json!("3s"), json!("6s")]);
    assert_eq!(column(&plan, "sse.retry"), [json!("1s"), json!("1s")]);
    assert_eq!(plan.factors, ["workload.hold", "protocol", "sse.retry", "client"]);
    assert!(plan.trials.iter().all(|trial| trial.levels.len() == 4));
}

#[test]
fn a_list_of_faults_can_be_a_factor() {
    let plan = planned(
        "repeats = 1\n[expect]\ndelivery = 'observe'\ncounts = 'observe'\n[factors]\nfault = [[], [{ at = '1000ms', kind = 'kill-server' }]]\n",
    );
    assert_eq!(column(&plan, "fault"), [json!([]), json!([{ "at": "1s", "kind": "kill-server" }])]);
}

#[test]
fn the_expected_time_is_timelines_and_what_clients_need() {
    let timeline = "[workload]\nhold = '2s'\ndrain = '500ms'\nramp = '500ms'\nevents = { count = 0 }\n";
    let native = planned(&format!("client = 'native'\nprotocol = 'sse/h1'\nrepeats = 2\n{timeline}"));
    assert_eq!(expected_time(&native).to_string(), "6600ms");
    let browser = planned(&format!("client = 'firefox'\nprotocol = 'sse/h1'\n{timeline}"));
    assert_eq!(expected_time(&browser).to_string(), "5s");
}

#[test]
fn a_quic_server_cannot_leave_its_limit_unset() {
    let plan =
        planned("[factors]\nprotocol = ['sse/h2', 'sse/h3']\n\"server.max-concurrent-streams\" = ['unset', 100]\n");
    let unsupported: Vec<_> = plan.trials.iter().filter(|trial| supports(&trial.settings).is_err()).collect();
    assert_eq!(unsupported.len(), 1);
    assert_eq!(unsupported[0].levels["protocol"], "sse/h3");
    assert_eq!(unsupported[0].levels["server.max-concurrent-streams"], "unset");
    assert!(supports(&unsupported[0].settings).unwrap_err().to_string().contains("RFC 9000 section 18.2"));
    assert_eq!(expected_time(&plan).nanos(), 3 * 3_800_000_000, "what can't run takes no time");
}

#[test]
fn what_is_stuck_where_nothing_is_shared_is_unsupported_and_says_why() {
    let plan = planned(
        "[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3', 'websocket/h2', 'webtransport/h3', 'quic/quic']\n\
         'workload.stuck-direction' = ['down', 'up']\n[workload]\nstuck = 2\nstuck-on = 'shared'\n",
    );
    let why = |trial: &PlannedTrial| supports(&trial.settings).err().map(|why| why.to_string()).unwrap_or_default();
    let refused: Vec<_> = plan.trials.iter().filter(|trial| !why(trial).is_empty()).collect();
    let of = |trial: &&PlannedTrial| trial.levels["protocol"].clone();
    assert_eq!(refused.iter().map(of).collect::<Vec<_>>(), ["sse/h1", "sse/h1", "quic/quic", "quic/quic"]);
    assert!(why(refused[0]).contains("one response at a time"), "{}", why(refused[0]));
    assert!(why(refused[2]).contains("one session"), "{}", why(refused[2]));
    assert!(why(refused[3]).contains("no POST"), "{}", why(refused[3]));
    let separate = planned("[workload]\nstuck = 2\nstuck-on = 'shared'\nconnections = 'separate'\n");
    assert!(why(&separate.trials[0]).contains("a connection of its own"), "{}", why(&separate.trials[0]));
}

#[test]
fn where_nothing_is_stuck_it_is_on_no_connection() {
    let plan = planned("[factors]\n'workload.stuck' = [0, 2]\n'workload.stuck-on' = ['own', 'shared']\n");
    assert_eq!(column(&plan, "workload.stuck"), [json!(0), json!(2), json!(2)]);
    assert_eq!(column(&plan, "workload.stuck-on"), [json!(null), json!("own"), json!("shared")]);
}

#[test]
fn a_plan_of_an_earlier_version_is_told_what_its_transports_promise_and_what_its_browsers_did() {
    let text = "[factors]\nclient = ['native', 'firefox']\nprotocol = ['sse/h2', 'polling/h2', 'quic/quic']\n\
                'reconnect.ping' = ['off', '2s']\n[quic]\nmode = 'datagrams'\n\
                [workload]\ndrain = '2s'\n[expect]\ndelivery = 'observe'\ncounts = 'observe'\n";
    let now = planned(text);
    let mut old = serde_json::to_value(&now).unwrap();
    old.as_object_mut().unwrap().remove("version");
    for trial in old["trials"].as_array_mut().unwrap() {
        trial.as_object_mut().unwrap().remove("promises");
        if trial["levels"]["client"] == "firefox" {
            trial["levels"]["reconnect.ping"] = json!(null);
        }
    }
    let mut old: Plan = serde_json::from_value(old).unwrap();
    assert_eq!(old.version, 1);
    bring_up_to_date(&mut old);
    assert_eq!(old, now);
    let told = |number: usize| (now.trials[number].promises.without_loss, now.trials[number].promises.exchanges);
    assert_eq!(
        [0, 2, 4].map(told),
        [(true, Exchanges::Persistent), (true, Exchanges::Periodic), (false, Exchanges::Persistent)]
    );
}

#[test]
fn a_preset_sets_what_the_file_does_not() {
    let link = |text: &str| planned(text).trials[0].settings.link.clone().unwrap();
    let [up, down] = link("[link]\npreset = '3g'\n").ways();
    assert_eq!((up.delay, down.delay), (Span::from_millis(150), Span::from_millis(150)));
    let rate = |settings: &LinkSettings| serde_json::to_value(settings.rate).unwrap();
    assert_eq!([rate(&up), rate(&down)], [json!("768 kbit/s"), json!("1600 kbit/s")]);
    // One way, both ways, and neither.
    let [up, down] = link("[link]\npreset = '3g'\ndelay = '1ms'\nup.rate = '5 Mbit/s'\n").ways();
    assert_eq!([rate(&up), rate(&down)], [json!("5 Mbit/s"), json!("1600 kbit/s")]);
    assert_eq!(up.delay, Span::from_millis(1));
    let [up, down] = link("[link]\npreset = '3g'\nrate = 'unlimited'\n").ways();
    assert_eq!([rate(&up), rate(&down)], [json!("unlimited"), json!("unlimited")]);
    assert_eq!(link("[link]\npreset = 'none'\n"), LinkSettings::default());
}

#[test]
fn every_preset_can_be_planned_and_be_a_level() {
    let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.row().name).collect();
    let plan = planned(&format!("[factors]\n\"link.preset\" = {names:?}\n"));
    assert_eq!(column(&plan, "link.preset"), names);
    for (trial, preset) in plan.trials.iter().zip(Preset::ALL) {
        let link = trial.settings.link.as_ref().unwrap();
        assert!(link.preset == preset && link.round_trip() > Span::default(), "{link:?}");
    }
}

#[test]
fn what_happens_on_a_link_brings_one_along() {
    let plan = planned("[[fault]]\nat = '1s'\n[factors]\n\"fault.0.kind\" = ['close-streams', 'blackout']\n");
    let links: Vec<_> = plan.trials.iter().map(|trial| trial.settings.link.clone()).collect();
    assert_eq!(links[..2], [None, Some(LinkSettings::default())]);
}
