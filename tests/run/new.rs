//! Files to start from.

use std::fs;

use crate::lab::Lab;

#[test]
fn a_new_experiment_can_be_checked_and_run_as_it_is() {
    let lab = Lab::new();
    let made = lab.ask(&["new", "two-pages"]).exits(0);
    assert!(made.out.starts_with("experiments/two-pages.toml\n"), "{}", made.out);
    assert!(
        fs::read_to_string(lab.path("experiments/two-pages.toml")).unwrap().starts_with("#:schema ./schema.json\n")
    );
    assert!(lab.path("experiments/schema.json").is_file());
    let checked = lab.ask(&["check", "two-pages"]).exits(0);
    assert!(checked.out.starts_with("two-pages: 2 trials, "), "{}", checked.out);
    let ran = lab.ask(&["run", "two-pages", "--no-calibration", "--json", "--out", "out"]).exits(0);
    assert_eq!(ran.summary()["claims"][0]["verdict"], "confirmed");
    assert_eq!(ran.summary()["claims"][0]["source"], "own");
    let other = ["run", "two-pages", "--no-calibration", "--set", "protocol=sse/h1", "--out", "out"];
    let ran = lab.ask(&other).exits(0);
    assert!(ran.out.contains("1 claim of the experiment is about trials that this run doesn't have"), "{}", ran.out);
}

#[test]
fn a_copy_is_what_it_was_and_nothing_is_written_over() {
    let lab = Lab::new();
    lab.ask(&["new", "mine", "--from", "six-vs-hundred"]).exits(0);
    let copy = fs::read_to_string(lab.path("experiments/mine.toml")).unwrap();
    assert!(copy.contains("How many event streams can one browser hold open"), "{copy}");
    fs::write(lab.path("experiments/mine.toml"), "question = 'Mine?'").unwrap();
    fs::write(lab.path("experiments/schema.json"), "{}").unwrap();
    lab.ask(&["new", "mine"]).exits(2).says(&["experiments/mine.toml is there already"]);
    lab.ask(&["new", "other", "--from", "mine"]).exits(0);
    let other = fs::read_to_string(lab.path("experiments/other.toml")).unwrap();
    assert_eq!(other, "#:schema ./schema.json\nquestion = 'Mine?'");
    assert_eq!(fs::read_to_string(lab.path("experiments/schema.json")).unwrap(), "{}");
    for name in ["a/b", "..", "", "x.toml", "a b", "--"] {
        lab.ask(&["new", "--", name]).exits(2).says(&["not a name"]);
    }
    lab.ask(&["new", "third", "--from", "six-vs-hundret"]).exits(2).says(&["did you mean `six-vs-hundred`?"]);
    assert!(!lab.path("experiments/third.toml").exists());
}
