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
    let itself = asked(&[&second, &format!("out/{second}")]).exits(0).out;
    assert!(itself.contains("Nothing changed"), "{itself}");
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
