//! A program in any language that speaks the trial contract: `exec:PATH`. It is no row of [`super::ALL`]: there are
//! as many as there are programs, and each runs only where a person has allowed it (`--allow-exec`).

use std::path::{Path, PathBuf};

use super::{Client, Found, Launch, anywhere, program, words};
use crate::trial::Unsupported;
pub use crate::trial::clients::PROGRAM as PREFIX;
use crate::trial::settings::{Settings, Visibility};

/// The row of all of them.
pub(super) static CLIENT: Client = Client {
    name: "exec",
    title: "Program",
    is_browser: false,
    find: || Err("a program has a path: write exec:PATH".into()),
    supports,
    reaches: anywhere,
    command: |found, _| Launch::Program(words([&found.path.to_string_lossy()])),
};

/// The program that a client's name asks for; `None`: it is another client.
pub fn path(name: &str) -> Option<&Path> {
    name.strip_prefix(PREFIX).filter(|path| !path.is_empty()).map(Path::new)
}

/// The program, where it can be run. It is not run here: its version is what it says once it takes part.
///
/// # Errors
/// There is no such file, or nobody may execute it.
pub fn locate(path: &Path) -> Result<Found, Unsupported> {
    let shown = path.display();
    if program::can_run(path) {
        // A name without a slash would be looked for on PATH.
        let path = std::path::absolute(path).map_err(|error| format!("{shown} is nowhere: {error}"))?;
        let title = format!("{PREFIX}{shown}");
        return Ok(Found { title, path, version: String::new() });
    }
    let why = match path.metadata() {
        Ok(file) if file.is_file() => format!("{shown} can't be run: make it executable (chmod +x {shown})"),
        Ok(_) => format!("{shown} is not a file"),
        Err(error) => format!("{shown} can't be run: {error} (paths are relative to {})", here().display()),
    };
    Err(why.into())
}

fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

/// What no process can do. All else it says itself, by `unsupported`.
fn supports(settings: &Settings) -> Result<(), Unsupported> {
    if settings.workload.pages != 1 {
        return Err("a program has no pages".into());
    }
    if settings.workload.visibility == Visibility::Hidden {
        return Err("a program has no page to hide".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_with_the_prefix_and_a_path_is_a_program() {
        assert_eq!(path("exec:./clients/x.py"), Some(Path::new("./clients/x.py")));
        for other in ["exec:", "exec", "native", "./clients/x.py"] {
            assert_eq!(path(other), None, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_run_says_what_to_do_and_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client.py");
        std::fs::write(&file, "#!/bin/sh\ntouch ran\n").unwrap();
        let why = |path: &Path| locate(path).unwrap_err().to_string();
        let says = why(&file);
        assert!(says.contains("chmod +x") && says.contains("client.py"), "{says}");
        assert!(why(folder.path()).ends_with("is not a file"));
        let says = why(Path::new("no/such.py"));
        assert!(says.contains("No such file") && says.contains("relative to /"), "{says}");
        assert_eq!(locate(Path::new("/bin/sh")).unwrap().title, "exec:/bin/sh");
    }
}
