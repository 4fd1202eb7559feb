//! What documents say that the program knows better: tables that it prints itself, and files that it writes.
//!
//! `TRANSPORT_LAB_WRITE=1 cargo test --test documents` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the program prints, from a folder that has nothing in it.
fn printed(arguments: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
    let ran = program.args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
    assert!(ran.status.success(), "{arguments}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Holds a file against what it should be, or writes it.
fn keep(path: &Path, wanted: &str) {
    if std::env::var_os("TRANSPORT_LAB_WRITE").is_some() {
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{}:{}: not what the program says; TRANSPORT_LAB_WRITE=1 cargo test --test documents writes it anew",
        path.display(),
        differs.unwrap_or(0) + 1
    );
}

/// The document with each part between `begin: transport-lab …` and `end` as the program prints it.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut parts = text.split("<!-- begin: transport-lab ");
    filled.push_str(parts.next().unwrap());
    for part in parts {
        let (arguments, rest) = part.split_once(" -->").unwrap();
        let (_, after) = rest.split_once("<!-- end -->").expect("each part ends");
        let printed = printed(arguments);
        let begin = format!("<!-- begin: transport-lab {arguments} -->");
        filled.extend([&begin, "\n\n", printed.trim_end(), "\n\n<!-- end -->", after]);
    }
    filled
}

#[test]
fn documents_say_what_the_program_says() {
    let mut parts = 0;
    let paths = fs::read_dir(here("docs")).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        parts += text.matches("<!-- begin: transport-lab ").count();
        keep(&path, &filled(&text));
    }
    assert!(parts >= 3, "{parts} parts");
}

#[test]
fn the_schema_is_that_of_the_types() {
    keep(&here("experiments/schema.json"), &printed("list schema"));
}

/// Python's jsonschema is not ours: it reads the schema as editors do.
#[test]
fn every_experiment_names_the_schema_and_is_valid_by_it() {
    let program = r##"
import json, sys, tomllib, jsonschema
schema = json.load(open("experiments/schema.json"))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for path in sys.argv[1:]:
    text = open(path, encoding="utf-8").read()
    assert text.startswith("#:schema ./schema.json\n"), f"{path} names no schema in its first line"
    for error in validator.iter_errors(tomllib.loads(text)):
        sys.exit(f"{path}: {error.json_path}: {error.message}")
wrong = [
    "question = 'x'\n[workload]\nsubscribers = 0",
    "question = 'x'\n[workload]\nsubscriber = 1",
    "question = 'x'\nprotocol = 'sse/quic'",
    "question = 'x'\n[workload]\nhold = 3",
    "question = 'x'\n[websocket]\nframes = 'words'",
    "question = 'x'\n[factors]\nclient = []",
    "question = 'x'\n[[fault]]\nkind = 'explode'",
    "[workload]\npages = 1",
]
for text in wrong:
    if validator.is_valid(tomllib.loads(text)):
        sys.exit(f"the schema takes this: {text}")
print(len(sys.argv) - 1)
"##;
    let mut files: Vec<PathBuf> =
        fs::read_dir(here("experiments")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let ran = Command::new(here("target/python/bin/python"))
        .args(["-c", program])
        .args(&files)
        .current_dir(here(""))
        .output()
        .expect("the test command installs Python's packages");
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), files.len().to_string());
}
