//! Lines of bytes that come in pieces of any length.

/// How long a line may be, in bytes: a trial's largest event (1 MiB), escaped.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// A line is longer than a reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {MAX_BYTES} bytes")]
pub(super) struct LineTooLong;

/// Puts lines together. What follows the last line feed is no line yet, and never becomes one where the stream ends
/// there: it was cut off.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Takes bytes; `each` is given every line that they complete, without its line feed; an empty one is passed over.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), LineTooLong> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let before = &rest[..end];
            rest = &rest[end + 1..];
            // Most lines come whole, and are not copied.
            if self.line.is_empty() {
                self.fits(before)?;
                give(before, &mut each);
            } else {
                self.grow(before)?;
                give(&self.line, &mut each);
                self.line.clear();
            }
        }
        self.grow(rest)
    }

    fn fits(&self, bytes: &[u8]) -> Result<(), LineTooLong> {
        if self.line.len() + bytes.len() > MAX_BYTES { Err(LineTooLong) } else { Ok(()) }
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        self.fits(bytes)?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }
}

/// Gives a line that says something. JSON has no line feed but may be followed by a carriage return (a space to it).
fn give(line: &[u8], each: &mut impl FnMut(&[u8])) {
    if !line.trim_ascii().is_empty() {
        each(line);
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut lines = Lines::default();
        let mut read = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| read.push(String::from_utf8(line.to_vec()).unwrap())).unwrap();
        }
        read
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_are_cut() {
        for seed in 0..300 {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for _ in 0..random.random_range(0..12) {
                let letters = ["x", "é", "🦀", "\"", "\\", "{}"];
                let line: String = (0..random.random_range(0..6)).map(|_| letters[random.random_range(0..6)]).collect();
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
                expected.extend((!line.is_empty()).then_some(line));
            }
            if random.random_bool(0.3) {
                bytes.extend_from_slice(b"cut off");
            }
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (chunk, others) = rest.split_at(random.random_range(1..=rest.len()));
                chunks.push(chunk);
                rest = others;
            }
            assert_eq!(read(chunks), expected, "seed {seed}");
            assert_eq!(read(bytes.chunks(1)), expected, "seed {seed}, byte by byte");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_not_kept() {
        let mut lines = Lines::default();
        let chunk = [b'x'; 4096];
        assert_eq!((0..1000).find(|_| lines.push(&chunk, |_| {}).is_err()), Some(MAX_BYTES / chunk.len()));
        let whole = [vec![b'x'; MAX_BYTES + 1], b"\n".to_vec()].concat();
        assert_eq!(Lines::default().push(&whole, |_| {}), Err(LineTooLong), "nor one that comes at once");
    }
}
