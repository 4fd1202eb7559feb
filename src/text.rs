//! Text that others wrote, made fit to be shown: a file's, a program's, a peer's.
//!
//! Enters: any text. Leaves: the same in which nothing moves a cursor, changes a colour, begins a line or turns the
//! direction of writing. What must never happen here: text made unreadable that was none of that.
//!
//! What is shown on a terminal goes through [`visible`], what is shown by a browser through [`Html`], which every
//! template uses. Doing it twice changes nothing.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::io;

use askama::filters::Escaper;

/// Whether a character does something instead of being seen: C0, DEL and C1 (ECMA-48), the separators of lines and
/// paragraphs, and what Unicode calls `Bidi_Control` (UAX #9 section 2), which can make one text look like another.
fn acts(c: char) -> bool {
    matches!(
        c,
        '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    ) || c.is_control()
}

/// The text in one line, with each character that would act as a Rust string literal has it: `\n`, `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// An error and all that caused it, each said once, in one line that any terminal can show.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let says = cause.to_string();
        // Some errors of libraries end with their cause, others leave it to be asked for.
        if !text.ends_with(&says) {
            text = format!("{text}: {says}");
        }
        source = cause.source();
    }
    visible(&text).into_owned()
}

/// JSON with all that JSON itself lets stand in a string (C1, DEL, bidi controls) as `\u009b`: the same values.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Between strings there are line breaks, and nothing else that acts.
    let hidden = |c: char| c != '\n' && acts(c);
    if !json.contains(hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hidden(c) {
            // RFC 8259 section 7; all of these are in the Basic Multilingual Plane. Writing to a text can't fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// How templates write text: markup as text, and what would act made visible.
#[derive(Debug, Clone, Copy, Default)]
pub struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, dest: W, string: &str) -> fmt::Result {
        askama::filters::Html.write_escaped_str(dest, &visible(string))
    }
}

/// A log that lines go to, one with each `write`: what they quote can't begin another.
#[derive(Debug)]
pub struct Log<W>(pub W);

impl<W: io::Write> io::Write for Log<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let shown = visible(text.trim_end_matches('\n'));
        self.0.write_all(format!("{shown}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_is_seen_and_everything_else_stays() {
        let acting = "\u{1b}[2J\u{9b}31m\u{7f}\0\r\n\t\u{202e}\u{2066}\u{2028}\u{200f}";
        let shown = visible(acting);
        assert_eq!(shown, r"\u{1b}[2J\u{9b}31m\u{7f}\u{0}\r\n\t\u{202e}\u{2066}\u{2028}\u{200f}");
        assert_eq!(visible(&shown), shown, "twice is once");
        let plain = "Größe “six” → 6 µs ✓ 日本 👩‍🔬 e\u{301} C:\\x";
        assert!(matches!(visible(plain), Cow::Borrowed(same) if same == plain));
    }

    #[test]
    fn json_keeps_its_values_and_shows_nothing_that_acts() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{1b}[2J\n", "\u{202e}x\u{7f}", "ö"] });
        let text = format!("{value:#}\n");
        let shown = visible_json(&text);
        assert!(!shown.contains(|c| c != '\n' && acts(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn a_page_has_markup_and_what_acts_as_text() {
        let mut page = String::new();
        Html.write_escaped_str(&mut page, "<b>\u{1b}[2J\u{202e}&").unwrap();
        assert_eq!(page, r"&#60;b&#62;\u{1b}[2J\u{202e}&#38;");
    }

    #[test]
    fn a_cause_is_said_once_whoever_says_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not write x")]
        struct Quiet(#[source] io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("could not write x: {0}")]
        struct Loud(#[source] io::Error);
        let full = || io::Error::other("the disk\u{1b}[2J is full");
        let said = r"could not write x: the disk\u{1b}[2J is full";
        assert_eq!(chain(&Quiet(full())), said);
        assert_eq!(chain(&Loud(full())), said);
    }

    #[test]
    fn a_line_of_a_log_stays_one_line() {
        use std::io::Write as _;
        let mut log = Log(Vec::new());
        log.write_all(b"WARN said \x1b[2J\nERROR forged\n").unwrap();
        assert_eq!(log.0, b"WARN said \\u{1b}[2J\\nERROR forged\n");
    }
}
