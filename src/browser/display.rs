//! A display for one browser: an Xvfb of its own, that only this browser may use.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::launch;
use super::profile::Profile;

/// The file in the profile that holds the display's number.
const NUMBER: &str = ".display";
/// How long Xvfb may take until it listens.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end when asked, before it is killed.
const END: Duration = Duration::from_millis(500);

/// Why there is no display.
#[derive(Debug, thiserror::Error)]
pub(super) enum DisplayError {
    /// A file in the profile, or Xvfb's output.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("Xvfb does not start")]
    Start(#[source] std::io::Error),
    #[error("Xvfb ended at once")]
    EndedAtOnce,
    #[error("Xvfb did not listen within {} s", START.as_secs())]
    Silent,
    #[error("Xvfb ended before it listened")]
    Ended,
}

/// A running Xvfb.
#[derive(Debug)]
pub(super) struct Display {
    xvfb: Child,
    pid: Pid,
    /// Its number: 99 is `:99`.
    number: u32,
    authority: PathBuf,
}

impl Display {
    /// Starts one on a number that it picks itself.
    pub(super) async fn start(profile: &Profile) -> Result<Self, DisplayError> {
        let authority = profile.path().join("xauthority");
        fs::write(&authority, cookie())?;
        let mut argv = vec!["Xvfb".to_owned(), "-auth".to_owned(), authority.to_string_lossy().into_owned()];
        // -displayfd 1: a free number, written to standard output once it listens. -noreset: it outlives a client.
        argv.extend("-displayfd 1 -screen 0 1280x1024x24 -nolisten tcp -noreset".split(' ').map(str::to_owned));
        // Not killed when dropped: a start that is broken off ends with a SIGTERM to all, after which Xvfb tidies up.
        let mut xvfb = launch::command(&argv, &profile.environment(&BTreeMap::new()))
            .and_then(|mut command| command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn())
            .map_err(DisplayError::Start)?;
        let pid = super::pid(xvfb.id()).ok_or(DisplayError::EndedAtOnce)?;
        let mut line = String::new();
        if let Some(out) = xvfb.stdout.take() {
            let read = timeout(START, BufReader::new(out).read_line(&mut line)).await;
            read.map_err(|_| DisplayError::Silent)??;
        }
        let number = line.trim().parse().map_err(|_| DisplayError::Ended)?;
        // For whoever sweeps, if this supervisor is killed.
        fs::write(profile.path().join(NUMBER), line.trim())?;
        Ok(Self { xvfb, pid, number, authority })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// What a program needs to find it and be let in.
    pub(super) fn environment(&self) -> [(String, String); 2] {
        [
            ("DISPLAY".to_owned(), format!(":{}", self.number)),
            ("XAUTHORITY".to_owned(), self.authority.to_string_lossy().into_owned()),
        ]
    }

    /// Ends it. Asked first, because only then it removes its socket itself.
    pub(super) async fn end(mut self) {
        let _ = kill(self.pid, Signal::SIGTERM);
        if timeout(END, self.xvfb.wait()).await.is_err() {
            let _ = self.xvfb.kill().await;
        }
        remove_socket(&socket(self.number));
    }
}

/// Removes the socket of the display of a profile whose supervisor was killed.
pub(super) fn sweep(profile: &Path) {
    let number = fs::read_to_string(profile.join(NUMBER)).ok().and_then(|text| text.parse().ok());
    if let Some(number) = number {
        remove_socket(&socket(number));
    }
}

/// Where X servers listen (xtrans; the same for all of them).
fn socket(number: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X11-unix/X{number}"))
}

/// Removes a socket that nobody listens on any more: an X server that was killed leaves it. Another may have taken
/// the number meanwhile, and answers.
fn remove_socket(path: &Path) {
    if UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        let _ = fs::remove_file(path);
    }
}

/// An Xauthority file with one entry for every address: family, address, number, name, data, each but the family
/// preceded by its length, big-endian (Xau, `XauFileName(3)`).
fn cookie() -> Vec<u8> {
    const EVERY_ADDRESS: u16 = 0xffff;
    const NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";
    let secret: [u8; 16] = rand::random();
    let mut file = EVERY_ADDRESS.to_be_bytes().to_vec();
    for part in [b"".as_slice(), b"", NAME, &secret] {
        file.extend(u16::try_from(part.len()).unwrap_or(0).to_be_bytes());
        file.extend(part);
    }
    file
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_socket_is_removed_only_when_nobody_listens_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("X1");
        let listener = UnixListener::bind(&path).unwrap();
        remove_socket(&path);
        assert!(path.exists(), "another's");
        drop(listener);
        remove_socket(&path);
        assert!(!path.exists(), "what is left of one that was killed");
    }

    #[tokio::test]
    async fn a_display_that_was_killed_leaves_no_socket() {
        if crate::program::on_path(&["Xvfb"]).is_none() {
            assert!(std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none(), "Xvfb should have been installed");
            eprintln!("skipped: no Xvfb");
            return;
        }
        let profile = Profile::make().unwrap();
        let mut display = Display::start(&profile).await.unwrap();
        let path = socket(display.number);
        display.xvfb.kill().await.unwrap();
        assert!(path.exists(), "it had no time to remove it");
        sweep(profile.path());
        assert!(!path.exists());
        profile.remove().await;
    }
}
