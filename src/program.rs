//! A program on this machine: where it is, and which version it says it has.
//!
//! Enters: names and places to look at. Leaves: what was found, or why it can't be used. What must never happen here: a
//! program left running.

mod version;

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;

pub(crate) use version::{at_least, parts};

use crate::trial::Unsupported;

/// How long a program may take to say its version.
const VERSION_TIME: Duration = Duration::from_secs(10);
/// How much of its answer is read, in bytes.
const VERSION_BYTES: u64 = 4096;

/// A program that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its name where a person reads it; of a family of browsers, which one: `Google Chrome`.
    pub title: String,
    /// The program.
    pub path: PathBuf,
    /// Its version: `156.0.8078.79`.
    pub version: String,
}

/// The program that an environment variable names, or else the first of these names that is on `PATH`.
///
/// # Errors
/// The variable names something that can't be run, or there is no such program: then `advice` is the rest of the
/// sentence "not found; …".
pub(crate) fn locate(variable: &str, names: &[&str], advice: &str) -> Result<PathBuf, Unsupported> {
    locate_also(variable, names, &[], advice)
}

/// The same, or else the first of these files.
pub(crate) fn locate_also(
    variable: &str,
    names: &[&str],
    files: &[PathBuf],
    advice: &str,
) -> Result<PathBuf, Unsupported> {
    match std::env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => named(variable, &path),
        None => on_path(names)
            .or_else(|| files.iter().find(|file| can_run(file)).cloned())
            .ok_or_else(|| format!("not found; {advice}, or set {variable}=PATH").into()),
    }
}

/// The program that `variable` names.
pub(crate) fn named(variable: &str, path: &OsStr) -> Result<PathBuf, Unsupported> {
    let path = PathBuf::from(path);
    if can_run(&path) {
        Ok(path)
    } else {
        Err(format!("{variable}={} is not a program that can be run", path.display()).into())
    }
}

/// The first of these names that is on `PATH`, in the order of the names.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| can_run(path))
}

/// Where `tools/install.sh` has unpacked a program: in the folder that this one was built in.
pub(crate) fn unpacked(path: &str) -> Vec<PathBuf> {
    let built = std::env::current_exe().unwrap_or_default();
    // `target/debug/deps/x` is a test's.
    built.ancestors().skip(2).take(2).map(|folder| folder.join(path)).collect()
}

/// Whether this is a file that somebody may execute.
pub(crate) fn can_run(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Where a program says what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswersOn {
    StandardOutput,
    StandardError,
}

/// The standard output of a program that answers and ends, trimmed.
///
/// # Errors
/// It doesn't start, ends with a failure, says nothing, or takes longer than 10 s, when it is ended.
pub(crate) fn answer(program: &Path, arguments: &[&str]) -> Result<String, Unsupported> {
    answer_on(AnswersOn::StandardOutput, program, arguments)
}

/// The same of a program that answers there.
pub(crate) fn answer_on(on: AnswersOn, program: &Path, arguments: &[&str]) -> Result<String, Unsupported> {
    let [out, error] = match on {
        AnswersOn::StandardOutput => [Stdio::piped(), Stdio::null()],
        AnswersOn::StandardError => [Stdio::null(), Stdio::piped()],
    };
    let failed = |why: String| Unsupported::from(format!("`{} {}` {why}", program.display(), arguments.join(" ")));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out)
        // A program is often a script that starts the real one; ending the group ends both.
        .process_group(0)
        .stderr(error)
        .spawn()
        .map_err(|error| failed(format!("does not start: {error}")))?;
    let deadline = Instant::now() + VERSION_TIME;
    // The standard library has no wait with a deadline.
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                end_group(&child);
                let _ = child.wait();
                return Err(failed(format!("gave no answer within {} s", VERSION_TIME.as_secs())));
            }
        }
    };
    // What it left running would keep its output open.
    end_group(&child);
    let mut said = String::new();
    let read = match on {
        AnswersOn::StandardOutput => child.stdout.take().map(|out| out.take(VERSION_BYTES).read_to_string(&mut said)),
        AnswersOn::StandardError => {
            child.stderr.take().map(|error| error.take(VERSION_BYTES).read_to_string(&mut said))
        }
    };
    match (status.success(), read) {
        (true, Some(Ok(_))) if !said.trim().is_empty() => Ok(said.trim().to_owned()),
        (true, _) => Err(failed("says nothing".to_owned())),
        (false, _) => Err(failed(format!("ends with {status}"))),
    }
}

/// Ends whatever is left of a child's process group. No other process is given the number while any of it is left.
fn end_group(child: &Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

/// The first word that starts with a digit: `156.0.8078.79` of `Chromium 156.0.8078.79 built on Debian`.
pub(crate) fn number(said: &str) -> Option<&str> {
    said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_in_what_browsers_say() {
        for (said, version) in [
            ("Chromium 156.0.8078.79 built on Debian GNU/Linux 12 (bookworm)", "156.0.8078.79"),
            ("Google Chrome 156.0.8078.80 ", "156.0.8078.80"),
            ("Mozilla Firefox 153.7.0esr", "153.7.0esr"),
            ("WebKitGTK 2.50.6", "2.50.6"),
        ] {
            assert_eq!(number(said), Some(version));
        }
        assert_eq!(number("no version here"), None);
    }

    #[test]
    fn a_program_that_fails_or_says_nothing_is_named() {
        let shell = Path::new("/bin/sh");
        let why = |program: &Path, arguments: &[&str]| answer(program, arguments).unwrap_err().to_string();
        assert_eq!(answer(shell, &["-c", "echo 12.5"]).unwrap(), "12.5");
        assert!(why(shell, &["-c", "exit 3"]).contains("/bin/sh -c exit 3` ends with exit status: 3"));
        assert!(why(shell, &["-c", ":"]).contains("says nothing"));
        assert!(why(Path::new("/nowhere"), &[]).contains("does not start"));
    }

    #[test]
    fn a_missing_program_says_what_to_install() {
        let reason = locate("TRANSPORT_LAB_NONE", &["no-such-program"], "on Debian: apt install x").unwrap_err();
        assert_eq!(reason.to_string(), "not found; on Debian: apt install x, or set TRANSPORT_LAB_NONE=PATH");
        assert!(named("V", OsStr::new("/etc/passwd")).unwrap_err().to_string().contains("V=/etc/passwd"));
    }
}
