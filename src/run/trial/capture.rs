//! The capture of a trial: what its link carried, and the secrets that decrypt it, in a file for Wireshark.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::super::RunError;
use super::TrialRunner;
use super::which::Which;
use crate::link::{Capture, Recording, write_capture};
use crate::participant::Environment;
use crate::trial::LabFact;
use crate::trial::clock::wall_micros;
use crate::trial::settings::BetweenPlace;

/// The file's name in the trial's folder.
const CAPTURE: &str = "trial.pcapng";
/// Where secrets go until they are in it.
pub(super) const KEYS: &str = "tls-secrets.log";
/// Names the file that secrets of TLS go to (draft-ietf-tls-keylogfile).
const KEY_LOG: &str = "SSLKEYLOGFILE";
/// Names the folder that qlog goes to.
const QLOG: &str = "QLOGDIR";

impl TrialRunner<'_> {
    /// Whether packets are kept and decrypted.
    pub(super) fn traces(&self) -> bool {
        self.planned.settings.link.as_ref().is_some_and(|link| link.trace || self.lab.capture)
    }

    /// What an end finds in its environment besides. Where packets are to be decrypted, a file for secrets that nobody else
    /// may read, and where there is a capture, a folder for what QUIC does.
    pub(super) fn environment(&self, whose: Which, folder: &Path) -> io::Result<Environment> {
        // A browser is at home elsewhere.
        let folder = std::path::absolute(folder)?;
        let mut environment = Environment::new();
        if self.traces() && self.knows_secrets(whose) {
            let path = folder.join(KEYS);
            private(&path)?;
            environment.push((KEY_LOG, path));
        }
        if self.traces() && self.lab.capture {
            environment.push((QLOG, folder));
        }
        Ok(environment)
    }

    /// Whether it has the secrets of what the link carries and says them: a server does, so that no client need be able to.
    /// A proxy at the server's end of the link says none.
    fn knows_secrets(&self, whose: Which) -> bool {
        let between = &self.planned.settings.between;
        let clients = between.is_there() && between.place == BetweenPlace::BehindLink;
        if clients { whose.is_client() } else { whose.is_server() }
    }

    /// Removes them: whoever has them can decrypt what was sent.
    pub(super) fn forget_keys(&self) -> Result<(), RunError> {
        if !self.traces() {
            return Ok(());
        }
        let path = self.lab.trial_folder(self.planned.trial)?.join(KEYS);
        match std::fs::remove_file(&path) {
            // There was no server.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(|source| RunError::Folder { operation: "remove", path, source }),
        }
    }

    /// Writes the capture, where there is to be one. Gives back why it couldn't be: what was observed stays, and of half a
    /// file nothing, as the disk may be full and what follows is to have room.
    pub(super) async fn write_capture(&mut self, recording: Arc<Recording>) -> Result<Option<String>, RunError> {
        if !self.lab.capture {
            return Ok(None);
        }
        let folder = self.lab.trial_folder(self.planned.trial)?;
        let (path, wall, missed) = (folder.join(CAPTURE), wall_micros(), recording.missed);
        let run = self.lab.folder.file_name().unwrap_or_default().display();
        let comment = format!("{run}, trial {}", self.planned.trial);
        let written = tokio::task::spawn_blocking(move || {
            let secrets = match std::fs::read(folder.join(KEYS)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                read => read?,
            };
            let capture = Capture { recording: &recording, secrets: &secrets, wall: wall * 1000, comment: &comment };
            let written = private(&path).and_then(|file| write_capture(&capture, BufWriter::new(file)));
            if written.is_err() {
                let _ = std::fs::remove_file(&path);
            }
            let bytes = recording.packets().map(|packet| packet.bytes.len() as u64).sum();
            written.map(|()| (recording.packets().count() as u64, bytes))
        });
        match written.await.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok((packets, bytes)) => {
                self.note(LabFact::Captured { file: CAPTURE.to_owned(), packets, bytes, missed, wall })?;
                Ok(None)
            }
            Err(error) => {
                Ok(Some(format!("the capture could not be written ({error}); all else that was observed is kept")))
            }
        }
    }
}

/// A new file that only its owner may read: it holds secrets.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
