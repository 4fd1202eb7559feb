//! The house keeps its order: a room knows only those below it, files stay short, and every experiment can be run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use transport_lab::experiment::{Experiment, Overrides};

/// How long a file may be, in lines: fewer than this.
const LINES: usize = 400;

/// Each room, and the rooms that it may know.
const ROOMS: [(&str, &[&str]); 13] = [
    ("units", &[]),
    ("trial", &["units"]),
    ("feed", &["trial", "units"]),
    ("certs", &["feed", "trial", "units"]),
    ("wire", &["feed", "trial", "units"]),
    ("transport", &["certs", "feed", "trial", "units", "wire"]),
    ("server", &["certs", "feed", "transport", "trial", "units", "wire"]),
    ("client", &["certs", "feed", "transport", "trial", "units", "wire"]),
    // The rule of who is let in is one and the same at both servers, so control asks for the server's `Admission`.
    ("control", &["certs", "feed", "server", "transport", "trial", "units", "wire"]),
    ("stats", &["trial", "units"]),
    ("report", &["stats", "trial", "units"]),
    (
        "experiment",
        &["certs", "client", "control", "feed", "report", "server", "stats", "transport", "trial", "units", "wire"],
    ),
    (
        "cli",
        &[
            "certs",
            "client",
            "control",
            "experiment",
            "feed",
            "report",
            "server",
            "stats",
            "transport",
            "trial",
            "units",
            "wire",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this ending below a folder of the project.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The names right below `crate` in a source text, comments left out: of `crate::a::b`, and of `crate::{a, b::{c}}`.
fn named(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or("").to_owned() + "\n").collect();
    let mut names = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut begin) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begin = true,
                c if begin && !c.is_whitespace() => {
                    names.insert(word(&group[at..]));
                    begin = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn names_below_crate_are_found_in_every_form() {
    let text =
        "use crate::units; // crate::cli\nuse crate::{\n feed::{Event, Log}, wire};\nlet x = crate::stats::judge();";
    assert_eq!(named(text), ["feed", "stats", "units", "wire"].map(str::to_owned).into());
}

#[test]
fn a_room_knows_only_those_below_it() {
    let order: BTreeMap<&str, &[&str]> = ROOMS.into();
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let path = file.strip_prefix(root().join("src")).unwrap();
        let room = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        let Some(knows) = order.get(room) else {
            wrong.push(format!("{}: `{room}` is not in the list of rooms", path.display()));
            continue;
        };
        for other in named(&fs::read_to_string(&file).unwrap()) {
            if other != room && !knows.contains(&other.as_str()) {
                wrong.push(format!("{}: {room} must not know {other}", path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_map_in_the_library_lists_the_rooms_from_the_ground_up() {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next().map(str::to_owned));
    assert_eq!(rows.collect::<Vec<_>>(), ROOMS.map(|(room, _)| room.to_owned()));
    for (above, (room, knows)) in ROOMS.iter().enumerate() {
        let below: Vec<&str> = ROOMS[..above].iter().map(|(room, _)| *room).collect();
        assert!(knows.iter().all(|known| below.contains(known)), "{room} knows {knows:?}");
    }
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let long: Vec<String> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            (lines >= LINES).then(|| format!("{}: {lines} lines", path.strip_prefix(root()).unwrap().display()))
        })
        .collect();
    assert_eq!(long, [""; 0]);
}

#[test]
fn every_experiment_can_be_run() {
    let all = files("experiments", "toml");
    assert!(!all.is_empty());
    for path in all {
        for full in [false, true] {
            let overrides = Overrides { full, ..Overrides::default() };
            let loaded = Experiment::load(path.to_str().unwrap(), &overrides);
            assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
        }
    }
}
