//! What changed between two runs of the real program.

use std::fs;

use serde_json::Value;

use crate::lab::Lab;

/// Two runs: three subscriptions over HTTP/1.1 and 2, then four over HTTP/2 and 3.
fn two_runs(lab: &Lab) -> [String; 2] {
    lab.run(&["--set", "protocol=sse/h1,sse/h2"]).exits(0);
    lab.run(&["--set", "protocol=sse/h2,sse/h3", "--set", "workload.subscribers=4"]).exits(0);
    let names = lab.runs().into_iter().map(|run| run.file_name().unwrap().to_str().unwrap().to_owned());
    names.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn a_run_differs_from_another_in_what_was_asked_and_found_and_from_itself_in_nothing() {
    let lab = Lab::new();
    let [first, second] = two_runs(&lab);
    let asked = |arguments: &[&str]| lab.ask(&[&["compare", "--out", "out"], arguments].concat());
    let json: Value = serde_json::from_str(&asked(&[&first, "latest", "--json"]).exits(0).out).unwrap();
    let plans = json["plans"].as_array().unwrap();
    let subscribers = plans.iter().find(|difference| difference["name"] == "workload.subscribers").unwrap();
    assert_eq!(subscribers["values"], serde_json::json!(["3", "4"]));
    let open = json["numbers"].as_array().unwrap().iter().find(|number| number["metric"] == "open-streams").unwrap();
    assert_eq!((&open["levels"]["protocol"], &open["difference"]), (&"sse/h2".into(), &1.into()));
    assert_eq!(open["intervals"], "no interval: one repeat each");
    assert_eq!(
        (&json["only"][0][0]["protocol"], &json["only"][1][0]["protocol"]),
        (&"sse/h1".into(), &"sse/h3".into())
    );
    let version = &json["versions"][0];
    assert_eq!((&version["name"], &version["values"][0]), (&"native".into(), &version["values"][1]));

    let text = asked(&[&first, &second]).exits(0).out;
    assert!(text.find("workload.subscribers") < text.find("open-streams"), "{text}");
    // What is the same to the byte but began at another time is another run.
    let again = lab.copy(&second, "again");
    let machine = fs::read_to_string(again.join("machine.json")).unwrap();
    fs::write(again.join("machine.json"), machine.replace("\"started\": \"20", "\"started\": \"19")).unwrap();
    let again = asked(&[&second, "again"]).exits(0).out;
    assert!(again.contains("Nothing changed"), "{again}");
}

#[test]
fn the_latest_run_is_the_one_that_began_last_whatever_it_is_called() {
    let lab = Lab::new();
    lab.run(&[]).exits(0);
    let before = lab.only_run();
    fs::rename(&before, lab.path("out/before")).unwrap();
    lab.run(&["--set", "workload.subscribers=4"]).exits(0);
    let after = lab.runs().into_iter().find(|run| !run.ends_with("before")).unwrap();
    let after = after.file_name().unwrap().to_str().unwrap().to_owned();
    // A copy is as old as what it is a copy of, though its files are younger.
    lab.copy("before", "zzz-copy");
    let asked = |arguments: &[&str]| lab.ask(&[&["compare", "--out", "out"], arguments].concat());
    let json: Value = serde_json::from_str(&asked(&["before", "latest", "--json"]).exits(0).out).unwrap();
    assert_eq!(json["runs"], serde_json::json!(["before", after]));
    let printed = lab.ask(&["report", "latest", "--out", "out"]).exits(0).out;
    assert!(printed.contains(&format!("Report: out/{after}/report.html")), "{printed}");

    // Nor is a run ever compared with itself, by another name or as its copy.
    for other in [&format!("out/{after}"), &after] {
        asked(&[other, "latest"]).exits(2).says(&[&format!("`{other}` and `latest` are the same run"), &after]);
    }
    asked(&["before", "zzz-copy"]).exits(2).says(&["`before` and `zzz-copy` are the same run"]);
}

#[test]
fn comparing_writes_the_page_that_was_asked_for_and_nothing_else() {
    let lab = Lab::new();
    let [first, second] = two_runs(&lab);
    for run in lab.runs() {
        fs::remove_file(run.join("summary.json")).unwrap();
    }
    lab.ask(&["compare", &first, &second, "--out", "out", "--html", "changes.html"]).exits(0);
    let page = fs::read_to_string(lab.path("changes.html")).unwrap();
    assert!(page.contains(&first) && page.contains(&second) && page.contains("default-src 'none'"));
    assert!(lab.runs().iter().all(|run| !run.join("summary.json").exists()), "runs are only read");
    let nowhere = lab.path("none/changes.html").display().to_string();
    lab.ask(&["compare", &first, &second, "--out", "out", "--html", &nowhere]).exits(4).says(&["changes.html"]);
}

#[test]
fn a_run_that_is_not_there_is_named() {
    let lab = Lab::new();
    lab.ask(&["compare", "latest", "latest", "--out", "out"]).exits(2).says(&["no run `latest`", "out"]);
    lab.ask(&["compare", "latest"]).exits(2);
}
