//! The folders that a run writes to and reads from: unwritable, full, shared, damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lab::{Lab, Started, facts};

#[test]
fn an_output_folder_that_cannot_be_made_is_named() {
    let lab = Lab::new();
    fs::write(lab.path("file"), "").unwrap();
    let run = |out: &str| lab.ask(&["run", "./small.toml", "--certs", "certs", "--out", out]);
    run("file").exits(4).says(&["error: could not create file", "File exists"]);
    run("file/below").exits(4).says(&["error: could not create file/below: ", "Not a directory"]);
    lab.has_nothing_left();
}

#[test]
fn an_output_folder_that_may_not_be_written_to_is_named() {
    let lab = Lab::new();
    let name = lab.path("locked");
    let Some(_locked) = Locked::new(&name) else {
        eprintln!("skipped: root may write everywhere, and no read-only file system can be mounted here");
        return;
    };
    let ran = lab.ask(&["run", "./small.toml", "--certs", "certs", "--out", "locked"]).exits(4);
    ran.says(&["error: could not create locked/"]);
}

/// A folder that may not be written to; root may write to any but those of a read-only file system.
struct Locked(PathBuf, Option<Mounted>);

impl Locked {
    fn new(path: &Path) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(path).unwrap();
        if nix::unistd::geteuid().is_root() {
            let mounted = Mounted::new(path, "ro")?;
            return Some(Self(path.to_owned(), Some(mounted)));
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
        Some(Self(path.to_owned(), None))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        use std::os::unix::fs::PermissionsExt;
        if self.1.is_none() {
            let _ = fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755));
        }
    }
}

/// A file system in memory at a folder, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None`: this needs root, and a machine that lets root mount.
    fn new(path: &Path, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success());
        assert!(unmounted || std::thread::panicking(), "{} is still mounted", self.0.display());
    }
}

#[test]
fn a_full_disk_ends_the_run_with_its_name_and_keeps_what_was_observed() {
    let lab = Lab::new();
    fs::create_dir(lab.path("out")).unwrap();
    let Some(_disk) = Mounted::new(&lab.path("out"), "size=256k") else {
        eprintln!("skipped: filling a disk takes root, and a machine that lets root mount one in memory");
        return;
    };
    // The first trial fits; the receipts of the second don't, all of whose streams are open before the first event,
    // however busy the machine.
    let much = ["--set", "workload.subscribers=1,200", "--set", "workload.events.count=120"];
    let fast = ["--set", "workload.events.rate=1000/s", "--set", "server.max-concurrent-streams=200"];
    let open = ["--set", "workload.settle=8s", "--set", "workload.hold=9s"];
    let ran = Started::new(&mut lab.running("small", &[&much[..], &fast, &open].concat())).end().exits(4);
    let ran = ran.says(&["error: could not write to the journal out/", "observations.jsonl: No space left on device"]);
    assert_eq!(ran.err.matches("No space left").count(), 1, "said once: {}", ran.err);
    lab.has_nothing_left();
    let folder = lab.only_run();
    let facts = facts(&folder);
    let ended = |trial: u64| facts.iter().any(|fact| fact["kind"] == "outcome" && fact["trial"] == trial);
    assert!(ended(0) && !ended(1), "the first trial's end is there, and the second's is not");
    assert!(facts.iter().any(|fact| fact["trial"] == 1 && fact["kind"] == "received"));

    // Where there is room, the journal makes a report.
    let copy = lab.path("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["plan.json", "machine.json", "observations.jsonl"] {
        fs::copy(folder.join(name), copy.join(name)).unwrap();
    }
    lab.ask(&["report", "./copy"]).exits(0);
    let summary = serde_json::from_str(&fs::read_to_string(copy.join("summary.json")).unwrap()).unwrap();
    assert_eq!(crate::lab::outcomes(&summary), ["completed", "failed: the run ended before this trial did"]);
}

#[test]
fn two_runs_at_once_share_certificates_and_have_a_folder_each() {
    let lab = Lab::new();
    let runs = [(); 3].map(|()| Started::new(&mut lab.running("small", &[])));
    for run in runs {
        assert_eq!(run.end().exits(0).outcomes(), ["completed"]);
    }
    let folders = lab.runs();
    assert_eq!(folders.len(), 3);
    for folder in folders {
        assert!(folder.join("report.html").is_file() && !facts(&folder).is_empty());
    }
    lab.has_nothing_left();
}

