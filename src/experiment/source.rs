//! The text that an experiment comes from, and the places in it that an error can name: a line of the file, or
//! a flag of the command line. Both are spans of bytes; a flag's lie behind the end of the file.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use super::ExperimentError;

/// The largest experiment file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Bytes of a text.
pub(super) type ByteRange = Range<usize>;

/// An experiment's text and the flags that change it.
#[derive(Debug, Clone)]
pub(super) struct ExperimentSource {
    /// What errors call the file: its path, or `experiments/x.toml (built in)`.
    shown: String,
    text: String,
    /// What errors call each flag: `--set workload.subscribers=3`.
    flags: Vec<String>,
}

impl ExperimentSource {
    /// A text that is checked to be one.
    pub(super) fn new(shown: &str, text: String) -> Result<Self, ExperimentError> {
        let source = Self { shown: shown.to_owned(), text, flags: Vec::new() };
        if let Some(at) = source.text.find('\0') {
            return Err(source.error(at..at, "a NUL byte; an experiment file is text".to_owned()));
        }
        if source.text.trim().is_empty() {
            return Err(source.whole("the file is empty; an experiment needs at least `question = \"…?\"`"));
        }
        Ok(source)
    }

    /// Reads a file of at most 1 MiB of UTF-8.
    pub(super) fn read(path: &Path) -> Result<Self, ExperimentError> {
        let shown = path.display().to_string();
        let unreadable = |source| ExperimentError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        // One byte more than the limit: that tells a file that is too large, and never reads all of an endless one.
        File::open(path).and_then(|f| f.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(invalid(shown, "larger than 1 MiB; an experiment file is a page of text"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::new(&shown, text),
            Err(error) => {
                let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
                Err(invalid(format!("{shown}:{line}"), "not UTF-8; an experiment file is UTF-8 text"))
            }
        }
    }

    /// The file's text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a flag, and gives the span that stands for it.
    pub(super) fn add_flag(&mut self, shown: String) -> ByteRange {
        self.flags.push(shown);
        // The file's own spans end at its length at most.
        let at = self.text.len() + self.flags.len();
        at..at
    }

    /// Where a span is: `experiments/x.toml:12`, or the flag.
    pub(super) fn place(&self, span: &ByteRange) -> String {
        match span.start.checked_sub(self.text.len() + 1).and_then(|flag| self.flags.get(flag)) {
            Some(flag) => flag.clone(),
            None => format!("{}:{}", self.shown, self.line(span)),
        }
    }

    /// Which line of the file a span begins on, from 1.
    pub(super) fn line(&self, span: &ByteRange) -> usize {
        line_of(self.text.as_bytes(), span.start)
    }

    /// What is wrong at a span.
    pub(super) fn error(&self, span: ByteRange, says: String) -> ExperimentError {
        ExperimentError::Invalid { place: self.place(&span), says, span: Some(span) }
    }

    /// What is wrong with the file as a whole.
    pub(super) fn whole(&self, says: &str) -> ExperimentError {
        invalid(self.shown.clone(), says)
    }
}

fn invalid(place: String, says: &str) -> ExperimentError {
    ExperimentError::Invalid { place, says: says.to_owned(), span: None }
}

/// The line of a byte, from 1.
fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())].split(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, bytes).unwrap();
        let error = ExperimentSource::read(&path).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn what_is_no_text_is_refused_by_name_and_line() {
        assert_eq!(refused(b""), "x.toml: the file is empty; an experiment needs at least `question = \"…?\"`");
        assert_eq!(refused(b" \n\t\n"), refused(b""));
        assert_eq!(refused(b"a = 1\nb = \"\xff\"\n"), "x.toml:2: not UTF-8; an experiment file is UTF-8 text");
        assert_eq!(refused(b"a = 1\n\nb = \"\0\"\n"), "x.toml:3: a NUL byte; an experiment file is text");
        let huge = vec![b'#'; (1 << 20) + 1];
        assert_eq!(refused(&huge), "x.toml: larger than 1 MiB; an experiment file is a page of text");
    }

    #[test]
    fn a_missing_file_and_a_folder_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none.toml");
        let error = ExperimentSource::read(&missing).unwrap_err();
        assert_eq!(error.to_string(), format!("could not read {}", missing.display()));
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("No such file"));
        assert!(matches!(ExperimentSource::read(folder.path()), Err(ExperimentError::Read { .. })));
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        let error = ExperimentSource::read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(error, "/dev/zero: larger than 1 MiB; an experiment file is a page of text");
    }

    #[test]
    fn a_flag_is_a_place_of_its_own() {
        let mut source = ExperimentSource::new("x.toml", "a = 1\nb = 2".to_owned()).unwrap();
        let first = source.add_flag("--set a=2".to_owned());
        let second = source.add_flag("--client x".to_owned());
        assert_eq!(source.place(&first), "--set a=2");
        assert_eq!(source.place(&second), "--client x");
        assert_eq!(source.place(&(6..7)), "x.toml:2");
        assert_eq!(source.place(&(11..11)), "x.toml:2", "the very end is still the file's");
    }
}
