//! Programs that take part as clients: `exec:PATH`.

use crate::lab::{Lab, Ran};

/// Answers as a client must, and says nothing of its own.
const POLITE: &str = "read trial\necho '{\"type\":\"ready\",\"version\":\"polite 1.5\"}'\nread go\n";

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
    let line = "{\"type\":\"saw\",\"kind\":\"requested\",\"t\":1,\"sub\":0}";
    fails(&format!("{POLITE}exec yes '{line}'"), "the client said more than ");
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
