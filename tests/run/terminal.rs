//! What a terminal is shown: nothing that others wrote acts on it, and no colour where none is wanted.

use std::fs;
use std::process::Command;

use crate::lab::{Lab, Ran, Started};

/// Clears a screen, begins a line, colours it, in C0 and C1, turns text around, and is another line to some.
const ACTS: &str = "\u{1b}[2J\u{1b}[1A\n✗ refuted\u{9b}31m\r\u{7f}\u{2028}\u{202e}\u{2066}.";
/// The same as it is shown.
const SHOWN: &str = r"\u{1b}[2J\u{1b}[1A\n✗ refuted\u{9b}31m\r\u{7f}\u{2028}\u{202e}\u{2066}.";

/// What of a text would act on who reads it, line breaks aside.
fn acting(text: &str) -> Vec<char> {
    let turns = |c: char| matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|&c| c != '\n' && (c.is_control() || turns(c))).collect()
}

/// Nothing in it acts, and what would is shown so many times at least.
#[track_caller]
fn shows(text: &str, times: usize) {
    assert_eq!(acting(text), [' '; 0], "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("✗ refuted\\u")), "a line of its own: {text}");
    // A table breaks its cells where it must.
    let run_together = |text: &str| text.split_whitespace().collect::<String>();
    let seen = run_together(text).matches(&run_together(SHOWN)).count();
    assert!(seen >= times, "{seen} times: {text}");
}

/// The folder of a run of which everything that others can write is written to act.
fn acted_on(lab: &Lab) -> Ran {
    let basic = toml::Value::from(ACTS).to_string();
    let said = serde_json::to_string(ACTS).unwrap();
    lab.program("polite", &format!(
        "#!/bin/sh\nread trial\ncat <<'END'\n{{\"type\":\"ready\",\"version\":{said}}}\nEND\nread go\nread stop\necho '{{\"type\":\"done\",\"sent\":0}}'\n"
    ));
    lab.program(
        "unable",
        &format!("#!/bin/sh\nread trial\ncat <<'END'\n{{\"type\":\"unsupported\",\"reason\":{said}}}\nEND\n"),
    );
    let claim = format!(
        "[[claim]]\nsays = {basic}\nsource = {{ url = \"https://example.org/\\u001b[2J\", quote = {basic} }}\n\
         metric = 'open-streams'\nequals = 3\n"
    );
    lab.experiment("acts", &claim);
    let text = fs::read_to_string(lab.path("acts.toml")).unwrap().replace("\"What goes wrong?\"", &basic);
    fs::write(lab.path("acts.toml"), text).unwrap();
    let clients = ["--client", "exec:./polite,exec:./unable", "--allow-exec"];
    Started::new(&mut lab.running("acts", &clients)).end()
}

#[test]
fn what_files_and_programs_say_is_shown_and_never_acts() {
    let lab = Lab::new();
    let ran = acted_on(&lab);
    assert_eq!(acting(&ran.out), [' '; 0], "JSON on a terminal");
    assert_eq!(ran.summary()["claims"][0]["says"], ACTS, "JSON has it as it was written");
    shows(&ran.err, 1);
    // Question, claim, version and reason.
    shows(&lab.ask(&["report", "latest", "--out", "out"]).exits(0).out, 4);
    let page = fs::read_to_string(lab.only_run().join("report.html")).unwrap();
    shows(&page, 5);
    assert!(page.contains(r"https://example.org/\u{1b}[2J"));
    let summary = fs::read_to_string(lab.only_run().join("summary.json")).unwrap();
    assert_eq!(acting(&summary), [' '; 0]);
}

#[test]
fn what_two_runs_differ_in_is_shown_and_never_acts() {
    let lab = Lab::new();
    acted_on(&lab);
    let first = lab.only_run();
    lab.run(&[]).exits(0);
    let renamed = lab.path("out").join("before\u{1b}[2J");
    fs::rename(first, &renamed).unwrap();
    let renamed = renamed.display().to_string();
    let ran = lab.ask(&["compare", &renamed, "latest", "--out", "out", "--html", "page\u{1b}.html"]).exits(0);
    assert_eq!(acting(&ran.out), [' '; 0], "{}", ran.out);
    assert!(ran.out.contains(r"before\u{1b}[2J") && ran.out.contains(r"page\u{1b}.html"), "{}", ran.out);
    let page = fs::read_to_string(lab.path("page\u{1b}.html")).unwrap();
    assert_eq!(acting(&page), [' '; 0]);
    let json = lab.ask(&["compare", &renamed, "latest", "--out", "out", "--json"]).exits(0).out;
    assert_eq!(acting(&json), [' '; 0]);
}

#[test]
fn lists_checks_and_errors_show_what_would_act() {
    let lab = Lab::new();
    fs::create_dir(lab.path("experiments")).unwrap();
    let question = format!("question = {}\n", toml::Value::from(ACTS));
    fs::write(lab.path("experiments/mine.toml"), &question).unwrap();
    shows(&lab.ask(&["list", "experiments"]).exits(0).out, 1);
    assert_eq!(acting(&lab.ask(&["list", "experiments", "--json"]).exits(0).out), [' '; 0]);

    let named = "evil\u{1b}[2J\n\u{202e}.toml";
    fs::write(lab.path(named), &question).unwrap();
    let shown = r"evil\u{1b}[2J\n\u{202e}";
    let ran = lab.ask(&["check", &format!("./{named}")]).exits(0);
    assert!(ran.out.starts_with(&format!("{shown}: 1 trial, ")) && acting(&ran.out).is_empty(), "{:?}", ran.out);

    for (more, says) in [
        ("\"\\u001b[2J\\n\" = 1\n", r"unknown setting `\u{1b}[2J\n`"),
        ("client = \"\\u009b31m\"\n", r"unknown client `\u{9b}31m`"),
        ("workload.hold = \"\\u202e3\"\n", r"`\u{202e}3` is not a length of time"),
        // TOML has no such characters; the parser's own words may quote the line.
        ("\u{1b}[2J = 1\n", "not TOML"),
    ] {
        fs::write(lab.path(named), format!("{question}{more}")).unwrap();
        let ran = lab.ask(&["check", &format!("./{named}")]).exits(2);
        assert!(ran.err.starts_with(&format!("error: ./{shown}.toml:")) && ran.err.contains(says), "{}", ran.err);
        assert_eq!((acting(&ran.err), ran.err.lines().count()), (vec![], 1), "{:?}", ran.err);
    }
}

#[test]
fn a_damaged_journal_is_quoted_and_never_acts() {
    let lab = Lab::new();
    lab.run(&[]).exits(0);
    let journal = lab.only_run().join("observations.jsonl");
    let line =
        format!("{{\"trial\":0,\"t\":1,\"from\":\"client\",\"kind\":{}}}\n", serde_json::to_string(ACTS).unwrap());
    fs::write(&journal, line + &fs::read_to_string(&journal).unwrap()).unwrap();
    let ran = lab.ask(&["report", "latest", "--out", "out"]).exits(2);
    shows(&ran.err, 1);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

/// What the program shows on a terminal.
fn on_a_terminal(lab: &Lab, arguments: &str, environment: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_transport-lab");
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &format!("{program} {arguments}"), "/dev/null"]);
    script.current_dir(lab.path("")).env("TMPDIR", lab.temporary()).env("TERM", "xterm-256color");
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        script.env_remove(name);
    }
    Started::new(script.envs(environment.iter().copied())).end().out
}

/// Whether a text changes colour or weight (ECMA-48 section 8.3.117, SGR).
fn is_coloured(text: &str) -> bool {
    text.split("\u{1b}[")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[test]
fn nothing_is_coloured_where_no_colour_is_wanted() {
    let lab = Lab::new();
    let run = "run ./small.toml --out out --certs certs --no-calibration";
    for arguments in ["check ./none.toml", "run --nonsense", "--help", run] {
        let shown = on_a_terminal(&lab, arguments, &[]);
        assert!(is_coloured(&shown), "a terminal with colours: {shown:?}");
        // A machine that builds says so, and is a terminal like any other.
        for wish in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
            let shown = on_a_terminal(&lab, arguments, &[wish, ("CI", "true")]);
            assert!(!shown.is_empty() && !is_coloured(&shown), "{wish:?}: {shown:?}");
            assert!(wish.0 != "TERM" || !shown.contains('\u{1b}'), "a terminal that knows no orders: {shown:?}");
        }
    }
}
