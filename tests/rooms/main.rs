//! The house keeps its order: a room knows only those below it, files stay short, and every experiment can be run.

mod circles;
mod errors;
mod names;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use transport_lab::experiment::{Experiment, Overrides, plan};
use transport_lab::trial::Settings;
use transport_lab::{client, intermediary, transport};

/// How long a file may be, in lines: fewer than this.
const LINES: usize = 400;

/// The rooms from the ground up. Each may know those on lower floors; `server`, `client` and `control` don't know each
/// other, nor do `broker`, `certs` and `wire`, `admission` and `transport`, `browser` and `intermediary`.
const FLOORS: [&[&str]; 14] = [
    &["text", "units"],
    &["feed"],
    &["trial"],
    &["program"],
    &["broker", "certs", "wire"],
    &["admission", "transport"],
    &["page"],
    &["server", "client", "control"],
    &["browser", "intermediary"],
    &["participant"],
    &["agent"],
    &["experiment"],
    &["run", "diagnose"],
    &["cli"],
];

/// The rooms beside the stairs: what they may know is all listed, and only `experiment`, `run` and `cli` know them.
const BESIDE: [(&str, &[&str]); 4] = [
    ("stats", &["trial", "units"]),
    ("report", &["stats", "text", "trial", "units"]),
    ("link", &["units"]),
    ("dissect", &[]),
];

/// Whether one room may know another.
fn may_know(room: &str, other: &str) -> bool {
    let floor = |name: &str| FLOORS.iter().position(|rooms| rooms.contains(&name));
    if let Some((_, known)) = BESIDE.iter().find(|(name, _)| *name == room) {
        return known.contains(&other);
    }
    match (floor(room), floor(other)) {
        (Some(room), Some(other)) => other < room,
        (Some(_), None) => matches!(room, "experiment" | "run" | "cli"),
        (None, _) => false,
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file with this ending below a folder of the project.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
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
    let rooms: BTreeSet<&str> = FLOORS.concat().into_iter().chain(BESIDE.map(|(room, _)| room)).collect();
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let path = file.strip_prefix(root().join("src")).unwrap();
        let room = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        assert!(rooms.contains(room), "{}: `{room}` is not in the list of rooms", path.display());
        for other in named(&fs::read_to_string(&file).unwrap()) {
            if other != room && !may_know(room, &other) {
                wrong.push(format!("{}: {room} must not know {other}", path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// Where else a transport's, a client's or an intermediary's name may stand, and why that is no question for it.
const NAMED: [(&str, &str); 8] = [
    ("client/user_agent.rs", "what a browser calls itself gives away which it is, of those too that are no rows"),
    ("trial/settings.rs", "the client where nobody says"),
    ("trial/settings/between.rs", "what an intermediary is told to do, of which one is called as a transport is"),
    (
        "trial/protocol.rs",
        "the protocol where nobody says, and the ALPNs, of which one is called as its only transport is",
    ),
    ("diagnose/known.rs", "what anybody's server calls itself, whatever stands between in trials"),
    ("wire/token.rs", "what the RFCs call a tunnel or a session, whoever asks for one"),
    ("client/chromium.rs", "what a profile calls HTTP/3's QUIC, whatever runs on it"),
    ("page/beside.js", "the kinds of other actors, of which one opens a WebSocket to nothing"),
];

#[test]
fn nobody_asks_for_a_transport_a_client_or_an_intermediary_by_its_name() {
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for file in files("src", "rs").into_iter().chain(files("src", "js")) {
        let path = file.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
        // The last makes trials for tests.
        if path.ends_with("tests.rs") || path == "stats/rig.rs" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with(['/', '*'])).collect();
        let transports = transport::ALL.iter().map(|row| ("transport", row.name));
        let clients = client::ALL.iter().map(|row| ("client", row.name));
        let intermediaries = intermediary::ALL.iter().map(|row| ("intermediary", row.name));
        for (room, name) in transports.chain(clients).chain(intermediaries) {
            let own = [name.to_owned(), name.replace('-', "_")].map(|name| format!("{room}/{name}"));
            let is_own = own.iter().any(|own| path.strip_prefix(own).is_some_and(|rest| rest.starts_with(['.', '/'])));
            // A key of an object in script needs no quotes.
            let key = if file.extension().is_some_and(|it| it == "js") {
                format!(" {name}: ")
            } else {
                format!("\"{name}\"")
            };
            let forms = [format!("\"{name}\""), format!("'{name}'"), key];
            let quoted = |line: &&&str| forms.iter().any(|form| line.contains(form));
            let Some(line) = code.iter().find(quoted).filter(|_| !is_own) else { continue };
            match NAMED.iter().find(|(named, _)| *named == path) {
                Some((named, _)) => _ = needed.insert(*named),
                None => wrong.push(format!("{path} asks for {name}: {}", line.trim())),
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(needed, NAMED.map(|(named, _)| named).into(), "exceptions");
}

#[test]
fn no_error_says_what_it_was_caused_by_itself() {
    // Whoever prints an error asks for its causes; one that says its own would be followed by it once more.
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for variant in code.split("#[error(").skip(1) {
            let (says, fields) = variant.split_once(")]").unwrap();
            let is_caused = fields.contains("#[from]") || fields.contains("#[source]");
            if says.contains("{source") || (says.contains("{0") && is_caused) {
                wrong.push(format!("{}: {says}", file.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_map_in_the_library_lists_the_rooms_from_the_ground_up() {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows: Vec<&str> = map.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next()).collect();
    let stairs = FLOORS.concat();
    assert_eq!(rows.iter().copied().filter(|room| stairs.contains(room)).collect::<Vec<_>>(), stairs);
    assert_eq!(rows.len(), stairs.len() + BESIDE.len(), "{rows:?}");
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
            assert!(loaded.is_ok(), "{:?}", loaded.unwrap_err());
        }
    }
}

#[test]
fn all_that_a_link_alone_is_measured_by_takes_fifty_minutes_at_most() {
    let minutes = |path: PathBuf| {
        let experiment = Experiment::load(path.to_str().unwrap(), &Overrides::default()).unwrap();
        let on_link = |settings: &Settings| settings.link.is_some() && !settings.between.is_there();
        let all = experiment.combinations.iter().all(on_link);
        all.then(|| plan::expected_time(&plan::plan(&experiment).unwrap()).duration().as_secs_f64() / 60.0)
    };
    let has_link = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.contains("\n[link]") || text.contains("\n\"link.")
    };
    let each: Vec<f64> = files("experiments", "toml").into_iter().filter(has_link).filter_map(minutes).collect();
    assert!(each.len() > 10, "most of them have a link: {each:?}");
    assert!(each.iter().sum::<f64>() <= 50.0, "{each:?}");
}
