//! The program under test, in a folder of its own that every process of its names.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::pace::paced;

/// How long anything that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(400);

/// A small experiment: three subscriptions, three events and a census within half a second.
const SMALL: &str = r#"question = "What goes wrong?"
repeats = 1
client = "native"
protocol = "sse/h2"
[workload]
subscribers = 3
settle = "250ms"
hold = "450ms"
drain = "300ms"
events = { count = 3, rate = "20/s" }
"#;

/// A folder with the program's results, certificates and temporary files, and a small experiment `small.toml`.
pub(crate) struct Lab(TempDir);

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        fs::create_dir(lab.temporary()).unwrap();
        lab.experiment("small", "");
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes the small experiment with more at its end.
    pub(crate) fn experiment(&self, name: &str, more: &str) {
        fs::write(self.path(&format!("{name}.toml")), paced(&format!("{SMALL}{more}"))).unwrap();
    }

    /// A program of that name which takes the place of a browser: it says its version, or else does what the script
    /// says. Its arguments are the browser's, the last of them the page.
    pub(crate) fn browser(&self, name: &str, script: &str) -> String {
        self.program(
            name,
            &format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo Chromium 1.2.3.4; exit; fi\n{script}\n"),
        )
    }

    /// A program of that name; gives its path.
    pub(crate) fn program(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// The folder for temporary files, where profiles go.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.path("t")
    }

    /// The program with these arguments, in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
        command.args(arguments).current_dir(self.0.path()).env("TMPDIR", self.temporary());
        // What a run keeps is this folder's, whoever the user is.
        command.env("XDG_DATA_HOME", self.path("data"));
        command.env_remove("TRANSPORT_LAB_CERTS").env_remove("TRANSPORT_LAB_RESULTS");
        command
    }

    /// `run FILE --out out --certs certs --json --no-calibration` and more.
    pub(crate) fn running(&self, file: &str, more: &[&str]) -> Command {
        let file = format!("./{file}.toml");
        let more: Vec<String> = more.iter().map(|more| paced(more)).collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        self.command(
            &[&["run", &file, "--out", "out", "--certs", "certs", "--json", "--no-calibration"], &more[..]].concat(),
        )
    }

    /// Runs the small experiment with these further arguments to its end.
    pub(crate) fn run(&self, more: &[&str]) -> Ran {
        Started::new(&mut self.running("small", more)).end()
    }

    /// Any command to its end.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Ran {
        Started::new(&mut self.command(arguments)).end()
    }

    /// The folders of the runs so far, in order of their names.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        names(&self.path("out"))
    }

    /// Copies a run, its folder's files at least.
    pub(crate) fn copy(&self, run: &str, name: &str) -> PathBuf {
        let copy = self.path("out").join(name);
        fs::create_dir(&copy).unwrap();
        for file in names(&self.path("out").join(run)).into_iter().filter(|path| path.is_file()) {
            fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
        }
        copy
    }

    /// The folder of the only run.
    pub(crate) fn only_run(&self) -> PathBuf {
        let runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].clone()
    }

    /// Waits for a fact in the only run's journal.
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, || facts(self.runs().first()?).into_iter().find(|fact| is(fact)))
    }

    /// Waits until that trial's process of that role has been started and the first subscription asked for.
    pub(crate) fn wait_for_process(&self, trial: u64, role: &str) -> Pid {
        let kind = |kind: &str, fact: &Value| fact["trial"] == trial && fact["kind"] == kind;
        let started = self.wait_for("a start", |fact| kind("started", fact) && fact["role"] == role);
        self.wait_for("a subscription", |fact| kind("requested", fact));
        Pid::from_raw(i32::try_from(started["pid"].as_i64().unwrap()).unwrap())
    }

    /// Every process that names this folder in its command line or environment; one that ended does not count.
    pub(crate) fn processes(&self) -> Vec<String> {
        let folder = self.0.path().display().to_string();
        let named = |process: &PathBuf| {
            let read = |file: &str| fs::read(process.join(file)).unwrap_or_default();
            let (command, environment) = (read("cmdline"), read("environ"));
            let text = String::from_utf8_lossy(&[&command[..], &environment].concat()).contains(&folder);
            text.then(|| String::from_utf8_lossy(&command).replace('\0', " "))
        };
        names(Path::new("/proc")).iter().filter_map(named).collect()
    }

    /// No process and no temporary file of the program's is there.
    #[track_caller]
    pub(crate) fn has_nothing_left(&self) {
        assert_eq!(self.processes(), [""; 0]);
        assert_eq!(names(&self.temporary()), [""; 0].map(PathBuf::from));
    }
}

