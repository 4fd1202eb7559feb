//! What every transport keeps to, on everything that it rides on: whole trials with the native client, written once for
//! all. A new transport is held to them by its line in `transport::ALL`.

#[path = "../pace/mod.rs"]
mod pace;
mod run;

use run::{Trial, over_every_protocol};

/// Subscriptions of every trial here.
const SUBSCRIPTIONS: u64 = 2;
/// What goes for every trial here: what broke is told by the tests, with the numbers.
const OBSERVE: &str = "[expect]\ndelivery = 'observe'\ncounts = 'observe'\n";
/// A client that comes back at once, for as long as it takes, and asks a silent peer whether it is there.
const PERSISTENT: &str = "[reconnect]\ntries = 100\ndelay = '20ms'\nfactor = 1\njitter = 'none'\nping = '50ms'\n";

fn workload(more: &str) -> String {
    format!("[workload]\nsubscribers = {SUBSCRIPTIONS}\ndrain = '500ms'\n{more}\n")
}

/// Nothing came twice, and nothing was lost or overtaken but what may be.
#[track_caller]
fn delivers(trial: &Trial) {
    for (metric, allowed) in [("duplicated", false), ("lost", trial.may_lose()), ("reordered", trial.may_reorder())] {
        assert!(allowed || trial.count(metric) == 0, "{}: {metric} {}", trial.name(), trial.count(metric));
    }
}

/// Both ends ended by themselves, and the server was told of every stream's end.
#[track_caller]
fn ends_cleanly(trial: &Trial) {
    for exited in trial.facts("exited") {
        assert_eq!(exited["status"], "exit 0", "{}: {}", trial.name(), exited["role"]);
    }
    assert_eq!(trial.facts("attached").len(), trial.facts("detached").len(), "{}", trial.name());
    assert_eq!(trial.facts("connected").len(), trial.facts("disconnected").len(), "{}", trial.name());
}

#[test]
fn a_thousand_events_arrive_once_and_in_order_and_the_client_leaves_cleanly() {
    let events = "settle = '500ms'\nhold = '2s'\nevents = { count = 1000, rate = '1000/s' }";
    // Long enough that a slow machine opens two thousand QUIC streams, where an event has one of its own.
    let workload = workload(events).replace("drain = '500ms'", "drain = '2s'");
    for trial in over_every_protocol(&format!("{workload}{OBSERVE}")) {
        delivers(&trial);
        // The census is one more.
        assert_eq!(trial.count("events-received") + trial.count("lost"), 1001 * SUBSCRIPTIONS, "{}", trial.name());
        assert!(trial.may_lose() || trial.count("open-streams") == SUBSCRIPTIONS, "{}", trial.name());
        assert_eq!(trial.count("server-open-streams"), SUBSCRIPTIONS, "{}", trial.name());
        ends_cleanly(&trial);
    }
}

#[test]
fn bytes_arrive_as_they_were_whatever_carries_them() {
    // Long enough before the first event that nobody comes late to it: what was published before is no reader's.
    let events = "settle = '600ms'\nhold = '1500ms'\nevents = { count = 35, rate = '50/s', payload = 'binary' }";
    for trial in over_every_protocol(&format!("{}{OBSERVE}", workload(events))) {
        // What isn't as it was published fails the trial.
        delivers(&trial);
        assert_eq!(trial.count("events-received") + trial.count("lost"), 36 * SUBSCRIPTIONS, "{}", trial.name());
    }
}

#[test]
fn a_reader_that_was_cut_off_comes_back_and_misses_nothing() {
    let events = "settle = '200ms'\nhold = '900ms'\nevents = { count = 60, rate = '100/s' }";
    let fault = "[[fault]]\nat = '500ms'\nkind = 'close-streams'\n";
    let mut cut_off = 0;
    for trial in over_every_protocol(&format!("{}{OBSERVE}{PERSISTENT}{fault}", workload(events))) {
        delivers(&trial);
        if trial.stays_open() {
            // Where the machine is so busy that a reader opens only afterwards, it was not cut off.
            let begun = &trial.facts("fault")[0]["t"];
            let early = trial.facts("opened").into_iter().filter(|opened| opened["t"].as_u64() < begun.as_u64());
            let cut: std::collections::BTreeSet<u64> = early.filter_map(|opened| opened["sub"].as_u64()).collect();
            for (kind, least) in [("closed", 1), ("requested", 2), ("opened", 2)] {
                let counts = trial.of_each(kind, SUBSCRIPTIONS);
                let mut of_cut = counts.iter().zip(0..).filter(|(_, sub)| cut.contains(sub));
                assert!(of_cut.all(|(count, _)| *count >= least), "{}: {kind}: {counts:?}", trial.name());
            }
            cut_off += cut.len();
            assert!(cut.is_empty() || trial.metric("reconnect-interval") >= 20.0, "{}", trial.name());
        }
        ends_cleanly(&trial);
    }
    assert!(cut_off > 0, "nobody was there to be cut off");
}

