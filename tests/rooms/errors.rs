//! What went wrong has a type: a text can't be told from another text, nor asked for its cause.

use std::fs;

use crate::{files, root};

/// What follows the `<` of a type, up to the `>` that closes it, parted at the commas between.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            // Of `->`, in the type of a function.
            '>' if text[..at].ends_with('-') => {}
            '>' | ')' | ']' if depth == 0 => {
                parts.push(text[begin..at].trim());
                break;
            }
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    // A comma may follow the last.
    parts.retain(|part| !part.is_empty());
    parts
}

/// Every `Result` of a source text whose error is a text, comments left out.
fn untyped(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or("").to_owned() + "\n").collect();
    let mut found = Vec::new();
    for begin in ["Result<", "Result::<", "Ok::<", "Err::<"] {
        for (at, _) in code.match_indices(begin) {
            let arguments = arguments(&code[at + begin.len()..]);
            let [_, error] = arguments[..] else { continue };
            let borrowed = error.strip_prefix('&').map(|rest| rest.rsplit(' ').next().unwrap_or(rest));
            if borrowed.unwrap_or(error).rsplit("::").next().is_some_and(|name| ["String", "str"].contains(&name)) {
                found.push(format!("{begin}{}>", arguments.join(", ")));
            }
        }
    }
    found
}

#[test]
fn no_error_is_a_bare_text() {
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        let found = untyped(&fs::read_to_string(&file).unwrap());
        wrong.extend(found.into_iter().map(|result| format!("{path}: {result}")));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_bare_text_is_found_wherever_it_is_an_error() {
    for text in [
        "fn a() -> Result<(), String> {",
        "fn a() -> Result<(), &'static str> {",
        "fn a<'a>() -> Result<Vec<(u8, u8)>, &'a str> {",
        "find: fn() -> Result<fn(u8) -> [u8; 4], std::string::String>,",
        "up: Receiver<Result<\n    Up<Fact>,\n    String,\n>>,",
        "let read = Ok::<_, &str>(1);",
    ] {
        assert_eq!(untyped(text).len(), 1, "{text}");
    }
    for text in [
        "fn a() -> Result<String, Error> {",
        "fn a() -> Result<&'static str, E<String>> {",
        "fn a() -> fmt::Result {",
        "fn a() -> io::Result<String> {",
        "// Result<(), String>",
        "let both: (Result<String, Error>, String);",
    ] {
        assert_eq!(untyped(text), [""; 0], "{text}");
    }
    assert_eq!(untyped("a: Result<Result<u8, String>, WireError>"), ["Result<u8, String>"]);
}
