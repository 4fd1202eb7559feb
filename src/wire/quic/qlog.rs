//! What a connection did, as qlog (draft-ietf-quic-qlog-main-schema): a file for each, which qvis opens.

use std::fs::File;
use std::io::{ErrorKind, LineWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use quinn::{QlogConfig, QlogStream};

use crate::trial::clock::monotonic_nanos;

/// Names the folder that the files go to; other QUIC libraries go by it too. Where it isn't set there are none.
const FOLDER: &str = "QLOGDIR";
/// How many files a process writes at most.
const MAX_FILES: u32 = 1000;

/// The folder, where there is to be qlog.
pub(in crate::wire) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// A new file for the next connection, as the server or the client sees it; `None` where it can't be had, and beyond
/// [`MAX_FILES`]: the connection goes on without.
pub(in crate::wire) fn stream(folder: &Path, role: &str) -> Option<QlogStream> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let file = loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        if number >= MAX_FILES {
            return None;
        }
        // A server that takes another's place begins to count anew.
        match File::create_new(folder.join(format!("{role}-{number}.sqlog"))) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                tracing::warn!(%error, "no qlog");
                return None;
            }
            Ok(file) => break file,
        }
    };
    let mut config = QlogConfig::default();
    config
        // A record a line: what a process that is killed did until then is there.
        .writer(Box::new(LineWriter::new(file)))
        .title(Some(format!("Transport Lab, {role}")))
        .description(Some(format!("times count from {} ns of CLOCK_MONOTONIC", monotonic_nanos())));
    config.into_stream()
}
