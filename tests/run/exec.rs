//! Programs that take part as clients: `exec:PATH`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use transport_lab::trial::{ClientFact, Down, Up};

use crate::lab::{Lab, Ran, Started, names};

/// Answers as a client must, and says nothing of its own.
const POLITE: &str = "read trial\necho '{\"type\":\"ready\",\"version\":\"polite 1.5\"}'\nread go\n";

/// Waits until `go` has passed; its time is `$t`.
const AT_GO: &str = "t=${go##*:}; t=${t%\\}}; sleep 0.2\n";

/// The small experiment with a shell script as its client.
fn scripted(script: &str, more: &[&str]) -> (Lab, Ran) {
    let lab = Lab::new();
    lab.program("client", &format!("#!/bin/sh\n{script}\n"));
    let ran = lab.run(&[&["--client", "exec:client", "--allow-exec"], more].concat());
    (lab, ran)
}

#[track_caller]
fn fails(script: &str, with: &str) {
    let (lab, ran) = scripted(script, &[]);
    let outcomes = ran.exits(3).outcomes();
    assert!(outcomes[0].starts_with("failed: ") && outcomes[0].contains(with), "{outcomes:?}");
    lab.has_nothing_left();
}

#[test]
fn a_program_is_run_only_where_a_person_allows_it() {
    let lab = Lab::new();
    lab.program("client", "#!/bin/sh\ntouch ran\n");
    let file = |name: &str| lab.path(name).exists();
    let ran = lab.run(&["--client", "native,exec:./client"]).exits(2);
    ran.says(&["client exec:./client: ", "--allow-exec"]);
    lab.ask(&["check", "./small.toml", "--client", "exec:./client"]).exits(0);
    lab.ask(&["list", "clients"]).exits(0);
    assert!(!file("ran") && !file("out"), "nothing was started");
    lab.run(&["--client", "exec:./client", "--allow-exec"]).exits(3);
    assert!(file("ran"));
}

#[test]
fn a_program_that_cannot_be_run_is_named_before_anything_is() {
    let lab = Lab::new();
    std::fs::write(lab.path("client.py"), "print(1)\n").unwrap();
    for (client, says) in
        [("exec:client.py", "chmod +x client.py"), ("exec:none", "No such file"), ("exec:t", "not a file")]
    {
        lab.run(&["--client", client, "--allow-exec"]).exits(2).says(&[&format!("client {client}: "), says]);
    }
    lab.run(&["--client", "exec:", "--allow-exec"]).exits(2).says(&["unknown client `exec:`; write exec:PATH"]);
    assert!(lab.runs().is_empty());
}

#[test]
fn its_version_is_what_it_says() {
    let (lab, ran) = scripted(&format!("{POLITE}read stop\necho '{{\"type\":\"done\",\"sent\":0}}'"), &[]);
    let summary = ran.summary();
    let trial = &summary["trials"][0];
    assert_eq!((&trial["client-version"], &trial["levels"]["client"]), (&"polite 1.5".into(), &"exec:client".into()));
    lab.has_nothing_left();
}

#[test]
fn what_a_program_cannot_do_is_unsupported_with_its_reason() {
    let (_, ran) = scripted("read trial\necho '{\"type\":\"unsupported\",\"reason\":\"no such thing here\"}'", &[]);
    assert_eq!(ran.exits(0).outcomes(), ["unsupported: no such thing here"]);
    let (_, ran) = scripted("exit 1", &["--set", "workload.pages=2"]);
    assert_eq!(ran.exits(0).outcomes(), ["unsupported: a program has no pages"]);
}

#[test]
fn a_program_that_says_nonsense_fails_its_trial_with_what_it_said() {
    fails("echo 'hello, world'; sleep 60", "the client said a line that is not of the trial contract (");
    fails(
        &format!("{POLITE}echo '{{\"type\":\"saw\",\"kind\":\"requested\",\"sub\":0}}'; sleep 60"),
        "missing field `t`",
    );
}

#[test]
fn a_program_that_dies_fails_its_trial_with_how() {
    fails("exit 7", "the client ended by itself (exit 7)");
    fails(&format!("{POLITE}kill -9 $$"), "the client ended by itself (signal 9)");
}

#[test]
fn a_program_that_speaks_for_the_server_fails_its_trial() {
    let published =
        "{\"type\":\"saw\",\"kind\":\"detached\",\"t\":1,\"conn\":0,\"stream\":0,\"alpn\":\"h2\",\"feed\":\"f0\"}";
    fails(&format!("{POLITE}echo '{published}'; sleep 60"), "not a client's to say");
}

