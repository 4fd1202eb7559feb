//! What is made from a run's journal: the same again, and no script out of any text.

use std::fs;
use std::process::Command;

use transport_lab::client;

use crate::lab::{Lab, Started, has_browser};

#[test]
fn a_report_made_anew_is_the_same_byte_for_byte() {
    let lab = Lab::new();
    lab.run(&["--set", "protocol=sse/h1,sse/h2,sse/h3", "--rig", "drop"]).exits(3);
    let folder = lab.only_run();
    let derived = || ["summary.json", "report.html"].map(|name| fs::read(folder.join(name)).unwrap());
    let before = derived();
    for name in ["summary.json", "report.html"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    let ran = lab.ask(&["report", "latest", "--out", "out"]).exits(0);
    assert!(ran.out.contains("Native") && ran.out.contains("3 events lost"), "{}", ran.out);
    assert_eq!(derived(), before);
    // From elsewhere, by another name, twice.
    lab.ask(&["report", &folder.display().to_string()]).exits(0);
    let name = folder.file_name().unwrap().to_str().unwrap();
    lab.ask(&["report", name, "--out", "out"]).exits(0);
    assert_eq!(derived(), before);
}

#[test]
fn a_report_shows_which_stream_was_on_which_connection() {
    let lab = Lab::new();
    lab.run(&["--set", "protocol=sse/h1,sse/h2", "--set", "workload.hosts=1,2"]).exits(0);
    let page = fs::read_to_string(lab.only_run().join("report.html")).unwrap();
    for expected in [
        "3 connections with 1 stream each",
        "1 connection with 3 streams",
        // The native client has a connection for each host.
        "1 connection with 2 streams (a.localhost), 1 connection with 1 stream (b.localhost)",
    ] {
        assert!(page.contains(expected), "{expected} is missing");
    }
}

/// What Python's reader makes of a table: the sum of what `open-streams` says, and how many rows there are of it.
const SUM: &str = "import csv, sys\n\
                   rows = [row for row in csv.DictReader(open(sys.argv[1], newline='')) if row['metric'] == 'open-streams']\n\
                   print(len(rows), sum(float(row['median']) for row in rows), *sorted({row['protocol'] for row in rows}))";

#[test]
fn numbers_can_be_had_as_a_table_of_one_run_and_of_several() {
    let lab = Lab::new();
    lab.experiment("other", "");
    let table = lab.path("numbers.csv").display().to_string();
    let read = || {
        let output = Command::new("python3").args(["-c", SUM, &table]).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    };
    Started::new(&mut lab.running("small", &["./other.toml", "--csv", &table, "--set", "protocol=sse/h1,sse/h2"]))
        .end()
        .exits(0);
    assert_eq!(read(), "4 12.0 sse/h1 sse/h2\n");
    lab.ask(&["report", "latest", "--out", "out", "--csv", &table]).exits(0);
    assert_eq!(read(), "2 6.0 sse/h1 sse/h2\n");
}

#[test]
fn a_table_that_cannot_be_written_is_known_before_anything_runs() {
    let lab = Lab::new();
    let ran = lab.run(&["--csv", "nowhere/numbers.csv"]).exits(4);
    assert!(ran.err.contains("could not write nowhere/numbers.csv: No such file or directory"), "{}", ran.err);
    assert!(lab.runs().is_empty());
}

#[test]
fn a_run_that_cannot_begin_leaves_an_earlier_table_as_it_was() {
    let lab = Lab::new();
    fs::write(lab.path("numbers.csv"), "earlier").unwrap();
    // Where its folder should be is a file.
    fs::write(lab.path("out"), "").unwrap();
    lab.run(&["--csv", "numbers.csv"]).exits(4);
    assert_eq!(fs::read_to_string(lab.path("numbers.csv")).unwrap(), "earlier");
}

const EVIL: &str = "</script><script>document.title='ran'</script><img src=x onerror=document.title='ran'>";

/// A run whose question, claim, source and quotation are all markup.
fn evil(lab: &Lab) -> String {
    let claim = format!(
        "[[claim]]\nsays = \"{EVIL}\"\nsource = {{ url = \"https://example.org/\\\"{EVIL}\", quote = \"{EVIL}\" }}\n\
         metric = 'open-streams'\nequals = 3\n"
    );
    lab.experiment("evil", &claim);
    let text = fs::read_to_string(lab.path("evil.toml")).unwrap().replace("What goes wrong?", EVIL);
    fs::write(lab.path("evil.toml"), text).unwrap();
    let ran = Started::new(&mut lab.running("evil", &[])).end().exits(0);
    assert_eq!(ran.summary()["claims"][0]["says"], EVIL, "JSON has it as it was written");
    fs::read_to_string(lab.only_run().join("report.html")).unwrap()
}

#[test]
fn markup_in_a_claim_is_text_in_the_report() {
    let page = evil(&Lab::new());
    for markup in ["<script>document", "</script><script", "<img", "\"</script>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    let escaped = page.matches("script&#62;document.title").count() + page.matches("script&gt;document.title").count();
    assert!(escaped >= 4, "question, claim, address and quotation are there as text: {escaped}");
    assert!(page.contains("Content-Security-Policy"));
}

#[test]
fn a_claim_s_source_leads_to_the_web_or_nowhere() {
    let lab = Lab::new();
    let source = "source = { url = \"javascript:document.title='ran'\", quote = 'so' }";
    lab.experiment("evil", &format!("[[claim]]\nsays = 'So.'\n{source}\nmetric = 'open-streams'\nequals = 3\n"));
    let ran = Started::new(&mut lab.running("evil", &[])).end().exits(2);
    ran.says(&["evil.toml:", "url", "https://"]);
}

#[test]
fn a_browser_that_opens_a_report_runs_nothing_in_it() {
    if !has_browser("chromium") {
        return;
    }
    let lab = Lab::new();
    evil(&lab);
    let chromium = (client::find("chromium").unwrap().find)().unwrap();
    let mut command = Command::new(chromium.path);
    command.args(["--headless=new", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.args(["--disable-breakpad", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]);
    if nix::unistd::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    let profile = format!("--user-data-dir={}", lab.path("profile").display());
    let page = format!("file://{}", lab.only_run().join("report.html").display());
    command.args([&profile, "--dump-dom", &page]).env("TMPDIR", lab.temporary()).env("HOME", lab.path("profile"));
    let ran = Started::new(&mut command).end().exits(0);
    let title = |page: &str| {
        let start = page.find("<title>").unwrap();
        page[start..start + page[start..].find("</title>").unwrap()].to_owned()
    };
    assert!(ran.out.contains("&lt;script&gt;document.title"), "{}", ran.out);
    assert!(!ran.out.contains("<script>document") && !ran.out.contains("<img"), "{}", ran.out);
    assert!(title(&ran.out).contains("&lt;script&gt;") && title(&ran.out).len() > 20, "{}", title(&ran.out));
}