#[test]
fn a_reader_finds_a_server_that_was_started_anew_is_told_of_the_gap_and_goes_on() {
    let events = "settle = '200ms'\nhold = '1200ms'\nevents = { count = 80, rate = '100/s' }";
    let fault = "[[fault]]\nat = '500ms'\nkind = 'restart-server'\nfor = '100ms'\n";
    for trial in over_every_protocol(&format!("{}{OBSERVE}{PERSISTENT}{fault}", workload(events))) {
        assert!(trial.count("duplicated") == 0, "{}", trial.name());
        let gaps = trial.of_each("gap", SUBSCRIPTIONS);
        assert!(gaps.iter().all(|gaps| *gaps >= 1), "{}: {gaps:?} gaps", trial.name());
        // Events of the new epoch came, the census among them.
        assert!(trial.may_lose() || trial.count("open-streams") == SUBSCRIPTIONS, "{}", trial.name());
        assert!(trial.metric("recovery-time") > 0.0, "{}", trial.name());
    }
}

#[test]
fn a_neighbour_that_never_reads_is_not_noticed_and_the_server_ends_its_streams_cleanly() {
    let events =
        "settle = '300ms'\nhold = '700ms'\nstuck = 3\nevents = { count = 100, rate = '500/s', size = '4 KiB' }";
    // Late in a long drain: the census has been taken and has come, on a busy machine too.
    let fault = "[[fault]]\nat = '2800ms'\nkind = 'close-streams'\n";
    let workload = workload(events).replace("drain = '500ms'", "drain = '2500ms'");
    for trial in over_every_protocol(&format!("{workload}{OBSERVE}{fault}")) {
        if !trial.stays_open() {
            assert!(trial.is_unsupported() && trial.reason().contains("unread"), "{}", trial.name());
            continue;
        }
        delivers(&trial);
        let stuck: Vec<_> = trial.facts("attached").into_iter().filter(|fact| fact["tag"].is_null()).collect();
        assert_eq!(stuck.len(), 3, "{}", trial.name());
        assert!(stuck.iter().all(|one| stuck.iter().filter(|other| other["conn"] == one["conn"]).count() == 1));
        assert!(trial.may_lose() || trial.count("open-streams") == SUBSCRIPTIONS, "{}", trial.name());
        assert_eq!(trial.count("requested-streams"), SUBSCRIPTIONS, "{}", trial.name());
        assert_eq!(trial.of_each("closed", SUBSCRIPTIONS), [1, 1], "{}", trial.name());
        ends_cleanly(&trial);
    }
}

/// A window that three streams of 64 KiB fill, and half of the events are more than that.
const NARROW: &str = "stream-window = '64 KiB'\nconnection-window = '192 KiB'\nstuck = 4\nstuck-on = 'shared'\n";

#[test]
fn readers_that_never_read_use_up_the_connection_that_they_share_and_no_other() {
    let events = "settle = '300ms'\nhold = '700ms'\nevents = { count = 100, rate = '500/s', size = '4 KiB' }";
    for trial in over_every_protocol(&format!("{}{NARROW}{OBSERVE}", workload(events))) {
        if trial.is_unsupported() {
            let why = ["unread", "nobody shares it"];
            assert!(why.iter().any(|why| trial.reason().contains(why)), "{}: {}", trial.name(), trial.reason());
            continue;
        }
        let attached = trial.facts("attached");
        let first = &attached.first().expect("somebody attached")["conn"];
        assert!(attached.iter().all(|one| one["conn"] == *first), "{}: one connection has all", trial.name());
        assert_eq!(attached.len(), 6, "{}", trial.name());
        // Datagrams are under no flow control (RFC 9221 section 5.3).
        if trial.may_lose() {
            continue;
        }
        // What fits the window is all that came, of two hundred: nobody gets half of it.
        assert!(trial.count("events-received") < 100, "{}", trial.name());
    }
}

#[test]
fn uploads_that_the_server_never_reads_stop_what_is_sent_beside_them_and_nothing_elsewhere() {
    // By then what is left unread has used up the connection, also where the machine is busy.
    let sent = "direction = 'up'\nsettle = '1s'\nhold = '1400ms'\nevents = { count = 20, rate = '100/s' }\nstuck = 4\n\
                stuck-direction = 'up'";
    for (on, stops) in [("own", false), ("shared", true)] {
        let settings = format!("{}stuck-on = '{on}'\n{OBSERVE}", workload(sent));
        for trial in over_every_protocol(&settings) {
            if trial.is_unsupported() {
                let why = ["no POST", "nobody shares it"];
                assert!(why.iter().any(|why| trial.reason().contains(why)), "{}: {}", trial.name(), trial.reason());
                continue;
            }
            let (received, name) = (trial.count("events-received"), trial.name());
            // The census, which nobody sends, is one more to each.
            if stops {
                assert!(received <= SUBSCRIPTIONS, "{name}, {on}: {received}");
            } else {
                assert_eq!(received, 21 * SUBSCRIPTIONS, "{name}, {on}");
            }
        }
    }
}