#[test]
fn a_program_that_floods_is_ended() {
    let line = "{\\\"type\\\":\\\"saw\\\",\\\"kind\\\":\\\"requested\\\",\\\"t\\\":$t,\\\"sub\\\":0}";
    // However long reading all of it takes: it is ended in the middle of the hold.
    let (lab, ran) = scripted(&format!("{POLITE}{AT_GO}exec yes \"{line}\""), &["--set", "workload.hold=10min"]);
    let outcomes = ran.exits(3).outcomes();
    assert!(outcomes[0].starts_with("failed: the client said more than "), "{outcomes:?}");
    lab.has_nothing_left();
}

#[test]
fn a_program_that_never_answers_times_out_and_takes_its_children_with_it() {
    let (lab, ran) = scripted("sleep 600 & sleep 600", &["--set", "timeout=1s"]);
    assert_eq!(ran.exits(3).outcomes(), ["timed-out: the client never reported"]);
    lab.has_nothing_left();
}

#[test]
fn what_a_program_prints_is_in_the_trials_folder() {
    let (lab, _) = scripted("echo 'the moon is in the wrong place' >&2; exit 1", &[]);
    let log = std::fs::read_to_string(lab.only_run().join("trials/0/client.log")).unwrap();
    assert_eq!(log, "the moon is in the wrong place\n");
}

