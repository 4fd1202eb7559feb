//! Several runs at once: the page of all of them, the table at the end, and where they are kept.

use std::fs;

use crate::lab::Lab;

/// A claim that three subscriptions confirm, and two leave open.
const CLAIM: &str = r#"
[[claim]]
says = "It holds three."
source = "own"
metric = "open-streams"
equals = 3
"#;

#[test]
fn the_page_of_all_runs_says_what_each_found_and_what_changed_since_the_one_before() {
    let lab = Lab::new();
    lab.experiment("small", CLAIM);
    lab.run(&[]).exits(0);
    lab.run(&["--set", "workload.subscribers=2"]).exits(0);
    let printed = lab.ask(&["report", "--index", "--out", "out"]).exits(0).out;
    assert_eq!(printed, "Runs: out/index.html\n");
    let page = fs::read_to_string(lab.path("out/index.html")).unwrap();
    assert!(page.contains("2 runs") && page.contains("was confirmed, is <strong"), "{page}");
    assert!(page.contains("the first of its experiment") && page.contains("other settings were asked for"), "{page}");
    let links: Vec<&str> = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links.len(), 2, "{links:?}");
    for link in links {
        assert!(lab.path("out").join(link).is_file(), "{link}");
    }
    lab.ask(&["report", "--out", "out"]).exits(2).says(&["<RUN|latest>"]);
    lab.ask(&["report", "--index", "--csv", "x.csv"]).exits(2).says(&["--csv"]);
}

#[test]
fn several_experiments_end_with_a_table_of_all_verdicts() {
    let lab = Lab::new();
    lab.experiment("one", CLAIM);
    lab.experiment("two", "");
    let run = |names: &[&str]| {
        let options = ["--out", "out", "--certs", "certs", "--no-calibration"];
        lab.ask(&[&["run"][..], names, &options].concat()).exits(0)
    };
    let both = run(&["./one.toml", "./two.toml"]);
    let table = both.out.split("All experiments\n").nth(1).expect(&both.out);
    let rows: Vec<&str> = table.lines().map(str::trim).collect();
    assert!(rows[0].starts_with("one") && rows[0].ends_with("1 trial: 1 completed"), "{table}");
    assert!(rows[1].starts_with("✓ confirmed") && rows[1].ends_with("“It holds three.”"), "{table}");
    assert!(rows[2].starts_with("two"), "{table}");
    // What goes on is told by experiment, with how long it took.
    assert!(both.err.contains("one [1/1] native sse/h2: completed  ("), "{}", both.err);
    assert!(!run(&["./one.toml"]).out.contains("All experiments"));
}

#[test]
fn results_and_certificates_are_the_users_outside_a_checkout_and_where_they_are_told_to_be() {
    let lab = Lab::new();
    let run = |place: &str, more: &[&str]| {
        let folder = lab.path(place);
        fs::create_dir_all(&folder).unwrap();
        let mut command = lab.command(&[&["run", "--no-calibration", "--json"], more].concat());
        command.arg(lab.path("small.toml")).current_dir(folder);
        command
    };
    let ends = |mut command: std::process::Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let kept = |folder: &str| fs::read_dir(lab.path(folder)).map_or(0, Iterator::count);
    ends(run("anywhere", &[]));
    assert_eq!(kept("data/transport-lab/results"), 1);
    assert!(lab.path("data/transport-lab/certs/ca.pem").is_file());
    assert_eq!(kept("anywhere"), 0, "nothing is left where one happens to stand");
    // The same CA serves all.
    let ca = fs::read(lab.path("data/transport-lab/certs/ca.pem")).unwrap();
    ends(run("elsewhere", &[]));
    assert_eq!(fs::read(lab.path("data/transport-lab/certs/ca.pem")).unwrap(), ca);

    fs::create_dir(lab.path("checkout")).unwrap();
    fs::write(lab.path("checkout/Cargo.toml"), "[package]\nname = \"transport-lab\"\n").unwrap();
    ends(run("checkout/src", &[]));
    assert_eq!((kept("checkout/results"), kept("checkout/src")), (1, 0));
    assert!(lab.path("checkout/certs/ca.pem").is_file());

    let mut told = run("checkout", &[]);
    told.env("TRANSPORT_LAB_RESULTS", lab.path("said")).env("TRANSPORT_LAB_CERTS", lab.path("certs"));
    ends(told);
    let mut flagged = run("checkout", &["--out", "../flagged"]);
    flagged.env("TRANSPORT_LAB_RESULTS", lab.path("said")).env("TRANSPORT_LAB_CERTS", lab.path("certs"));
    ends(flagged);
    assert_eq!((kept("said"), kept("flagged"), kept("checkout/results")), (1, 1, 1));
}