/// What is in a folder, in order; nothing when it isn't there.
pub(crate) fn names(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The lines of a run's journal so far; one that is not whole yet is left out.
pub(crate) fn facts(run: &Path) -> Vec<Value> {
    facts_of(&run.join("observations.jsonl"))
}

/// The same of any journal.
pub(crate) fn facts_of(journal: &Path) -> Vec<Value> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until there is something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The program while it runs. Dropping it kills it.
pub(crate) struct Started {
    child: Child,
    out: Option<JoinHandle<String>>,
    err: Option<JoinHandle<String>>,
    heard: Arc<Mutex<String>>,
}

impl Started {
    pub(crate) fn new(command: &mut Command) -> Self {
        Self::with_output(command, Stdio::piped())
    }

    /// The same with its standard output elsewhere.
    pub(crate) fn with_output(command: &mut Command, out: Stdio) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().map(|out| gather(out, Arc::default()));
        let err = child.stderr.take().map(|err| gather(err, Arc::clone(&heard)));
        Self { child, out, err, heard }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// What it has said on its standard error so far.
    pub(crate) fn said(&self) -> String {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end. Whatever happened, it must not have panicked.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let status = until("the program's end", || self.child.try_wait().unwrap());
        let text = |thread: Option<JoinHandle<String>>| thread.map_or_else(String::new, |t| t.join().unwrap());
        let (out, err) = (text(self.out.take()), text(self.err.take()));
        assert!(!err.contains("panicked"), "{err}");
        Ran { exit: status.code(), out, err }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads to the end, and shows meanwhile what was read so far.
fn gather(mut from: impl Read + Send + 'static, shown: Arc<Mutex<String>>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            all.extend_from_slice(&buffer[..read]);
            *shown.lock().unwrap() = String::from_utf8_lossy(&all).into_owned();
        }
        String::from_utf8_lossy(&all).into_owned()
    })
}

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None`: by a signal.
    pub(crate) exit: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.exit, Some(status), "{}\n{}", self.err, self.out);
        self
    }

    /// Its standard output, which is one JSON document and nothing else.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }

    /// The outcome of each trial with its reason: `failed: …`.
    #[track_caller]
    pub(crate) fn outcomes(&self) -> Vec<String> {
        outcomes(&self.summary())
    }

    /// That trial's metric; it must have been obtained.
    #[track_caller]
    pub(crate) fn metric(&self, trial: usize, name: &str) -> f64 {
        let summary = self.summary();
        let entry = &summary["trials"][trial]["metrics"][name];
        entry["median"].as_f64().unwrap_or_else(|| panic!("no {name}: {entry}"))
    }

    /// It says all of these on its standard error, in any order.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in: {}", self.err);
        }
        self
    }
}

/// The outcome of each trial of a summary with its reason: `failed: …`.
pub(crate) fn outcomes(summary: &Value) -> Vec<String> {
    let text = |trial: &Value| match trial["reason"].as_str() {
        Some(reason) => format!("{}: {reason}", trial["outcome"].as_str().unwrap()),
        None => trial["outcome"].as_str().unwrap().to_owned(),
    };
    summary["trials"].as_array().unwrap().iter().map(text).collect()
}

/// Whether this browser is on this machine. Where the test command has installed it, its absence is a failure.
pub(crate) fn has_browser(name: &str) -> bool {
    match (transport_lab::client::find(name).unwrap().find)() {
        Ok(_) => true,
        Err(reason) if std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none() => {
            eprintln!("skipped: {name}: {reason}");
            false
        }
        Err(reason) => panic!("{name} should have been installed: {reason}"),
    }
}
