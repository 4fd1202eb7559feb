//! A diagnosis as a terminal shows it.

use super::check::{Finding, Severity, count};
use super::fact::Seen;
use super::{CutShort, Diagnosis};
use crate::text::visible;

/// What stands before a finding's lines.
const INDENT: usize = 2;

/// All of it, in so many columns. Ends with a line break.
pub fn terminal(of: &Diagnosis, width: usize, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let mut text = vec![paint("1", &visible(&of.url)), verdict(of), String::new()];
    for finding in &of.findings {
        text.extend(shown(finding, width, &paint));
        text.push(String::new());
    }
    let about = of.seen.iter().map(|seen| seen.about.len()).max().unwrap_or(0);
    for (name, says) in rows(of) {
        let head = format!("{name:about$}  ");
        text.extend(wrapped(&visible(says), width, &paint("2", &head), head.chars().count()));
    }
    for left_out in &of.left_out {
        text.extend(wrapped(&format!("left out: {}", visible(left_out)), width, "", 0));
    }
    text.push(String::new());
    text.extend(wrapped(&conduct(of), width, "", 0));
    text.join("\n") + "\n"
}

/// What was seen: of what, which is said once for those in a row that share it, and what.
pub(super) fn rows(of: &Diagnosis) -> Vec<(&str, &str)> {
    let (mut rows, mut last) = (Vec::new(), "");
    for Seen { about, says } in &of.seen {
        rows.push((if *about == last { "" } else { about }, says.as_str()));
        last = about;
    }
    rows
}

/// What was found, in a line.
pub(super) fn verdict(of: &Diagnosis) -> String {
    let rows = [
        (Severity::Loses, ["finding that loses events", "findings that lose events"]),
        (Severity::Delays, ["finding that delays events", "findings that delay events"]),
        (Severity::Advice, ["piece of advice", "pieces of advice"]),
    ];
    let told = |(severity, [one, many]): (Severity, [&str; 2])| {
        let count = of.findings.iter().filter(|finding| finding.severity() == severity).count();
        (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { many }))
    };
    let none = (!of.is_ill()).then(|| "nothing found that loses or delays events".to_owned());
    let found = none.into_iter().chain(rows.into_iter().filter_map(told)).collect::<Vec<_>>().join(", ");
    match of.cut_short {
        None => found,
        Some(why) => format!("{found}; not finished: {}", cut_short(why)),
    }
}

fn cut_short(why: CutShort) -> &'static str {
    match why {
        CutShort::Interrupted => "it was interrupted",
        CutShort::Limit => "it took as long as it may (--limit)",
        CutShort::TooMany => "the server asked for less (429 Too Many Requests)",
        CutShort::Spent => "all requests were made that one diagnosis makes",
    }
}

fn shown(finding: &Finding, width: usize, paint: &impl Fn(&str, &str) -> String) -> Vec<String> {
    let (sign, code) = match finding.told.severity {
        Severity::Loses => ("✗", "31"),
        Severity::Delays => ("✗", "33"),
        Severity::Advice => ("–", "2"),
    };
    let head = format!("{sign} {} ({})", finding.told.severity.word(), finding.name);
    let mut lines = vec![paint(code, &head)];
    let indent = " ".repeat(INDENT);
    lines.extend(wrapped(&visible(&finding.told.says), width, &indent, INDENT));
    for evidence in &finding.told.evidence {
        lines.extend(wrapped(&visible(evidence), width, &format!("{indent}· "), INDENT + 2));
    }
    lines.extend(wrapped(&visible(&finding.told.change), width, &format!("{indent}→ "), INDENT + 2));
    lines
}

/// How it behaved, in a line.
pub(super) fn conduct(of: &Diagnosis) -> String {
    let conduct = &of.conduct;
    let count = |number: u32, word: &str| count(usize::try_from(number).unwrap_or(usize::MAX), word);
    format!(
        "{:.1} s, {} on {}, at most {} a second, as `{}`.",
        f64::from(u32::try_from(of.took).unwrap_or(u32::MAX)) / 1000.0,
        count(conduct.requests, "request"),
        count(conduct.connections, "connection"),
        conduct.rate,
        conduct.user_agent
    )
}

/// Lines of at most so many columns: the first begins with `head`, which takes `indent` of them, as the others do.
fn wrapped(text: &str, width: usize, head: &str, indent: usize) -> Vec<String> {
    let room = width.saturating_sub(indent).max(20);
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > room {
            lines.push(word.to_owned());
        } else if let Some(line) = lines.last_mut() {
            if last > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let rest = " ".repeat(indent);
    lines.iter().enumerate().map(|(k, line)| format!("{}{line}", if k == 0 { head } else { &rest })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_stays_within_its_columns_and_keeps_its_words() {
        let text = "a stream of words that is longer than one line of thirty columns";
        let lines = wrapped(text, 30, "> ", 2);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= 30), "{lines:?}");
        assert!(lines[0].starts_with("> ") && lines[1].starts_with("  "));
        let words: Vec<&str> =
            lines.iter().flat_map(|line| line.split_whitespace()).filter(|word| *word != ">").collect();
        assert_eq!(words.join(" "), text);
    }
}