/// The project's own files.
fn clients(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// The document's code blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(clients("README.md")).unwrap();
    let begins = format!("```{language}\n");
    text.split(&begins).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_line_of_the_contracts_document_is_of_the_contract() {
    let [down, up]: [String; 2] = blocks("json").try_into().unwrap();
    for line in down.lines() {
        let parsed: Down = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        // What the lab would say is no less than what the document says it does.
        let (said, shown): (Value, Value) =
            (serde_json::to_value(&parsed).unwrap(), serde_json::from_str(line).unwrap());
        for (name, value) in shown.as_object().unwrap() {
            assert!(name == "settings" || said[name] == *value, "{name} in {line}");
        }
    }
    let mut kinds = BTreeSet::new();
    for line in up.lines() {
        let parsed: Up<ClientFact> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(serde_json::to_value(&parsed).unwrap(), serde_json::from_str::<Value>(line).unwrap());
        if let Up::Saw(fact) = &parsed {
            kinds.insert(serde_json::to_value(fact).unwrap()["kind"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}

/// Runs the small experiment with a client of Python's, which prints nothing.
fn python(client: &str, more: &[&str]) -> Ran {
    let (lab, ran) = by_python(client, more);
    for log in names(&lab.only_run().join("trials")).iter().map(|trial| trial.join("client.log")) {
        let printed = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(printed.is_empty(), "{printed}");
    }
    ran
}

/// The same whatever it prints, by the interpreter that has what the tests need.
fn by_python(client: &str, more: &[&str]) -> (Lab, Ran) {
    let lab = Lab::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("bin");
    assert!(folder.exists(), "there is no {}; `tools/install.sh test` makes it", folder.display());
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let client = format!("exec:{client}");
    let slow = ["--client", &client, "--allow-exec", "--set", "workload.settle=1s", "--set", "workload.hold=1500ms"];
    let ran = Started::new(lab.running("small", &[&slow[..], more].concat()).env("PATH", path)).end();
    lab.has_nothing_left();
    (lab, ran)
}

/// Three subscriptions, and on each three events and the census.
#[track_caller]
fn counts_like_native(ran: &Ran, trial: usize, version: &str) {
    assert_eq!(ran.outcomes()[trial], "completed");
    let summary = ran.summary();
    assert!(summary["trials"][trial]["client-version"].as_str().unwrap().starts_with(version), "{summary}");
    for (metric, count) in [
        ("open-streams", 3.0),
        ("server-open-streams", 3.0),
        ("events-received", 12.0),
        ("lost", 0.0),
        ("reordered", 0.0),
    ] {
        assert!((ran.metric(trial, metric) - count).abs() < 0.5, "{metric}");
    }
    let latency = ran.metric(trial, "latency");
    assert!(latency > 0.0 && latency < 1000.0, "{latency} ms");
}

#[test]
fn the_documents_whole_client_takes_part_in_a_trial() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("minimal.py");
    let [text]: [String; 1] = blocks("python").try_into().unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = python(path.to_str().unwrap(), &["--set", "protocol=sse/h1,sse/h2"]).exits(0);
    counts_like_native(&ran, 0, "minimal (Python 3.");
    assert_eq!(ran.outcomes()[1], "unsupported: no sse/h2 here");
}

/// The document's whole client with its clock read otherwise: how its trial ends.
fn clocked(read: &str, otherwise: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rigged.py");
    let [text]: [String; 1] = blocks("python").try_into().unwrap();
    assert!(text.contains(read), "{read}");
    std::fs::write(&path, text.replace(read, otherwise)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    // One that is ended in the middle of a line may complain of that.
    let (_, ran) = by_python(path.to_str().unwrap(), &["--set", "protocol=sse/h1"]);
    ran.exits(3).outcomes().remove(0)
}

#[test]
fn a_client_with_the_wall_clocks_time_fails_its_trial_with_the_line() {
    let all = clocked("time.monotonic_ns()", "time.time_ns()");
    assert!(all.starts_with("failed: the client said what can't be: the time 1"), "{all}");
    assert!(all.contains("after the line came") && all.contains("CLOCK_MONOTONIC"), "{all}");
    assert!(all.contains("the line: \"{\\\"t\\\":1") && all.contains("\\\"kind\\\":\\\"requested\\\""), "{all}");
    let receipts = clocked("now = time.monotonic_ns()", "now = time.time_ns()");
    assert!(receipts.contains("after the line came") && receipts.contains("received"), "{receipts}");
}

#[test]
fn a_client_whose_receipts_come_before_their_events_fails_its_trial() {
    let early = clocked("now = time.monotonic_ns()", "now = time.monotonic_ns() - 500_000_000");
    assert!(early.contains("of an event that was not published yet, the first "), "{early}");
    assert!(early.contains("\"kind\":\"received\""), "{early}");
}

#[test]
fn a_program_that_says_what_cannot_be_fails_its_trial_with_the_line() {
    let says = |facts: &str, with: &str| {
        let lines: Vec<String> =
            facts.lines().map(|line| format!("echo \"{}\"\n", line.replace('"', "\\\""))).collect();
        fails(&format!("{POLITE}{AT_GO}{}sleep 60", lines.concat()), with);
    };
    let asked = "{\"type\":\"saw\",\"kind\":\"requested\",\"t\":$t,\"sub\":0}\n";
    let then = |fact: &str| format!("{asked}{{\"type\":\"saw\",{fact}}}");
    says(&then("\"kind\":\"opened\",\"t\":1,\"sub\":0"), "the time 1 is ");
    says(&then("\"kind\":\"opened\",\"t\":$t,\"sub\":99"), "no subscription 99 was planned; there are 3");
    let uneven = "\"kind\":\"received\",\"t\":[$t],\"sub\":0,\"ids\":[\"a-1\",\"a-2\"]";
    says(&then(uneven), "here are 1 times and 2 ids");
    let sent = "\"kind\":\"sent\",\"t\":$t,\"sub\":0,\"event\":0,\"scheduled\":$t";
    says(&then(sent), "subscription 0 has no event 0 to send");
    let clock = "\"kind\":\"clock\",\"t\":1,\"page\":1,\"uncertainty\":99999999999,\"step\":1,\"visibility\":\"\",\"isolated\":true";
    says(&then(clock), "only a page compares clocks");
    let raw = "\"kind\":\"closed\",\"t\":1,\"sub\":0,\"reason\":\"\\\\u001b[2J\"";
    says(&then(raw), "u001b[2J");
}

#[test]
fn aioquic_counts_what_the_server_counts_over_http_3() {
    let client = clients("aioquic_client.py");
    let ran = python(client.to_str().unwrap(), &["--set", "protocol=sse/h3,sse/h2"]).exits(0);
    counts_like_native(&ran, 0, "aioquic 1.");
    assert!((ran.metric(0, "connections") - 1.0).abs() < 0.5, "one connection is shared");
    assert!(ran.metric(0, "blocked-request") > 0.0, "the probe was answered");
    assert!(ran.outcomes()[1].starts_with("unsupported: this client speaks sse/h3"), "{:?}", ran.outcomes());
}

#[test]
fn aioquic_counts_what_the_server_counts_in_every_mode_of_webtransport() {
    let client = clients("aioquic_client.py");
    let modes = ["--set", "protocol=webtransport/h3", "--set", "webtransport.mode=stream,streams,datagrams"];
    let observed = ["--set", "expect.delivery=at-most-once", "--set", "expect.counts=observe"];
    let ran = python(client.to_str().unwrap(), &[modes, observed].concat()).exits(0);
    for trial in 0..3 {
        assert_eq!(ran.outcomes()[trial], "completed");
        for (metric, count) in
            [("connections", 1.0), ("open-streams", 3.0), ("server-open-streams", 3.0), ("events-received", 12.0)]
        {
            assert!((ran.metric(trial, metric) - count).abs() < 0.5, "{metric} of trial {trial}");
        }
    }
}
