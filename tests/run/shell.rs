//! What a shell asks of the program, and the manual.

use crate::lab::{Lab, Started};

#[test]
fn a_shell_completes_experiments_settings_and_runs() {
    let lab = Lab::new();
    let completed = |words: &[&str]| {
        let mut asked = lab.command(&[&["--", "transport-lab"], words].concat());
        Started::new(asked.env("COMPLETE", "fish")).end().exits(0).out
    };
    assert!(completed(&["run", "six-v"]).starts_with("six-vs-hundred\t"), "{}", completed(&["run", "six-v"]));
    assert!(completed(&["run", "--set", "workload.conn"]).starts_with("workload.connections=\t"));
    assert!(completed(&["run", "--client", "bro"]).starts_with("browsers\t"));
    assert!(completed(&["report", "la"]).starts_with("latest"));
    assert!(lab.runs().is_empty(), "nothing was started");
}

#[test]
fn there_is_a_page_of_the_manual_for_each_command() {
    let lab = Lab::new();
    assert!(lab.ask(&["man"]).exits(0).out.contains(".TH transport-lab 1"));
    std::fs::create_dir(lab.path("man1")).unwrap();
    lab.ask(&["man", "man1"]).exits(0);
    for page in ["transport-lab.1", "transport-lab-run.1", "transport-lab-list.1"] {
        assert!(lab.path("man1").join(page).is_file(), "{page}");
    }
    lab.ask(&["man", "nowhere"]).exits(2).says(&["there is no folder nowhere"]);
}
