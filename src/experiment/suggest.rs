//! The words that an experiment may use, and the nearest of them to one that it may not.

use serde_json::Value;

use crate::trial::schema::Bounds;

/// The names of all clients.
pub(super) fn clients() -> Vec<&'static str> {
    crate::client::ALL.iter().map(|client| client.name).collect()
}

/// The names of all transports.
pub(super) fn transports() -> Vec<&'static str> {
    crate::transport::ALL.iter().map(|transport| transport.name).collect()
}

/// The names of all intermediaries, and that of none.
pub(super) fn intermediaries() -> Vec<&'static str> {
    let none = crate::trial::settings::BetweenSettings::NONE;
    std::iter::once(none).chain(crate::intermediary::ALL.iter().map(|row| row.name)).collect()
}

/// Every protocol: `sse/h1`, `sse/h2`, …
pub(super) fn protocols() -> Vec<String> {
    let on = |transport: &'static crate::transport::Transport| {
        transport.alpns.iter().map(|alpn| format!("{}/{alpn}", transport.name))
    };
    crate::transport::ALL.iter().copied().flat_map(on).collect()
}

/// `; did you mean …?` when a known word is near, else `; write …` with all of them. Nothing when there are none.
pub(super) fn hint<T: AsRef<str>>(word: &str, known: &[T]) -> String {
    if let Some(near) = nearest(word, known) {
        return format!("; did you mean `{near}`?");
    }
    let all: Vec<String> = known.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match all.as_slice() {
        [] => String::new(),
        [only] => format!("; write {only}"),
        [first @ .., last] => format!("; write {} or {last}", first.join(", ")),
    }
}

/// The known word that is most like this one, if it is like any: Jaro-Winkler, as `cargo` and `clap` do.
pub(super) fn nearest<'k, T: AsRef<str>>(word: &str, known: &'k [T]) -> Option<&'k str> {
    let word = short(word).to_lowercase();
    let likeness = |known: &&'k str| strsim::jaro_winkler(&word, known);
    known
        .iter()
        .map(AsRef::as_ref)
        .filter(|known| likeness(known) > 0.8)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// The words between backticks: the first, and the rest. Serde's errors name the wrong word first and then all
/// that would be right.
pub(super) fn quoted(says: &str) -> (Option<&str>, Vec<&str>) {
    let mut words = says.split('`').skip(1).step_by(2);
    (words.next(), words.collect())
}

/// What serde calls a type, as a person does; a whole number with the least and the most that it may be.
pub(super) fn wanted(kind: &str, bounds: Option<&Bounds>) -> String {
    let whole = |least: &str| {
        let least = bounds.and_then(|bounds| bounds.least.as_deref()).unwrap_or(least);
        let most = bounds.and_then(|bounds| bounds.most.clone()).unwrap_or_else(|| u32::MAX.to_string());
        format!("a whole number from {least} to {most}")
    };
    match kind {
        "u32" => whole("0"),
        "a nonzero u32" => whole("1"),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        "a sequence" => "an array of tables".to_owned(),
        "a map" => "a table".to_owned(),
        _ if kind.starts_with("struct ") => "a table".to_owned(),
        _ => kind.to_owned(),
    }
}

/// A level in a sentence: a text without its quotes, the rest as JSON.
pub(super) fn level(value: &Value) -> String {
    match value {
        Value::String(text) => short(text).to_owned(),
        other => short(&other.to_string()).to_owned(),
    }
}

/// At most the first 80 characters: an error is a line, whatever was put in.
pub(super) fn short(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_and_a_far_one_gets_the_list() {
        let known = ["subscribers", "pages", "hosts"];
        assert_eq!(hint("subscriberz", &known), "; did you mean `subscribers`?");
        assert_eq!(hint("Page", &known), "; did you mean `pages`?");
        assert_eq!(hint("xyz", &known), "; write `subscribers`, `pages` or `hosts`");
        assert_eq!(hint("xyz", &["retry"]), "; write `retry`");
        assert_eq!(hint::<&str>("xyz", &[]), "");
    }
}
