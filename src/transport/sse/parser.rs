//! Reads `text/event-stream` (WHATWG HTML section 9.2.6, "Interpreting an event stream").

/// How long a line, or an event's data, may be, in bytes. The standard sets no bound; a reader needs one.
const MAX_BYTES: usize = 1024 * 1024;

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

    fn parse(chunks: &[&[u8]]) -> Vec<(String, String, String)> {
        let mut parser = Parser::default();
        let mut messages = Vec::new();
        for chunk in chunks {
            parser.push(chunk, |m| messages.push((m.name, m.data, m.id))).unwrap();
        }
        messages
    }

    fn message(name: &str, data: &str, id: &str) -> (String, String, String) {
        (name.to_owned(), data.to_owned(), id.to_owned())
    }

    #[test]
    fn the_examples_of_the_standard_parse_as_it_says() {
        let stock = b"data: YHOO\ndata: +2\ndata: 10\n\n";
        assert_eq!(parse(&[stock]), [message("message", "YHOO\n+2\n10", "")]);
        let ids = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        let expected = [
            message("message", "first event", "1"),
            message("message", "second event", ""),
            message("message", " third event", ""),
        ];
        assert_eq!(parse(&[ids]), expected);
        let empty = b"data\n\ndata\ndata\n\ndata:";
        assert_eq!(parse(&[empty]), [message("message", "", ""), message("message", "\n", "")]);
    }

    #[test]
    fn a_stream_parses_the_same_however_it_is_cut_and_ended() {
        let text = "\u{feff}event: añade\rdata: x\r\ndata: \u{1F600}\nid: k3f9-1\n\rretry: 250\r\n\r\n:\n\ndata: y\r\r";
        let whole = parse(&[text.as_bytes()]);
        assert_eq!(whole, [message("añade", "x\n\u{1F600}", "k3f9-1"), message("message", "y", "k3f9-1")]);
        for cut in 0..=text.len() {
            let (before, after) = text.as_bytes().split_at(cut);
            assert_eq!(parse(&[before, after]), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(parse(&single), whole);
    }

    #[test]
    fn retry_is_digits_alone_and_an_id_with_nul_is_passed_over() {
        let mut parser = Parser::default();
        parser.push(b"retry: 3000\nretry: 1e3\nretry:\n\n", |_| panic!("no event")).unwrap();
        assert_eq!(parser.retry(), Some(3000));
        assert_eq!(parse(&[b"id: a\0b\ndata: x\n\n"]), [message("message", "x", "")]);
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
