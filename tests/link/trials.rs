//! Trials over a link, run as a person starts them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::can_link;
use crate::until::until;

/// One subscriber, and events from the beginning on.
const HEAD: &str = "question = 'Is it true?'\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '1s'\n\
                    events = { count = 50, rate = '100/s' }\n";

/// The same for those who take long to begin.
pub(crate) const SLOW: &str = "question = 'Is it true?'\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '6s'\n\
                    events = { count = 500, rate = '100/s' }\n";

/// A folder with an experiment `x.toml` that begins so.
fn lab(more: &str) -> TempDir {
    lab_from(HEAD, more)
}

fn lab_from(head: &str, more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.toml"), format!("{head}{more}")).unwrap();
    folder
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
    command
        .args(["run", "./x.toml", "--json", "--no-calibration", "--out", "out", "--certs", "certs"])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end; gives the summary and the journal.
pub(crate) fn run(more: &str) -> (Value, Vec<Value>) {
    run_from(HEAD, more)
}

pub(crate) fn run_from(head: &str, more: &str) -> (Value, Vec<Value>) {
    let folder = lab_from(head, more);
    let ran = command(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let summary = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (summary, journal(folder.path()))
}

/// The lines of the only run's journal so far.
fn journal(folder: &Path) -> Vec<Value> {
    let runs = std::fs::read_dir(folder.join("out")).into_iter().flatten().flatten();
    let run = runs.map(|run| run.path()).find(|path| path.join("plan.json").exists());
    let text = run.and_then(|run| std::fs::read_to_string(run.join("observations.jsonl")).ok()).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

pub(crate) fn metric(trial: &Value, name: &str) -> f64 {
    let entry = &trial["metrics"][name];
    entry["median"].as_f64().unwrap_or_else(|| panic!("no {name}: {entry}"))
}

#[test]
fn every_protocol_crosses_a_link_and_takes_the_round_trips_of_its_handshakes() {
    if !can_link() {
        return;
    }
    // Nobody takes two seconds to open a stream, and what is opened later has no bytes of an event.
    let head = HEAD.replace("hold = '1s'", "settle = '2s'\nhold = '3s'");
    let more = "drain = '500ms'\n[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3', 'websocket/h1', 'webtransport/h3', \
                'quic/quic']\n[link]\ndelay = '50ms'\n";
    let (summary, journal) = run_from(&head, more);
    let trials = summary["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 6);
    for trial in trials {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        // TCP, TLS 1.3, the request; on QUIC one handshake for both. How much more this machine takes is no test's
        // business.
        let over_tcp = ["sse/h1", "sse/h2", "websocket/h1"].iter().any(|protocol| levels["protocol"] == *protocol);
        let took = metric(trial, "round-trips-to-first-event");
        assert!(took >= if over_tcp { 3.0 } else { 2.0 }, "{levels}: {took}");
        assert!(metric(trial, "packets-per-event") >= 1.0);
        assert!(metric(trial, "wire-bytes-per-event") > 100.0);
        assert!(metric(trial, "packets-dropped").abs() < f64::EPSILON);
        let of = |kind: &str| -> Vec<&Value> {
            journal.iter().filter(|fact| fact["trial"] == trial["trial"] && fact["kind"] == kind).collect()
        };
        let at: Vec<&str> = of("link-carried").iter().map(|fact| fact["at"].as_str().unwrap()).collect();
        assert_eq!(at, ["go", "first", "census", "end"]);
        assert_eq!(of("link-ended").len(), 1);
    }
}

#[test]
fn what_the_link_drops_is_sent_again_and_lost_to_nobody() {
    if !can_link() {
        return;
    }
    let (summary, journal) =
        run("drain = '3s'\n[factors]\nprotocol = ['sse/h2', 'sse/h3']\n[link]\ndelay = '5ms'\nloss = '5%'\n");
    for trial in summary["trials"].as_array().unwrap() {
        assert_eq!(trial["outcome"], "completed", "{}: {}", trial["levels"], trial["reason"]);
        assert!(metric(trial, "packets-dropped") >= 1.0);
        assert!(metric(trial, "lost").abs() < f64::EPSILON);
        let ended =
            journal.iter().find(|fact| fact["trial"] == trial["trial"] && fact["kind"] == "link-ended").unwrap();
        let dropped: usize =
            ["up-dropped", "down-dropped"].iter().map(|way| ended[way].as_array().unwrap().len()).sum();
        assert!((metric(trial, "packets-dropped") - dropped as f64).abs() < f64::EPSILON, "{ended}");
    }
}

#[test]
fn an_empty_table_is_a_link_and_none_is_loopback() {
    if !can_link() {
        return;
    }
    let (summary, journal) = run("[link]\n");
    assert_eq!(summary["trials"][0]["outcome"], "completed", "{}", summary["trials"][0]["reason"]);
    assert_eq!(journal.iter().filter(|fact| fact["kind"] == "link-ended").count(), 1);
    assert!(
        summary["trials"][0]["metrics"]["round-trips-to-first-event"]["absent"].as_str().unwrap().contains("20 ms")
    );
    let (summary, journal) = run("");
    assert_eq!(summary["trials"][0]["metrics"]["wire-bytes-per-event"]["absent"], "the trial had no link");
    assert_eq!(journal.iter().filter(|fact| fact["kind"] == "link-ended").count(), 0);
}

#[test]
fn browsers_cross_a_link_too_and_report_without_it() {
    if !can_link() {
        return;
    }
    let (summary, journal) = run_from(
        SLOW,
        "drain = '3s'\n[factors]\nclient = ['chromium', 'firefox', 'webkit']\nprotocol = \
                                  ['sse/h2', 'sse/h3']\n[link]\ndelay = '50ms'\n",
    );
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        if trial["outcome"] == "unsupported" {
            // WebKitGTK has no HTTP/3, and where the test command has installed them all are there.
            assert!(
                trial["reason"] == "WebKitGTK has no HTTP/3" || std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none(),
                "{levels}: {}",
                trial["reason"]
            );
            continue;
        }
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let least = if levels["protocol"] == "sse/h2" { 3.0 } else { 2.0 };
        let took = metric(trial, "round-trips-to-first-event");
        // A page's clock is not the lab's, and may be off by its uncertainty.
        assert!(took >= least - 0.1, "{levels}: {took}");
        // The page's clock is compared over the control origin: that a round trip there took 100 ms would show.
        let clock = journal.iter().find(|fact| fact["trial"] == trial["trial"] && fact["kind"] == "clock").unwrap();
        assert!(clock["uncertainty"].as_u64().unwrap() < 40_000_000, "{clock}");
    }
}

#[test]
fn a_link_that_can_not_be_is_refused_with_its_line() {
    for (text, says) in [
        ("[link]\nloss = '101%'\n", "x.toml:8: `link.loss` can't be 101%: write 0% to 100%"),
        ("[link]\nloss = '2'\n", "x.toml:8: `link.loss`: `2` is not a share; write it like \"2%\" or \"0.5%\""),
        ("[link]\nrate = '0 bit/s'\n", "x.toml:8: `link.rate` can't be 0 bit/s: write 1 kbit/s to 100 Gbit/s"),
        ("[link]\nrate = 'fast'\n", "x.toml:8: `link.rate`: `fast` is not a bit rate; write it like \"10 Mbit/s\""),
        ("[link]\ndelay = '-1ms'\n", "x.toml:8: `link.delay`: `-1ms` is not a length of time"),
        ("[link]\nmtu = '575 B'\n", "x.toml:8: `link.mtu` can't be 575 B: write 576 B to 1500 B"),
        ("[link]\nup.mtu = '9000 B'\n", "x.toml:8: `link.up.mtu` can't be 9 kB: write 576 B to 1500 B"),
        ("[link]\nmtu = 1400\n", "x.toml:8: `link.mtu` can't be integer `1400`"),
        ("[link]\nblock = 'tcp'\n", "x.toml:8: `tcp` is not a level of `link.block`"),
        (
            "[link]\npreset = 'satelite'\n",
            "x.toml:8: `satelite` is not a level of `link.preset`; did you mean `satellite`?",
        ),
        (
            "[link]\npreset = 'lte'\n",
            "x.toml:8: `lte` is not a level of `link.preset`; write `none`, `4g`, `3g`, `satellite`, `hotel-wifi` or \
             `transatlantic`",
        ),
        ("[link]\ndelays = '1ms'\n", "x.toml:8: unknown setting `delays` in [link]; did you mean `delay`?"),
        ("[factors]\n'link.delay' = ['0ms', '20s']\n", "x.toml:8: `link.delay` can't be 20s: write 0s to 10s"),
    ] {
        let folder = lab(text);
        let ran = command(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "no `{says}` in: {said}");
    }
}

/// Nobody's user and group (Linux's own default for who has none: `/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;

#[test]
fn an_ordinary_user_has_a_link_or_is_told_what_it_takes() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can start a program as somebody else");
        return;
    }
    let folder = lab("[link]\n");
    let program = folder.path().join("transport-lab");
    std::fs::copy(env!("CARGO_BIN_EXE_transport-lab"), &program).unwrap();
    for path in [folder.path(), &folder.path().join("x.toml")] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let ran = Command::new(&program)
        .args(["run", "./x.toml", "--json", "--no-calibration", "--out", "out", "--certs", "certs"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(ran.status.code(), Some(0), "{said}");
    let trial = &summary["trials"][0];
    // Which it is depends on the system: whether users may have namespaces of their own, and /dev/net/tun.
    if trial["outcome"] != "completed" {
        assert_eq!(trial["outcome"], "unsupported", "{trial}");
        let reason = trial["reason"].as_str().unwrap();
        assert!(reason.contains("this user may not") && reason.contains("run as root"), "{reason}");
    }
}

/// Every process that names this folder in its environment or command line.
fn processes(folder: &Path) -> Vec<PathBuf> {
    let name = folder.display().to_string();
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let names = |process: &PathBuf| {
        let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
        ["cmdline", "environ"].iter().any(|file| String::from_utf8_lossy(&read(file)).contains(&name))
    };
    all.filter(names).collect()
}

#[test]
fn a_lab_that_is_killed_leaves_nobody_in_its_namespaces() {
    if !can_link() {
        return;
    }
    let folder = lab("drain = '60s'\n[link]\ndelay = '5ms'\n");
    let mut child = command(folder.path()).env("IN", folder.path()).stdout(Stdio::null()).spawn().unwrap();
    until("a subscription", || journal(folder.path()).iter().any(|fact| fact["kind"] == "requested"));
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let elsewhere = |process: &PathBuf| std::fs::read_link(process.join("ns/net")).is_ok_and(|link| link != own);
    assert_eq!(processes(folder.path()).iter().filter(|process| elsewhere(process)).count(), 2, "both ends");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    until("both ends to end", || processes(folder.path()).is_empty());
}

#[test]
fn behind_a_nat_that_forgot_who_asks_goes_on_and_who_listens_is_deaf() {
    if !can_link() {
        return;
    }
    let head = "question = 'Is it true?'\nrepeats = 1\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '9s'\nsettle = '500ms'\n\
                events = { count = 8, rate = '1/s' }\n";
    // Between two events: what is acknowledged afterwards would be said after it.
    let (summary, _) = run_from(
        head,
        "drain = '500ms'\n[server]\nheartbeat = 'off'\n[reconnect]\ntries = 20\ndelay = '100ms'\nfactor = 1\n[factors]\n\
         protocol = ['sse/h2', 'sse/h3']\n'reconnect.ping' = ['off', '1s']\n[[fault]]\nat = '3s'\nkind = 'nat-rebind'\n\
         [expect]\ndelivery = 'observe'\ncounts = 'observe'\n[link]\n",
    );
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let asks = levels["reconnect.ping"] == "1s";
        assert_eq!(metric(trial, "client-unaware") < 0.5, asks, "{levels}");
        assert_eq!(metric(trial, "lost") < 0.5, asks, "{levels}");
        // A connection of TCP was reset, and there is another; that of QUIC is still the same.
        let told = trial["metrics"]["client-notices"]["median"].is_number();
        assert_eq!(told, asks && levels["protocol"] == "sse/h2", "{levels}");
    }
}

#[test]
fn a_link_that_hides_five_milliseconds_is_flagged_before_the_first_trial() {
    if !can_link() {
        return;
    }
    let noted = |rig: &[&str]| {
        let folder = lab("drain = '500ms'\n[link]\n");
        let ran = Command::new(env!("CARGO_BIN_EXE_transport-lab"))
            .args(["run", "./x.toml", "--json", "--out", "out", "--certs", "certs"])
            .args(rig)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{said}");
        let run = std::fs::read_dir(folder.path().join("out")).unwrap().flatten().map(|run| run.path());
        let file = run.map(|run| run.join("calibration.json")).find(|path| path.exists()).unwrap();
        let found: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        (found["link-round-trip"]["median"].as_f64().unwrap(), said)
    };
    let (took, said) = noted(&["--rig", "slow-link"]);
    assert!(took >= 10.0, "five milliseconds each way: {took}");
    assert!(said.contains("The link adds") && said.contains("to a round trip by itself"), "{said}");
    let (took, _) = noted(&[]);
    assert!(took < 10.0, "{took}");
}

#[test]
fn a_link_that_breaks_fails_its_trial_and_not_the_next() {
    if !can_link() {
        return;
    }
    let folder = lab("drain = '500ms'\n[factors]\nprotocol = ['sse/h2', 'sse/h3']\n[link]\ndelay = '5ms'\n");
    let child = command(folder.path()).env("IN", folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    until("a subscription", || journal(folder.path()).iter().any(|fact| fact["kind"] == "requested"));
    // The device goes from under the thread that carries packets.
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let namespaces = processes(folder.path()).into_iter().map(|process| process.join("ns/net"));
    let mut elsewhere = namespaces.filter(|path| std::fs::read_link(path).is_ok_and(|link| link != own));
    let namespace = elsewhere.next_back().unwrap();
    let network = format!("--net={}", namespace.display());
    let gone = Command::new("nsenter").arg(network).args(["ip", "link", "del", "link0"]).status().unwrap();
    assert!(gone.success());
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(3));
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let outcome = |trial: usize| {
        let trial = &summary["trials"][trial];
        (trial["outcome"].as_str().unwrap().to_owned(), trial["reason"].as_str().unwrap_or_default().to_owned())
    };
    let (failed, reason) = outcome(0);
    assert!(failed == "failed" && reason.starts_with("the link broke: could not "), "{failed}: {reason}");
    assert_eq!(outcome(1), ("completed".to_owned(), String::new()));
}

#[test]
fn each_fault_on_a_link_is_noted_and_the_trial_completes() {
    if !can_link() {
        return;
    }
    let (summary, journal) = run_from(
        &HEAD.replacen("timeout", "repeats = 1\ntimeout", 1),
        "drain = '500ms'\n[factors]\n'fault.0.kind' = ['blackout', 'nat-rebind', 'nat-reset', 'interface-change', \
         'reset']\n[[fault]]\nat = '500ms'\nfor = '100ms'\n[expect]\ndelivery = 'observe'\ncounts = 'observe'\n",
    );
    for trial in summary["trials"].as_array().unwrap() {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let of = |kind: &str| -> Vec<&Value> {
            let mine = |fact: &&Value| fact["trial"] == trial["trial"] && fact["kind"] == kind;
            journal.iter().filter(mine).map(|fact| &fact["fault"]).collect()
        };
        for kind in ["fault", "fault-ended"] {
            assert_eq!(of(kind), [&levels["fault.0.kind"]], "{kind}");
        }
        assert_eq!(of("link-ended").len(), 1, "such a trial has a link, though its file says nothing of one");
    }
}

#[test]
fn what_was_prepared_saves_round_trips() {
    if !can_link() {
        return;
    }
    let head = HEAD.replace("hold = '1s'", "hold = '2s'").replace("count = 50", "count = 180");
    let more = "drain = '800ms'\n[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3', 'quic/quic']\n\
                \"workload.prepare\" = ['none', 'ticket', 'early']\n[link]\ndelay = '200ms'\n";
    let (summary, _) = run_from(&head, more);
    let trials = summary["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 12);
    for trial in trials {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        // TLS 1.3 takes one whether or not it resumes, and none for what is said early; TCP's own stays.
        let tcp = ["sse/h1", "sse/h2"].iter().any(|protocol| levels["protocol"] == *protocol);
        let early = levels["workload.prepare"] == "early";
        let least = f64::from(u8::from(tcp)) + if early { 1.0 } else { 2.0 };
        let took = metric(trial, "round-trips-to-first-event");
        assert!(took >= least, "{levels}: {took}");
        // One more would be 400 ms of the ends' own time.
        assert!(!early || took < least + 1.0, "{levels}: {took}");
    }
}
