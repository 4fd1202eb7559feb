//! The journal: `observations.jsonl`, one observation per line, written as it comes.
//!
//! It is enough to rebuild every number and picture of a run. A killed lab leaves at worst one line cut short
//! at its end, which the reader passes over and counts.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::clock::monotonic_nanos;
use super::{Fact, JournalLine, LabFact};

/// The version of the format that this lab writes, which the first line says. Journals of version 1 don't say theirs, and
/// those of version 2 have no runs of ids; the lines are the same otherwise.
pub const VERSION: u32 = 3;

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
    /// A newer lab wrote it.
    #[error("{}: a journal of version {version}, and this lab reads up to {VERSION}: use the lab that wrote it", path.display())]
    Version { path: PathBuf, version: u32 },
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
    /// Creates the file, with the line that says its version; it must not exist yet.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new().create_new(true).append(true).open(path).map_err(|source| JournalError::Io {
            operation: "create",
            path: path.to_owned(),
            source,
        })?;
        let mut journal = Self { file, path: path.to_owned(), line: Vec::new() };
        journal.write(&JournalLine::at(0, monotonic_nanos(), LabFact::Journal { version: VERSION }))?;
        Ok(journal)
    }

    /// Goes on with one that is there, behind its last whole line.
    pub fn go_on(path: &Path) -> Result<Self, JournalError> {
        let io = |operation| move |source| JournalError::Io { operation, path: path.to_owned(), source };
        let text = std::fs::read(path).map_err(io("read"))?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let file = OpenOptions::new().append(true).open(path).map_err(io("open"))?;
        file.set_len(whole as u64).map_err(io("cut the last line of"))?;
        Ok(Self { file, path: path.to_owned(), line: Vec::new() })
    }

    /// Appends one observation.
    ///
    /// # Panics
    /// Never: an observation has no map with keys that aren't text, the only thing that JSON refuses.
    pub fn write(&mut self, line: &JournalLine) -> Result<(), JournalError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line).expect("an observation is always JSON");
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
    /// The lines, in the order of the file, without that which says its version.
    pub lines: Vec<JournalLine>,
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
        match serde_json::from_slice::<JournalLine>(&text) {
            Ok(read) => match read.observation.fact {
                Fact::Lab(LabFact::Journal { version }) if version > VERSION => {
                    return Err(JournalError::Version { path: path.to_owned(), version });
                }
                Fact::Lab(LabFact::Journal { .. }) => {}
                _ => readback.lines.push(read),
            },
            Err(_) if !whole => readback.cut_short = true,
            Err(source) => return Err(JournalError::Line { path: path.to_owned(), line, source }),
        }
    }
    Ok(readback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{ClientFact, ServerFact};

    #[test]
    fn a_line_cut_short_by_a_kill_loses_nothing_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("observations.jsonl");
        let line = |t| JournalLine::at(1, t, ClientFact::Requested { sub: 0 });
        let mut journal = Journal::create(&path).unwrap();
        journal.write(&line(1)).unwrap();
        journal.write(&line(2)).unwrap();
        journal.file.write_all(b"{\"trial\":1,\"fr").unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.lines, vec![line(1), line(2)]);
        assert!(back.cut_short);
    }

    #[test]
    fn a_journal_says_its_version_and_one_that_does_not_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("observations.jsonl");
        Journal::create(&path).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert!(first.contains(r#""from":"lab","kind":"journal","version":3"#), "{first}");
        assert_eq!(read(&path).unwrap().lines, []);

        let old = r#"{"trial":1,"from":"client","kind":"requested","t":5,"sub":0}
{"trial":1,"from":"client","kind":"probe-sent","t":6}
{"trial":1,"from":"client","kind":"received","t":[7,8],"sub":0,"ids":["k-1","k-2"]}
{"trial":1,"from":"server","kind":"bound-reached","t":9,"bound":"subscriptions","times":1}
"#;
        std::fs::write(&path, old).unwrap();
        let (times, ids) = (vec![7, 8], ["k-1", "k-2"].iter().collect());
        let expected = [
            JournalLine::at(1, 5, ClientFact::Requested { sub: 0 }),
            JournalLine::at(1, 6, ClientFact::ProbeSent),
            JournalLine::at(1, 0, ClientFact::Received { times, sub: 0, ids, wrong: vec![] }),
            JournalLine::at(1, 9, ServerFact::BoundReached { bound: "subscriptions".to_owned(), times: 1 }),
        ];
        assert_eq!(read(&path).unwrap().lines, expected);

        std::fs::write(&path, first.replace(":3}", ":4}")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("a journal of version 4, and this lab reads up to 3"), "{error}");
    }
}