#[test]
fn a_damaged_certificate_is_named_and_replaced() {
    let lab = Lab::new();
    let quick = ["--set", "workload.settle=0s", "--set", "workload.hold=200ms", "--set", "workload.drain=100ms"];
    lab.run(&quick).exits(0);
    for name in ["server.pem", "server.key", "ca.pem", "ca.key"] {
        let path = lab.path("certs").join(name);
        fs::write(&path, "-----BEGIN NONSENSE-----\n").unwrap();
        let ran = lab.run(&quick).exits(0).says(&[&format!("certs/{name}")]);
        assert_eq!(ran.outcomes(), ["completed"]);
        assert!(!fs::read_to_string(&path).unwrap().contains("NONSENSE"), "{name} was replaced");
    }
    let ran = lab.run(&quick).exits(0);
    assert!(!ran.err.contains("certs/"), "nothing is said of good ones: {}", ran.err);
}

#[test]
fn a_certificates_folder_that_cannot_be_made_is_named() {
    let lab = Lab::new();
    fs::write(lab.path("file"), "").unwrap();
    lab.ask(&["run", "./small.toml", "--out", "out", "--certs", "file"]).exits(4).says(&["the certificates", "file"]);
}

#[test]
fn a_name_that_no_folder_can_have_is_refused_before_anything_is_run() {
    let lab = Lab::new();
    let quick = ["--set", "workload.settle=0s", "--set", "workload.hold=200ms", "--set", "workload.drain=100ms"];
    // As long as a file's name may be, and as long as a run's may be.
    for (length, status) in [(250, 2), (234, 2), (233, 0)] {
        let name = "n".repeat(length);
        lab.experiment(&name, "");
        let file = format!("./{name}.toml");
        let checked = lab.ask(&["check", &file]).exits(status);
        if status == 2 {
            checked.says(&[&format!("{name}.toml: the name has {length} bytes"), "233 or fewer"]);
            Started::new(&mut lab.running(&name, &quick)).end().exits(2).says(&["233 or fewer"]);
            assert!(lab.runs().is_empty());
        } else {
            Started::new(&mut lab.running(&name, &quick)).end().exits(0);
            assert!(lab.only_run().join("report.html").is_file());
        }
    }
}

#[test]
fn a_run_that_is_not_there_is_named_with_where_it_was_looked_for() {
    let lab = Lab::new();
    lab.ask(&["report", "latest", "--out", "out"]).exits(2).says(&["error: no run `latest`", " in out"]);
    lab.ask(&["report", "nowhere", "--out", "out"]).exits(2).says(&["error: no run `nowhere`", " in out"]);
}

#[test]
fn a_damaged_file_of_a_run_is_named() {
    let lab = Lab::new();
    lab.run(&[]).exits(0);
    for name in ["plan.json", "machine.json"] {
        let path = lab.only_run().join(name);
        let good = fs::read_to_string(&path).unwrap();
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        let ran = lab.ask(&["report", "latest", "--out", "out"]).exits(2);
        ran.says(&["error: out/", &format!("{name} is damaged: EOF while parsing"), "line "]);
        fs::write(&path, good).unwrap();
    }
    // Neither a number that no plan has, nor what would come of it.
    let path = lab.only_run().join("plan.json");
    let good = fs::read_to_string(&path).unwrap();
    let most = Value::from(u32::MAX);
    let numbers = [
        ("settings/workload/subscribers", most.clone(), "`workload.subscribers` can't be 4294967295"),
        ("settings/workload/ports", most.clone(), "`workload.ports` can't be 4294967295"),
        ("trial", most, "trial 4294967295: a run's trials are numbered"),
        ("settings/workload/hold", Value::from("90000000s"), "longer than an hour"),
    ];
    for (setting, is, says) in numbers {
        let mut damaged: Value = serde_json::from_str(&good).unwrap();
        *damaged.pointer_mut(&format!("/trials/0/{setting}")).expect(setting) = is;
        fs::write(&path, damaged.to_string()).unwrap();
        for command in [&["report", "latest"][..], &["compare", "latest", "latest"]] {
            let ran = lab.ask(&[command, &["--out", "out"]].concat()).exits(2);
            let expected =
                if command[0] == "report" { ["plan.json is damaged: ", says] } else { ["same run", "latest"] };
            ran.says(&expected);
        }
    }
    fs::write(&path, good).unwrap();
    fs::remove_file(lab.only_run().join("observations.jsonl")).unwrap();
    lab.ask(&["report", "latest", "--out", "out"]).exits(4).says(&["observations.jsonl: No such file"]);
}
