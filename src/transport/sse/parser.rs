//! Reads `text/event-stream` (WHATWG HTML section 9.2.6, "Interpreting an event stream").

/// How long a line, or an event's data, may be, in bytes. The standard sets no bound; a reader needs one.
/// A trial's largest event has 1 MiB of data, on a line with a field's name.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type: `message` unless the stream said otherwise.
    pub name: String,
    /// Its data: the lines joined by line feeds.
    pub data: String,
    /// The last id that the stream gave, up to and with this event.
    pub id: String,
}

/// The stream is not one that this reader can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event stream with a line or an event of more than {MAX_BYTES} bytes")]
pub struct TooLong;

/// A parser that is fed bytes as they come.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// Whether the last byte was a CR, so that a following LF belongs to it.
    after_cr: bool,
    started: bool,
    name: String,
    data: String,
    id: String,
    /// What `id` was at the last empty line.
    last_id: String,
    retry: Option<u64>,
}

impl Parser {
    /// Takes bytes; `each` is given every event that they complete.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Message)) -> Result<(), TooLong> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
            let (before, terminator) = (&rest[..end], rest[end]);
            rest = &rest[end + 1..];
            if terminator == b'\n' && self.after_cr && before.is_empty() && self.line.is_empty() {
                self.after_cr = false;
                continue;
            }
            self.after_cr = terminator == b'\r';
            self.grow(before)?;
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, &mut each)?;
            // The allocation is kept for the next line.
            self.line = line;
            self.line.clear();
        }
        if !rest.is_empty() {
            self.after_cr = false;
        }
        self.grow(rest)
    }

    /// What the stream last said to wait before reconnecting, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The last event id: what a reader that comes back says it has. It may be given without an event.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    fn grow(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > MAX_BYTES {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], each: &mut impl FnMut(Message)) -> Result<(), TooLong> {
        // One leading byte order mark is no part of the stream.
        let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
            Some(line) if !self.started => line,
            _ => line,
        };
        self.started = true;
        if line.is_empty() {
            self.dispatch(each);
            return Ok(());
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = match line.split_once(':') {
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (&*line, ""),
        };
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.data.len() + value.len() > MAX_BYTES {
                    return Err(TooLong);
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            // A comment has an empty field name; others are to be passed over.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, each: &mut impl FnMut(Message)) {
        if self.last_id != self.id {
            self.last_id.clone_from(&self.id);
        }
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return;
        }
        data.pop();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        each(Message { name, data, id: self.id.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream and what it says. The parser in script is held to the same cases.
    #[derive(serde::Deserialize)]
    struct Case {
        says: String,
        stream: String,
        /// Name, data, id.
        messages: Vec<(String, String, String)>,
        retry: Option<u64>,
    }

    fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(String, String, String)>, Option<u64>) {
        let mut parser = Parser::default();
        let mut messages = Vec::new();
        for chunk in chunks {
            parser.push(chunk, |m| messages.push((m.name, m.data, m.id))).unwrap();
        }
        (messages, parser.retry())
    }

    #[test]
    fn a_stream_parses_as_the_standard_says_however_it_is_cut() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
        for Case { says, stream, messages, retry } in cases {
            let (bytes, expected) = (stream.as_bytes(), (messages, retry));
            assert_eq!(parse([bytes]), expected, "{says}");
            for cut in 0..=bytes.len() {
                let (before, after) = bytes.split_at(cut);
                assert_eq!(parse([before, after]), expected, "{says}, cut at {cut}");
            }
            assert_eq!(parse(bytes.chunks(1)), expected, "{says}, byte by byte");
        }
    }

    #[test]
    fn an_id_counts_from_its_empty_line_on_with_an_event_or_without() {
        let mut parser = Parser::default();
        let mut after = |bytes: &[u8]| {
            parser.push(bytes, |_| {}).unwrap();
            parser.last_id().to_owned()
        };
        assert_eq!(
            [":\nid: a-1\n", "\n", "id: a-2\ndata: x\n", "\n", "data: y\n\n"].map(|text| after(text.as_bytes())),
            ["", "a-1", "a-1", "a-2", "a-2"]
        );
    }

    #[test]
    fn a_line_without_end_is_refused_not_kept() {
        let mut parser = Parser::default();
        let chunk = [b'x'; 4096];
        let refused = (0..1000).find(|_| parser.push(&chunk, |_| {}).is_err());
        assert_eq!(refused, Some(MAX_BYTES / chunk.len()));
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &[b'x'; 4090], b"\n"].concat();
        assert!((0..1000).any(|_| parser.push(&line, |_| {}).is_err()), "nor an event without end");
    }
}
