//! The journal: `observations.jsonl`, one observation per line, written as it comes.
//!
//! It is enough to rebuild every number and picture of a run. A killed lab leaves at worst one line cut short
//! at its end, which the reader passes over and counts.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::Observation;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("could not {operation} the journal {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// A line that isn't the last is no observation.
    #[error("{}:{line}: not an observation", path.display())]
    Line {
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        source: serde_json::Error,
    },
}

/// Writes observations, each with one `write` of a whole line, so that what was written survives a crash.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    line: Vec<u8>,
}

impl Journal {
    /// Creates the file; it must not exist yet.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new().create_new(true).append(true).open(path).map_err(|source| JournalError::Io {
            operation: "create",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { file, path: path.to_owned(), line: Vec::new() })
    }

    /// Appends one observation.
    ///
    /// # Panics
    /// Never: an observation has no map with keys that aren't text, the only thing that JSON refuses.
    pub fn write(&mut self, observation: &Observation) -> Result<(), JournalError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, observation).expect("an observation is always JSON");
        self.line.push(b'\n');
        self.file.write_all(&self.line).map_err(|source| JournalError::Io {
            operation: "write to",
            path: self.path.clone(),
            source,
        })
    }
}

/// What was read back.
#[derive(Debug, Default)]
pub struct Readback {
    /// The observations, in the order of the file.
    pub observations: Vec<Observation>,
    /// Whether the last line was cut short: the lab was killed, or the disk was full.
    pub cut_short: bool,
}

/// Reads a journal.
pub fn read(path: &Path) -> Result<Readback, JournalError> {
    let io = |operation| move |source| JournalError::Io { operation, path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(io("open"))?);
    let mut readback = Readback::default();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if reader.read_until(b'\n', &mut text).map_err(io("read"))? == 0 {
            break;
        }
        let whole = text.ends_with(b"\n");
        match serde_json::from_slice(&text) {
            Ok(observation) => readback.observations.push(observation),
            Err(_) if !whole => readback.cut_short = true,
            Err(source) => return Err(JournalError::Line { path: path.to_owned(), line, source }),
        }
    }
    Ok(readback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Fact, Source};

    #[test]
    fn a_line_cut_short_by_a_kill_loses_nothing_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("observations.jsonl");
        let observation = |t| Observation { trial: 1, from: Source::Client, fact: Fact::Requested { t, sub: 0 } };
        let mut journal = Journal::create(&path).unwrap();
        journal.write(&observation(1)).unwrap();
        journal.write(&observation(2)).unwrap();
        journal.file.write_all(b"{\"trial\":1,\"fr").unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.observations, vec![observation(1), observation(2)]);
        assert!(back.cut_short);
    }

    #[test]
    fn receipts_keep_a_time_each() {
        let fact = Fact::Received { t: vec![5, 6], sub: 3, ids: vec!["a-1".into(), "a-2".into()], wrong: vec![] };
        let observation = Observation { trial: 7, from: Source::Client, fact };
        let text = serde_json::to_string(&observation).unwrap();
        assert_eq!(text, r#"{"trial":7,"from":"client","kind":"received","t":[5,6],"sub":3,"ids":["a-1","a-2"]}"#);
        assert_eq!(serde_json::from_str::<Observation>(&text).unwrap(), observation);
    }
}
