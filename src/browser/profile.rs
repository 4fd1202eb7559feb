//! A browser's profile: a folder of its own, gone when the browser is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tempfile::TempDir;

use super::{LaunchError, process_tree};

/// How a profile's folder begins.
const PREFIX: &str = "transport-lab-";
/// Names the process that a folder belongs to, of a profile the supervisor: process id and start time.
const OWNER: &str = ".supervisor";
/// Folders that programs expect to find: temporary files and sockets.
const FOLDERS: [&str; 2] = ["tmp", "run"];
/// How long dying processes may still write into a profile that is being removed.
const REMOVAL: Duration = Duration::from_secs(1);

/// A folder for temporary files that is this process's, readable by this user alone. It is swept if the process is killed.
pub fn owned_folder() -> io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let private = fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir()?;
    let us = nix::unistd::getpid();
    let started = process_tree::process(us).map_or(0, |process| process.started);
    fs::write(folder.path().join(OWNER), format!("{us} {started}\n"))?;
    Ok(folder)
}

/// A profile's folder, readable by this user alone.
#[derive(Debug)]
pub(super) struct Profile(TempDir);

impl Profile {
    /// Makes an empty one in the folder for temporary files.
    pub(super) fn make() -> io::Result<Self> {
        let folder = owned_folder()?;
        for name in FOLDERS {
            fs::DirBuilder::new().mode(0o700).create(folder.path().join(name))?;
        }
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes files by their path within the profile; `{profile}` in a text is filled in.
    pub(super) fn fill(&self, files: &BTreeMap<String, String>) -> Result<(), LaunchError> {
        for (name, text) in files {
            let within = Path::new(name);
            if !within.components().all(|part| matches!(part, Component::Normal(_))) || within.file_name().is_none() {
                return Err(LaunchError::Outside(name.clone()));
            }
            let path = self.path().join(within);
            let parent = path.parent().unwrap_or(self.path());
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(LaunchError::Profile)?;
            fs::write(&path, self.fill_in(text)).map_err(LaunchError::Profile)?;
        }
        Ok(())
    }

    /// The text with `{profile}` replaced by the profile's folder.
    pub(super) fn fill_in(&self, text: &str) -> String {
        text.replace("{profile}", &self.path().to_string_lossy())
    }

    /// The whole environment of what runs in this profile: small, so that nothing of this user's leaks into a trial.
    pub(super) fn environment(&self, more: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let small = [
            ("HOME", "{profile}"),
            ("TMPDIR", "{profile}/tmp"),
            ("XDG_RUNTIME_DIR", "{profile}/run"),
            ("XDG_CONFIG_HOME", "{profile}/.config"),
            ("XDG_CACHE_HOME", "{profile}/.cache"),
            ("XDG_DATA_HOME", "{profile}/.local/share"),
            ("XDG_STATE_HOME", "{profile}/.local/state"),
            ("LANG", "C.UTF-8"),
            // Otherwise GTK starts a bus daemon of its own, and Chromium waits for one.
            ("DBUS_SESSION_BUS_ADDRESS", "disabled:"),
        ];
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let mut environment = BTreeMap::from([("PATH".to_owned(), path)]);
        environment.extend(small.map(|(name, value)| (name.to_owned(), self.fill_in(value))));
        environment.extend(more.iter().map(|(name, value)| (name.clone(), self.fill_in(value))));
        environment
    }

    /// Removes the folder. Processes that are dying may write into it meanwhile, so it is tried again.
    pub(super) async fn remove(self) {
        remove(self.path()).await;
    }
}

async fn remove(folder: &Path) {
    let deadline = Instant::now() + REMOVAL;
    while let Err(error) = fs::remove_dir_all(folder) {
        if error.kind() == io::ErrorKind::NotFound {
            break;
        }
        if Instant::now() > deadline {
            tracing::warn!(profile = %folder.display(), %error, "a profile could not be removed");
            break;
        }
        tokio::time::sleep(super::LOOK).await;
    }
}

/// Ends what supervisors that were killed left behind, and removes their profiles. Touches only folders of this user's
/// whose owner is gone, and only processes of this user's whose HOME is exactly such a folder.
/// What else is left of one is `also`'s to remove.
pub(super) async fn sweep(also: fn(&Path)) {
    let folders = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for folder in folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        if is_abandoned(&folder.path()) {
            for pid in process_tree::holding(&folder.path()) {
                let _ = kill(pid, Signal::SIGKILL);
            }
            also(&folder.path());
            remove(&folder.path()).await;
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    // `symlink_metadata`: a link that somebody else made leads nowhere.
    let ours = folder.symlink_metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == Uid::effective().as_raw());
    let owner = || -> Option<(i32, u64)> {
        let text = fs::read_to_string(folder.join(OWNER)).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        Some((pid.parse().ok()?, started.parse().ok()?))
    };
    // A folder without an owner is just being made, or isn't a profile.
    let is_gone = |pid: i32, started: u64| {
        // One that has ended and that nobody has asked about is gone, too.
        process_tree::process(Pid::from_raw(pid)).is_none_or(|process| process.zombie || process.started != started)
    };
    ours && owner().is_some_and(|(pid, started)| is_gone(pid, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_never_lands_outside_the_profile() {
        let profile = Profile::make().unwrap();
        for name in ["../x", "/etc/x", "a/../../x", "", "."] {
            let files = BTreeMap::from([(name.to_owned(), String::new())]);
            assert!(matches!(profile.fill(&files), Err(LaunchError::Outside(_))), "{name}");
        }
        let files = BTreeMap::from([("a/b.js".to_owned(), "in {profile}".to_owned())]);
        profile.fill(&files).unwrap();
        let text = fs::read_to_string(profile.path().join("a/b.js")).unwrap();
        assert_eq!(text, format!("in {}", profile.path().display()));
    }

    #[test]
    fn only_this_user_reads_a_profile() {
        let profile = Profile::make().unwrap();
        assert_eq!(profile.path().metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_profile_is_abandoned_only_when_its_owner_is_gone() {
        let profile = Profile::make().unwrap();
        let is = |owner: &str| {
            fs::write(profile.path().join(OWNER), owner).unwrap();
            is_abandoned(profile.path())
        };
        let us = std::process::id();
        let started = process_tree::process(nix::unistd::getpid()).unwrap().started;
        assert!(!is(&format!("{us} {started}\n")));
        assert!(is(&format!("{us} {}\n", started + 1)), "the same process id, but a later process");
        assert!(!is("not an owner"));
        fs::remove_file(profile.path().join(OWNER)).unwrap();
        assert!(!is_abandoned(profile.path()));
    }
}
